"""Kill processes at any moment: what reaches the target must never pass the budget.

The target writes a line to a log of its own for each pair that reaches it, so that the count does not rest on the
ledger. The test starts this file as a program that has torch imported, and forks the workers from there.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aach_lightning.targets.blackbox import BlackBox, BudgetExceeded

CODE_LENGTH = 16
BUDGET = 60
PAIRS = 90
BATCH = 3
CAMPAIGNS = 3
ROUNDS = 7


class LoggingTarget:
    """Bits of an item's number as its code; each text that arrives is logged before it is answered."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def hash_images(self, images: Tensor) -> Tensor:
        return self.codes((images[:, 0, 0, 0] * 255).round().long())

    def hash_texts(self, texts: Tensor) -> Tensor:
        numbers = texts[:, 0].long()
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, "".join(f"{number}\n" for number in numbers.tolist()).encode())
        os.close(descriptor)
        time.sleep(0.001)
        return self.codes(numbers)

    def codes(self, numbers: Tensor) -> Tensor:
        return torch.where((numbers[:, None] >> torch.arange(CODE_LENGTH)) % 2 == 1, 1, -1)


def pairs(numbers: list[int]) -> tuple[Tensor, Tensor]:
    values = torch.tensor(numbers).float()
    return (values / 255).view(-1, 1, 1, 1).expand(-1, 3, 2, 2), values.view(-1, 1)


def door(folder: Path, budget: int = BUDGET) -> BlackBox:
    target = LoggingTarget(folder / "log")
    ledger = folder / "ledger"
    return BlackBox(target, CODE_LENGTH, budget, ledger, identity="target", run="run", batch_size=BATCH)


def sent(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "log").read_text().split()] if (folder / "log").exists() else []


def ask_at_random(folder: Path, seed: int) -> None:
    draws, box = random.Random(seed), door(folder)
    while True:
        try:
            ask_and_check(box, draws.sample(range(PAIRS), draws.randint(1, 2 * BATCH)))
        except BudgetExceeded:
            time.sleep(0.0005)


def ask_and_check(box: BlackBox, numbers: list[int]) -> None:
    expected = [[1 if number >> bit & 1 else -1 for bit in range(CODE_LENGTH)] for number in numbers]
    for codes in box.query(*pairs(numbers)):
        if codes.tolist() != expected:
            raise RuntimeError(f"wrong codes for {numbers}: {codes.tolist()}")


def start(work: partial[None]) -> int:
    process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return process


def stress(folder: Path) -> list[dict[str, int]]:
    """On each of several new ledgers: workers that die at random moments, then one that spends what is left."""
    return [campaign(folder / str(number), random.Random(number)) for number in range(CAMPAIGNS)]


def campaign(folder: Path, draws: random.Random) -> dict[str, int]:
    folder.mkdir()
    kills, failures, most, busy_rounds = 0, 0, 0, 0
    for _ in range(ROUNDS):
        workers = [start(partial(ask_at_random, folder, draws.getrandbits(32))) for _ in range(draws.randint(2, 4))]
        for worker in workers:
            time.sleep(draws.uniform(0, 0.012))
            os.kill(worker, signal.SIGKILL)
            if os.WIFSIGNALED(os.waitpid(worker, 0)[1]):
                kills += 1
            else:
                failures += 1
        reached = len(set(sent(folder)))
        busy_rounds += reached > most
        most = max(most, reached)
    box = door(folder)
    refused = 0
    for number in range(PAIRS):
        try:
            ask_and_check(box, [number])
        except BudgetExceeded:
            refused += 1
    counts = Counter(sent(folder))
    return {
        "kills": kills,
        "failures": failures,
        "busy_rounds": busy_rounds,
        "most": most,
        "distinct": len(counts),
        "resent": counts.total() - len(counts),
        "refused": refused,
        "spent": box.spent,
        "paid": box.paid,
    }


def hammer(folder: Path) -> dict[str, Any]:
    """Four processes that live, each asking for all pairs in its own order under one budget."""

    def work(seed: int) -> None:
        numbers = list(range(PAIRS))
        random.Random(seed).shuffle(numbers)
        box = door(folder)
        for number in numbers:
            try:
                ask_and_check(box, [number])
            except BudgetExceeded:
                continue

    workers = [start(partial(work, seed)) for seed in range(4)]
    statuses = [os.waitpid(worker, 0)[1] for worker in workers]
    counts = Counter(sent(folder))
    return {"statuses": statuses, "distinct": len(counts), "total": counts.total(), "spent": door(folder).spent}


def run(program: str, folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, __file__, program, folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kills_never_pass_the_budget_and_lose_nothing(tmp_path: Path) -> None:
    campaigns = run("stress", tmp_path)
    assert len(campaigns) == CAMPAIGNS
    for found in campaigns:
        assert found["failures"] == 0, found  # a worker that ends by itself saw wrong codes or an error
        assert found["kills"] >= 2 * ROUNDS
        assert found["most"] <= BUDGET
        assert found["distinct"] == found["spent"] == found["paid"] == BUDGET, found
        assert found["refused"] == PAIRS - BUDGET
        assert found["resent"] <= found["kills"] * BATCH  # only what a killed process had in flight is sent again


def test_four_processes_share_one_budget(tmp_path: Path) -> None:
    found = run("hammer", tmp_path)
    assert found == {"statuses": [0] * 4, "distinct": BUDGET, "total": BUDGET, "spent": BUDGET}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps({"stress": stress, "hammer": hammer}[sys.argv[1]](Path(sys.argv[2]))))
