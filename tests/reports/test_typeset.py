import doctest
import re
from types import ModuleType

import pandas as pd
import pytest

from aach_lightning.evaluation import retrieval_curves
from aach_lightning.reports import measurements, provenance, sheet, typeset
from aach_lightning.reports.sheet import Cell, Column, Sheet, number, to_values, words
from aach_lightning.reports.typeset import latex, markdown

HOSTILE = "a|b*_<i>`$x$ \\input{y} & % # ~ ^ {}\nnew \x1b[31m"
TABLE = Sheet(
    HOSTILE,
    "note ± ε → of 5 %",
    (Column("query", number=False), Column("MAP", "image→text"), Column("MAP", "text→image")),
    ((words(HOSTILE), number(0.25), number(float("nan"))), (words("b"), number(-0.0001), Cell("missing"))),
)


@pytest.mark.parametrize("module", [sheet, typeset, provenance, measurements, retrieval_curves])
def test_examples(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


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
    assert Sheet("", "", (Column("a"), Column("b")), ()).groups == []
