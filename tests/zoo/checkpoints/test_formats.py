from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.choices import CheckpointFormat, ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.config.rules_target import AVERAGE, BACKBONE, PAIRS, TOKENS
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import given_files
from aach_lightning.zoo.checkpoints.opening import FORMATS, open_checkpoint
from tests.zoo.checkpoints.written import (
    BITS,
    PLACES,
    SIDE,
    WORDS,
    State,
    cpah,
    dadh,
    dcmh,
    dgcpn,
    djsrh,
    ssah,
    vgg_f_mat,
)

Open = Callable[..., HashingNetwork]


def method(form: str, image: Path, text: Path | None = None, **changes: Any) -> CheckpointConfig:
    return CheckpointConfig(
        format=CheckpointFormat(form),
        image_file=str(image),
        text_file=None if text is None else str(text),
        **{"convention": ConventionName.own, "feature_mean": 0.0, "feature_std": 1.0, "largest_mib": 64, **changes},
    )


def opened(config: CheckpointConfig, bits: int = BITS, side: int = SIDE, words: int = WORDS) -> HashingNetwork:
    return open_checkpoint(config, given_files(config), bits, side, words)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def texts() -> Tensor:
    return torch.rand(3, WORDS, generator=torch.Generator().manual_seed(4))


def levels_of(images: Tensor, average: Any) -> Tensor:
    """What packs of MATLAB hand to these networks: levels without their average, N x 3 x W x H."""
    return torch.from_numpy(np.float32((images.numpy() * 255 - average).transpose(0, 1, 3, 2)))


def plain_cnn_f(state: State, prefix: str, maps: Tensor, padded: bool) -> Tensor:
    """CNN-F by torch's own layers; N x F."""

    def convolve(maps: Tensor, number: int, stride: int = 1, padding: int = 0) -> Tensor:
        name = f"{prefix}{PLACES[number]}"
        return F.relu(F.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding))

    norm = torch.nn.LocalResponseNorm(size=2, k=2)
    maps = F.pad(norm(convolve(maps, 0, 4)), (0, 1, 0, 1))
    maps = F.max_pool2d(maps, 3, 2, 1 if padded else 0)
    maps = F.max_pool2d(norm(convolve(maps, 1, padding=2)), 3, 2)
    maps = convolve(convolve(convolve(maps, 2, padding=1), 3, padding=1), 4, padding=1)
    maps = convolve(convolve(F.max_pool2d(maps, 3, 2), 5), 6)
    assert maps.shape[2:] == (1, 1)
    return maps[:, :, 0, 0]


def linear(state: State, name: str, inputs: Tensor) -> Tensor:
    return inputs @ state[f"{name}.weight"].flatten(1).T + state[f"{name}.bias"]


def check(network: HashingNetwork, images: Tensor, texts: Tensor, image_codes: Tensor, text_codes: Tensor) -> None:
    torch.testing.assert_close(network.hash_images(images), image_codes, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.hash_texts(texts), text_codes, rtol=1e-4, atol=1e-5)
    assert image_codes.std() > 0.05  # the weights do decide something
    assert text_codes.std() > 0.05


COLOUR = np.array([123.68, 116.779, 103.939])[:, None, None]


@pytest.mark.parametrize("given", [False, True])
def test_dcmh(tmp_path: Path, images: Tensor, texts: Tensor, given: bool) -> None:
    image, text = dcmh()
    torch.save(image, tmp_path / "image_model.pth")
    torch.save(text, tmp_path / "text_model.pth", _use_new_zipfile_serialization=False)
    average, weights = COLOUR, None
    if given:
        weights = tmp_path / "imagenet-vgg-f.mat"
        average = vgg_f_mat(weights)[1].transpose(2, 0, 1)
    files = (tmp_path / "image_model.pth", tmp_path / "text_model.pth")
    network = opened(method("dcmh", *files, weights_file=None if weights is None else str(weights)))
    features = plain_cnn_f(image, "features.", levels_of(images, average), padded=False)
    hidden = linear(text, "conv1", texts).relu()
    expected = linear(image, "classifier", features).tanh(), linear(text, "conv2", hidden).tanh()
    check(network, images, texts, *expected)


@pytest.mark.parametrize("later", [False, True])
def test_djsrh_and_jdsh(tmp_path: Path, images: Tensor, texts: Tensor, later: bool) -> None:
    content = djsrh(later)
    torch.save({**content, "step": 5}, tmp_path / "latest.pth")
    network = opened(method("jdsh" if later else "djsrh", tmp_path / "latest.pth"))
    image, text = content["ImgNet"], content["TxtNet"]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    maps = torch.from_numpy(np.float32((images.numpy() - mean[:, None, None]) / std[:, None, None]))
    for place, (stride, padding) in {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}.items():
        name = f"alexnet.features.{place}"
        maps = F.conv2d(maps, image[f"{name}.weight"], image[f"{name}.bias"], stride, padding).relu()
        if place in (0, 3, 10):
            maps = F.max_pool2d(maps, 3, 2)
    hidden = linear(image, "alexnet.classifier.1", maps.flatten(1)).relu()
    hidden = linear(image, "alexnet.classifier.4", hidden).relu()
    codes = linear(image, "hash_layer" if later else "fc_encode", hidden).tanh()
    first, second = ("net.0", "net.2") if later else ("fc1", "fc2")
    check(network, images, texts, codes, linear(text, second, linear(text, first, texts).relu()).tanh())


