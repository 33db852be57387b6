"""Reader of MatConvNet model files (SimpleNN form, MATLAB 5), old and new layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import CheckpointError, DataError
from aach_lightning.readers.containers.matlab5 import is_matlab5, list_matlab5, load_matlab5


@dataclass(frozen=True)
class ConvolutionWeights:
    """One convolution as the file holds it.

    Attributes:
        name: As in the file, for example "conv1".
        filters: float32, H x W x I x O. Axis 0 runs down the image; MatConvNet correlates, as torch does.
        biases: float32, O.
    """

    name: str
    filters: NDArray[np.float32]
    biases: NDArray[np.float32]


@dataclass(frozen=True)
class MatConvNetModel:
    """What a chain of layers holds.

    Attributes:
        convolutions: In the order of the file; fully connected layers are convolutions too.
        response_norms: Per cross-channel normalisation its (size, kappa, alpha, beta).
        average_image: float32 in [0, 255], H x W x 3 or 1 x 1 x 3, RGB; None if the file has none.
    """

    convolutions: tuple[ConvolutionWeights, ...]
    response_norms: tuple[tuple[float, ...], ...]
    average_image: NDArray[np.float32] | None


def read_matconvnet(path: Path) -> MatConvNetModel:
    """Read a model such as `imagenet-vgg-f.mat`.

    Both layouts in circulation are understood: filters and biases as two fields of a layer with `normalization` beside
    `layers` (2014), and one cell `weights` with `meta.normalization` (since 2015), also inside a struct `net`.

    Raises:
        CheckpointError: If the file is missing, damaged, or no MatConvNet model.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        if not is_matlab5(path):
            raise DataError("it does not start as one; MATLAB 7.3 files are HDF5: save it anew with -v7")
        stored = list_matlab5(path)
        content = {it.header.name: load_matlab5(path, it, struct_as_record=False) for it in stored}
    except DataError as error:
        raise CheckpointError(f"cannot read {path} as a MATLAB 5 file: {error}") from error
    try:
        return _model(content)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} is no MatConvNet model in SimpleNN form ({error}); it holds {sorted(content)}"
        ) from error


def _model(content: dict[str, Any]) -> MatConvNetModel:
    root = _content(content["net"]) if "net" in content else content
    layers = [_content(layer) for layer in np.ravel(root["layers"])]
    normalization = _content((_content(root["meta"]) if "meta" in root else root).get("normalization"))
    average = normalization.get("averageImage")
    return MatConvNetModel(
        convolutions=tuple(_convolution(layer) for layer in layers if _text(layer["type"]) == "conv"),
        response_norms=tuple(
            tuple(float(value) for value in np.ravel(layer["param"]))
            for layer in layers
            if _text(layer["type"]) in ("lrn", "normalize")
        ),
        average_image=None if average is None else np.asarray(average, dtype=np.float32),
    )


def _convolution(layer: dict[str, Any]) -> ConvolutionWeights:
    filters, biases = np.ravel(layer["weights"]) if "weights" in layer else (layer["filters"], layer["biases"])
    convolution = ConvolutionWeights(
        name=_text(layer["name"]),
        filters=np.asarray(filters, dtype=np.float32),
        biases=np.asarray(biases, dtype=np.float32).ravel(),
    )
    if convolution.biases.size != convolution.filters.shape[-1]:
        raise ValueError(
            f"layer {convolution.name} has {convolution.biases.size} biases for filters of {convolution.filters.shape}"
        )
    return convolution


def _content(value: Any) -> dict[str, Any]:
    """Fields of a MATLAB struct, which arrives wrapped into 1 x 1 arrays; no fields for None."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    if value is None:
        return {}
    names = getattr(value, "_fieldnames", None)
    if names is None:
        raise ValueError(f"expected a struct, found {type(value).__name__}")
    return {name: getattr(value, name) for name in names}


def _text(value: Any) -> str:
    return str(np.ravel(value)[0])
