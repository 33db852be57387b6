"""Files with the keys and axes of public checkpoints, of random weights and small widths."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import savemat
from torch import Tensor, nn

SIDE, WORDS, BITS = 64, 16, 16  # at 64 pixels one place is left before the dense layers
PLACES = (0, 5, 9, 11, 13, 16, 18)
CNN_F = ((6, 3, 11), (8, 6, 5), (8, 8, 3), (8, 8, 3), (8, 8, 3), (24, 8, 1), (20, 24, 1))  # out, in, side
ALEXNET = {0: (6, 3, 11), 3: (8, 6, 5), 6: (8, 8, 3), 8: (8, 8, 3), 10: (8, 8, 3)}

State = dict[str, Tensor]


class Draw:
    """Random layers, each of a scale that keeps values of the size of its inputs."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, *shape: int) -> Tensor:
        fan = max(1, int(np.prod(shape[1:])))
        return torch.randn(shape, generator=self.generator) * (2 / fan) ** 0.5

    def layer(self, name: str, *shape: int) -> State:
        return {f"{name}.weight": self.tensor(*shape), f"{name}.bias": self.tensor(shape[0]) * 0.1}

    def scales(self, name: str, width: int) -> State:
        return {f"{name}.weight": 1 + 0.1 * self.tensor(width), f"{name}.bias": 0.1 * self.tensor(width)}

    def norm(self, name: str, width: int) -> State:
        return {
            **self.scales(name, width),
            f"{name}.running_mean": 0.1 * self.tensor(width),
            f"{name}.running_var": 1 + torch.rand(width, generator=self.generator),
            f"{name}.num_batches_tracked": torch.tensor(7),
        }


def cnn_f(draw: Draw, prefix: str) -> State:
    state: State = {}
    for place, (out, channels, side) in zip(PLACES, CNN_F, strict=True):
        state |= draw.layer(f"{prefix}{place}", out, channels, side, side)
    return state


def vgg_f_mat(path: Path, seed: int = 5) -> tuple[State, NDArray[np.float32]]:
    """A file such as imagenet-vgg-f.mat; its layers as PyTorch re-implementations lay them, and its average image."""
    state = cnn_f(Draw(seed), "")
    average = np.random.default_rng(seed).random((SIDE, SIDE, 3), dtype=np.float32) * np.float32(255)
    layers: list[dict[str, Any]] = []
    for place in PLACES:
        cell = np.empty((1, 2), dtype=object)
        cell[0, 0], cell[0, 1] = state[f"{place}.weight"].numpy().T, state[f"{place}.bias"].numpy()[:, None]
        layers.append({"type": "conv", "name": f"conv{place}", "weights": cell})
    array = np.empty((1, len(layers)), dtype=object)
    array[0] = layers
    savemat(path, {"layers": array, "meta": {"normalization": {"averageImage": average}}})
    return state, average


def dcmh(seed: int = 0) -> tuple[State, State]:
    draw = Draw(seed)
    image = {**cnn_f(draw, "features."), **draw.layer("classifier", BITS, 20)}
    return image, {**draw.layer("conv1", 12, 1, WORDS, 1), **draw.layer("conv2", BITS, 12, 1, 1)}


def djsrh(later: bool = False, seed: int = 0) -> dict[str, State]:
    draw, image = Draw(seed), {}
    for place, (out, channels, side) in ALEXNET.items():
        image |= draw.layer(f"alexnet.features.{place}", out, channels, side, side)
    image |= {**draw.layer("alexnet.classifier.1", 20, 8), **draw.layer("alexnet.classifier.4", 18, 20)}
    image |= draw.layer("hash_layer" if later else "fc_encode", BITS, 18)
    first, second = ("net.0", "net.2") if later else ("fc1", "fc2")
    return {"ImgNet": image, "TxtNet": {**draw.layer(first, 14, WORDS), **draw.layer(second, BITS, 14)}}


def dgcpn(seed: int = 0) -> dict[str, State]:
    draw = Draw(seed)
    return {
        name: {**draw.layer("fc1", 14, width), **draw.layer("fc_encode", BITS, 14)}
        for name, width in (("ImgNet", 20), ("TxtNet", WORDS))
    }


