"""A network from a checkpoint, and whether it fits the data."""

import torch

from aach_lightning.config.choices import CheckpointFormat
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.zoo.checkpoints.convention import chosen_convention
from aach_lightning.zoo.checkpoints.cpah import CPAH
from aach_lightning.zoo.checkpoints.dadh import DADH
from aach_lightning.zoo.checkpoints.dchmt import DCHMT
from aach_lightning.zoo.checkpoints.dcmh import DCMH
from aach_lightning.zoo.checkpoints.dgcpn import DGCPN
from aach_lightning.zoo.checkpoints.djsrh import DJSRH, JDSH
from aach_lightning.zoo.checkpoints.files import CheckpointFiles
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import joined
from aach_lightning.zoo.checkpoints.mith import MITH
from aach_lightning.zoo.checkpoints.onnx_pair import ONNX
from aach_lightning.zoo.checkpoints.ssah import SSAH
from aach_lightning.zoo.checkpoints.torchscript import TORCHSCRIPT

FORMATS: dict[CheckpointFormat, Format] = {
    CheckpointFormat.dcmh: DCMH,
    CheckpointFormat.cpah: CPAH,
    CheckpointFormat.dadh: DADH,
    CheckpointFormat.djsrh: DJSRH,
    CheckpointFormat.jdsh: JDSH,
    CheckpointFormat.dgcpn: DGCPN,
    CheckpointFormat.ssah: SSAH,
    CheckpointFormat.dchmt: DCHMT,
    CheckpointFormat.mith: MITH,
    CheckpointFormat.torchscript: TORCHSCRIPT,
    CheckpointFormat.onnx: ONNX,
}


def open_checkpoint(
    method: CheckpointConfig, files: CheckpointFiles, code_length: int, image_size: int, text_width: int
) -> HashingNetwork:
    """Read the networks of a checkpoint.

    Args:
        method: Its format, and what its images are to be.
        files: Where it lies.
        code_length: K that is expected.
        image_size: Height and width of the images in pixels.
        text_width: D, entries of a text vector.

    Returns:
        A network in eval mode that takes images in [0, 1] and converts them itself.

    Raises:
        CheckpointError: If a file is missing, too large, damaged, unsafe, or of another format.
        ConfigError: If the networks are made for other sizes; lists what differs.
    """
    form = FORMATS[method.format]
    halves = form.load(files, method)
    wrong = []
    if halves.code_length not in (None, code_length):
        wrong.append(f"target.code_length={code_length}: the file has codes of {halves.code_length} bits")
    if halves.text_width not in (None, text_width):
        wrong.append(f"the texts of the data have {text_width} entries, the text network reads {halves.text_width}")
    network = joined(halves, chosen_convention(form.convention, method.convention, method.transposed), code_length)
    if not wrong:
        wrong = _tried(network, image_size, text_width, form)
    if wrong:
        raise ConfigError(
            f"target.method.image_file={files.image} does not fit:\n" + "\n".join(f"  - {one}" for one in wrong)
        )
    return network


@torch.no_grad()
def _tried(network: HashingNetwork, image_size: int, text_width: int, form: Format) -> list[str]:
    """What is wrong with the answers to two black images and two empty texts."""
    wrong, expected = [], (2, network.code_length)
    made = "" if form.image_size is None else f"; the format is made for data.image_size={form.image_size}"
    for what, ask, inputs, hint in (
        ("images", network.hash_images, torch.zeros(2, 3, image_size, image_size), made),
        ("texts", network.hash_texts, torch.zeros(2, text_width), ""),
    ):
        try:
            found = tuple(ask(inputs).shape)
        except (RuntimeError, ValueError, IndexError, CheckpointError) as error:
            wrong.append(f"{what} of shape {tuple(inputs.shape)}{hint}: {str(error).strip().splitlines()[0]}")
            continue
        if found != expected:
            wrong.append(
                f"{what} of shape {tuple(inputs.shape)} give {found}, target.code_length={network.code_length} needs "
                f"{expected}{hint}"
            )
    return wrong
