import itertools
from pathlib import Path

import numpy as np
import pytest

from aach_lightning.reports.figure import drawable, explain, mark, new_figure, ordered_colours, save_figure


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of #rrggbb, in [0, 1]."""
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_colours_get_lighter_and_stay_visible_on_white(count: int) -> None:
    found = [luminance(colour) for colour in ordered_colours(count)]
    assert len(found) == count
    assert all(first < second for first, second in itertools.pairwise(found))
    assert (1 + 0.05) / (found[-1] + 0.05) > 1.9  # contrast


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    for name in ("a", "b"):
        figure = new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([50.0, 100.0, 500.0], [1, 2, 3])
        axes.fill_between([50.0, 100.0], [0, 1], [2, 3])
        mark(axes, [50.0, 500.0])
        explain(figure, {"line": ("#000000", "-"), "dashes": ("#777777", (0, (5, 2)))})
        save_figure(figure, tmp_path / "new" / f"{name}.{form}")
    contents = [(tmp_path / "new" / f"{name}.{form}").read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"a.{form}", f"b.{form}"}
    if form == "svg":  # texts are paths, with the text beside them as a comment
        text = contents[0].decode()
        for word in ("50", "500", "line", "dashes"):
            assert f"<!-- {word} -->" in text
    else:
        assert contents[0].startswith(b"\x89PNG")


def test_doubling_makes_equal_ratios_equal_lengths() -> None:
    axes = new_figure(3, 2).subplots()
    mark(axes, [50.0, 100.0, 200.0])
    places = axes.transData.transform([(value, 1.0) for value in (50, 100, 200)])[:, 0]
    assert places[2] - places[1] == pytest.approx(places[1] - places[0])
    assert [label.get_text() for label in axes.get_xticklabels(minor=True)] == []


def test_drawable_text() -> None:
    assert drawable("a\n  b\x07\N{DOG FACE}", 10) == "a b□"
    assert drawable("x" * 20, 10) == "x" * 9 + "…"