def generator(sides: dict[str, str], layers: int, step: int, seed: int = 0) -> State:
    """DADH and CPAH: `step` places from one dense layer to the next."""
    draw, state = Draw(seed), {}
    for side, name in sides.items():
        width = 20 if side == "image" else WORDS
        for number in range(layers):
            out = 24 // (number + 1)
            state |= draw.layer(f"{side}_module.{number * step}", out, width)
            state |= draw.norm(f"{side}_module.{number * step + 1}", out)
            width = out
        state |= draw.layer(f"hash_module.{name}.0", BITS, width)
    return state


def dadh(dropout: bool = False, backbone: bool = True, seed: int = 0) -> State:
    state = generator({"image": "image", "text": "text"}, 3, 4 if dropout else 3, seed)
    return {**cnn_f(Draw(seed + 1), "cnn_f.img_module."), **state} if backbone else state


def cpah(seed: int = 0) -> State:
    draw, state = Draw(seed + 1), generator({"image": "img", "text": "txt"}, 2, 3, seed)
    for name in ("img", "txt"):
        state |= draw.layer(f"mask_module.{name}.1", 12, 1, 12, 1) | draw.layer(f"classifier.{name}.0", 3, 12)
    return state | draw.layer("feature_dis.0", 2, 12) | draw.layer("consistency_dis.0", 2, 12)


def resnet(draw: Draw, prefix: str, deep: bool) -> State:
    """One or two blocks a stage; of two convolutions, or of three where the net is deep."""
    state = {f"{prefix}0.weight": draw.tensor(8, 3, 7, 7), **draw.norm(f"{prefix}1", 8)}
    channels = 8
    for place, count in ((4, 2), (5, 1), (6, 1), (7, 2)):
        inner, out = 2 * place, 4 * place if deep else 2 * place
        for number in range(count):
            name = f"{prefix}{place}.{number}"
            sizes = [(inner, channels, 1), (inner, inner, 3), (out, inner, 1)]
            for part, (a, b, side) in enumerate(sizes if deep else [(out, channels, 3), (out, out, 3)], 1):
                state |= {
                    f"{name}.conv{part}.weight": draw.tensor(a, b, side, side),
                    **draw.norm(f"{name}.bn{part}", a),
                }
            if channels != out:
                state |= {f"{name}.downsample.0.weight": draw.tensor(out, channels, 1, 1)}
                state |= draw.norm(f"{name}.downsample.1", out)
            channels = out
    return state


def ssah(deep: bool = False, seed: int = 0) -> State:
    draw = Draw(seed)
    state = resnet(draw, "img_net.feature_layers.", deep)
    state |= draw.layer("img_net.fc", BITS, 28 if deep else 14, 1, 1) | draw.layer("lab_net.features.0", 4, 1, 1, 3)
    for number, size in enumerate((2, 3, 16)):
        state |= draw.layer(f"txt_net.ms_module.module_list.{number}.layers.0", 10, 1, 1, size)
    state |= draw.layer("txt_net.features.0", 24, 30, 1, 1) | draw.layer("txt_net.features.2", 20, 24, 1, 1)
    return state | draw.layer("txt_net.hash_layers.0", BITS, 20, 1, 1) | draw.layer("il_dis_net.layers.0", 2, 20, 1, 1)


EMBED, VOCABULARY, CONTEXT = 64, 50, 12  # of CLIP


def blocks(draw: Draw, prefix: str, width: int, layers: int) -> State:
    state: State = {}
    for number in range(layers):
        name = f"{prefix}resblocks.{number}"
        state |= {f"{name}.attn.in_proj_weight": 2 * draw.tensor(3 * width, width)}
        state |= {f"{name}.attn.in_proj_bias": 0.1 * draw.tensor(3 * width)}
        state |= draw.layer(f"{name}.attn.out_proj", width, width)
        state |= draw.layer(f"{name}.mlp.c_fc", 4 * width, width) | draw.layer(f"{name}.mlp.c_proj", width, 4 * width)
        state |= draw.scales(f"{name}.ln_1", width) | draw.scales(f"{name}.ln_2", width)
    return state


