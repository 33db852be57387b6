from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.cnn_f import CNNF
from aach_lightning.zoo.matconvnet import ConvolutionWeights, MatConvNetModel

SHAPES = {
    "conv1": (11, 11, 3, 64),
    "conv2": (5, 5, 64, 256),
    "conv3": (3, 3, 256, 256),
    "conv4": (3, 3, 256, 256),
    "conv5": (3, 3, 256, 256),
    "fc6": (6, 6, 256, 4096),
    "fc7": (1, 1, 4096, 4096),
    "fc8": (1, 1, 4096, 1000),
}
Maps = NDArray[np.float32]


@pytest.fixture(scope="module")
def weights() -> dict[str, tuple[Maps, Maps]]:
    """Random filters (H x W x I x O) and biases of CNN-F, of a scale that keeps maps of the size of the input's."""
    rng = np.random.default_rng(0)
    return {
        name: (
            rng.standard_normal(shape, dtype=np.float32) * np.float32((2 / np.prod(shape[:3])) ** 0.5),
            rng.standard_normal(shape[3], dtype=np.float32),
        )
        for name, shape in SHAPES.items()
    }


@pytest.fixture(scope="module")
def average() -> Maps:
    return np.random.default_rng(1).random((224, 224, 3), dtype=np.float32) * np.float32(255)


def write(path: Path, weights: dict[str, tuple[Maps, Maps]], average: Maps) -> Path:
    """A file with the keys and shapes of imagenet-vgg-f.mat."""
    layers: list[dict[str, Any]] = []
    for name, (filters, biases) in weights.items():
        cell = np.empty((1, 2), dtype=object)
        cell[0, 0], cell[0, 1] = filters, biases[:, None]
        layers += [{"type": "conv", "name": name, "weights": cell}, {"type": "relu", "name": f"relu{name[-1]}"}]
        if name in ("conv1", "conv2"):
            layers.append({"type": "lrn", "name": f"norm{name[-1]}", "param": np.array([[5.0, 2.0, 1e-4, 0.75]])})
    array = np.empty((1, len(layers)), dtype=object)
    array[0] = layers
    normalization = {"imageSize": np.array([[224.0, 224.0, 3.0]]), "averageImage": average}
    savemat(path, {"layers": array, "meta": {"normalization": normalization}})
    return path


def convolve(maps: Maps, filters: Maps, biases: Maps, stride: int = 1, padding: int = 0) -> Maps:
    """MatConvNet's vl_nnconv: y[i, j, o] = b[o] + sum over a, b, c of f[a, b, c, o] x[i s + a - p, j s + b - p, c]."""
    height, width = filters.shape[:2]
    maps = np.pad(maps, ((padding, padding), (padding, padding), (0, 0)))
    rows, columns = (maps.shape[0] - height) // stride + 1, (maps.shape[1] - width) // stride + 1
    out = np.tile(biases, (rows, columns, 1))
    for a in range(height):
        for b in range(width):
            part = maps[a : a + stride * (rows - 1) + 1 : stride, b : b + stride * (columns - 1) + 1 : stride]
            out += part @ filters[a, b]
    return out


def normalise(maps: Maps) -> Maps:
    """MatConvNet's vl_nnnormalize with param [5 2 1e-4 0.75]."""
    out = np.empty_like(maps)
    for c in range(maps.shape[2]):
        window = maps[:, :, max(0, c - 2) : c + 3]
        out[:, :, c] = maps[:, :, c] / (2 + 1e-4 * (window**2).sum(2)) ** 0.75
    return out


