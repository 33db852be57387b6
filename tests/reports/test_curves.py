import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.curves import MOST_BLOCKS, draw_curves
from aach_lightning.reports.figure import ordered_colours, save_figure
from tests.reports.conftest import summary_of

Make = Callable[..., Result]
MAPS = {"I2T clean": 0.8, "I2T noise": 0.78, "I2T white_box": 0.3, "T2I clean": 0.75, "T2I noise": 0.74}


def grid(
    run: Make,
    budgets: Sequence[int] = (20, 40, 80),
    epsilons: Sequence[float] = (4.0, 8.0),
    seeds: int = 2,
    **more: Any,
) -> list[Result]:
    return [
        run(
            {**MAPS, "I2T attack": 0.7 - pairs * eps / 2000 + seed / 50, "T2I attack": 0.7 - pairs / 200},
            seed=seed,
            budget__pairs=pairs,
            attack__epsilon=eps,
            attack__text_epsilon=eps / 80,
            **more,
        )
        for pairs, eps, seed in itertools.product(budgets, epsilons, range(seeds))
    ]


def draw(results: Sequence[Result], title: str = "scenes") -> tuple[tuple[float, float], str, set[str]]:
    """Size in inches, the words from top to bottom, and the colours of lines."""
    figure = draw_curves(summary_of(results), title)
    width, height = figure.get_size_inches()
    words = [figure.get_suptitle(), *(part.get_suptitle() for part in figure.subfigs)]
    colours = set()
    for axes in figure.axes:
        ticks = axes.get_xticklabels() if axes.axison else []
        boxes = [box for box in (axes.get_legend(),) if box is not None]
        explained = [text for box in boxes for text in (box.get_title(), *box.get_texts())]
        words += [axes.get_title(), *(text.get_text() for text in (*ticks, *axes.texts, *explained))]
        words += [axes.get_xlabel()] if axes.axison else []
        colours |= {str(line.get_color()) for line in axes.lines}
    words += [text.get_text() for box in figure.legends for text in box.get_texts()]
    return (float(width), float(height)), "|".join(words), colours


def test_both_directions_over_budget_and_over_epsilon(run: Make) -> None:
    size, words, colours = draw(grid(run))
    assert size[0] > size[1] > 5
    for word in ("scenes", "image→text", "text→image", "query budget M, pairs", "ε, 1/255", "4/255", "8/255", "0.05"):
        assert f"|{word}|" in f"|{words}|"
    for word in ("attack, with 95 % interval", "white-box bound", "random noise", "clean", "chance"):
        assert word in words
    assert words.count("image→text") == words.count("text→image") == 2
    for ticks in ("20|40|80", "4|8", "0.05|0.1"):
        assert ticks in words
    assert set(ordered_colours(3)) | set(ordered_colours(2)) <= colours  # three budgets, two epsilons


def test_an_axis_that_does_not_vary_has_no_panels(run: Make) -> None:
    both, _, _ = draw(grid(run))
    budgets, words, _ = draw(grid(run, epsilons=(8.0,)))
    assert (budgets[0], budgets[1] < 0.7 * both[1]) == (both[0], True)
    assert "ε, 1/255" not in words
    epsilons, words, _ = draw(grid(run, budgets=(20,)))
    assert (epsilons, "query budget" in words) == (budgets, False)
    alone, words, _ = draw(grid(run, budgets=(20,), epsilons=(8.0,), seeds=1))
    assert (alone, "query budget" in words) == (budgets, True)


def test_a_direction_whose_epsilon_does_not_vary_has_one_panel(run: Make) -> None:
    results = [
        run({**MAPS, "I2T attack": 0.5, "T2I attack": 0.6}, seed=seed, budget__pairs=pairs, attack__epsilon=eps)
        for seed, pairs, eps in itertools.product((0, 1), (20, 40), (4.0, 8.0))
    ]
    _, words, _ = draw(results)
    assert (words.count("image→text|"), words.count("text→image|")) == (2, 1)
    assert "text→image: ε = 0.1 throughout" in words


def test_one_seed_one_point_one_direction(run: Make) -> None:
    size, words, colours = draw([run({"I2T clean": 0.8, "I2T attack": 0.5})])
    assert "text→image" not in words
    assert "white-box bound" not in words
    assert ordered_colours(1)[0] in colours
    assert size[0] > 4


