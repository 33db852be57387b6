import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.schema import register_schemas
from aach_lightning.config.split import SizesConfig, SplitConfig
from aach_lightning.data.protocol import split_note, split_pairs
from aach_lightning.data.rules import per_label_split
from aach_lightning.data.splits import Split, budget_order, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config

CONF = Path(__file__).parents[3] / "conf"
PUBLISHED = [  # protocol, data, pairs, query, train, database
    ("dcmh", "mirflickr25k", 20_015, 2_000, 10_000, 18_015),
    ("dcmh", "nuswide_tc21", 195_834, 2_100, 10_500, 193_734),
    ("tadch", "mirflickr25k", 20_015, 2_000, 5_000, 18_015),
    ("tadch", "nuswide_tc21", 195_834, 2_100, 10_500, 193_734),
    ("tadch", "mscoco", 123_287, 2_000, 10_000, 121_287),
    ("dadh", "mirflickr25k", 20_015, 2_000, 10_000, 18_015),
    ("dadh", "nuswide_tc21", 195_834, 2_100, 10_000, 193_734),
    ("ssah", "mirflickr25k", 20_015, 2_000, 10_000, 18_015),
    ("djsrh", "mirflickr25k", 20_015, 2_000, 5_000, 18_015),
    ("djsrh", "nuswide_tc10", 186_577, 2_000, 5_000, 184_577),
    ("mith", "mirflickr25k", 20_015, 2_000, 10_000, 18_015),
    ("mith", "nuswide_tc21", 190_421, 2_100, 10_500, 188_321),
    ("mith", "mscoco", 122_218, 5_000, 10_000, 117_218),
    ("dsph", "mirflickr25k", 20_015, 5_000, 10_000, 15_015),
]
OTHER = {"random", "pack"}
CLASSES = {"mirflickr25k": 24, "nuswide_tc21": 21, "nuswide_tc10": 10, "mscoco": 80}


