"""The built-in data set: procedural scenes as Pairs. It needs no file and is no benchmark."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.cache import cached_images
from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.files import digest
from aach_lightning.scenes import NOTE, VERSION, Scenes


@dataclass(frozen=True)
class DrawScene:
    """Draws scene r of a seed as uint8 3 x size x size."""

    size: int
    seed: int

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Draw one scene."""
        return np.ascontiguousarray(Scenes(self.size, self.seed).draw(row).transpose(2, 0, 1))


def procedural_pairs(*, name: str, pairs: int, image_size: int, seed: int, cache: str) -> Pairs:
    """Draw `pairs` scenes with tag texts and labels.

    Args:
        name: Name of the data set in results.
        pairs: Number of pairs, N.
        image_size: Height and width in pixels.
        seed: The same seed gives the same pairs; pair i does not depend on how many there are.
        cache: Folder for drawn images.

    Returns:
        The pairs; texts are bags of words in {0, 1}.
    """
    scenes = Scenes(image_size, seed)
    identity = f"scenes-{VERSION}-{pairs}-{image_size}-{seed}"
    pixels, _ = cached_images(
        Path(cache), digest(identity.encode()), pairs, image_size, DrawScene(image_size, seed), f"drawing {name}"
    )
    column = {word: position for position, word in enumerate(scenes.words)}
    tags = [scenes.tags(row) for row in range(pairs)]
    vectors = np.zeros((pairs, len(scenes.words)), dtype=np.uint8)
    for row, words in enumerate(tags):
        vectors[row, [column[word] for word in words]] = 1
    marks = np.stack([scenes.labels(row) for row in range(pairs)]).astype(np.uint8)
    return Pairs(
        name=name,
        names=tuple(f"scene-{seed}-{row}" for row in range(pairs)),
        images=pixels,
        texts=vectors,
        labels=marks,
        label_names=scenes.label_names,
        words=scenes.words,
        text_low=0.0,
        text_high=1.0,
        fingerprint=digest(identity.encode(), vectors.data, marks.data),
        captions=tuple(" ".join(words) for words in tags),
        note=NOTE,
    )
