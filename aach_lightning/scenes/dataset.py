"""Scenes: any number of procedural image-text pairs, each a pure function of a seed and its index."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aach_lightning.scenes.concepts import LABEL_NAMES, VOCABULARY
from aach_lightning.scenes.layout import Layout
from aach_lightning.scenes.painter import paint
from aach_lightning.scenes.sampler import sample
from aach_lightning.scenes.tags import write_tags

VERSION = 1
"""Part of every cache key: raised whenever a picture, a text or a label changes."""

NOTE = "procedural scenes, drawn by a program: not a benchmark"
"""To be printed beside every result on these data."""

_LAYOUT, _TAGS, _PAINT = 0, 1, 2


class Scenes:
    """Procedural image-text pairs with one to four of 24 concepts. Not a benchmark.

    Layout, labels and texts are the same at every image size.

    Args:
        image_size: Pixels per side, at least 16.
        seed: Non-negative; two seeds give two independent data sets.

    Attributes:
        label_names: The 24 labels.
        words: The vocabulary of the texts, sorted; the same for every seed.

    Raises:
        ValueError: If `image_size` is below 16 or `seed` is negative.

    Example:
        >>> scenes = Scenes(image_size=32, seed=0)
        >>> scenes.draw(7).shape, len(scenes.labels(7))
        ((32, 32, 3), 24)
    """

    label_names: tuple[str, ...] = LABEL_NAMES
    words: tuple[str, ...] = VOCABULARY

    def __init__(self, image_size: int, seed: int) -> None:
        if image_size < 16:
            raise ValueError(f"scenes: image_size is {image_size}, but at least 16 pixels are needed")
        if seed < 0:
            raise ValueError(f"scenes: seed is {seed}, but it must be 0 or more")
        self.image_size = image_size
        self.seed = seed

    def draw(self, index: int) -> NDArray[np.uint8]:
        """The picture of a pair, uint8, image_size x image_size x 3 (RGB)."""
        return paint(self.layout(index), self.image_size, self._streams(index))

    def tags(self, index: int) -> tuple[str, ...]:
        """The text of a pair: distinct words of the vocabulary in random order, at least one."""
        return write_tags(self.layout(index).concepts, self._generator(index, _TAGS))

    def labels(self, index: int) -> NDArray[np.uint8]:
        """What the picture of a pair shows, uint8, 24 entries of 0 or 1, one to four of them 1."""
        concepts = self.layout(index).concepts
        return np.array([name in concepts for name in self.label_names], dtype=np.uint8)

    def layout(self, index: int) -> Layout:
        """What a pair's picture is made of.

        Raises:
            ValueError: If `index` is negative.
        """
        if index < 0:
            raise ValueError(f"scenes: index is {index}, but it must be 0 or more")
        return sample(self._generator(index, _LAYOUT))

    def _generator(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index, stream))

    def _streams(self, index: int) -> Iterator[np.random.Generator]:
        stream = _PAINT
        while True:
            yield self._generator(index, stream)
            stream += 1