def pool(maps: Maps) -> Maps:
    """MatConvNet's vl_nnpool 3 x 3, stride 2, pad [0 1 0 1]: one more row and column at the end, floor."""
    maps = np.pad(maps, ((0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    size = (maps.shape[0] - 3) // 2 + 1
    return np.array(
        [[maps[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(size)] for i in range(size)]
    )


def forward(image: Maps, weights: dict[str, tuple[Maps, Maps]]) -> Maps:
    """CNN-F up to fc7 on an H x W x 3 image from which the average is already subtracted."""
    maps = pool(normalise(np.maximum(convolve(image, *weights["conv1"], stride=4), 0)))
    maps = pool(normalise(np.maximum(convolve(maps, *weights["conv2"], padding=2), 0)))
    for name in ("conv3", "conv4", "conv5"):
        maps = np.maximum(convolve(maps, *weights[name], padding=1), 0)
    maps = np.maximum(convolve(pool(maps), *weights["fc6"]), 0)
    return np.maximum(convolve(maps, *weights["fc7"]), 0)[0, 0]


def test_loaded_network_equals_matconvnet_written_out(
    tmp_path: Path, weights: dict[str, tuple[Maps, Maps]], average: Maps
) -> None:
    path = write(tmp_path / "imagenet-vgg-f.mat", weights, average)
    network = CNNF(image_size=224, weights=str(path)).eval()
    path.unlink()  # 240 MB, which pytest would keep
    image = np.random.default_rng(2).random((224, 224, 3), dtype=np.float32)
    with torch.no_grad():
        features = network(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    expected = forward(image * np.float32(255) - average, weights)
    assert expected.std() > 1
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_random_network_equals_matconvnet_written_out_at_another_size() -> None:
    torch.manual_seed(0)
    network = CNNF(image_size=71).eval()  # maps of 16, 8, 4 and 2 positions: pooling cuts through the border
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    taken = {name: np.transpose(state[f"{name}.weight"], (2, 3, 1, 0)) for name in list(SHAPES)[:5]}
    taken["fc6"] = np.transpose(state["full6.weight"].reshape(4096, 256, 2, 2), (2, 3, 1, 0))
    taken["fc7"] = state["full7.weight"].T[None, None]
    biases = [state[f"{name}.bias"] for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "full6", "full7")]
    pairs = {name: (filters, bias) for (name, filters), bias in zip(taken.items(), biases, strict=True)}
    image = np.random.default_rng(2).random((71, 71, 3), dtype=np.float32)
    with torch.no_grad():
        features = network(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    expected = forward(image * np.float32(255) - np.array([123.68, 116.779, 103.939], dtype=np.float32), pairs)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_dropout_acts_only_while_training() -> None:
    torch.manual_seed(0)
    network = CNNF(image_size=39)
    images = torch.rand(1, 3, 39, 39)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("image_size", [0, 10, 38])
def test_vanishing_maps_are_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"at least 39, or a map vanishes; got {image_size}"):
        CNNF(image_size=image_size)


def test_weights_fit_224_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="224 x 224 only, got image_size=112"):
        CNNF(image_size=112, weights=tmp_path / "imagenet-vgg-f.mat")


def test_missing_files_and_other_networks_are_refused(tmp_path: Path, average: Maps) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        CNNF(image_size=224, weights=tmp_path / "none.mat")
    other = {name: (np.zeros((7, 7, 3, 96), np.float32), np.zeros(96, np.float32)) for name in ("conv1",)}
    with pytest.raises(CheckpointError, match=r"is not CNN-F: its filters are \[\(7, 7, 3, 96\)\]"):
        CNNF(image_size=224, weights=write(tmp_path / "other.mat", other, average))


@pytest.mark.parametrize(
    ("norm", "image", "message"),
    [
        ((5.0, 2.0, 5e-4, 0.75), (224, 224, 3), "normalises with"),
        ((5.0, 2.0, 1e-4, 0.75), (100, 224, 3), "averageImage must be .* got \\(100, 224, 3\\)"),
        ((5.0, 2.0, 1e-4, 0.75), None, "averageImage must be .* got None"),
    ],
)
def test_models_with_another_normalisation_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    weights: dict[str, tuple[Maps, Maps]],
    norm: tuple[float, ...],
    image: tuple[int, ...] | None,
    message: str,
) -> None:
    convolutions = tuple(ConvolutionWeights(name, *pair) for name, pair in weights.items())
    model = MatConvNetModel(convolutions, (norm, norm), None if image is None else np.zeros(image, np.float32))
    monkeypatch.setattr("aach_lightning.zoo.cnn_f.read_matconvnet", lambda path: model)
    with pytest.raises(CheckpointError, match=message):
        CNNF(image_size=224, weights="any.mat")
