"""Any pair of networks as TorchScript archives. The only file with torch.jit.

The code of an archive runs when it is loaded and asked. It is no Python but the restricted language of TorchScript,
with torch's operations; still it must come from somebody you trust.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, check_size
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves


class ScriptHalf(nn.Module):
    """One scripted or traced network: its first output, if it gives several, as N x K."""

    def __init__(self, script: nn.Module, path: Path) -> None:
        super().__init__()
        self.script, self.path = script, path

    def forward(self, inputs: Tensor) -> Tensor:
        """Relaxed codes.

        Raises:
            CheckpointError: If the network fails, or gives no tensor.
        """
        try:
            found = self.script(inputs)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.path} refuses inputs of shape {tuple(inputs.shape)}: {str(error).strip().splitlines()[-1]}"
            ) from error
        found = found[0] if isinstance(found, tuple | list) and found else found
        if not isinstance(found, Tensor):
            raise CheckpointError(f"{self.path} must answer with a tensor N x K, it gives a {type(found).__name__}")
        return found.float()


def _read(name: str, path: Path, largest: int) -> ScriptHalf:
    check_size(name, path, largest)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the format, which people go on using
            script: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(
            f"target.method.{name}_file={path} is no TorchScript archive, or damaged: "
            f"{str(error).strip().splitlines()[0]}. One is made by torch.jit.trace(module.eval(), example).save(path)"
        ) from error
    for parameter in script.parameters():  # an archive refuses requires_grad_ for all of it
        parameter.requires_grad_(False)
    return ScriptHalf(script.eval(), path)


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read both archives."""
    image = _read("image", files.image, files.largest)
    text = _read("text", files.text_path(), files.largest)
    return Halves(image, text, None, None)


TORCHSCRIPT = Format(
    title="any pair of TorchScript archives",
    files="two archives",
    convention=CONVENTIONS[ConventionName.unit],
    texts="float32, N x D",
    load=load,
    image_size=None,
)