@pytest.fixture
def protocol(tmp_path: Path) -> Callable[..., SplitConfig]:
    """The split of a whole configuration that has been checked."""

    def composed(name: str, data: str, *overrides: str) -> SplitConfig:
        register_schemas()
        key = "path" if data == "container" else "root"
        plain = [f"protocol={name}", f"data={data}", f"data.{key}={tmp_path}", f"paths.output={tmp_path}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return checked_config(compose("attack", [*plain, *overrides])).split

    return composed


def labels_of(count: int, classes: int) -> NDArray[np.uint8]:
    """Every pair has one to three labels, the later ones rarer; the second label is as rare as MIRFlickr's `baby`."""
    generator = np.random.default_rng(0)
    labels = np.zeros((count, classes), np.uint8)
    weights = 1 / np.arange(1, classes + 1)
    weights[1] = 0
    for _ in range(3):
        labels[np.arange(count), generator.choice(classes, count, p=weights / weights.sum())] = 1
    labels[generator.permutation(count)[: 200 if classes == 24 else 2_000], 1] = 1
    return labels


def test_every_protocol_is_tested() -> None:
    assert {name for name, *_ in PUBLISHED} | OTHER == {file.stem for file in (CONF / "protocol").glob("*.yaml")}
    for file in (CONF / "protocol").glob("*.yaml"):
        assert f"name: {file.stem}\n" in file.read_text()


@pytest.mark.parametrize(("name", "data", "count", "query", "train", "database"), PUBLISHED)
def test_published_sizes(
    protocol: Any, bare_pairs: Any, name: str, data: str, count: int, query: int, train: int, database: int
) -> None:
    config = protocol(name, data)
    pairs = bare_pairs(labels_of(count, CLASSES[data]), name=data)
    split = split_pairs(config, pairs)
    assert (len(split.query), len(split.train), len(split.database)) == (query, train, database)
    assert np.array_equal(np.sort(np.concatenate([split.query, split.database])), np.arange(count))
    assert split_note(config, pairs) == ""
    order = budget_order(split, 5)  # of which an attacker's M pairs are the first M
    assert np.array_equal(np.sort(order), np.sort(split.train))


def test_default_is_the_seeded_shuffle(protocol: Any, bare_pairs: Any) -> None:
    config = protocol("random", "mirflickr25k", "split.query=200", "split.train=500", "split.seed=3")
    assert split_pairs(config, bare_pairs(900)).fingerprint == make_split(900, 200, 500, 3).fingerprint
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain = compose("attack", ["paths.output=x"]).split
    assert (plain.name, plain.query, plain.train, plain.seed) == ("random", 500, 3000, 0)


def test_queries_of_positional_and_per_label_are_mixed(protocol: Any, bare_pairs: Any) -> None:
    """The first of them are attacked, so they must not all be of the first label."""
    labels = labels_of(20_015, 24)
    for name in ("dcmh", "djsrh"):
        config = protocol(name, "mirflickr25k")
        split = split_pairs(config, bare_pairs(labels, name="mirflickr25k"))
        same = split_pairs(config, bare_pairs(labels, name="mirflickr25k"))
        other = split_pairs(replace(config, seed=1), bare_pairs(labels, name="mirflickr25k"))
        assert split.fingerprint == same.fingerprint != other.fingerprint
        if name == "dcmh":
            assert sorted(split.query.tolist()) == list(range(2_000))
            assert sorted(other.query.tolist()) == list(range(2_000))
            assert split.query[:200].max() > 1_500
        else:
            sizes = config.sizes["mirflickr25k"]
            assert set(split.query.tolist()) == set(per_label_split(labels, "x" * 24, sizes, 0).query.tolist())
            assert labels[split.query[:160], 0].mean() < 0.8  # those of the first label are the first 160 unmixed


def test_own_sizes_replace_published_ones(protocol: Any, bare_pairs: Any) -> None:
    split = split_pairs(protocol("mith", "mscoco", "split.train=700"), bare_pairs(9_000))
    assert (len(split.query), len(split.train), len(split.database)) == (5_000, 700, 4_000)
    split = split_pairs(protocol("dcmh", "container", "split.query=300", "split.train=700"), bare_pairs(2_000))
    assert sorted(split.query.tolist()) == list(range(300))
    assert split.train.tolist() == list(range(300, 1_000))


def test_a_pack_of_known_data(protocol: Any, bare_pairs: Any) -> None:
    with pytest.raises(ConfigError, match=r"split\.dataset=container: protocol=dcmh knows the sizes of mirflickr25k"):
        protocol("dcmh", "container")
    split = split_pairs(protocol("dcmh", "container", "split.dataset=mirflickr25k"), bare_pairs(20_015))
    assert len(split.train) == 10_000


def test_another_number_of_pairs_is_noted(protocol: Any, bare_pairs: Any) -> None:
    config = protocol("mith", "mirflickr25k")
    said = "Protocol mith is for 20,015 pairs, these are 20,014."
    assert split_note(config, bare_pairs(20_014)) == said
    assert split_note(config, bare_pairs(20_014, note="drawn")) == f"drawn. {said}"
    assert split_note(config, bare_pairs(20_014, note="Drawn.")) == f"Drawn. {said}"
    assert split_note(config, bare_pairs(20_015, note="drawn")) == "drawn"
    assert split_note(protocol("dsph", "mirflickr25k"), bare_pairs(7)) == ""


# ---- the pack's own parts ----


GIVEN = Split(query=np.arange(5), train=np.array([9, 7]), database=np.arange(5, 30))


def pack(**changes: Any) -> SplitConfig:
    return SplitConfig(**{"name": "pack", "rule": SplitRule.pack, "seed": 0, **changes})


def test_parts_of_the_pack(bare_pairs: Any, protocol: Any) -> None:
    config = protocol("pack", "container")
    assert config == pack()
    pairs = bare_pairs(30, given=GIVEN)
    split = split_pairs(config, pairs)
    assert sorted(split.query.tolist()) == list(range(5))
    assert split.train.tolist() == [9, 7]
    assert split.database.tolist() == list(range(5, 30))
    assert split_note(config, pairs) == "Split as the pack is."
    assert split_note(protocol("random", "container"), pairs) == "Split anew, not as the pack is."


def test_a_train_part_that_the_pack_lacks(bare_pairs: Any, caplog: pytest.LogCaptureFixture) -> None:
    pairs = bare_pairs(30, name="some", given=replace(GIVEN, train=np.empty(0, np.int64)))
    with caplog.at_level(logging.WARNING):
        split = split_pairs(pack(train=4), pairs)
    assert "some: has no train part: 4 pairs of its database were drawn by split.seed" in caplog.text
    assert len(set(split.train.tolist())) == 4
    assert set(split.train.tolist()) <= set(range(5, 30))
    assert split.train.tolist() != split_pairs(pack(train=4, seed=1), pairs).train.tolist()
    assert sorted(split_pairs(pack(), pairs).train.tolist()) == list(range(5, 30))


def test_what_the_pack_protocol_refuses(bare_pairs: Any, protocol: Any) -> None:
    with pytest.raises(ConfigError, match="bare does not come in parts of which one is query"):
        split_pairs(pack(), bare_pairs(30))
    with pytest.raises(ConfigError, match=r"split\.train=4: must be null, since bare has a train part of 2 pairs"):
        split_pairs(pack(train=4), bare_pairs(30, given=GIVEN))
    with pytest.raises(ConfigError, match=r"(?s)split\.rule=pack: needs data=container.*split\.query=3: must be null"):
        protocol("pack", "mirflickr25k", "split.query=3")


def test_a_protocol_without_the_data_set(bare_pairs: Any) -> None:
    config = SplitConfig(
        name="x", rule=SplitRule.random, seed=0, dataset="b", sizes={"a": SizesConfig(query=1, train=1)}
    )
    with pytest.raises(ConfigError, match="protocol=x says nothing about b, only about a"):
        split_pairs(config, bare_pairs(9))
