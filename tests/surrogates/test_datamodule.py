from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from aach_lightning.mining.epoch import code_distances, mine_epoch
from aach_lightning.mining.miners import GapMiner
from aach_lightning.surrogates.datamodule import SurrogateDataModule

QUERIED = np.array([17, 3, 120, 44, 9, 61, 200])
MINED = ("mining=gap", "mining.gap=1", "surrogate.batch_size=3")


def at_epoch(data: SurrogateDataModule, epoch: int) -> list[Any]:
    data.trainer = SimpleNamespace(current_epoch=epoch)  # type: ignore[assignment]
    return list(data.train_dataloader())


@pytest.fixture
def data(linear_world: Any, tmp_path: Path) -> SurrogateDataModule:
    return SurrogateDataModule(linear_world.experiment(*MINED), linear_world.door, QUERIED, tmp_path)


def test_the_door_is_asked_once_for_the_queried_pairs(data: SurrogateDataModule, linear_world: Any) -> None:
    data.prepare_data()
    data.setup("fit")
    for epoch in range(4):
        at_epoch(data, epoch)
    assert linear_world.door.calls == [len(QUERIED)]
    batch = linear_world.pairs.batch(QUERIED)
    image_codes, text_codes = linear_world.door.codes(batch.images, batch.texts)
    assert torch.equal(data.image_codes, image_codes)
    assert torch.equal(data.text_codes, text_codes)


def test_other_processes_read_the_answers_without_asking(
    data: SurrogateDataModule, linear_world: Any, tmp_path: Path
) -> None:
    data.prepare_data()
    other = SurrogateDataModule(linear_world.experiment(*MINED), None, QUERIED, tmp_path)  # type: ignore[arg-type]
    other.setup("fit")
    assert torch.equal(other.image_codes, linear_world.door.codes(*_inputs(linear_world))[0])
    assert linear_world.door.calls == [len(QUERIED)]


def _inputs(world: Any) -> tuple[torch.Tensor, torch.Tensor]:
    batch = world.pairs.batch(QUERIED)
    return batch.images, batch.texts


def test_batches_are_those_of_the_trainers_epoch_and_keep_items_and_codes_together(
    data: SurrogateDataModule, linear_world: Any
) -> None:
    data.prepare_data()
    data.setup("fit")
    orders = []
    for epoch in (0, 1):
        mined = mine_epoch(code_distances(data.image_codes, data.text_codes), GapMiner(1), 3, 0, epoch)
        batches = at_epoch(data, epoch)
        assert len(batches) == len(mined) == 3
        for batch, expected in zip(batches, mined, strict=True):
            assert batch.pairs.ids.tolist() == QUERIED[expected.rows.numpy()].tolist()
            images, texts = linear_world.door.codes(batch.pairs.images, batch.pairs.texts)
            assert torch.equal(batch.image_codes, images)
            assert torch.equal(batch.text_codes, texts)
            for side in ("image_anchored", "text_anchored"):
                for part in ("anchor", "positive", "negative"):
                    assert torch.equal(getattr(getattr(batch, side), part), getattr(getattr(expected, side), part))
            assert len(batch) == len(expected.rows)
        orders.append([batch.pairs.ids.tolist() for batch in batches])
    assert orders[0] != orders[1]
    assert sorted(row for rows in orders[1] for row in rows) == sorted(QUERIED.tolist())


def test_features_take_the_place_of_images(linear_world: Any, tmp_path: Path) -> None:
    features = torch.arange(len(QUERIED), dtype=torch.float32)[:, None].expand(-1, 2)
    here = linear_world.experiment(*MINED)
    data = SurrogateDataModule(here, linear_world.door, QUERIED, tmp_path, features)
    data.prepare_data()
    data.setup("fit")
    for batch in at_epoch(data, 0):
        assert QUERIED[batch.pairs.images[:, 0].long().numpy()].tolist() == batch.pairs.ids.tolist()
    assert linear_world.door.calls == [len(QUERIED)]
