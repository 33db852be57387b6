"""The networks of DADH and CPAH: for each side dense layers, and a linear layer with a tanh."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from aach_lightning.zoo.checkpoints.features import dense_layers
from aach_lightning.zoo.checkpoints.weights import Weights

SIDES = ("image", "text")


class Generator(nn.Module):
    """Both halves, with the names of their file.

    Args:
        weights: All of the file.
        names: What it calls the image and the text side in `hash_module`.
    """

    def __init__(self, weights: Weights, names: tuple[str, str]) -> None:
        super().__init__()
        self.image_module, self.text_module = (dense_layers(weights.below(f"{side}_module.")) for side in SIDES)
        shapes = {name: weights.shape(f"hash_module.{name}.0.weight", 2) for name in names}
        self.hash_module = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(width, bits), nn.Tanh()) for name, (bits, width) in shapes.items()}
        )


def read_generator(weights: Weights, names: tuple[str, str], unused: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """The image half and the text half of a file, each N x D -> N x K in (-1, 1).

    Args:
        weights: All of the file.
        names: What it calls them in `hash_module`.
        unused: Beginnings of names of other parts that it may have.

    Raises:
        CheckpointError: If it does not fit.
    """
    generator = weights.build(lambda: Generator(weights, names), unused)
    modules = (generator.image_module, generator.text_module)
    image, text = (
        nn.Sequential(module, generator.hash_module[name]) for module, name in zip(modules, names, strict=True)
    )
    return cast(nn.Module, image.eval()), cast(nn.Module, text.eval())
