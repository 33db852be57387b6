"""target=http in the configuration and in the stages of a run."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from aach_lightning.config.answer import AnswerConfig
from aach_lightning.config.choices import AnswerName
from aach_lightning.config.method import HttpConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import gallery_rows
from aach_lightning.data.texts import unnamed
from aach_lightning.errors import ConfigError
from aach_lightning.serving.system import About, System
from aach_lightning.targets.access import open_target
from aach_lightning.targets.deployment import deployed_target, ensure_deployed
from aach_lightning.targets.index import CodeIndex, read_report
from aach_lightning.targets.remote_deployment import check_about, words_hash
from tests.serving.conftest import KEY, Serving

HTTP = ("target=http", "target.method.url=http://127.0.0.1:9", "evaluation.white_box=false")


def test_a_run_against_a_service_finds_what_a_run_in_this_process_finds(
    start: Callable[..., Serving],
    toy_experiment: Callable[..., Experiment],
    toy_pairs: Pairs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = toy_experiment()
    trained = ensure_deployed(here)
    about = About(trained.key, 16, 32, 16, words_hash(toy_pairs.words))
    system = System(deployed_target(here, trained), about)
    serving = start(system=system, items=64)
    monkeypatch.setenv("AACH_API_KEY", KEY)
    there = toy_experiment(*HTTP, f"target.method.url={serving.url}", "target.code_length=16")
    remote = ensure_deployed(there)
    expected, found = CodeIndex.load(trained.path), CodeIndex.load(remote.path)
    assert torch.equal(found.image_codes, expected.image_codes)
    assert torch.equal(found.text_codes, expected.text_codes)
    report = read_report(remote)
    assert (report["index_items"], serving.charged) == (120, 120)
    assert report["validation_map"] == read_report(trained)["validation_map"]
    assert ensure_deployed(there).built is False
    assert serving.charged == 120
    batch = toy_pairs.batch(range(30))
    answers = []
    for experiment, artifact in ((here, trained), (there, remote)):
        black_box, door = open_target(experiment, artifact)
        answers.append((*black_box.query(batch.images, batch.texts), door.image_codes(batch.images)))
        assert (black_box.spent, black_box.paid, door.items) == (30, 30, 30)
    assert all(torch.equal(*both) for both in zip(*answers, strict=True))
    lists, _ = open_target(there.with_blocks(answer=AnswerConfig(AnswerName.topk, 20, 6)), remote)
    gallery = gallery_rows(there.split, 20, there.config.target.seed)
    for ids, own, other in zip(
        lists.query(batch.images, batch.texts),
        (expected.image_codes, expected.text_codes),
        (expected.text_codes, expected.image_codes),
        strict=True,
    ):
        away = (own[:30, None] != other[gallery][None]).sum(dim=2)
        assert torch.equal(away.gather(1, ids), away.sort(dim=1).values[:, :6])
    ledger = json.loads((remote.path / "artifact.json").read_text())["depends_on"]
    assert ledger["identity"] == trained.key


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("evaluation.white_box=true", "choose evaluation.white_box=false"),
        ("attack.source=target", "choose attack.source=surrogate or queries"),
        ("target/defence=median", "target.defence=MedianFilter"),
        ("target/adversarial=pgd", "target.adversarial.method=pgd"),
        ("target.method.url=ftp://x", "target.method.url=ftp://x"),
        ("target.method.url=http://key@x", "read from AACH_API_KEY"),
        ("target.method.url='http://x?key=1'", "read from AACH_API_KEY"),
        ("target.method.attempts=0", "target.method.attempts=0"),
        ("target.method.items=0", "target.method.items=0"),
        ("target.method.timeout=0", "target.method.timeout=0"),
    ],
)
def test_what_a_service_cannot_have_is_refused(compose_toy: Callable[..., RunConfig], change: str, said: str) -> None:
    assert compose_toy(*HTTP)
    with pytest.raises(ConfigError) as raised:
        compose_toy(*HTTP, change)
    assert said in str(raised.value)


def test_a_service_made_for_something_else_is_refused(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs
) -> None:
    here = toy_experiment(*HTTP, "target.code_length=16")
    method = here.config.target.method
    assert isinstance(method, HttpConfig)
    about: dict[str, Any] = {**vars(About("x", 16, 32, 16, words_hash(toy_pairs.words))), "most_items": 64}
    check_about(about, here, method)
    check_about({**about, "words_hash": None}, here, method)
    check_about(about, replace(here, pairs=replace(toy_pairs, words=unnamed(16))), method)
    wrong = {"code_length": 32, "image_size": 64, "text_width": 9, "words_hash": "0", "most_items": 15}
    for key, value in wrong.items():
        with pytest.raises(ConfigError) as raised:
            check_about({**about, key: value}, here, method)
        assert str(raised.value).count("\n") == 1, key
    with pytest.raises(ConfigError, match=r"target\.method\.items=15"):
        check_about(wrong, here, method)
