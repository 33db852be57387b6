"""Every listed method trains a target that is attacked and loaded again: a new one is tested by being listed."""

from collections.abc import Callable

import pytest
import torch
from omegaconf import MISSING

from aach_lightning import cli
from aach_lightning.config.method import METHODS
from aach_lightning.data.experiment import Experiment
from aach_lightning.evaluation.result import Result
from aach_lightning.networks.inference import relax_pairs
from aach_lightning.reports.run_folder import RESULT
from aach_lightning.runtime.instantiate import partial_of
from aach_lightning.targets.deployment import ensure_deployed, list_targets, load_target
from aach_lightning.targets.index import CodeIndex
from aach_lightning.targets.method import TargetModule
from aach_lightning.targets.training import NETWORK


def is_trained(name: str) -> bool:
    if METHODS[name]._target_ == MISSING:  # the user's own
        return False
    kind = partial_of({"_target_": METHODS[name]._target_}).func
    return isinstance(kind, type) and issubclass(kind, TargetModule)


TRAINED = [name for name in list_targets() if is_trained(name)]


def test_each_has_a_line_about_it() -> None:
    assert all(len(line) > 20 for line in list_targets().values())
    assert set(list_targets()) - set(TRAINED) == {"checkpoint", "custom", "http"}


@pytest.mark.parametrize("name", TRAINED)
def test_it_is_trained_attacked_and_loaded_again(toy_experiment: Callable[..., Experiment], name: str) -> None:
    overrides = (f"target={name}", "attack.modality=both", "evaluation.white_box=false")
    experiment = toy_experiment(*overrides)
    result = Result.load(cli.finish(experiment).path / RESULT)
    attacked = [row for row in result.rows if row.query == "attack"]
    assert [row.direction for row in attacked] == ["I2T", "T2I"]
    assert result.queries["spent_pairs"] == 30
    assert all(row.linf > 0 for row in attacked)
    again = toy_experiment(*overrides)
    target = ensure_deployed(again)
    assert not target.built
    assert (target.path / NETWORK).is_file()
    loaded, index = load_target(again, target), CodeIndex.load(target.path)
    images, texts = relax_pairs(loaded, again.pairs.batch, again.everything, torch.device("cpu"), "hashed again")
    for relaxed, codes in ((images, index.image_codes), (texts, index.text_codes)):
        sure = relaxed.abs() > 1e-5  # a frozen backbone's features are read once for training, and anew here
        assert torch.equal(relaxed.sign()[sure].to(torch.int8), codes[sure])
