import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from aach_lightning.retrieval import HammingHistogram, HammingMAP, mean_average_precision

QUERIES, ITEMS, CODE_LENGTH = 7, 53, 20
# Share of the database by process: uneven, and one of three without any.
BOUNDS = {1: [0, 53], 2: [0, 41, 53], 3: [0, 0, 12, 53]}


def draw() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = (torch.rand(QUERIES + ITEMS, CODE_LENGTH, generator=generator) < 0.3).to(torch.int8) * 2 - 1
    labels = (torch.rand(QUERIES + ITEMS, 6, generator=generator) < 0.2).to(torch.uint8)
    return codes[:QUERIES], labels[:QUERIES], codes[QUERIES:], labels[QUERIES:]


def run_process(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/store{world_size}", rank=rank, world_size=world_size)
    query_codes, query_labels, codes, labels = draw()
    first, last = BOUNDS[world_size][rank : rank + 2]
    by_shard = HammingMAP(QUERIES, CODE_LENGTH)
    middle = (first + last) // 2
    for part in (slice(first, middle), slice(middle, last)):
        by_shard.update(query_codes, query_labels, codes[part], labels[part])
    # The other way to share the work: each process some queries, all of the database.
    by_query = HammingHistogram(QUERIES, CODE_LENGTH)
    ids = torch.arange(rank, QUERIES, world_size)
    by_query.update(query_codes[ids], query_labels[ids], codes, labels, query_ids=ids)
    items, relevant = by_query.compute()
    result = {"map": by_shard.compute(), "items": items, "relevant": relevant, "own": by_shard.items}
    torch.save(result, folder / f"{rank}-of-{world_size}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each process of each world computed. One script forks them all: torch is imported once."""
    folder = tmp_path_factory.mktemp("ranks")
    run = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return folder


@pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
@pytest.mark.parametrize("world_size", BOUNDS)
def test_processes_together_give_the_bits_of_one_pass(results: Path, world_size: int) -> None:
    query_codes, query_labels, codes, labels = draw()
    distance = (query_codes.unsqueeze(1) != codes).sum(2)
    hit = (query_labels.int() @ labels.int().T) > 0
    items = torch.stack([(distance == d).sum(1) for d in range(CODE_LENGTH + 1)], 1)
    relevant = torch.stack([((distance == d) & hit).sum(1) for d in range(CODE_LENGTH + 1)], 1)
    for rank in range(world_size):
        result = torch.load(results / f"{rank}-of-{world_size}.pt", weights_only=True)
        assert float(result["map"]) == mean_average_precision(query_codes, query_labels, codes, labels)
        assert torch.equal(result["items"], items)
        assert torch.equal(result["relevant"], relevant)
        first, last = BOUNDS[world_size][rank : rank + 2]
        assert result["own"].sum(1).tolist() == [last - first] * QUERIES  # not left holding the sum


def run_worlds(folder: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for world_size in BOUNDS:
        processes = [fork.Process(target=run_process, args=(rank, world_size, folder)) for rank in range(world_size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        if any(process.exitcode != 0 for process in processes):
            sys.exit(f"world of {world_size}: exit codes {[process.exitcode for process in processes]}")


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
