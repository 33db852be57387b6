from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from aach_lightning.config.choices import AnswerName, SplitRule
from aach_lightning.config.data import ContainerConfig
from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.config.split import SizesConfig, SplitConfig, chosen_sizes
from aach_lightning.config.validate import validate, validate_parts
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def valid() -> RunConfig:
    register_schemas()
    sizes = ["data.pairs=60", "split.query=10", "split.train=40", "budget.pairs=30", "evaluation.queries=6"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return checked_config(compose("attack", ["paths.output=out", *sizes]))


@pytest.fixture
def config(valid: RunConfig) -> RunConfig:
    return deepcopy(valid)


def set_split(config: RunConfig, **values: Any) -> list[str]:
    """The mistakes that some values of the split bring."""
    for key, value in values.items():
        setattr(config.split, key, value)
    try:
        validate(config)
    except ConfigError as error:
        return [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
    return []


TABLE = {"a": SizesConfig(query=5, train=30), "b": SizesConfig(query=20, train=45)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"query": 0},
            ["split.query=0: must be greater than 0", "evaluation.queries=6: attacked queries are the first"],
        ),
        (
            {"train": -1},
            ["split.train=-1: must be greater than 0", "budget.pairs=30: the M queried pairs come from the"],
        ),
        ({"first_row": 2}, ["split.first_row=2: must lie in 0 to 1, or null"]),
        ({"file": "nowhere"}, ["split.file=nowhere: must be an existing file or folder, or null"]),
        ({"query": 21}, ["data.pairs=60: must be at least split.query + split.train=61"]),
        (
            {"query": 5},
            ["evaluation.queries=6: attacked queries are the first of the query part: must be at most split.q"],
        ),
        (
            {"train": 29},
            ["budget.pairs=30: the M queried pairs come from the train part: must be at most split.train=29"],
        ),
        ({"rule": SplitRule.permutation, "seed": -1}, ["split.seed=-1: must lie in 0 to 2^32 - 1"]),
        ({"rule": SplitRule.permutation, "seed": 2**32}, ["split.seed=4294967296: must lie in 0 to 2^32 - 1"]),
        ({"rule": SplitRule.permutation, "seed": 2**32 - 1}, []),
        ({"rule": SplitRule.random, "seed": -1}, []),
        ({"rule": SplitRule.pack}, ["split.rule=pack: needs data=container", "split.query=10: must be null under"]),
        (
            {"rule": SplitRule.pack, "query": None, "train": 0},
            ["split.train=0: must be greater than 0", "split.rule=pack"],
        ),
        (
            {"query": None},
            ["split.dataset=None: protocol=random knows the sizes of no data set: name the one that these"],
        ),
        (
            {"query": None, "sizes": TABLE, "dataset": "c"},
            ["split.dataset=c: protocol=random knows the sizes of a, b: "],
        ),
        (
            {"query": None, "train": None, "sizes": TABLE, "dataset": "a"},
            ["evaluation.queries=6: attacked queries are the first of the query part: must be at most split.query=5"],
        ),
        (
            {"query": None, "train": None, "sizes": TABLE, "dataset": "b"},
            ["data.pairs=60: must be at least split.query + split.train=65"],
        ),
        ({"query": None, "sizes": TABLE, "dataset": "b"}, []),  # 20 of the table and 40 of the configuration
        ({"rule": SplitRule.per_label, "query": 1, "train": 1}, []),  # of each label: only the data tell
        ({"rule": SplitRule.per_label, "query": 0}, ["split.query=0: must be greater than 0"]),
    ],
)
def test_rules(config: RunConfig, changes: dict[str, Any], said: list[str]) -> None:
    found = set_split(config, **changes)
    assert len(found) == len(said), found
    for line, start in zip(found, said, strict=True):
        assert line.startswith(start)


def test_a_file_stands_above_everything_else(config: RunConfig, tmp_path: Path) -> None:
    assert set_split(config, file=str(tmp_path), query=None, train=None, rule=SplitRule.pack) == []
    assert set_split(config, query=1, train=1, rule=SplitRule.random) == []  # the budget is compared with the file's


def test_a_pack(config: RunConfig, tmp_path: Path) -> None:
    config.data = ContainerConfig(name="x", path=str(tmp_path), image_size=32, words=10)
    assert set_split(config, rule=SplitRule.pack, query=None, train=None) == []
    assert set_split(config, train=1) == []


def test_sizes_from_table_and_keys() -> None:
    split = SplitConfig(name="x", rule=SplitRule.random, seed=0, sizes=TABLE, dataset="b")
    assert chosen_sizes(split) == TABLE["b"]
    split.query = 7
    assert chosen_sizes(split) == SizesConfig(query=7, train=45)
    assert TABLE["b"].query == 20
    split.dataset = "c"
    assert chosen_sizes(split) is None
    split.train = 3
    assert chosen_sizes(split) == SizesConfig(query=7, train=3)


def test_sizes_that_only_the_data_tell(config: RunConfig) -> None:
    validate_parts(config, query=6, train=30, database=50)
    with pytest.raises(ConfigError) as caught:
        validate_parts(config, query=5, train=29, database=50)
    assert str(caught.value).splitlines() == [
        "the configuration does not fit the split of these data:",
        "  - budget.pairs=30: the M queried pairs come from the train part: must be at most 29, its size by "
        "protocol=random",
        "  - evaluation.queries=6: attacked queries are the first of the query part: must be at most 5, its size by "
        "protocol=random",
    ]
    config.answer.name = AnswerName.topk
    validate_parts(config, query=6, train=30, database=config.answer.gallery)
    with pytest.raises(ConfigError, match=r"answer\.gallery=1000: the catalogue is .* must be at most 999"):
        validate_parts(config, query=6, train=30, database=999)
    config.answer.name = AnswerName.codes
    config.split.file = "paper.mat"
    with pytest.raises(ConfigError, match=r"must be at most 5, its size by split\.file=paper\.mat"):
        validate_parts(config, query=5, train=30, database=50)
