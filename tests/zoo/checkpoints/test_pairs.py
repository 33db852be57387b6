import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.errors import CheckpointError, ConfigError
from tests.zoo.checkpoints.test_formats import method, opened
from tests.zoo.checkpoints.written import SIDE, WORDS, image_module, save_onnx, save_script, text_module


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def texts() -> Tensor:
    return torch.rand(5, WORDS, generator=torch.Generator().manual_seed(4))


def plain_image(levels: np.ndarray, module: nn.Sequential) -> np.ndarray:
    """Windows of 5 pixels every 4, by loops."""
    state = {name: it.numpy().astype(np.float64) for name, it in module.state_dict().items()}
    places = range(0, SIDE - 4, 4)
    total = np.zeros((len(levels), 8))
    for down in places:
        for right in places:
            window = levels[:, :, down : down + 5, right : right + 5].reshape(len(levels), -1)
            total += np.maximum(window @ state["0.weight"].reshape(8, -1).T + state["0.bias"], 0)
    return np.tanh(total / len(places) ** 2 @ state["4.weight"].T + state["4.bias"])


class Several(nn.Module):
    """Gives features beside its codes, as many networks do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(inputs), inputs


@pytest.mark.parametrize("several", [False, True])
def test_torchscript(tmp_path: Path, images: Tensor, texts: Tensor, several: bool) -> None:
    image, text = image_module(), text_module()
    save_script(Several(image) if several else image, tmp_path / "image.pt")
    save_script(Several(text) if several else text, tmp_path / "text.pt")
    files = tmp_path / "image.pt", tmp_path / "text.pt"
    network = opened(method("torchscript", *files, convention=ConventionName.signed))
    expected = plain_image(images.numpy().astype(np.float64) * 2 - 1, image)
    np.testing.assert_allclose(network.hash_images(images).numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network.hash_texts(texts).numpy(), text(texts).detach().numpy(), atol=1e-6)
    point = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(network.hash_images(point).sum(), point)
    again = images.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(image(again * 2 - 1).sum(), again)
    torch.testing.assert_close(found, wanted)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_torchscript_that_does_not_fit(tmp_path: Path) -> None:
    image, text = save_script(image_module(), tmp_path / "image.pt"), save_script(text_module(), tmp_path / "text.pt")
    with pytest.raises(ConfigError, match=r"texts of shape \(2, 9\): .*text\.pt refuses inputs of shape \(2, 9\)"):
        opened(method("torchscript", image, text), words=9)
    with pytest.raises(ConfigError, match=r"give \(2, 16\), target\.code_length=8 needs \(2, 8\)"):
        opened(method("torchscript", image, text), bits=8)
    whole = image.read_bytes()
    for share in (0.0, 0.5, 0.99):
        image.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match=re.escape(str(image))):
            opened(method("torchscript", image, text))


@pytest.mark.parametrize(("items", "kind"), [("n", "FLOAT"), (2, "FLOAT"), ("n", "DOUBLE")])
def test_onnx(tmp_path: Path, images: Tensor, texts: Tensor, items: int | str, kind: str) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    image, text = image_module(), text_module()
    files = (
        save_onnx(image, tmp_path / "image.onnx", [items, 3, SIDE, SIDE]),
        save_onnx(text, tmp_path / "text.onnx", [items, WORDS], kind),
    )
    network = opened(method("onnx", *files, convention=ConventionName.levels))
    expected = plain_image(images.numpy().astype(np.float64) * 255, image)
    np.testing.assert_allclose(network.hash_images(images).numpy(), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(network.hash_texts(texts).numpy(), text(texts).detach().numpy(), atol=1e-5)
    with pytest.raises(CheckpointError, match=r"no gradients: choose evaluation\.white_box=false"):
        network.hash_images(images.clone().requires_grad_())


def test_onnx_that_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    image = save_onnx(image_module(), tmp_path / "image.onnx", ["n", 3, SIDE, SIDE])
    text = save_onnx(text_module(), tmp_path / "text.onnx", ["n", WORDS])
    with pytest.raises(ConfigError, match=r"images of shape \(2, 3, 32, 32\): .*image\.onnx refuses inputs"):
        opened(method("onnx", image, text), side=32)
    whole = image.read_bytes()
    for share in (0.0, 0.5, 0.99):
        image.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match=r"image\.onnx is no ONNX file .* or damaged"):
            opened(method("onnx", image, text))


def test_onnx_of_whole_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    image = save_onnx(image_module(), tmp_path / "image.onnx", ["n", 3, SIDE, SIDE])
    text = save_onnx(nn.Sequential(nn.Identity()), tmp_path / "text.onnx", ["n", WORDS], "INT64")
    with pytest.raises(CheckpointError, match=r"must have one input of floats, it has given: tensor\(int64\)"):
        opened(method("onnx", image, text))


def test_onnx_with_weights_in_another_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    from onnx import load, save

    path = save_onnx(image_module(), tmp_path / "image.onnx", ["n", 3, SIDE, SIDE])
    save(load(path), path, save_as_external_data=True, location="beside.bin", size_threshold=0)
    assert (tmp_path / "beside.bin").exists()
    text = save_onnx(text_module(), tmp_path / "text.onnx", ["n", WORDS])
    with pytest.raises(CheckpointError, match=r"keeps its weights in another file"):
        opened(method("onnx", path, text))
