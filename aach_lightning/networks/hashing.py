"""HashingNetwork: an image encoder and a text encoder into the same Hamming space."""

from collections.abc import Sequence
from typing import Protocol, Self, cast, runtime_checkable

import torch
from torch import Tensor, nn

from aach_lightning.networks.refined_linear import RefinedLinear


@runtime_checkable
class Backbone(Protocol):
    """What an encoder needs of its first part: an nn.Module that states how many features it gives."""

    width: int

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map a batch of inputs (images in [0, 1] or text vectors) to N x width features."""
        ...


class HashHead(nn.Sequential):
    """Features to a relaxed code: layer norm, an optional hidden layer, then tanh.

    Args:
        width: Number of input features.
        code_length: K, number of bits.
        hidden: Width of a hidden ReLU layer; 0 for none.
        dropout: Share of features dropped while training, in [0, 1).
        refined: Hash only the part of the features that both modalities have in common (`RefinedLinear`).

    Shapes: N x width float -> N x K float in (-1, 1).
    """

    def __init__(
        self, width: int, code_length: int, hidden: int = 0, dropout: float = 0.0, refined: bool = False
    ) -> None:
        layers: list[nn.Module] = [nn.LayerNorm(width), nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
        last = RefinedLinear if refined else nn.Linear
        super().__init__(*layers, last(hidden or width, code_length), nn.Tanh())

    def logits(self, inputs: Tensor) -> Tensor:
        """What the tanh gets: N x width -> N x K."""
        for layer in list(self)[:-1]:
            inputs = layer(inputs)
        return inputs

    def with_semantics(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the hash layer gets, N x (hidden or width), and the relaxed codes, N x K."""
        *before, linear, tanh = self
        for layer in before:
            inputs = layer(inputs)
        return inputs, tanh(linear(inputs))


class Encoder(nn.Module):
    """One modality's half of a HashingNetwork: backbone, then hash head.

    Args:
        backbone: Inputs to features; has an attribute `width`. Normalisation of the inputs happens inside it.
        head: Features to a relaxed code in (-1, 1)^K.
        frozen: Keep the backbone in eval mode and without parameter gradients. Gradients still flow to the inputs.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, frozen: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.frozen = frozen
        if frozen:
            backbone.requires_grad_(False)
            backbone.eval()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for a frozen backbone: its batch-norm statistics must not drift."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """Hash a batch of one modality: N x ... -> N x K in (-1, 1)."""
        return cast(Tensor, self.head(self.backbone(inputs)))

    def logits(self, inputs: Tensor) -> Tensor:
        """What the tanh of the head gets: N x ... -> N x K.

        Raises:
            TypeError: If the head is not a HashHead.
        """
        if not isinstance(self.head, HashHead):
            raise TypeError(f"the head is a {type(self.head).__name__}, only a HashHead gives logits")
        return self.head.logits(self.backbone(inputs))


class HashingNetwork(nn.Module):
    """Images and texts into (-1, 1)^K; the sign of an output is its binary code.

    Every source of an attack has this type: a target's own network, a surrogate, an ensemble.

    Args:
        image: N x 3 x H x W float in [0, 1] -> N x K.
        text: N x D float -> N x K.
        code_length: K, number of bits.
    """

    def __init__(self, image: nn.Module, text: nn.Module, code_length: int) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.code_length = code_length

    @property
    def members(self) -> "list[HashingNetwork]":
        """The networks that are trained one by one: of an ensemble its members, else this one."""
        return [self]

    def member_inputs(self, images: Tensor) -> Sequence[Tensor]:
        """What each of `members` gets of images, or of features of images."""
        return [images]

    def hash_images(self, images: Tensor) -> Tensor:
        """Relaxed codes of images, N x K in (-1, 1)."""
        return cast(Tensor, self.image(images))

    def hash_texts(self, texts: Tensor) -> Tensor:
        """Relaxed codes of texts, N x K in (-1, 1)."""
        return cast(Tensor, self.text(texts))

    def on_features(self) -> "HashingNetwork":
        """The same network for inputs that its image backbone has already read; parameters are shared.

        Raises:
            TypeError: If the image half is not an Encoder.
        """
        return HashingNetwork(self._encoder().head, self.text, self.code_length)

    @property
    def feature_width(self) -> int:
        """Number of features that the image backbone gives.

        Raises:
            TypeError: If the image half is not an Encoder.
        """
        return cast(Backbone, self._encoder().backbone).width

    def _encoder(self) -> Encoder:
        if not isinstance(self.image, Encoder):
            raise TypeError(f"the image half is a {type(self.image).__name__}, it has no backbone to skip")
        return self.image

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Relaxed codes of both modalities."""
        return self.hash_images(images), self.hash_texts(texts)


def relaxed_distance(anchors: Tensor, others: Tensor) -> Tensor:
    """Hamming distance extended to relaxed codes, D(a, b) = (K - a.b) / 2.

    Args:
        anchors: ... x K float in [-1, 1].
        others: M x K float in [-1, 1].

    Returns:
        ... x M float in [0, K]; the Hamming distance itself where both are binary.

    Example:
        >>> relaxed_distance(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
        tensor([[1., 0.]])
    """
    return (anchors.shape[-1] - anchors @ others.T) / 2


def binary_codes(relaxed: Tensor) -> Tensor:
    """Sign of relaxed codes as int8 in {-1, +1}, same shape; 0 counts as +1.

    Example:
        >>> binary_codes(torch.tensor([[0.3, -0.9, 0.0]]))
        tensor([[ 1, -1,  1]], dtype=torch.int8)
    """
    return torch.where(relaxed >= 0, 1, -1).to(torch.int8)
