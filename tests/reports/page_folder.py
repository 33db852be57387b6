"""A folder with everything that a page can show, and names that try to be markup."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.exhibits import save_exhibits
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.evaluation.result import Result, TracePoint
from aach_lightning.evaluation.retrieval_curves import RetrievalCurve, RetrievalCurves

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'$x$&"
DIRECTIONS: tuple[Any, ...] = ("I2T", "T2I")


def fill(folder: Path, run: Callable[..., Result], job: Callable[..., None], card: Callable[..., Card]) -> None:
    """Eight runs over two budgets, two epsilons and two seeds, a failed job, and two cards."""
    data = {"name": f"photos {HOSTILE}", "note": f"note {HOSTILE}", "protocol": HOSTILE}
    number = 0
    for pairs in (20, 40):
        for epsilon in (4.0, 8.0):
            for seed in (0, 1):
                number += 1
                value = 0.7 - pairs / 200 - epsilon / 80 + seed / 100
                maps = {"clean": 0.8, "noise": 0.78, "attack": value, "white_box": 0.3}
                maps = {f"{direction} {query}": it for direction in DIRECTIONS for query, it in maps.items()}
                one = run(maps, data, seed=seed, budget__pairs=pairs, attack__epsilon=epsilon)
                one.surrogate.update({"held_out_pairs": 9.0, "bit_agreement_image": 0.75, "map_i2t": 0.5})
                one.target.update({"validation_map": {"i2t": 0.6}, "remark": HOSTILE})
                one.versions.update({"torch": HOSTILE})
                points = tuple(TracePoint(it, 3, value + 0.1, 0.01) for it in DIRECTIONS)
                one.config["attack"]["steps"] = 30
                one = replace(one, trace=points)
                one.save(folder / str(number) / "result.json")
                job(folder / str(number), [f"seed={seed}", f"data.name={HOSTILE}"])
                curves(value).save(folder / str(number) / "curves.json")
                save_exhibits(exhibits(), folder / str(number) / "gallery.json")
    job(folder / "failed", [f"x={HOSTILE}"], config={"seed": 9}, error=f"Traceback\nDataError: {HOSTILE}\n")
    for seed in (0, 1):
        it = card(HOSTILE, 0.5 + seed / 100, seed=seed, epsilon=2.0, hardware=HOSTILE, overrides=[f"attack={HOSTILE}"])
        it.save(folder / "benchmark" / "cards")


def curves(value: float) -> RetrievalCurves:
    recall = [0.0, 0.2, 0.6, 1.0]
    return RetrievalCurves(
        tuple(
            RetrievalCurve(direction, query, [0.0, level, level, 0.3], recall, [1, 2, 5, 10], [level] * 4)
            for direction in DIRECTIONS
            for query, level in (("clean", 0.8), ("noise", 0.78), ("attack", value), ("white_box", 0.3))
        )
    )


def exhibits() -> list[Exhibit]:
    rng = np.random.default_rng(0)
    clean = rng.random((3, 3, 16, 16), dtype=np.float32)
    changed = (clean + rng.uniform(-0.03, 0.03, clean.shape).astype(np.float32)).clip(0, 1)
    texts = (Found(HOSTILE, True), Found("a dog\x1b[31m", False))
    return [Exhibit(f"{number} {HOSTILE}", clean[number], changed[number], texts, texts, number) for number in range(3)]
