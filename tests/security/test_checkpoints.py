import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aach_lightning.errors import CheckpointError
from aach_lightning.runtime.checkpoints import (
    load_lightning_checkpoint,
    load_state_dict_file,
    load_tensors,
    load_weights,
    save_tensors,
)

TORCH_READERS = [load_state_dict_file, load_lightning_checkpoint]


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.canary, "boom")


def write_bomb(path: Path, content: Any, form: str) -> None:
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("read", [*TORCH_READERS, load_tensors])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_pickle_bomb_is_refused_and_not_run(tmp_path: Path, read: Callable[[Path], Any], form: str) -> None:
    canary, path = tmp_path / "ran", tmp_path / "bomb.ckpt"
    write_bomb(path, {"state_dict": {"w": torch.ones(2)}, "x": Bomb(canary)}, form)
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert not canary.exists()
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert canary.exists()  # the bomb was a real one


def test_bomb_message_says_what_to_do(tmp_path: Path) -> None:
    write_bomb(tmp_path / "bomb", Bomb(tmp_path / "ran"), "zip")
    with pytest.raises(CheckpointError, match=r"(?s)can run code.*torch\.save\(module\.state_dict"):
        load_state_dict_file(tmp_path / "bomb")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_damaged_files_give_one_kind_of_error(tmp_path: Path, form: str) -> None:
    """Truncated anywhere or with bytes changed: a file is read or refused, and nothing else is raised."""
    path, tensors = tmp_path / "file", {"a": torch.ones(3), "b": torch.zeros(2, 2)}
    read: Callable[[Path], Any] = load_state_dict_file
    if form == "safetensors":
        save_tensors(path, tensors)
        read = load_tensors
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    whole, rng, refused = path.read_bytes(), random.Random(0), list[str]()
    assert set(read(path)) == {"a", "b"}
    for trial in range(150):
        damaged = bytearray(whole[: rng.randrange(len(whole))] if trial % 2 else whole)
        for _ in range(0 if trial % 2 else 3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read(path)
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) >= 75  # every truncated one
    assert all(str(path) in message for message in refused)


@pytest.mark.parametrize("read", [*TORCH_READERS, load_tensors])
def test_missing_file_and_folder(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(CheckpointError, match=str(path)):
            read(path)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 3}, {"state_dict": {"a": torch.ones(1)}}, torch.ones(2)])
def test_not_a_state_dict(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "file")
    with pytest.raises(CheckpointError, match="not a dict of tensors"):
        load_state_dict_file(tmp_path / "file")


@pytest.mark.parametrize("content", [[1], {"a": torch.ones(1)}, 3])
def test_not_a_lightning_checkpoint(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "file")
    with pytest.raises(CheckpointError, match="no 'state_dict'"):
        load_lightning_checkpoint(tmp_path / "file")


def test_round_trip_of_views_and_types(tmp_path: Path) -> None:
    base = torch.arange(12.0).view(3, 4)
    tensors = {
        "transposed": base.T,
        "bytes": torch.tensor([0, 255], dtype=torch.uint8),
        "codes": torch.tensor([[1, -1]], dtype=torch.int8),
        "learned": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.zeros(0, 3),
    }
    save_tensors(tmp_path / "deep" / "file", tensors)
    found = load_tensors(tmp_path / "deep" / "file")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach())


def test_weights_of_another_network(tmp_path: Path) -> None:
    module, path = nn.Linear(2, 3), tmp_path / "file"
    before = module.weight.detach().clone()
    for other, said in (
        (nn.Linear(4, 3), "size mismatch"),
        (nn.Linear(2, 3, bias=False), "Missing key"),
        (nn.Sequential(nn.Linear(2, 3)), "Unexpected key"),
    ):
        save_tensors(path, other.state_dict())
        with pytest.raises(CheckpointError, match=said) as caught:
            load_weights(module, path)
        assert str(path) in str(caught.value)
    fitting = nn.Linear(2, 3)
    assert not torch.equal(before, fitting.weight)
    save_tensors(path, fitting.state_dict())
    load_weights(module, path)
    assert torch.equal(module.weight, fitting.weight)
    assert torch.equal(module.bias, fitting.bias)
