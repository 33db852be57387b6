import logging
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from aach_lightning.config import overrides
from aach_lightning.config.overrides import MOVED_TARGETS, checked_overrides
from aach_lightning.config.schema import RunConfig
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config
from tests.config.test_schemas import composed

ROOT = Path(__file__).parents[2]


def test_what_exists_passes_as_it_is() -> None:
    words = [
        *(
            "-m",
            "--cfg",
            "job",
            "seed=0,1",
            "attack=nes,square",
            "hydra.run.dir=a.b",
            "data.root=x",
            "+attack/search=nes",
        ),
        *("target/defence=jpeg", "~attack.search", "+surrogate.image_net.backbone.width=3", "split.sizes.a.query=2"),
        *("+image_net@surrogate.members.third=clip", "surrogate.members.third.frozen=true", "+data.arguments.x=y"),
        *("target.method.url=http://a/?b=c", "serving.limits.rate=2", "attack.search.samples=2", "paths.store=a.b/c"),
    ]
    assert checked_overrides(words) == words


def test_all_keys_that_do_not_exist_are_named_with_the_nearest() -> None:
    words = [
        "budget.pears=3",
        "+budget.pair=20",
        "++attack.epsilonn=2",
        "target.defence=jpeg",
        "seed=1",
        "data.xyzzy=1",
    ]
    with pytest.raises(ConfigError) as caught:
        checked_overrides(words)
    assert str(caught.value).splitlines() == [
        "the command line has mistakes:",
        "  - budget.pears=3: there is no such key; did you mean budget.pairs?",
        "  - +budget.pair=20: there is no such key; did you mean budget.pairs?",
        "  - ++attack.epsilonn=2: there is no such key; did you mean attack.epsilon?",
        "  - target.defence=jpeg: a choice of a group is written target/defence=jpeg",
        "  - data.xyzzy=1: there is no such key",
    ]


def test_a_command_ends_with_the_list() -> None:
    words = [sys.executable, "attack.py", "budget.pears=3", "attack.epsilom=4", "--cfg", "job"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean budget.pairs?" in done.stderr
    assert "did you mean attack.epsilon?" in done.stderr


def test_a_key_that_no_command_line_brought_is_refused_too(compose_toy: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match=r"budget\.pair=20: there is no such key; did you mean budget\.pairs\?"):
        compose_toy("+budget.pair=20")


def test_a_key_that_has_moved_works_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(overrides.MOVED_KEYS, "budget.queries", "budget.pairs")
    with caplog.at_level(logging.WARNING):
        assert checked_overrides(["budget.queries=7", "++budget.queries=8"]) == ["budget.pairs=7", "++budget.pairs=8"]
    assert "budget.queries is now called budget.pairs" in caplog.text


def test_a_class_that_has_moved_is_found_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    old = [
        "data._target_=aach_lightning.data.procedural.procedural_pairs",
        "target.image_net.backbone._target_=aach_lightning.networks.cnn_f.CNNF",
        "target.method._target_=aach_lightning.targets.dcmh.DCMHModule",
    ]
    with caplog.at_level(logging.WARNING):
        config = checked_config(composed(*old))
    assert config.data._target_ == "aach_lightning.scenes.procedural.procedural_pairs"
    assert config.target.image_net.backbone["_target_"] == "aach_lightning.zoo.cnn_f.CNNF"
    assert len(caplog.records) == 2
    assert "is now called aach_lightning.zoo.cnn_f.CNNF" in caplog.text


def test_moved_classes_are_where_the_table_says() -> None:
    for new in MOVED_TARGETS.values():
        module, _, name = new.rpartition(".")
        package = import_module(module)
        assert not name or hasattr(package, name), new
