"""DJSRH (Su et al., ICCV 2019) and JDSH (Liu et al., SIGIR 2020): one file, {"ImgNet": ..., "TxtNet": ...}.

Read in public code: ImgNet is AlexNet up to fc7 (`alexnet.features.*`, `alexnet.classifier.1` and `.4`, without
adaptive pooling) and a linear layer `fc_encode`, `hash_layer` in later JDSH; TxtNet is `fc1`, ReLU, `fc2`, in later
JDSH `net.0`, ReLU, `net.2`. Both end with tanh(alpha h) with an alpha > 0 that grows while training and is no part of
the file: 1 here, as in their own evaluation, and no sign depends on it. Beside the two there may be a `step`. Images:
RGB in [0, 1], by mean and deviation of ImageNet, short side 256 and the middle 224 x 224 of it. Attacks on these files
have also fed them images in [0, 1] as they are: convention=unit.
"""

from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, as_weights, read_torch
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves
from aach_lightning.zoo.checkpoints.weights import Weights

PARTS = ("ImgNet", "TxtNet")
_CONVOLUTIONS = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}  # place: stride, padding
_POOLS = (2, 5, 12)


class AlexNetHash(nn.Module):
    """AlexNet up to fc7, and a linear layer of the name that the file has."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for place in range(13):
            if place in _CONVOLUTIONS:
                out, channels, height, width = weights.shape(f"alexnet.features.{place}.weight", 4)
                stride, padding = _CONVOLUTIONS[place]
                layers.append(nn.Conv2d(channels, out, (height, width), stride, padding))
            else:
                layers.append(nn.MaxPool2d(3, 2) if place in _POOLS else nn.ReLU())
        first, second = (weights.shape(f"alexnet.classifier.{place}.weight", 2) for place in (1, 4))
        self.alexnet = nn.ModuleDict(
            {
                "features": nn.Sequential(*layers),
                "classifier": nn.Sequential(
                    *(nn.Dropout(), nn.Linear(first[1], first[0]), nn.ReLU()),
                    *(nn.Dropout(), nn.Linear(second[1], second[0]), nn.ReLU()),
                ),
            }
        )
        self.last = "hash_layer" if "hash_layer.weight" in weights else "fc_encode"
        code_length, width = weights.shape(f"{self.last}.weight", 2)
        self.add_module(self.last, nn.Linear(width, code_length))

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        features = self.alexnet["classifier"](self.alexnet["features"](images).flatten(1))
        return torch.tanh(self.get_submodule(self.last)(features))


class TwoLayers(nn.Module):
    """Linear, ReLU, linear, tanh, with the names that the file has."""

    def __init__(self, weights: Weights, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        for name in names:
            out, width = weights.shape(f"{name}.weight", 2)
            parent, _, own = name.rpartition(".")
            if parent and parent not in dict(self.named_children()):
                self.add_module(parent, nn.Module())
            self.get_submodule(parent).add_module(own, nn.Linear(width, out))

    def forward(self, inputs: Tensor) -> Tensor:
        """Relaxed codes: N x D -> N x K."""
        first, second = (cast(nn.Linear, self.get_submodule(name)) for name in self.names)
        return torch.tanh(second(first(inputs).relu()))


def read_parts(files: CheckpointFiles) -> tuple[Weights, Weights]:
    """The two state dicts of a file.

    Raises:
        CheckpointError: If there are no such two.
    """
    content = read_torch("image", files.image, files.largest)
    if not isinstance(content, dict) or not all(part in content for part in PARTS):
        names = sorted(map(str, content))[:8] if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{files.image} must hold a dict with {PARTS[0]} and {PARTS[1]}, it holds {names}")
    image, text = (as_weights(content[part], files.image, f"{part}.") for part in PARTS)
    return image, text


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file."""
    image, text = read_parts(files)
    names = ("net.0", "net.2") if "net.0.weight" in text else ("fc1", "fc2")
    network = image.build(lambda: AlexNetHash(image))
    return Halves(
        image=network,
        text=text.build(lambda: TwoLayers(text, names)),
        code_length=image.shape(f"{network.last}.weight", 2)[0],
        text_width=text.shape(f"{names[0]}.weight", 2)[1],
    )


DJSRH = Format(
    title="DJSRH (Su et al., ICCV 2019)",
    files="one: `{ImgNet, TxtNet}`",
    convention=CONVENTIONS[ConventionName.imagenet],
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.697, 0.691), "NUS-WIDE TC10": (0.538, 0.532), "MS-COCO": (0.563, 0.569)},
    remark="its own evaluation looks at the first 50 items of a ranking",
)
JDSH = Format(
    title="JDSH (Liu et al., SIGIR 2020)",
    files="one: `{ImgNet, TxtNet}`",
    convention=CONVENTIONS[ConventionName.imagenet],
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.734, 0.720), "NUS-WIDE": (0.656, 0.669), "MS-COCO": (0.628, 0.634)},
    remark="its own evaluation looks at the first 50 items of a ranking",
)
