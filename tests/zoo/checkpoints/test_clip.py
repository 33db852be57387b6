from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from tests.zoo.checkpoints.test_formats import method, opened
from tests.zoo.checkpoints.written import BITS, CONTEXT, SIDE, VOCABULARY, State, dchmt, mith, tokens

MEAN, STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def part(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): it for name, it in state.items() if name.startswith(prefix)}


def norm(state: State, name: str, inputs: Tensor) -> Tensor:
    return F.layer_norm(inputs, inputs.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def plain_blocks(state: State, inputs: Tensor, mask: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
    """Blocks with torch's own attention, in training mode, where it has no short cuts; N x L x D."""
    width = inputs.shape[-1]
    for number in range(2):
        block = part(state, f"resblocks.{number}.")
        attention = nn.MultiheadAttention(width, width // 64, batch_first=True)
        attention.load_state_dict(part(block, "attn."))
        given = norm(block, "ln_1", inputs)
        inputs = inputs + attention(given, given, given, attn_mask=mask, key_padding_mask=padding)[0].detach()
        hidden = norm(block, "ln_2", inputs) @ block["mlp.c_fc.weight"].T + block["mlp.c_fc.bias"]
        hidden = hidden * (1 / (1 + torch.exp(-1.702 * hidden)))
        inputs = inputs + hidden @ block["mlp.c_proj.weight"].T + block["mlp.c_proj.bias"]
    return inputs


def plain_image(state: State, images: Tensor) -> Tensor:
    pixels = torch.from_numpy(np.float32((images.numpy() - MEAN[:, None, None]) / STD[:, None, None]))
    rows = []
    for image in pixels:  # patch by patch, from left to right and downwards
        row = [state["class_embedding"]]
        for down in range(0, SIDE, 16):
            for right in range(0, SIDE, 16):
                patch = image[:, down : down + 16, right : right + 16]
                row.append((state["conv1.weight"] * patch).sum((1, 2, 3)))
        rows.append(torch.stack(row))
    given = norm(state, "ln_pre", torch.stack(rows) + state["positional_embedding"])
    return norm(state, "ln_post", plain_blocks(part(state, "transformer."), given)) @ state["proj"]


def plain_text(state: State, numbers: Tensor, hides: bool) -> Tensor:
    given = state["token_embedding.weight"][numbers] + state["positional_embedding"]
    mask = torch.full((CONTEXT, CONTEXT), -torch.inf).triu(1)
    padding = torch.where(numbers == 0, -torch.inf, 0.0) if hides else None
    found = plain_blocks(part(state, "transformer."), given, mask, padding)
    return norm(state, "ln_final", found) @ state["text_projection"]


def read(form: str, state: State, path: Path) -> HashingNetwork:
    torch.save(state, path)
    return opened(method(form, path), words=CONTEXT)


@pytest.mark.parametrize("linear", [False, True])
def test_dchmt(tmp_path: Path, images: Tensor, linear: bool) -> None:
    state, texts = dchmt(linear), tokens(4)
    network = read("dchmt", state, tmp_path / "model.pth")
    clip, ends = part(state, "clip."), texts.argmax(1)
    features = {
        "image_hash": plain_image(part(clip, "visual."), images)[:, 0],
        "text_hash": plain_text(clip, texts.long(), hides=False)[torch.arange(4), ends],
    }
    for (side, given), found in zip(
        features.items(), (network.hash_images(images), network.hash_texts(texts)), strict=True
    ):
        head = part(state, f"{side}.")
        codes = given @ head["fc.weight"].T + head["fc.bias"]
        if linear:
            codes = codes.tanh()
        else:
            bits = [codes.relu() @ head[f"hash_list.{n}.weight"].T + head[f"hash_list.{n}.bias"] for n in range(BITS)]
            shares = torch.stack(bits, dim=1).softmax(-1)
            codes = shares[..., 1] - shares[..., 0]
            assert torch.equal(codes > 0, shares.argmax(-1) == 1)
        torch.testing.assert_close(found, codes, rtol=1e-3, atol=1e-4)
        assert codes.std() > 0.05


def plain_local(state: State, given: Tensor, values: Tensor, left_out: Tensor) -> Tensor:
    """Concept by concept, each with the tokens that chose it."""
    rows = []
    for item in range(len(given)):
        chosen = values[item].clone()
        chosen[left_out[item]] = -1
        for token in chosen:
            token[token.argsort(descending=True)[8:]] = -1
        concepts = []
        for concept in range(BITS):
            places = (chosen[:, concept] > 0).nonzero()[:, 0]
            shares = chosen[places, concept].exp()
            weighted = (shares[:, None] * given[item, places]).sum(0) / shares.sum()
            concepts.append(weighted if len(places) else torch.zeros(given.shape[-1]))
        rows.append(torch.stack(concepts))
    mixed = plain_blocks(part(state, "transformer."), torch.stack(rows) + state["position.pe"][:, 0])
    bits = [
        mixed[:, bit] @ state[f"hashing.fc_list.{bit}.weight"][0] + state[f"hashing.fc_list.{bit}.bias"]
        for bit in range(BITS)
    ]
    return torch.stack(bits, dim=1).tanh()


def plain_concepts(state: State, given: Tensor) -> Tensor:
    for number in range(2):
        layer = part(state, f"mlp.mlps.{number}.")
        inner = F.gelu(norm(state, f"mlp.lns.{number}", given) @ layer["0.weight"].T + layer["0.bias"])
        given = given + inner @ layer["3.weight"].T + layer["3.bias"]
    return torch.tanh(given @ state["common_concept_embedding.weight"].T)


def test_mith(tmp_path: Path, images: Tensor) -> None:
    state, texts = mith(), tokens(4)
    network = read("mith", state, tmp_path / "model.pth")
    clip, shared = part(state, "clip."), part(state, "hash.gcl_i.")
    given = plain_image(part(clip, "visual."), images)
    values = plain_concepts(shared, given)
    nothing = torch.zeros(given.shape[:2], dtype=torch.bool)
    local = plain_local(part(state, "hash.lct_i."), given[:, 1:], values[:, 1:], nothing[:, 1:])
    torch.testing.assert_close(network.hash_images(images), (values[:, 0] + local) / 2, rtol=1e-3, atol=1e-4)
    given = plain_text(clip, texts.long(), hides=True)
    values = plain_concepts(shared, given)
    left_out = (texts == 0) | (texts == VOCABULARY - 1)
    local = plain_local(part(state, "hash.lct_t."), given, values, left_out)
    expected = (values[torch.arange(4), texts.argmax(1)] + local) / 2
    torch.testing.assert_close(network.hash_texts(texts), expected, rtol=1e-3, atol=1e-4)
    assert len(expected.sign().unique(dim=0)) > 1


@pytest.mark.parametrize("form", ["dchmt", "mith"])
def test_gradients_and_texts_without_words(tmp_path: Path, images: Tensor, form: str) -> None:
    network = read(form, mith() if form == "mith" else dchmt(False), tmp_path / "model.pth").double()
    assert torch.isfinite(network.hash_texts(torch.zeros(2, CONTEXT, dtype=torch.float64))).all()
    point = images[:1].double().requires_grad_()
    (gradient,) = torch.autograd.grad(network.hash_images(point)[0, 3], point)
    direction = torch.randn(point.shape, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        ahead, behind = (network.hash_images(point + step * direction)[0, 3] for step in (1e-6, -1e-6))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (0.5, r"must be numbers of tokens, whole and in 0 to 49, .*attack images only"),
        (-1.0, r"got values from -1 to 49"),
        (50.0, r"got values from 0 to 50"),
    ],
)
def test_texts_that_are_no_tokens(tmp_path: Path, changed: float, message: str) -> None:
    network, texts = read("dchmt", dchmt(True), tmp_path / "model.pth"), tokens(2)
    texts[1, 2] = changed
    with pytest.raises(CheckpointError, match=message):
        network.hash_texts(texts)


def test_files_and_data_that_do_not_fit(tmp_path: Path) -> None:
    state = dchmt(True)
    path = tmp_path / "model.pth"
    with pytest.raises(
        CheckpointError, match=r"more than this format has: backbone\.visual\.proj; its parts are clip\."
    ):
        read("dchmt", {**state, "backbone.visual.proj": state["clip.visual.proj"]}, path)
    with pytest.raises(CheckpointError, match=r"unexpected: clip\.other"):
        read("dchmt", {**state, "clip.other": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"missing: clip\.visual\.transformer\.resblocks\.1\.ln_2\.bias"):
        read(
            "dchmt", {name: it for name, it in state.items() if "visual.transformer.resblocks.1.ln_2" not in name}, path
        )
    torch.save(state, path)
    with pytest.raises(ConfigError, match=r"texts may have 12 tokens at most, the data have 13"):
        opened(method("dchmt", path), words=13)
    with pytest.raises(ConfigError, match=r"CLIP was built for images of shape N x 3 x 64 x 64"):
        opened(method("dchmt", path), words=12, side=32)
