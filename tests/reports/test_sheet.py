import re

import pandas as pd
import pytest

from aach_lightning.reports.sheet import Cell, Column, cell, interval, latex, make_sheet, markdown, to_values

HOSTILE = "a|b*_<i>`$x$ \\input{y} & % # ~ ^ {}\nnew \x1b[31m"
TABLE = make_sheet(
    HOSTILE,
    "note ± ε → of 5 %",
    {
        Column("query"): [HOSTILE, "b"],
        Column("MAP", ".3f", "image→text"): [0.25, -0.0001],
        Column("MAP", ".3f", "text→image"): [float("nan"), Cell("missing")],
    },
)


def test_markdown_is_one_table_whatever_names_are() -> None:
    lines = markdown([TABLE]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4] * 4
    assert rows[0] == "| query | image→text MAP | text→image MAP |"
    assert rows[1] == "|---|---:|---:|"
    assert rows[3] == "| b | 0.000 | missing |"
    assert not re.search(r"(?<!\\)[<`*$]", rows[2])
    assert "\x1b" not in rows[2]


def test_latex_is_one_table_whatever_names_are() -> None:
    text = latex([TABLE])
    for rule in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{tabular}{lrr}",
        r"image$\rightarrow$text",
    ):
        assert rule in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert body.count(r" \\") == 2
    hostile = body.strip().splitlines()[0]
    assert len(re.findall(r"(?<!\\)&", hostile)) == 2
    assert not re.search(r"(?<!\\)[%#$_]", hostile)
    assert r"\input" not in hostile
    assert r"\textbackslash{}input\{y\}" in hostile
    assert r"note $\pm$ $\epsilon$ $\rightarrow$ of 5 \%" in text


def test_values_keep_their_digits_and_say_their_table() -> None:
    values = to_values([TABLE, TABLE])
    assert list(values.columns) == ["table", "query", "image→text MAP", "text→image MAP"]
    assert values["image→text MAP"].tolist() == [0.25, -0.0001] * 2
    assert pd.isna(values["text→image MAP"]).all()


def test_headers_above_columns() -> None:
    assert TABLE.groups == [("", 1), ("image→text", 1), ("text→image", 1)]
    assert make_sheet("", "", {Column("a"): [], Column("b"): []}).groups == []


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "", ""),
        (float("nan"), "", ""),
        ("two\nlines \x1b", "", "two\\nlines \\x1b"),
        (True, ".3f", ""),
        (1234.0, ",d", "1,234"),
        (7, "auto", "7"),
        (0.5, "auto", "0.500"),
        ("word", "auto", "word"),
        (True, "auto", "True"),
        (-0.0001, "+.3f", "+0.000"),
        (float("inf"), ".3f", ""),
    ],
)
def test_a_value_as_it_is_shown(value: object, form: str, text: str) -> None:
    assert cell(value, form).text == text


def test_a_mean_has_an_interval_where_there_is_one() -> None:
    assert interval(0.5, 0.0123) == Cell("0.500 ±0.012", 0.5)
    assert interval(0.5, float("nan")) == Cell("0.500", 0.5)
    assert interval(float("nan"), float("nan")) == Cell("")