def test_dgcpn(tmp_path: Path, images: Tensor, texts: Tensor) -> None:
    content = dgcpn()
    torch.save(content, tmp_path / "DGCPN.pth")
    backbone, average = vgg_f_mat(tmp_path / "vgg.mat")
    changes = {"weights_file": str(tmp_path / "vgg.mat"), "feature_mean": 0.25, "feature_std": 2.0}
    network = opened(method("dgcpn", tmp_path / "DGCPN.pth", **changes))
    features = plain_cnn_f(backbone, "", levels_of(images, average.transpose(2, 0, 1)), padded=False)
    expected = [
        linear(state, "fc_encode", linear(state, "fc1", inputs).relu()).tanh()
        for state, inputs in ((content["ImgNet"], (features - 0.25) / 2), (content["TxtNet"], texts))
    ]
    check(network, images, texts, *expected)


def plain_generator(state: State, side: str, name: str, places: tuple[int, ...], inputs: Tensor) -> Tensor:
    for place in places:
        inputs = linear(state, f"{side}_module.{place}", inputs)
        norm = f"{side}_module.{place + 1}"
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        inputs = (inputs - mean) / (var + 1e-5).sqrt() * state[f"{norm}.weight"] + state[f"{norm}.bias"]
        inputs = inputs.clamp(min=0)
    return linear(state, f"hash_module.{name}.0", inputs).tanh()


@pytest.mark.parametrize(("dropout", "own", "given"), [(False, True, False), (True, True, True), (False, False, True)])
def test_dadh(tmp_path: Path, images: Tensor, texts: Tensor, dropout: bool, own: bool, given: bool) -> None:
    state = dadh(dropout, own)
    torch.save(state, tmp_path / "DADH.pth")
    kept, average = vgg_f_mat(tmp_path / "vgg.mat")
    network = opened(method("dadh", tmp_path / "DADH.pth", weights_file=str(tmp_path / "vgg.mat") if given else None))
    levels = levels_of(images, average.transpose(2, 0, 1) if given else COLOUR)
    backbone = (state, "cnn_f.img_module.") if own else (kept, "")
    features = plain_cnn_f(*backbone, levels, padded=True)
    places = (0, 4, 8) if dropout else (0, 3, 6)
    expected = [
        plain_generator(state, side, side, places, inputs) for side, inputs in (("image", features), ("text", texts))
    ]
    check(network, images, texts, *expected)


def test_cpah(tmp_path: Path, images: Tensor, texts: Tensor) -> None:
    state = cpah()
    torch.save(state, tmp_path / "CPAH.pth")
    backbone, average = vgg_f_mat(tmp_path / "vgg.mat")
    network = opened(method("cpah", tmp_path / "CPAH.pth", weights_file=str(tmp_path / "vgg.mat")))
    features = plain_cnn_f(backbone, "", levels_of(images, average.transpose(2, 0, 1)), padded=True)
    expected = [
        plain_generator(state, side, name, (0, 3), inputs)
        for side, name, inputs in (("image", "img", features), ("text", "txt", texts))
    ]
    check(network, images, texts, *expected)


def plain_norm(state: State, name: str, maps: Tensor) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{it}"][:, None, None] for it in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (var + 1e-5).sqrt() * weight + bias


