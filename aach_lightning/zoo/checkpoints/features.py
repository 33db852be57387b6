"""Image networks that read features of CNN-F: the backbone stands before them, so that pixels can be attacked."""

from typing import cast

from torch import Tensor, nn

from aach_lightning.zoo.checkpoints.cnn_f import cnn_f_layers
from aach_lightning.zoo.checkpoints.weights import Weights


class OnFeatures(nn.Module):
    """Backbone, (features - mean) / std, and what reads them.

    Args:
        backbone: Images to N x F x 1 x 1.
        mean: Subtracted from every feature.
        std: What the difference is divided by.
        head: N x F -> N x K.

    Shapes: N x 3 x H x W -> N x K.
    """

    def __init__(self, backbone: nn.Module, mean: float, std: float, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.mean, self.std, self.head = backbone, mean, std, head

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes."""
        features = self.backbone(images).flatten(1)
        return cast(Tensor, self.head((features - self.mean) / self.std))


def build_backbone(weights: Weights, padded: bool) -> nn.Sequential:
    """CNN-F with the weights of a file, in eval mode; arguments as `cnn_f_layers`."""
    used = Weights({name: it for name, it in weights.tensors.items() if int(name.partition(".")[0]) < 20}, weights.path)
    return used.build(lambda: cnn_f_layers(used, padded))


def dense_layers(weights: Weights) -> nn.Sequential:
    """Linear layers, each perhaps with batch norm, each with a ReLU: at the places and of the sizes that a file has.

    Args:
        weights: Names such as 0.weight. A matrix is a linear layer; what has a running mean is batch norm.

    Shapes: N x D -> N x F, float >= 0.

    Raises:
        CheckpointError: If there is no layer.
    """
    layers: dict[int, nn.Module] = {}
    places = weights.numbers("")
    for place in places:
        if f"{place}.running_mean" in weights:
            layers[place] = nn.BatchNorm1d(weights.shape(f"{place}.running_mean", 1)[0])
        else:
            out, width = weights.shape(f"{place}.weight", 2)
            layers[place] = nn.Linear(width, out)
    if not layers:
        weights.shape("0.weight", 2)
    last = max(places) + 1
    return nn.Sequential(*(layers.get(place, nn.ReLU()) for place in range(last)), nn.ReLU())