def test_blocks_stand_below_each_other(run: Make) -> None:
    one, _, _ = draw(grid(run))
    two, words, _ = draw([*grid(run), *grid(run, target__name="ssah")])
    assert two[1] > 1.8 * one[1]
    assert "target.name=dcmh" in words
    assert "target.name=ssah" in words
    assert words.count("image→text") == 4


def test_the_first_blocks_of_many(run: Make) -> None:
    results = [run(attack__steps=steps) for steps in range(MOST_BLOCKS + 3)]
    _, words, _ = draw(results)
    assert words.count("attack.steps=") == MOST_BLOCKS


def test_single_points_and_directions_without_attack(run: Make) -> None:
    draw([run({"I2T clean": 0.8, "T2I clean": 0.7, "T2I attack": 0.6})])  # warnings are errors
    draw([run({"I2T clean": 0.0, "I2T attack": 0.0}), run({"I2T clean": 0.0, "I2T attack": 1.0}, seed=1)])


def test_lines_bands_and_levels_are_the_summary(run: Make) -> None:
    results = [result for result in grid(run) if result.config["attack"]["epsilon"] == 4 or result.seed == 0]
    results = [result for result in results if (result.config["budget"]["pairs"], result.seed) != (40, 0)]
    summary = summary_of(results)  # epsilon 4: two seeds, at M = 40 one; epsilon 8: one seed, nothing at M = 40
    figure = draw_curves(summary, "")
    (panel,) = [
        axes
        for axes in figure.axes
        if axes.get_title() == "image→text" and axes.get_xlabel() == "query budget M, pairs"
    ]
    cells = summary[(summary["direction"] == "I2T") & summary["budget_pairs"].notna()]
    for label, eps in (("4/255", 4.0), ("8/255", 8.0)):
        (line,) = [line for line in panel.lines if line.get_label() == label]
        expected = cells[(cells["query"] == "attack") & (cells["epsilon"] == eps)]
        np.testing.assert_array_equal(line.get_xdata(), [20, 40, 80])
        np.testing.assert_array_equal(line.get_ydata(), expected["mean"].to_numpy(float))
    levels = {line.get_ydata()[0] for line in panel.lines if list(line.get_xdata()) == [0, 1]}
    assert levels == {0.8, 0.25}  # clean, chance
    bars = [segment for group in panel.containers for segment in group.lines[2][0].get_segments() if len(segment)]
    alone = cells[(cells["query"] == "attack") & cells["low"].notna()]
    expected_bars = {(float(row.budget_pairs), round(row.low, 9), round(row.high, 9)) for row in alone.itertuples()}
    assert {(bar[0][0], round(bar[0][1], 9), round(bar[1][1], 9)) for bar in bars} == expected_bars
    assert len(expected_bars) == 2  # M = 20 and M = 80, neither of which has a neighbour with an interval


def test_a_band_runs_from_low_to_high(run: Make) -> None:
    summary = summary_of(grid(run, epsilons=(8.0,)))
    figure = draw_curves(summary, "")
    panel = next(axes for axes in figure.axes if axes.get_title() == "image→text")
    cells = summary[(summary["direction"] == "I2T") & (summary["query"] == "attack")]
    corners = {tuple(corner) for band in panel.collections for path in band.get_paths() for corner in path.vertices}
    expected = {(float(row.budget_pairs), end) for row in cells.itertuples() for end in (row.low, row.high)}
    assert expected <= corners


@pytest.mark.parametrize("text", ["costs $5 or $6 and $\\frac{1$", "\N{DOG FACE} \x1b[31m" + "x" * 500, ""])
def test_awkward_titles(tmp_path: Path, run: Make, text: str) -> None:
    figure = draw_curves(summary_of([run(), run(attack__note=text)]), text)
    save_figure(figure, tmp_path / "curves.svg")  # warnings are errors
    assert tuple(figure.get_size_inches()) == draw([run(), run(attack__note="b")])[0]


def test_many_values_have_labels_that_do_not_touch(run: Make) -> None:
    results = [run({"I2T attack": 0.5}, budget__pairs=pairs) for pairs in range(100, 2100, 25)]
    _, words, _ = draw(results)
    labels = [float(word.replace(",", "")) for word in words.split("|") if re.fullmatch(r"[\d,]+", word)]
    ticks = labels[: labels.index(max(labels)) + 1]
    assert ticks[0] == 100
    assert 4 < len(ticks) < 14
    ratios = np.diff(np.log(ticks))
    assert ratios.min() >= 0.08 * np.log(2075 / 100)
