"""Attacks on a defended target, in this process: what is built once, what is built anew, and what changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aach_lightning import cli
from aach_lightning.config.schema import RunConfig

JPEG = ("target/defence=jpeg", "target.defence.quality=20")
RUNS = {
    "plain": (),
    "jpeg": JPEG,
    "jpeg, known": (*JPEG, "attack.knows_defence=true"),
    "none, known": ("attack.knows_defence=true",),
}


@pytest.fixture
def attacked(compose_toy: Callable[..., RunConfig], tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The result of each run, and the deltas of its four attacks."""
    found: dict[str, dict[str, Any]] = {}
    for name, overrides in RUNS.items():
        before = set((tmp_path / "store").glob("attack/*/"))
        cli.attack(compose_toy("attack.epsilon=16", *overrides))
        result = json.loads((tmp_path / "output" / "result.json").read_text())
        made = set((tmp_path / "store").glob("attack/*/")) - before
        deltas: dict[tuple[str, str], Tensor] = {}
        for folder in made:
            depends_on = json.loads((folder / "artifact.json").read_text())["depends_on"]
            source = "own" if (tmp_path / "store" / "surrogate" / depends_on["source"]).exists() else "target"
            deltas[depends_on["modality"], source] = load_file(folder / "delta.safetensors")["delta"]
        found[name] = {
            "result": result,
            "deltas": deltas,
            "rows": {(r["direction"], r["query"]): r for r in result["rows"]},
        }
    return found


def test_a_defence_end_to_end(attacked: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    store = tmp_path / "store"
    built = {stage: len(list(store.glob(f"{stage}/*/"))) for stage in ("target", "defended", "surrogate", "attack")}
    # the surrogate learns from answers, which are others behind a defence, and the same whether it is known
    assert built == {"target": 1, "defended": 1, "surrogate": 2, "attack": 4 * 4}
    assert len(list(store.glob("ledger/*.ledger"))) == 2
    plain, jpeg, known, none = (attacked[name] for name in RUNS)
    for key, row in jpeg["rows"].items():
        if key[1] in ("clean", "noise"):  # nobody has attacked yet
            for name in ("map", "distance", "rms", "psnr"):
                assert row[name] == known["rows"][key][name]
                assert none["rows"][key][name] == plain["rows"][key][name]
    assert jpeg["rows"]["I2T", "noise"]["distance"] != plain["rows"]["I2T", "noise"]["distance"]
    assert jpeg["result"]["queries"]["spent_pairs"] == 30
    assert known["result"]["config"]["attack"]["knows_defence"] is True
    assert jpeg["result"]["config"]["target"]["defence"]["quality"] == 20
    assert set(jpeg["deltas"]) == {(half, source) for half in ("image", "text") for source in ("own", "target")}
    for source in ("own", "target"):
        unaware, aware = jpeg["deltas"]["image", source], known["deltas"]["image", source]
        assert float((unaware != aware).double().mean()) > 0.05
        assert 0 < float(aware.abs().max()) <= 16 / 255 + 1e-6
        # without a defence there is nothing to know
        assert torch.equal(plain["deltas"]["image", source], none["deltas"]["image", source])
    # the target's own gradients, whatever stands in front of it
    assert torch.equal(plain["deltas"]["image", "target"], jpeg["deltas"]["image", "target"])


def test_a_hardened_target_end_to_end(compose_toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    small = ("target.adversarial.epochs=1", "target.adversarial.steps=2", "logger=csv")
    cli.attack(compose_toy("target/adversarial=pgd", *small, "target/defence=median"))
    result = json.loads((tmp_path / "output" / "result.json").read_text())
    assert result["config"]["target"]["adversarial"]["method"] == "pgd"
    assert len(result["rows"]) == 8
    header = (tmp_path / "output" / "curves" / "hardening.csv").read_text().splitlines()[0].split(",")
    assert {"hardening/loss", "hardening/adversarial_loss", "hardening/map"} <= set(header)
    stages = {path.name for path in (tmp_path / "store").iterdir()}
    assert stages >= {"target", "hardened", "defended", "surrogate", "attack", "result"}
