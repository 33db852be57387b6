import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.table import result_table, show, show_report, stage_table, targeted_table

AGREEMENT = {
    "held_out_pairs": 500.0,
    "bit_agreement_image": 0.812,
    "bit_agreement_text": 0.701,
    "distance_spearman": 0.655,
    "map_i2t": 0.611,
    "map_t2i": 0.622,
    "target_map_i2t": 0.733,
    "target_map_t2i": 0.744,
}


def row(direction: Any, query: Any, number: float, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "direction": direction,
        "query": query,
        "map": number,
        "drop": 0.9 - number,
        "share_of_white_box": None,
        "distance": 3.25,
        "epsilon": 0.0 if query == "clean" else 8 / 255 if direction == "I2T" else 0.1,
        "linf": 0.03,
        "rms": 0.02,
        "psnr": None,
        "ssim": None,
        "pairs_queried": 0,
        "items_queried": 0,
        "needs": {"attack": "codes", "white_box": "weights"}.get(query, "nothing"),
        "labels": False,
    }
    return Row(**{**values, **changes})


def result(*rows: Row, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "rows": rows,
        "chance": {"I2T": 0.317, "T2I": 0.318},
        "target": {},
        "surrogate": AGREEMENT,
        "queries": {},
        "data": {"name": "scenes", "attacked": 200, "database": 188321, "note": ""},
        "config": {"target": {"name": "dcmh", "code_length": 32}, "attack": {"name": "aach"}},
        "seed": 0,
        "versions": {},
        "stages": {"data": {"seconds": 1.25, "peak_memory_mib": 1234.0}},
    }
    return Result(**{**values, **changes})


def printed(what: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=Path("/dev/null").open("w"), force_terminal=False)  # noqa: SIM115
    with console.file:
        console.print(what)
        return console.export_text().splitlines()


ORDINARY = [
    row(direction, query, number, share_of_white_box=share, psnr=psnr, ssim=psnr and 0.91, pairs_queried=paid)
    for direction, base, psnr in (("I2T", 0.8, 30.1), ("T2I", 0.7, None))
    for query, number, share, paid in (
        ("clean", base + 0.0011, None, 0),
        ("noise", base - 0.0124, 0.05, 0),
        ("attack", base - 0.2137, 0.6, 500),
        ("white_box", base - 0.3568, 1.0, 0),
    )
]
EXTREME = [
    row(
        direction,
        query,
        number,
        drop=-0.9999,
        share_of_white_box=-37.5,
        distance=1024.0,
        epsilon=254.75 / 255,
        rms=0.987,
        psnr=psnr,
        ssim=ssim,
        pairs_queried=190421 if query == "attack" else 0,
        items_queried=188321 if query == "attack" else 0,
    )
    for direction, psnr, ssim in (("I2T", 100.0, -0.123), ("T2I", None, None))
    for query, number in (("clean", 1.0), ("noise", 0.0), ("attack", 0.12345), ("white_box", 0.98765))
]


@pytest.mark.parametrize("rows", [ORDINARY, EXTREME], ids=["ordinary", "extreme"])
def test_every_number_stands_in_80_columns(rows: list[Row]) -> None:
    lines = printed(result_table(result(*rows)))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for item in rows:
        assert f" {item.map:.3f}" in text
        if item.query != "clean":
            assert f"{item.drop:+.3f}" in text
            assert f"{item.distance:.1f}" in text
            assert item.needs in text
    for item in rows:
        for number, form in ((item.psnr, ".1f"), (item.ssim, ".2f")):
            assert number is None or item.query == "clean" or format(number, form) in text
    joined = re.sub(r"\s+", " ", text)
    attack = next(item for item in rows if item.query == "attack")
    assert str(attack.pairs_queried) in joined
    assert attack.items_queried == 0 or str(attack.items_queried) in joined


def test_an_ordinary_table_line_by_line() -> None:
    lines = [re.sub(r"\s+", " ", line).strip() for line in printed(result_table(result(*ORDINARY)))]
    assert "scenes: 200 queries, 188,321 searched, DCMH 32 bits, seed 0" in lines
    assert "query MAP drop of bound bits RMS PSNR SSIM needs" in lines
    start = lines.index("image→text, ε 8/255")
    assert lines[start + 1 : start + 6] == [
        "clean 0.801",
        "random noise 0.788 +0.112 5% 3.2 0.020 30.1 0.91 nothing",
        "AACH, M = 500 0.586 +0.314 60% 3.2 0.020 30.1 0.91 codes",
        "white-box bound 0.443 +0.457 100% 3.2 0.020 30.1 0.91 weights",
        "chance 0.317",
    ]
    start = lines.index("text→image, ε 0.1")
    assert lines[start + 3] == "AACH, M = 500 0.486 +0.414 60% 3.2 0.020 codes"
    assert lines[start + 5] == "chance 0.318"


def test_queried_anchors_stand_beside_the_pairs() -> None:
    lines = printed(result_table(result(row("I2T", "attack", 0.5, pairs_queried=40, items_queried=12))))
    assert any("AACH, M = 40 + 12" in line for line in lines)


