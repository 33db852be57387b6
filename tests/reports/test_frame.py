import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.frame import COLUMNS, flatten, identity, rows_of, to_frame, varying
from tests.reports.conftest import frame_of

Make = Callable[..., Result]
MAPS = {"I2T clean": 0.8, "I2T noise": 0.78, "I2T attack": 0.5, "T2I clean": 0.7, "T2I attack": 0.6}


def test_one_row_for_each_direction_and_query(run: Make) -> None:
    frame = frame_of([run(MAPS), run(MAPS, seed=1)])
    found = list(zip(frame["path"], frame["direction"], frame["query"], frame["map"], strict=True))
    assert found == [(f"{n}/result.json", *key.split(), value) for n in (0, 1) for key, value in MAPS.items()]
    assert frame.groupby("path")["run"].nunique().tolist() == [1, 1]
    assert frame["run"].nunique() == 2


def test_the_fixed_columns_of_a_row(run: Make) -> None:
    frame = frame_of([run(MAPS, seed=3, budget__pairs=40)])
    assert list(frame.columns) == [*COLUMNS, "seconds.data", "seconds.attack_image"]
    row = frame[(frame["direction"] == "I2T") & (frame["query"] == "attack")].iloc[0].to_dict()
    assert math.isnan(row.pop("words"))
    assert math.isnan(row.pop("targeted_map"))
    assert row.pop("run") == identity(run(MAPS, seed=3, budget__pairs=40))
    assert row == {
        "path": "0/result.json",
        "data": "scenes",
        "direction": "I2T",
        "query": "attack",
        "target": "dcmh",
        "code_length": 16,
        "target_image_net": "EfficientNetLite(variant=2)",
        "target_text_net": "TextMLP(width=1024)",
        "surrogate_image_net": "SmallCNN",
        "surrogate_text_net": "TextMLP(width=1024)",
        "attack": "aach",
        "protocol": "random",
        "data_pairs": 160,
        "query_pairs": 30,
        "train_pairs": 80,
        "database_pairs": 130,
        "attacked": 12,
        "seed": 3,
        "budget_pairs": 40,
        "epsilon": 8.0,
        "text_epsilon": 0.1,
        "map": 0.5,
        "drop": 0.8 - 0.5,
        "share_of_white_box": 0.5,
        "distance": 2.5,
        "bound": 8 / 255,
        "linf": 0.03,
        "rms": 0.02,
        "psnr": 31.25,
        "ssim": 0.93,
        "pairs_queried": 40,
        "items_queried": 0,
        "needs": "codes",
        "labels": False,
        "chance": 0.25,
        "seconds": 1.75,
        "data_hash": "0123",
        "split_hash": "4567",
        "seconds.data": 0.5,
        "seconds.attack_image": 1.25,
    }
    text = frame[(frame["direction"] == "T2I") & (frame["query"] == "attack")].iloc[0]
    assert text["bound"] == 0.1
    assert pd.isna(text["psnr"])
    assert {name: str(frame[name].dtype) for name in COLUMNS} == {name: kind for name, (kind, _) in COLUMNS.items()}


def test_what_a_result_does_not_say_is_missing(run: Make) -> None:
    result = run(target={}, surrogate={}, split={}, data={"pairs": None})
    result.chance.clear()
    result.stages.clear()
    frame = frame_of([result])
    absent = ("target", "code_length", "target_image_net", "surrogate_text_net", "query_pairs", "data_pairs", "chance")
    assert frame[list(absent)].isna().all(axis=None)
    assert frame["seconds"].tolist() == [0.0, 0.0]


def test_sizes_that_the_run_found_count_before_those_that_were_asked_for(run: Make) -> None:
    assert frame_of([run(split__query=None, data={"query": 2000})])["query_pairs"].tolist() == [2000, 2000]


def test_keys_that_vary_become_columns(run: Make) -> None:
    frame = frame_of(
        [
            run(seed=0, attack__norm="linf", attack__flag=True, attack__weight=None, attack__steps=3),
            run(seed=1, attack__norm="l2", attack__flag=False, attack__weight=0.5, attack__steps=3),
            run(seed=1, attack__flag=True, attack__weight=2, attack__steps=3, attack__sizes=[1, 2], attack__mixed="a"),
            run(seed=2, attack__flag=True, attack__weight=2, attack__steps=3, attack__sizes=[3], attack__mixed=7),
        ]
    )
    first = frame[frame["query"] == "attack"].set_index("path")
    expected: dict[str, tuple[str, list[Any]]] = {
        "config.seed": ("Int64", [0, 1, 1, 2]),
        "config.attack.norm": ("string", ["linf", "l2", None, None]),
        "config.attack.flag": ("boolean", [True, False, True, True]),
        "config.attack.weight": ("float64", [None, 0.5, 2.0, 2.0]),
        "config.attack.sizes": ("string", [None, None, "[1, 2]", "[3]"]),
        "config.attack.mixed": ("string", [None, None, "a", "7"]),
    }
    assert {name for name in frame.columns if name.startswith("config.")} == set(expected)
    for name, (kind, values) in expected.items():
        assert str(frame[name].dtype) == kind, name
        assert [None if pd.isna(value) else value for value in first[name]] == values, name


@pytest.mark.parametrize(
    ("configs", "keys"),
    [
        ([{"a": 1}], []),
        ([{"a": 1, "b": 2}, {"a": 1.0, "b": 2}], []),
        ([{"a": 1}, {"a": True}], ["a"]),
        ([{"a": 1}, {"b": 1}], ["a", "b"]),
        ([{"a": None}, {}], ["a"]),
        ([{"a": "x", "b": 1}, {"b": 2, "a": "y"}], ["a", "b"]),
    ],
)
def test_varying(configs: list[dict[str, Any]], keys: list[str]) -> None:
    assert varying(configs) == keys


def test_flatten() -> None:
    nested = {"a": {"b": {"c": 1}, "d": {}}, "e": [], "f": None, "g": [{"h": 1}]}
    assert flatten(nested) == {"a.b.c": 1, "a.d": "{}", "e": "[]", "f": None, "g": '[{"h": 1}]'}


def test_undecodable_names_become_text_that_can_be_written(run: Make) -> None:
    rows = rows_of("runs/\udcff/result.json", run(data__name="写真 \ud800"))
    frame = to_frame(rows, {rows[0]["run"]: {}})
    assert frame["path"].iloc[0] == "runs/\\udcff/result.json"
    assert frame["data"].iloc[0] == "写真 \\ud800"


def test_all_image_nets_of_an_ensemble_are_named(run: Make) -> None:
    backbones = [{"_target_": "networks.EfficientNetLite", "variant": variant} for variant in (1, 2)]
    members = {name: {"backbone": backbone} for name, backbone in zip(("second", "a"), backbones, strict=True)}
    frame = frame_of([run(surrogate__members=members)])
    named = "SmallCNN + EfficientNetLite(variant=1) + EfficientNetLite(variant=2)"
    assert set(frame["surrogate_image_net"]) == {named}
