"""Reader of MatConvNet model files (SimpleNN form, MATLAB 5), old and new layout."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import CheckpointError, DataError
from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.guard import ForeignVariable, foreign_variables, reading


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


@reading()
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
        if file_kind(path) != "MATLAB 5":
            raise DataError("it does not start as one; MATLAB 7.3 files are HDF5: save it anew with -v7")
        found = foreign_variables(path, fields=True)
        return _model({key.removeprefix("net."): variable for key, variable in found.items()})
    except DataError as error:
        raise CheckpointError(f"cannot read {path} as a MATLAB 5 file: {error}") from error
    except (KeyError, ValueError) as error:
        held = sorted({key.partition(".")[0] for key in found})
        raise CheckpointError(f"{path} is no MatConvNet model in SimpleNN form ({error}); it holds {held}") from error


def _model(found: dict[str, ForeignVariable]) -> MatConvNetModel:
    numbers = sorted({int(key.split(".")[1]) for key in found if key.startswith("layers.")})
    layers = [(f"layers.{number}", _text(found[f"layers.{number}.type"])) for number in numbers]
    if not layers:
        raise ValueError("no layers")
    norms = [found[f"{layer}.param"].whole() for layer, kind in layers if kind in ("lrn", "normalize")]
    average = found.get("meta.normalization.averageImage") or found.get("normalization.averageImage")
    return MatConvNetModel(
        convolutions=tuple(_convolution(layer, found) for layer, kind in layers if kind == "conv"),
        response_norms=tuple(tuple(norm.astype(float).ravel().tolist()) for norm in norms),
        average_image=None if average is None else average.whole().astype(np.float32),
    )


def _convolution(layer: str, found: dict[str, ForeignVariable]) -> ConvolutionWeights:
    inside = ("weights.0", "weights.1") if f"{layer}.weights.0" in found else ("filters", "biases")
    filters, biases = (found[f"{layer}.{key}"].whole().astype(np.float32) for key in inside)
    convolution = ConvolutionWeights(_text(found[f"{layer}.name"]), filters, biases.ravel())
    if biases.size != filters.shape[-1]:
        raise ValueError(f"layer {convolution.name} has {biases.size} biases for filters of {filters.shape}")
    return convolution


def _text(variable: ForeignVariable) -> str:
    return variable.strings()[0]
