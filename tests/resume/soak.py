"""Kill a run at random moments, start it again, and compare: python tests/resume/soak.py --kills 50. By hand; minutes.

Each campaign starts with an empty store. Its command is killed (SIGKILL to the whole group) after a random time, again
and again, until it ends by itself; then its result, weights and deltas must be those of a run that was never killed,
bit by bit, and the ledger must hold no more than M queries.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from aach_lightning.targets.ledger import Ledger

ROOT = Path(__file__).parents[2]
BUDGET, CODE_LENGTH = 40, 16
COMMAND = (
    "image_net@target.image_net=small_cnn",
    "image_net@surrogate.image_net=small_cnn",
    "data.pairs=160",
    "data.image_size=32",
    "split.query=30",
    "split.train=80",
    f"budget.pairs={BUDGET}",
    f"target.code_length={CODE_LENGTH}",
    "target.epochs=40",
    "surrogate.epochs=60",
    "attack.steps=60",
    "attack.batch_size=3",
    "evaluation.queries=12",
)


def start(folder: Path, store: Path, extra: list[str]) -> "subprocess.Popen[bytes]":
    paths = [f"paths.store={store}", f"paths.cache={folder / 'cache'}", f"hydra.run.dir={store.with_suffix('.run')}"]
    return subprocess.Popen(
        [sys.executable, "attack.py", *COMMAND, *extra, *paths],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=(folder / "output").open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def result(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store.with_suffix(".run") / "result.json").read_text())
    return {key: value for key, value in found.items() if key != "stages"}


def bits(store: Path) -> dict[str, bytes]:
    return {
        f"{file.relative_to(store)} {name}": values.tobytes()
        for file in store.glob("*/*/*.safetensors")
        for name, values in load_file(file).items()
    }


def paid(store: Path) -> int:
    files = list((store / "ledger").glob("*.ledger"))
    if not files:
        return 0
    ledger = Ledger(files[0], CODE_LENGTH, files[0].stem)
    with ledger.locked():
        return ledger.paid


def where(store: Path) -> str:
    """The stages that are finished, and the unfinished one."""
    finished = [path.name for path in sorted(store.glob("*")) if any(path.glob("*/artifact.json"))]
    building = sorted({path.parent.name for path in store.glob("*/*.building")} - {"result"})
    return f"{', '.join(finished) or 'nothing'} finished" + (f", {building[0]} begun" if building else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="further overrides, such as trainer=ddp")
    options = parser.parse_args()
    draws = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.monotonic()
        whole = start(folder, folder / "whole", options.overrides)
        if whole.wait():
            print((folder / "output").read_text())
            return 1
        length = time.monotonic() - begin
        print(f"unkilled: {length:.1f} s, {paid(folder / 'whole')} of {BUDGET} queries paid", flush=True)
        kills = campaigns = 0
        while kills < options.kills:
            store, campaigns = folder / f"campaign-{campaigns}", campaigns + 1
            while True:
                process = start(folder, store, options.overrides)
                try:
                    status = process.wait(draws.uniform(0.2, 1.0) * length if kills < options.kills else None)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    kills += 1
                    print(f"kill {kills}: {where(store)}, {paid(store)} queries paid", flush=True)
                    if paid(store) > BUDGET:
                        print("OVERSPENT")
                        return 1
                    continue
                break
            equal = status == 0 and result(store) == result(folder / "whole") and bits(store) == bits(folder / "whole")
            print(f"campaign {campaigns}: {'equal' if equal else f'DIFFERENT, status {status}'}", flush=True)
            if not equal:
                print((folder / "output").read_text()[-5000:])
                return 1
        print(f"{kills} kills in {campaigns} campaigns: every result, weight and delta equal, never above M = {BUDGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
