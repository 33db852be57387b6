import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.summary_table import show_summary
from tests.reports.conftest import summary_of

Make = Callable[..., Result]


def shown(summary: pd.DataFrame, over: Sequence[str] = ("seed",), width: int = 80) -> list[str]:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        show_summary(summary, over, console)
        return [line.rstrip() for line in console.export_text().splitlines()]


def words(lines: Sequence[str], start: str) -> list[str]:
    """Cells of the first line that begins like this, apart by two spaces."""
    line = next(line for line in lines if line.startswith(start))
    return [part.strip() for part in line.removeprefix(start).split("  ") if part.strip()]


def grid(
    run: Make, seeds: Sequence[int], leave_out: Sequence[tuple[int, float, int]] = (), **more: Any
) -> list[Result]:
    return [
        run(
            {
                "I2T clean": 0.8,
                "I2T noise": 0.78 - seed / 100,
                "I2T attack": 0.7 - pairs / 100 - seed / 50,
                "I2T white_box": 0.3,
                "T2I clean": 0.75,
                "T2I attack": 0.6,
            },
            seed=seed,
            budget__pairs=pairs,
            attack__epsilon=eps,
            **more,
        )
        for seed, pairs, eps in itertools.product(seeds, (20, 40), (4.0, 8.0))
        if (pairs, eps, seed) not in leave_out
    ]


def test_a_table_line_by_line(run: Make) -> None:
    lines = shown(summary_of(grid(run, (0, 1, 2))))
    # 0.5, 0.48, 0.46: s = 0.02, half = 4.302653 * 0.02 / sqrt(3) = 0.0497
    assert lines[0] == "MAP, image→text, mean ± half of the 95 % interval over n = 3 seeds"
    assert lines[1].split("  ")[-1].strip() == "ε 8/255"
    assert words(lines, "M = 20") == ["0.480 ±0.050", "0.480 ±0.050"]
    assert words(lines, "M = 40") == ["0.280 ±0.050", "0.280 ±0.050"]
    assert words(lines, "random noise") == ["0.770 ±0.025", "0.770 ±0.025"]
    assert words(lines, "white-box, all M") == ["0.300 ±0.000", "0.300 ±0.000"]
    assert words(lines, "clean") == ["0.800", "0.800"]
    assert words(lines, "chance") == ["0.250", "0.250"]
    second = lines.index("MAP, text→image, mean ± half of the 95 % interval over n = 3 seeds")
    assert lines[second + 1].split() == ["ε", "0.1"]
    assert words(lines[second:], "M = 20") == ["0.600 ±0.000"]
    assert not any(line.startswith("random noise") for line in lines[second:])


def test_missing_combinations_and_fewer_seeds(run: Make) -> None:
    leave_out = [(40, 8.0, 0), (40, 8.0, 1), (40, 8.0, 2), (20, 8.0, 2), (40, 4.0, 1), (40, 4.0, 2)]
    lines = shown(summary_of(grid(run, (0, 1, 2), leave_out)))
    # 0.5, 0.48: s = 0.01414, half = 12.706205 * 0.01414 / sqrt(2) = 0.1271
    assert words(lines, "M = 20") == ["0.480 ±0.050", "0.490 ±0.127 n=2"]
    assert words(lines, "M = 40") == ["0.300 n=1", "missing"]


def test_one_seed_has_no_interval(run: Make) -> None:
    lines = shown(summary_of(grid(run, (5,))))
    assert lines[0] == "MAP, image→text, n = 1, no interval"
    assert words(lines, "M = 20") == ["0.400 n=1", "0.400 n=1"]
    assert words(lines, "clean") == ["0.800 n=1", "0.800 n=1"]
    assert "±" not in "\n".join(lines)


def test_blocks_have_titles_and_replicates_names(run: Make) -> None:
    results = [*grid(run, (0, 1)), *grid(run, (0, 1), target__seed=1)]
    lines = shown(summary_of(results))
    assert [line for line in lines if line.startswith("target.seed")] == ["target.seed=0", "target.seed=1"] * 2
    over = ("seed", "target.seed")
    lines = shown(summary_of(results, over), over)
    assert lines[0] == "MAP, image→text, mean ± half of the 95 % interval over n = 4 values of seed,"
    assert lines[1] == "target.seed"


@pytest.mark.parametrize("count", [1, 4, 5, 23])
def test_many_columns_wrap_into_tables_of_80(run: Make, count: int) -> None:
    epsilons = [float(2 * number + 2) for number in range(count)]
    results = [
        run(
            {"I2T clean": 0.8, "I2T attack": eps / 100 + seed / 50}, seed=seed, attack__epsilon=eps, budget__pairs=10**6
        )
        for eps in epsilons
        for seed in range(2)
    ]
    lines = shown(summary_of(results))
    assert max(map(len, lines)) <= 80
    heads = [line for line in lines if "/255" in line]
    assert len(heads) == -(-count // 4)
    assert " ".join(heads).split() == [part for eps in epsilons for part in ("ε", f"{eps:g}/255")]
    cells = [part for line in lines if line.startswith("M =") for part in line.split("  ") if "±" in part]
    assert [part.split()[0] for part in cells] == [f"{eps / 100 + 0.01:.3f}" for eps in epsilons]
    assert "…" not in "\n".join(lines)


def test_titles_are_no_markup_and_hide_nothing(run: Make) -> None:
    results = [run(attack__note="[red]x[/red] \x1b[31m"), run(attack__note="y" * 200)]
    text = "\n".join(shown(summary_of(results)))
    assert "attack.note=[red]x[/red] \\x1b[31m" in text
    assert "\x1b" not in text
    assert text.count("y") >= 200


def test_no_attack_in_a_direction(run: Make) -> None:
    lines = shown(summary_of([run({"I2T clean": 0.8, "I2T noise": 0.7})]))
    assert words(lines, "random noise") == ["0.700 n=1"]
