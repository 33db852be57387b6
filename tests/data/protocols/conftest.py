from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.data.pairs import Pairs

BarePairs = Callable[..., Pairs]


@pytest.fixture(scope="session")
def bare_pairs() -> BarePairs:
    """Pairs of any number that take no memory: given labels, one black pixel and no words."""

    def make(labels: NDArray[np.uint8] | int, **changes: Any) -> Pairs:
        marks = np.ones((labels, 1), np.uint8) if isinstance(labels, int) else labels
        count, classes = marks.shape
        pairs = Pairs(
            name="bare",
            names=tuple(f"im{row + 1}" for row in range(count)),
            images=np.broadcast_to(np.zeros((1, 3, 1, 1), np.uint8), (count, 3, 1, 1)),
            texts=np.zeros((count, 0), np.uint8),
            labels=marks,
            label_names=tuple(f"label {column}" for column in range(classes)),
            words=(),
            text_low=0.0,
            text_high=1.0,
            fingerprint="bare",
            captions=("",) * count,
        )
        return replace(pairs, **changes)

    return make
