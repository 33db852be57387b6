"""Every listed objective attacks: a new one is tested by being listed."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from aach_lightning.attacks.build import attack_space, list_objectives, make_learner, make_objective
from aach_lightning.attacks.items import AttackBatch, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.source import Source, Task, build_bank
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.networks.build import build_network

OWN = ("attack.objective._target_=aach_lightning.attacks.objectives.hag.UndecidedBits",)
OPTIONS = {"custom": (*OWN, "+attack.objective.arguments.threshold=1.2")}
KNOWN = np.arange(20, 60)


@pytest.mark.parametrize("name", list_objectives())
def test_it_is_lowered_within_the_bounds(toy_experiment: Callable[..., Experiment], name: str) -> None:
    options = ("attack.steps=8", *OPTIONS.get(name, ()))
    experiment = toy_experiment(f"attack/objective={name}", *options)
    nets, objective = experiment.config.surrogate, make_objective(experiment.config.attack)
    batch = experiment.pairs.batch([0, 3, 7, 11])
    goals = torch.randint(0, 2, (4, 16), generator=torch.Generator().manual_seed(1), dtype=torch.int8) * 2 - 1
    for modality in Modality:
        source = Source("attack", build_network(nets.image_net, nets.text_net, 16, 32, 16, 7).eval(), "", KNOWN)
        task = Task(source.network, build_bank(experiment, source, modality, objective), objective, modality)
        module = AttackModule(task, make_learner(experiment, modality))
        delta = module.predict_step(AttackBatch(batch, ItemCodes(goals=goals)), 0)
        space = attack_space(experiment, modality)
        assert 0 < float(delta.abs().max()) <= space.epsilon + 1e-6
        changed = modality.of(batch) + delta
        assert space.low <= float(changed.min()) <= float(changed.max()) <= space.high
        assert module.recorded is not None
        assert module.recorded[1:].min() < module.recorded[0]


def test_each_has_a_line_about_it() -> None:
    assert all(len(line) > 20 for line in list_objectives().values())
