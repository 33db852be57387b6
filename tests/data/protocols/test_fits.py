from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.schema import register_schemas
from aach_lightning.data.protocol import split_pairs
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError
from aach_lightning.readers.fits import FOLDER, Fit, read_protocols, try_protocols

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture(scope="module")
def fits() -> Any:
    protocols = read_protocols()

    def found(pairs: Any) -> dict[str, Fit]:
        return {fit.name: fit for fit in try_protocols(pairs, protocols)}

    return found


def sizes(fit: Fit) -> tuple[int, int, int]:
    assert fit.split is not None
    return len(fit.split.query), len(fit.split.train), len(fit.split.database)


def test_protocols_are_those_that_hydra_reads() -> None:
    """But for the data set, which Hydra takes from data.name."""
    assert FOLDER == CONF / "protocol"
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for protocol in read_protocols():
            config = compose("attack", [f"protocol={protocol.name}", "paths.output=x"]).split
            config.dataset = None
            assert OmegaConf.to_object(config) == protocol


def test_data_of_a_known_name(bare_pairs: Any, fits: Any) -> None:
    found = fits(bare_pairs(np.array([[1, 0]], np.uint8).repeat(20_015, axis=0), name="mirflickr25k"))
    assert sizes(found["mith"]) == (2_000, 10_000, 18_015)
    assert (found["mith"].overrides, found["mith"].remark) == ("protocol=mith", "")
    assert sizes(found["random"]) == (500, 3_000, 19_515)
    assert found["djsrh"].split is None
    assert "label label 1 has 0 pairs" in found["djsrh"].remark
    assert found["pack"].split is None
    assert "does not come in parts" in found["pack"].remark


def test_another_number_of_pairs_is_said(bare_pairs: Any, fits: Any) -> None:
    found = fits(bare_pairs(20_010, name="mirflickr25k"))
    assert sizes(found["dcmh"]) == (2_000, 10_000, 18_010)
    assert found["dcmh"].remark == "is for 20,015 pairs, these are 20,010"


def test_a_pack_is_known_by_its_number_of_pairs(bare_pairs: Any, fits: Any) -> None:
    found = fits(bare_pairs(122_218, name="container"))
    assert sizes(found["mith"]) == (5_000, 10_000, 117_218)
    assert found["mith"].overrides == "protocol=mith split.dataset=mscoco"
    assert found["mith"].remark == "taken for mscoco by the number of pairs"
    assert found["dcmh"].split is None
    assert found["dcmh"].remark == (
        "says nothing about container; it knows mirflickr25k (20,015 pairs), nuswide_tc21 (195,834 pairs)"
    )
    assert found["dsph"].remark == "says nothing about container; it knows mirflickr25k, nuswide_tc21, mscoco"


def test_data_that_are_too_small(bare_pairs: Any, fits: Any) -> None:
    found = fits(bare_pairs(100, name="mirflickr25k"))
    assert not [fit.name for fit in found.values() if fit.split is not None]
    assert "split.query=500 and split.train=3000 do not fit into 100 pairs" in found["random"].remark


def test_parts_of_a_pack(bare_pairs: Any, fits: Any) -> None:
    given = Split(query=np.arange(3), train=np.arange(3, 9), database=np.arange(3, 50))
    assert sizes(fits(bare_pairs(50, given=given))["pack"]) == (3, 6, 47)


def test_protocols_of_ones_own(tmp_path: Path, bare_pairs: Any) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nrule: per_label\nseed: 4\nquery: 2\ntrain: 3\n")
    (protocol,) = read_protocols(tmp_path)
    assert protocol.rule is SplitRule.per_label
    labels = np.eye(4, dtype=np.uint8).repeat(10, axis=0)
    (fit,) = try_protocols(bare_pairs(labels), (protocol,))
    assert sizes(fit) == (8, 12, 32)
    assert fit.split is not None
    assert fit.split.fingerprint == split_pairs(protocol, bare_pairs(labels)).fingerprint


@pytest.mark.parametrize("content", ["name: [", "rule: dice", "name: x\nsize: 3", "sizes: {a: 3}", "name: x"])
def test_files_that_describe_no_protocol(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml does not describe a protocol"):
        read_protocols(tmp_path)
