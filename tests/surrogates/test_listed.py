from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.mining.lists import list_distances, mine_lists
from aach_lightning.mining.miners import GapMiner, RandomMiner
from aach_lightning.surrogates.listed import ListedDataModule

QUERIED = np.array([17, 3, 120, 44, 9, 61, 200])
GALLERY = np.array([5, 44, 101, 230, 7, 80, 31, 150, 99, 12])  # 44 was queried too
BITS = 12
GAP, RANDOM = ("mining=gap", "mining.gap=1"), ("mining=random", "mining.per_anchor=3")


class ListingDoor:
    """Answers with ranked ids, and never with a code."""

    def __init__(self, world: Any, length: int) -> None:
        batch = world.pairs.batch(GALLERY)
        self.world, self.length, self.calls = world, length, 0
        self.images, self.texts = world.door.codes(batch.images, batch.texts)

    def query(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        image_codes, text_codes = self.world.door.codes(images, texts)
        sides = ((image_codes, self.texts), (text_codes, self.images))
        first, second = (-(own.float() @ known.float().T) for own, known in sides)
        return tuple(part.argsort(dim=1, stable=True)[:, : self.length] for part in (first, second))  # type: ignore[return-value]


def module(world: Any, folder: Path, door: Any, mining: tuple[str, ...] = GAP, **changes: Any) -> ListedDataModule:
    here = world.experiment(*mining, "surrogate.batch_size=3")
    return ListedDataModule(here, door, QUERIED, GALLERY, folder, **changes)


def at_epoch(data: ListedDataModule, epoch: int) -> list[Any]:
    data.trainer = SimpleNamespace(current_epoch=epoch)  # type: ignore[assignment]
    return list(data.train_dataloader())


@pytest.mark.parametrize("length", [len(GALLERY), 4])
@pytest.mark.parametrize(("mining", "miner"), [(GAP, GapMiner(1)), (RANDOM, RandomMiner(3))], ids=["gap", "random"])
def test_batches_hold_queried_and_gallery_pairs_and_triplets_of_the_lists(
    linear_world: Any, tmp_path: Path, length: int, mining: tuple[str, ...], miner: Any
) -> None:
    door = ListingDoor(linear_world, length)
    data = module(linear_world, tmp_path, door, mining)
    data.prepare_data()
    data.setup("fit")
    everyone = np.concatenate([QUERIED, GALLERY])
    batch = linear_world.pairs.batch(QUERIED)
    lists = door.query(batch.images, batch.texts)
    distances = [list_distances(part, len(GALLERY), BITS) for part in lists]
    for epoch in (0, 1):
        mined = mine_lists(distances[0], distances[1], miner, 3, 0, epoch)
        for found, expected in zip(at_epoch(data, epoch), mined, strict=True):
            assert found.pairs.ids.tolist() == everyone[expected.rows.numpy()].tolist()
            assert torch.equal(found.image_codes, data.image_codes[expected.rows])
            assert torch.equal(found.text_codes, data.text_codes[expected.rows])
            for side in ("image_anchored", "text_anchored"):
                for part in ("anchor", "positive", "negative"):
                    assert torch.equal(getattr(getattr(found, side), part), getattr(getattr(expected, side), part))
    assert data.image_codes.shape == data.text_codes.shape == (len(everyone), BITS)


def test_the_queried_pairs_alone_are_sent_once_and_others_read_what_was_kept(linear_world: Any, tmp_path: Path) -> None:
    door = ListingDoor(linear_world, len(GALLERY))
    data = module(linear_world, tmp_path, door)
    data.prepare_data()
    other = module(linear_world, tmp_path, None)
    for one in (data, other):
        one.setup("fit")
    assert door.calls == 1
    assert torch.equal(data.image_codes, other.image_codes)
    first, second = (
        [[batch.pairs.ids.tolist(), batch.image_anchored.positive.tolist()] for batch in at_epoch(one, 0)]
        for one in (data, other)
    )
    assert first == second


def test_features_are_of_the_queried_images_then_of_the_gallerys(linear_world: Any, tmp_path: Path) -> None:
    everyone = np.concatenate([QUERIED, GALLERY])
    features = torch.from_numpy(everyone).float()[:, None].expand(-1, 2)
    data = module(linear_world, tmp_path, ListingDoor(linear_world, 4), features=features)
    data.prepare_data()
    data.setup("fit")
    for batch in at_epoch(data, 0):
        assert batch.pairs.images[:, 0].long().tolist() == batch.pairs.ids.tolist()


def test_a_failure_is_told_on_every_process(linear_world: Any, tmp_path: Path) -> None:
    class Broken:
        def query(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
            raise ConnectionError("the service is down")

    data = module(linear_world, tmp_path, Broken())
    data.prepare_data()
    with pytest.raises(ConnectionError, match="the service is down"):
        data.setup("fit")