def test_one_direction_alone() -> None:
    text = "\n".join(printed(result_table(result(*ORDINARY[4:]))))
    assert "text→image" in text
    assert "image→text" not in text


def test_long_names_wrap_and_brackets_are_no_markup() -> None:
    data = {"name": "[red]data[/red] " + "x" * 90, "attacked": 1, "database": 2, "note": "see [1], not [/2]"}
    config = {"target": {"name": "dcmh", "code_length": 1024}, "attack": {"name": "a[b]" + "very" * 12}}
    lines = printed(result_table(result(*ORDINARY, data=data, config=config)))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    assert "[red]data[/red]" in text
    assert "see [1], not [/2]" in text
    assert "A[B]VERY" in text
    assert all(f"{item.map:.3f}" in text for item in ORDINARY)


def test_stages() -> None:
    lines = [line.split() for line in printed(stage_table(result(*ORDINARY)))]
    assert ["data", "1.2", "1,234", "MiB"] in lines


def shown(action: Any) -> str:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(width=80, record=True, file=nowhere)
        action(console)
        return console.export_text()


def test_show_says_what_the_surrogate_learned() -> None:
    text = re.sub(r"\s+", " ", shown(lambda console: show(result(*ORDINARY), console)))
    assert "surrogate on 500 pairs never queried" in text
    assert "0.812 (images) 0.701 (texts)" in text
    assert "0.611 / 0.622 (target 0.733 / 0.744)" in text


def test_show_without_held_out_pairs() -> None:
    assert "never queried" not in shown(lambda console: show(result(*ORDINARY, surrogate={}), console))


def test_a_report_names_its_folder_in_one_piece() -> None:
    folder = Path("store [with] brackets", "target", "0123456789abcdef" * 6)
    report = {"validation_map": {"i2t": 0.71234}, "database": 130, "note": "[bold]"}
    text = shown(lambda console: show_report("target", report, folder, console))
    assert f"target: {folder}" in text
    lines = [[word for word in re.split(r"[\s│┃]+", line) if word] for line in text.splitlines()]
    assert ["validation", "map", "i2t", "0.712"] in lines
    assert ["database", "130"] in lines
    assert ["note", "[bold]"] in lines


@pytest.mark.parametrize(
    ("target", "attack", "line"),
    [
        ({}, {}, None),
        ({"adversarial": {"method": "none"}, "defence": {"_target_": "torch.nn.Identity"}}, {}, None),
        ({"adversarial": {"method": "pgd"}}, {"knows_defence": True}, "hardened by PGD"),
        (
            {"adversarial": {"method": "cmla"}, "defence": {"_target_": "a.b.JPEG", "quality": 75}},
            {"knows_defence": True},
            "hardened by CMLA, behind JPEG(quality=75), known to attackers",
        ),
        (
            {"defence": {"_target_": "a.b.RandomResize", "smallest": 0.75, "seed": 0}},
            {"knows_defence": False},
            "behind RandomResize(smallest=0.75, seed=0), unknown to attackers",
        ),
    ],
)
def test_the_title_says_what_was_done_to_the_target(
    target: dict[str, Any], attack: dict[str, Any], line: str | None
) -> None:
    config = {"target": {"name": "dcmh", "code_length": 32, **target}, "attack": {"name": "aach", **attack}}
    lines = [text.strip() for text in printed(result_table(result(*ORDINARY, config=config)))]
    first = lines.index("scenes: 200 queries, 188,321 searched, DCMH 32 bits, seed 0")
    assert (lines[first + 1] == line) if line else lines[first + 1].startswith("query")


@pytest.mark.parametrize(("count", "said"), [(1, "1 word"), (3, "3 words")])
def test_edited_texts_are_bounded_in_words(count: int, said: str) -> None:
    rows = [row("T2I", "clean", 0.7), row("T2I", "attack", 0.5, epsilon=float(count), words=0.75 * count)]
    lines = [line.strip() for line in printed(result_table(result(*rows)))]
    assert f"text→image, {said}" in lines


def test_a_targeted_map_has_a_table_of_its_own() -> None:
    rows = [
        row("I2T", "clean", 0.7, targeted_map=0.1),
        row("I2T", "attack", 0.5, targeted_map=0.25),
        row("T2I", "clean", 0.7, targeted_map=0.2),
        row("T2I", "attack", 0.5, targeted_map=None),
    ]
    chance = {"I2T": 0.3, "T2I": 0.3, "I2T_targeted": 0.15, "T2I_targeted": 0.16}
    lines = [line.split() for line in printed(targeted_table(result(*rows, chance=chance)))]
    for expected in (["clean", "0.100", "0.200"], ["AACH", "0.250"], ["chance", "0.150", "0.160"]):
        assert expected in lines
    one = [line.split() for line in printed(targeted_table(result(*rows[:2], chance={"I2T_targeted": 0.15})))]
    assert ["clean", "0.100"] in one