def clip(draw: Draw) -> State:
    """ViT with patches of 16 pixels and one head; a text transformer with two."""
    visual = {
        "conv1.weight": draw.tensor(64, 3, 16, 16),
        "class_embedding": draw.tensor(64),
        "positional_embedding": draw.tensor(1 + (SIDE // 16) ** 2, 64),
        "proj": draw.tensor(64, EMBED),
        **draw.scales("ln_pre", 64),
        **draw.scales("ln_post", 64),
        **blocks(draw, "transformer.", 64, 2),
    }
    return {
        **{f"visual.{name}": tensor for name, tensor in visual.items()},
        "token_embedding.weight": draw.tensor(VOCABULARY, 128),
        "positional_embedding": draw.tensor(CONTEXT, 128),
        "text_projection": draw.tensor(128, EMBED),
        "logit_scale": torch.tensor(4.6),
        **draw.scales("ln_final", 128),
        **blocks(draw, "transformer.", 128, 2),
    }


def dchmt(linear: bool, seed: int = 0) -> State:
    draw = Draw(seed)
    state = {f"clip.{name}": tensor for name, tensor in clip(draw).items()}
    for side in ("image_hash", "text_hash"):
        state |= draw.layer(f"{side}.fc", BITS if linear else 24, EMBED)
        for bit in range(0 if linear else BITS):
            state |= draw.layer(f"{side}.hash_list.{bit}", 2, 24)
    return state


def mith(seed: int = 0) -> State:
    draw = Draw(seed)
    state = {f"clip.{name}": tensor for name, tensor in clip(draw).items()}
    shared: State = {"common_concept_embedding.weight": draw.tensor(BITS, EMBED)}
    for number in range(2):
        shared |= draw.layer(f"mlp.mlps.{number}.0", 4 * EMBED, EMBED) | draw.scales(f"mlp.lns.{number}", EMBED)
        shared |= draw.layer(f"mlp.mlps.{number}.3", EMBED, 4 * EMBED)
    for side in "it":
        state |= {f"hash.gcl_{side}.{name}": tensor for name, tensor in shared.items()}
        state |= {f"hash.lct_{side}.position.pe": draw.tensor(BITS, 1, EMBED)}
        state |= blocks(draw, f"hash.lct_{side}.transformer.", EMBED, 2)
        for bit in range(BITS):
            state |= draw.layer(f"hash.lct_{side}.hashing.fc_list.{bit}", 1, EMBED)
    return state | draw.layer("hash.img_concept_proj", EMBED, EMBED) | draw.layer("hash.txt_concept_proj", EMBED, EMBED)


def tokens(count: int) -> Tensor:
    """Numbers of tokens as float32: start, words, end, and zeros behind it."""
    random = np.random.default_rng(2)
    rows = np.zeros((count, CONTEXT), np.float32)
    for row in rows:
        length = int(random.integers(2, CONTEXT - 1))
        row[0], row[length] = VOCABULARY - 2, VOCABULARY - 1
        row[1:length] = random.integers(1, VOCABULARY - 2, length - 1)
    return torch.from_numpy(rows)


def save_script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
        torch.jit.script(module).save(path)
    return path


def image_module(bits: int = BITS) -> nn.Sequential:
    """A small network of any image size."""
    draw = Draw(8)
    module = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, bits))
    module.load_state_dict({**draw.layer("0", 8, 3, 5, 5), **draw.layer("4", bits, 8)})
    return module.append(nn.Tanh())


def text_module(words: int = WORDS, bits: int = BITS) -> nn.Sequential:
    module = nn.Sequential(nn.Linear(words, bits))
    module.load_state_dict(Draw(9).layer("0", bits, words))
    return module


def save_onnx(module: nn.Sequential, path: Path, shape: list[int | str | None], kind: str = "FLOAT") -> Path:
    """The same network as a graph; the first entry of `shape` may be a name, for any number of items."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    kinds = {"FLOAT": np.float32, "DOUBLE": np.float64, "INT64": np.int64}
    stored = {name: it.numpy().astype(kinds[kind]) for name, it in module.state_dict().items()}
    nodes, last = [], "given"
    for number, layer in enumerate(module):
        operator = {"Conv2d": "Conv", "ReLU": "Relu", "AdaptiveAvgPool2d": "GlobalAveragePool", "Linear": "Gemm"}.get(
            type(layer).__name__, type(layer).__name__
        )
        options: dict[str, Any] = {"Conv": {"strides": [4, 4]}, "Gemm": {"transB": 1}}.get(operator, {})
        inputs = [last, *(name for name in (f"{number}.weight", f"{number}.bias") if name in stored)]
        nodes.append(helper.make_node(operator, inputs, [f"out{number}"], **options))
        last = f"out{number}"
    number = getattr(TensorProto, kind)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("given", number, shape)],
            [helper.make_tensor_value_info(last, number, [shape[0], None])],
            [numpy_helper.from_array(it, name) for name, it in stored.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    checker.check_model(model)
    save(model, path)
    return path
