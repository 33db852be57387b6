"""Any pair of networks as ONNX files, through onnxruntime. The only file that uses it.

There are codes and no gradients: such a target is attacked as a black box. A file must hold its own weights: what lies
in files beside it is not read.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, check_size
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxHalf(nn.Module):
    """One network: a single input, and its first output as N x K.

    Computes on the CPU, wherever its inputs are. A file that was exported for a fixed number of items is asked for as
    many at a time, the last ones filled up with zeros.

    Args:
        session: Of onnxruntime.
        path: For messages.

    Raises:
        CheckpointError: If there are several inputs, or one of a type other than float.
    """

    def __init__(self, session: Any, path: Path) -> None:
        super().__init__()
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            raise CheckpointError(
                f"{path} must have one input of floats, it has "
                + ", ".join(f"{it.name}: {it.type} of shape {it.shape}" for it in inputs)
            )
        self.session, self.path = session, path
        self.input, self.dtype = inputs[0].name, _TYPES[inputs[0].type]
        first = inputs[0].shape[0] if inputs[0].shape else None
        self.items = first if isinstance(first, int) and first > 0 else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Relaxed codes.

        Raises:
            CheckpointError: If a gradient is asked for, or the network fails or gives no floats.
        """
        if inputs.requires_grad and torch.is_grad_enabled():
            raise CheckpointError(
                f"{self.path} is an ONNX file, which has no gradients: choose evaluation.white_box=false and "
                "attack.source=surrogate or queries"
            )
        values = inputs.detach().cpu().numpy().astype(self.dtype)
        parts = [self._ask(part) for part in self._cut(values)]
        found = np.concatenate(parts)[: len(values)]
        return torch.from_numpy(np.ascontiguousarray(found, np.float32)).to(inputs.device)

    def _cut(self, values: Any) -> list[Any]:
        if self.items is None:
            return [values]
        filled = np.concatenate([values, np.zeros((-len(values) % self.items, *values.shape[1:]), values.dtype)])
        return list(np.split(filled, len(filled) // self.items))

    def _ask(self, values: Any) -> Any:
        try:
            found = self.session.run(None, {self.input: values})[0]
        except Exception as error:  # onnxruntime has its own, which only importing it names
            raise CheckpointError(
                f"{self.path} refuses inputs of shape {values.shape}: {str(error).strip().splitlines()[0]}"
            ) from error
        if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.floating):
            raise CheckpointError(
                f"{self.path} must answer with floats N x K, it gives {getattr(found, 'dtype', found)}"
            )
        return found


def _read(name: str, path: Path, largest: int) -> OnnxHalf:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            'target.method.format=onnx needs onnxruntime: pip install "aach-lightning[onnx]", or choose a file of torch'
        ) from error
    check_size(name, path, largest)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        # from bytes: nothing beside the file is opened, whatever paths it names
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own kinds
        raise CheckpointError(
            f"target.method.{name}_file={path} is no ONNX file that onnxruntime can run, or damaged, or keeps its "
            f"weights in another file: {str(error).strip().splitlines()[0]}"
        ) from error
    return OnnxHalf(session, path)


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read both files."""
    image = _read("image", files.image, files.largest)
    text = _read("text", files.text_path(), files.largest)
    return Halves(image, text, None, None)


ONNX = Format(
    title="any pair of ONNX files",
    files="two files; extra `onnx`",
    convention=CONVENTIONS[ConventionName.unit],
    texts="float32, N x D",
    load=load,
    image_size=None,
)
