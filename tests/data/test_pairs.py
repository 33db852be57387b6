from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split


def make(**changes: Any) -> Pairs:
    values: dict[str, Any] = {
        "name": "five",
        "names": tuple("abcde"),
        "images": np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2),
        "texts": np.arange(10, dtype=np.uint8).reshape(5, 2),
        "labels": np.eye(5, 3, dtype=np.uint8),
        "label_names": ("x", "y", "z"),
        "words": ("dog", "cat"),
        "text_low": 0.0,
        "text_high": 1.0,
        "fingerprint": "f",
        "captions": ("",) * 5,
        **changes,
    }
    return Pairs(**values)


@pytest.mark.parametrize("indices", [[3, 0, 3], np.array([3, 0, 3], np.int16), torch.tensor([3, 0, 3])])
def test_batch_in_any_order(indices: Any) -> None:
    batch = make().batch(indices)
    assert len(batch) == 3
    assert batch.ids.tolist() == [3, 0, 3]
    assert (batch.images.dtype, batch.texts.dtype, batch.labels.dtype) == (torch.float32, torch.float32, torch.uint8)
    assert batch.images.shape == (3, 3, 2, 2)
    assert batch.images[0].flatten().tolist() == pytest.approx([value / 255 for value in range(36, 48)])
    assert batch.images[1, 2, 1, 0].item() == pytest.approx(10 / 255)
    assert batch.texts.tolist() == [[6, 7], [0, 1], [6, 7]]
    assert batch.labels.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_given_parts_lie_in_the_data() -> None:
    assert make(given=Split(np.array([4]), np.array([0]), np.arange(4))).given is not None
    for query, database in (([5], [0]), ([0], [1, 5])):
        with pytest.raises(ValueError, match="its parts name rows beyond its 5 pairs"):
            make(given=Split(np.array(query), np.array([], np.int64), np.array(database)))


def test_images_may_lie_in_other_rows() -> None:
    pairs = make(
        names=("a", "c"),
        texts=np.zeros((2, 2), np.uint8),
        labels=np.zeros((2, 3), np.uint8),
        captions=("", ""),
        image_rows=np.array([0, 2]),
    )
    assert (pairs.batch([1]).images * 255).round().flatten().tolist() == list(range(24, 36))
    assert pairs.batch([1]).ids.tolist() == [1]


def test_batch_does_not_share_memory_with_the_data() -> None:
    pairs = make()
    batch = pairs.batch([0])
    for tensor in (batch.images, batch.texts, batch.labels):
        tensor.fill_(1)
    assert pairs.images[0].tolist() == np.arange(12).reshape(3, 2, 2).tolist()
    assert pairs.texts[0].tolist() == [0, 1]
    assert pairs.labels[0].tolist() == [1, 0, 0]


def test_features_replace_images() -> None:
    batch = make().batch_of_features([4, 1], torch.tensor([[1.5], [2.5]]))
    assert batch.images.tolist() == [[1.5], [2.5]]
    assert batch.texts.tolist() == [[8, 9], [2, 3]]


def test_moving_a_batch_keeps_every_field() -> None:
    batch = make().batch([2]).to("meta")
    assert {tensor.device.type for tensor in (batch.ids, batch.images, batch.texts, batch.labels)} == {"meta"}


@pytest.mark.parametrize(
    "changes",
    [
        {"texts": np.zeros((4, 2), np.uint8)},
        {"labels": np.zeros((6, 3), np.uint8)},
        {"labels": np.zeros((5, 2), np.uint8)},
        {"words": ("dog",)},
        {"images": np.zeros((4, 3, 2, 2), np.uint8)},
        {"captions": ("",)},
        {"labels": np.full((5, 3), 2, np.uint8)},
        {"image_rows": np.zeros(4, np.int64)},
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'five'"):
        replace(make(), **changes)


def test_every_pixel_value_is_divided_exactly() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(64, 3, 2, 2)
    pairs = make(
        names=tuple(map(str, range(64))),
        images=images,
        texts=np.zeros((64, 2), np.uint8),
        labels=np.zeros((64, 3), np.uint8),
        captions=("",) * 64,
    )
    batch = pairs.batch(range(63, -1, -1))
    expected = torch.tensor([value / 255 for value in images[::-1].flatten().tolist()], dtype=torch.float64).float()
    assert torch.equal(batch.images.flatten(), expected)
    assert batch.images.is_contiguous()


def test_empty_batch() -> None:
    batch = make().batch([])
    assert [tuple(tensor.shape) for tensor in (batch.images, batch.texts)] == [(0, 3, 2, 2), (0, 2)]
