"""Systems under attack as users write them."""

import torch
from torch import Tensor, nn

from aach_lightning.data.pairs import Pairs
from aach_lightning.scenes.concepts import VOCABULARY

BITS = 16


class Mean:
    """No network: bits say which parts of an image are bright, and which words a text has; whole numbers."""

    def hash_images(self, images: Tensor) -> Tensor:
        means = nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 4).flatten(1)
        return torch.where(means > means.mean(1, keepdim=True), 1, -1)

    def hash_texts(self, texts: Tensor) -> Tensor:
        return torch.where(texts[:, :BITS] > 0, 1, -1)


class Projections(nn.Module):
    """Random projections; relaxed codes."""

    def __init__(self, words: int = len(VOCABULARY), seed: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("image", torch.randn(3 * 8 * 8, BITS, generator=generator))
        self.register_buffer("text", torch.randn(words, BITS, generator=generator))
        self.scale = scale
        self.eval()

    def logits(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 4:
            pooled = nn.functional.adaptive_avg_pool2d(inputs, 8).flatten(1)
            return self.scale * (pooled - pooled.mean(1, keepdim=True)) @ self.get_buffer("image")
        return self.scale * inputs @ self.get_buffer("text")

    def hash_images(self, images: Tensor) -> Tensor:
        return self.logits(images).tanh()

    def hash_texts(self, texts: Tensor) -> Tensor:
        return self.logits(texts).tanh()


class Logits(Projections):
    """The same without a tanh."""

    def hash_images(self, images: Tensor) -> Tensor:
        return self.logits(images)

    def hash_texts(self, texts: Tensor) -> Tensor:
        return self.logits(texts)


class Signs(Projections):
    """The same as signs: floats, and no gradient that leads anywhere."""

    def hash_images(self, images: Tensor) -> Tensor:
        return self.logits(images).sign()

    def hash_texts(self, texts: Tensor) -> Tensor:
        return self.logits(texts).sign()


def codes_by_hand(system: Projections, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """int8 codes of a whole collection, without any part of this project but its pairs."""
    batch = pairs.batch(range(len(pairs)))
    return tuple((system.logits(half) >= 0).to(torch.int8) * 2 - 1 for half in (batch.images, batch.texts))  # type: ignore[return-value]