@pytest.mark.parametrize("deep", [False, True])
def test_ssah(tmp_path: Path, images: Tensor, texts: Tensor, deep: bool) -> None:
    state = ssah(deep)
    torch.save(state, tmp_path / "ssah.pth")
    network = opened(method("ssah", tmp_path / "ssah.pth"))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    maps = torch.from_numpy(np.float32((images.numpy() - mean[:, None, None]) / std[:, None, None]))
    prefix = "img_net.feature_layers."
    maps = plain_norm(state, f"{prefix}1", F.conv2d(maps, state[f"{prefix}0.weight"], None, 2, 3)).relu()
    maps = F.max_pool2d(maps, 3, 2, 1)
    for block in ("4.0", "4.1", "5.0", "6.0", "7.0", "7.1"):
        stride = 2 if block in ("5.0", "6.0", "7.0") else 1
        last = found = maps
        for number in (1, 2, 3) if deep else (1, 2):
            name, strided = f"{prefix}{block}", number == (2 if deep else 1)
            kernel = state[f"{name}.conv{number}.weight"]
            found = F.conv2d(last, kernel, None, stride if strided else 1, kernel.shape[2] // 2)
            found = plain_norm(state, f"{name}.bn{number}", found)
            last = found.relu()
        if f"{name}.downsample.0.weight" in state:
            maps = F.conv2d(maps, state[f"{name}.downsample.0.weight"], None, stride)
            maps = plain_norm(state, f"{name}.downsample.1", maps)
        maps = (found + maps).relu()
    codes = linear(state, "img_net.fc", maps.mean((2, 3))).tanh()
    windows = []
    for number, size in enumerate((2, 3, 16)):
        name = f"txt_net.ms_module.module_list.{number}.layers.0"
        parts = [linear(state, name, texts[:, at : at + size]).relu() for at in range(0, WORDS - size + 1, size)]
        windows.append(torch.stack(parts).mean(0))
    hidden = linear(state, "txt_net.features.0", torch.cat(windows, dim=1)).relu()
    hidden = linear(state, "txt_net.features.2", hidden).relu()
    check(network, images, texts, codes, linear(state, "txt_net.hash_layers.0", hidden).tanh())


@pytest.fixture
def dcmh_files(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "image_model.pth", tmp_path / "text_model.pth"
    for content, path in zip(dcmh(), files, strict=True):
        torch.save(content, path)
    return files


def test_gradients_reach_the_pixels(dcmh_files: tuple[Path, Path], images: Tensor) -> None:
    network = opened(method("dcmh", *dcmh_files)).double()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    point = images[:1].double().requires_grad_()
    (gradient,) = torch.autograd.grad(network.hash_images(point)[0, 3], point)
    direction = torch.randn(point.shape, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        ahead, behind = (network.hash_images(point + step * direction)[0, 3] for step in (1e-7, -1e-7))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-7, rel=1e-3)
    assert float(gradient.abs().max()) > 0


@pytest.mark.parametrize("transposed", [None, False, True])
@pytest.mark.parametrize("name", ConventionName)
def test_conventions(tmp_path: Path, images: Tensor, name: ConventionName, transposed: bool | None) -> None:
    torch.save(djsrh(), tmp_path / "file.pth")
    network = opened(method("djsrh", tmp_path / "file.pth", convention=name, transposed=transposed))
    pixels = images.numpy().astype(np.float64)
    expected = {
        "own": (pixels - np.array([0.485, 0.456, 0.406])[:, None, None])
        / np.array([0.229, 0.224, 0.225])[:, None, None],
        "unit": pixels,
        "signed": pixels * 2 - 1,
        "clip": (pixels - np.array([0.48145466, 0.4578275, 0.40821073])[:, None, None])
        / np.array([0.26862954, 0.26130258, 0.27577711])[:, None, None],
        "levels": pixels * 255,
        "centred": pixels * 255 - COLOUR,
        "caffe": (pixels * 255 - COLOUR)[:, ::-1],
    }
    wanted = expected["own" if name == "imagenet" else name.value]
    found = network.image.conversion(images).numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(found, wanted.transpose(0, 1, 3, 2) if transposed else wanted, rtol=1e-4, atol=1e-4)


def test_names_of_data_parallel_and_half_precision(dcmh_files: tuple[Path, Path], images: Tensor) -> None:
    plain = opened(method("dcmh", *dcmh_files)).hash_images(images)
    image = {f"module.{name}": it.half() for name, it in dcmh()[0].items()}
    torch.save(image, dcmh_files[0])
    found = opened(method("dcmh", *dcmh_files)).hash_images(images)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, plain, atol=0.02, rtol=0.02)
    assert not torch.equal(found, plain)


def test_the_table_of_the_page_says_what_the_formats_say() -> None:
    page = (Path(__file__).parents[3] / "docs" / "targets.md").read_text(encoding="utf-8")
    text = page.partition("## Other people's checkpoints")[2]
    for name, form in FORMATS.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        _, _, files, images, texts, *published = (cell.strip() for cell in row.split("|")[:-1])
        assert (files, texts) == (form.files, form.texts)
        convention = CONVENTIONS[ConventionName(images.split("`")[1])]
        assert form.convention == replace(convention, transposed="width first" in images)
        given = [f"{i2t:.3f} / {t2i:.3f}".replace("0.", ".") for i2t, t2i in (form.published or {}).values()]
        assert [cell.replace(" (TC10)", "") for cell in published if cell] == given


def test_rules_and_formats_agree() -> None:
    assert set(FORMATS) == set(CheckpointFormat)
    assert {form for form, known in FORMATS.items() if "tokens" in known.texts} == set(TOKENS)
    for form, known in FORMATS.items():
        assert ("two" in known.files or "text_model" in known.files) == (form in PAIRS)
        assert ("vgg-f" in known.files) == (form in (*BACKBONE, *AVERAGE))
        assert known.facts()["files"] == known.files
