"""Runs killed while a universal delta is learned, and while texts are edited, end as a run that was never killed."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.resume.test_killed_runs import Campaign, campaign

UNIVERSAL = ("attack=universal", "attack.modality=image")
EDITS = ("attack=aach_edits", "attack.modality=text")
MOMENTS: dict[tuple[str, ...], tuple[tuple[str | None, int], ...]] = {
    UNIVERSAL: (
        (r"open universal/.*\.last\.ckpt", 1),
        (r"os.rename universal/.*/last\.ckpt", 1),
        (r"open universal/.*\.last\.ckpt", 2),  # one pass more each time
        (r"os.rename universal/.*/delta", 1),
        (r"os.rename universal/[0-9a-f]{32}$", 1),
        (None, 0),
    ),
    EDITS: (
        (r"open attack/.*\.batch-00001", 1),
        (r"os.remove attack/.*/batch-00001", 1),
        (r"os.rename result/.*/words\.json", 1),
        (None, 0),
    ),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module", params=[UNIVERSAL, EDITS], ids=["universal", "edits"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Campaign, Campaign]:
    """A campaign with kills and one without."""
    folder, form = tmp_path_factory.mktemp("forms"), request.param
    return (
        campaign(folder / "killed", folder / "cache", MOMENTS[form], form),
        campaign(folder / "unkilled", folder / "cache", ((None, 0),), form),
    )


def test_each_kill_hit_the_moment_that_was_meant(both: tuple[Campaign, Campaign]) -> None:
    kills = len(both[0].statuses) - 1
    errors = (both[0].folder / f"{kills}.errors").read_text()
    assert both[0].statuses == [-signal.SIGKILL] * kills + [0], errors


def test_it_ends_with_the_same_bits(both: tuple[Campaign, Campaign]) -> None:
    killed, unkilled = both
    assert unkilled.statuses == [0]
    assert killed.results == unkilled.results
    assert len(killed.results) == 1
    assert len(unkilled.tensors) == 5
    assert killed.tensors == unkilled.tensors


def test_nothing_half_written_is_left(both: tuple[Campaign, Campaign]) -> None:
    names = [path.name for path in both[0].store.rglob("*")]
    assert not [name for name in names if name.endswith((".building", ".part", ".ckpt"))]
    told: list[Path] = sorted(both[0].folder.glob("*/words.json"))
    assert all(len(json.loads(path.read_text())) == 12 for path in told)
