from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.matconvnet import read_matconvnet

RNG = np.random.default_rng(0)
FILTERS = [RNG.standard_normal((3, 5, 2, 4)).astype(np.float32), RNG.standard_normal((1, 1, 4, 2)).astype(np.float32)]
BIASES = [RNG.standard_normal(n).astype(np.float32) for n in (4, 2)]
AVERAGE = (RNG.random((6, 7, 3)) * 255).astype(np.float32)


def cell(values: list[Any]) -> np.ndarray:
    """A MATLAB cell array of one row."""
    array = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        array[0, index] = value
    return array


def model(layout: str) -> dict[str, Any]:
    """A model as the MatConvNet releases of 2014 ("old"), of 2015 on ("new"), or inside a struct `net` ("nested")."""
    layers: list[dict[str, Any]] = []
    for number, (filters, biases) in enumerate(zip(FILTERS, BIASES, strict=True), start=1):
        layer: dict[str, Any] = {"type": "conv", "name": f"conv{number}", "stride": np.array([[4.0, 4.0]])}
        if layout == "old":
            layer |= {"filters": filters, "biases": biases[None]}
        else:
            layer |= {"weights": cell([filters, biases[:, None]])}
        layers += [layer, {"type": "relu", "name": f"relu{number}"}]
    kind = "normalize" if layout == "old" else "lrn"
    layers.insert(2, {"type": kind, "name": "norm1", "param": np.array([[5.0, 2.0, 1e-4, 0.75]])})
    normalization = {"imageSize": np.array([[6.0, 7.0, 3.0]]), "averageImage": AVERAGE}
    if layout == "old":
        return {"layers": cell(layers), "normalization": normalization}
    content = {"layers": cell(layers), "meta": {"normalization": normalization}}
    return {"net": content} if layout == "nested" else content


@pytest.mark.parametrize("layout", ["old", "new", "nested"])
def test_every_layout_gives_what_was_written(tmp_path: Path, layout: str) -> None:
    savemat(tmp_path / "model.mat", model(layout))
    found = read_matconvnet(tmp_path / "model.mat")
    assert [convolution.name for convolution in found.convolutions] == ["conv1", "conv2"]
    for convolution, filters, biases in zip(found.convolutions, FILTERS, BIASES, strict=True):
        np.testing.assert_array_equal(convolution.filters, filters)
        np.testing.assert_array_equal(convolution.biases, biases)
    assert found.response_norms == ((5.0, 2.0, 1e-4, 0.75),)
    assert found.average_image is not None
    np.testing.assert_array_equal(found.average_image, AVERAGE)


def test_a_model_without_average_image_is_read(tmp_path: Path) -> None:
    savemat(tmp_path / "model.mat", {"layers": model("old")["layers"]})
    assert read_matconvnet(tmp_path / "model.mat").average_image is None


@pytest.mark.parametrize(
    "content",
    [
        {"images": np.zeros((2, 2))},
        {"layers": np.zeros((1, 3))},
        {"layers": cell([{"name": "conv1"}])},
        {"layers": cell([{"type": "conv", "name": "conv1", "weights": cell([FILTERS[0]])}])},
        {"layers": cell([{"type": "conv", "name": "conv1", "filters": FILTERS[0], "biases": np.zeros(3)}])},
    ],
)
def test_other_matlab_files_are_refused_with_what_they_hold(tmp_path: Path, content: dict[str, Any]) -> None:
    savemat(tmp_path / "other.mat", content)
    with pytest.raises(CheckpointError, match=rf"no MatConvNet model .*holds \['{next(iter(content))}'\]"):
        read_matconvnet(tmp_path / "other.mat")


def test_missing_foreign_and_truncated_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        read_matconvnet(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("no MATLAB file at all " * 20)
    with pytest.raises(CheckpointError, match="as a MATLAB 5 file"):
        read_matconvnet(tmp_path / "text.mat")
    (tmp_path / "hdf5.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(CheckpointError, match="HDF"):
        read_matconvnet(tmp_path / "hdf5.mat")
    savemat(tmp_path / "model.mat", model("new"))
    whole = (tmp_path / "model.mat").read_bytes()
    for share in (0.1, 0.5, 0.95):
        (tmp_path / "torn.mat").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(CheckpointError, match=r"torn\.mat"):
            read_matconvnet(tmp_path / "torn.mat")
