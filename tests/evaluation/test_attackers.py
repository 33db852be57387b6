from collections.abc import Callable

import pytest
import torch

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.attackers import GradientAttacker, find_attackers, needed_surrogate
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime.store import Artifact
from aach_lightning.surrogates.training import ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.access import open_target
from aach_lightning.targets.blackbox import BlackBox
from aach_lightning.targets.deployment import load_target
from aach_lightning.targets.training import ensure_target

Found = tuple[list[GradientAttacker], list[HashingNetwork]]


def attackers_of(experiment: Experiment, target: Artifact, door: BlackBox) -> list[GradientAttacker]:
    surrogate = needed_surrogate(experiment, target, door)
    found = find_attackers(experiment, target, door, surrogate, None)
    return [attacker for attacker in found if isinstance(attacker, GradientAttacker)]


@pytest.fixture
def found(toy_experiment: Callable[..., Experiment]) -> Callable[..., Found]:
    """Attackers of a configuration, and the networks that they should attack with."""

    def find(*overrides: str) -> Found:
        experiment = toy_experiment(*overrides)
        target = ensure_target(experiment)
        door, _ = open_target(experiment, target)
        attackers = attackers_of(experiment, target, door)
        surrogate = ensure_surrogate(experiment, target, door)
        rows = load_answers(surrogate).rows
        assert all(attacker.source.rows.tolist() == rows.tolist() for attacker in attackers)
        assert [attacker.pairs for attacker in attackers] == [door.spent_pairs, 0]
        networks = [load_surrogate(experiment, surrogate), load_target(experiment, target)]
        return attackers, networks

    return find


def test_a_black_box_attacker_and_its_bound(found: Callable[..., Found]) -> None:
    (attack, bound), _ = found("budget.selection=coverage")
    assert (attack.query, attack.needs, attack.labels, attack.pairs) == ("attack", "codes", False, 30)
    assert (bound.query, bound.needs, bound.labels, bound.source.answers) == ("white_box", "weights", False, None)
    assert attack.source.answers is not None


@pytest.mark.parametrize(("answer", "needs"), [("ranks", "ranks"), ("topk", "top k")])
def test_an_attacker_that_gets_lists_has_no_codes(found: Callable[..., Found], answer: str, needs: str) -> None:
    (attack, bound), _ = found(f"answer={answer}", "answer.gallery=20", "answer.k=5")
    assert (attack.needs, attack.labels, attack.pairs) == (needs, False, 30)
    assert (bound.needs, bound.pairs) == ("weights", 0)


def test_what_learned_from_labels_needs_nothing_of_the_target(found: Callable[..., Found]) -> None:
    (attack, bound), _ = found("surrogate.learns_from=labels", "surrogate.quantisation=sign")
    assert (attack.needs, attack.labels, attack.pairs, attack.source.answers) == ("nothing", True, 0, None)
    assert (bound.needs, bound.labels) == ("weights", False)


@pytest.mark.parametrize("slope", [1.0, 0.25])
def test_the_slope_is_that_of_the_attack_and_not_of_its_bound(
    found: Callable[..., Found], toy_pairs: Pairs, slope: float
) -> None:
    attackers, networks = found(f"attack.gradient.slope={slope}", "surrogate.seeds=2")
    assert (attackers[1].source.key == attackers[1].source.key.split()[0]) is (slope == 1)
    batch = toy_pairs.batch(range(8))
    with torch.no_grad():
        for attacker, network, wanted in zip(attackers, networks, (slope, 1.0), strict=True):
            for hashed, plain in zip(
                attacker.source.network(batch.images, batch.texts), network(batch.images, batch.texts), strict=True
            ):
                torch.testing.assert_close(hashed, torch.tanh(wanted * torch.atanh(plain)), atol=1e-5, rtol=1e-4)


def test_an_attack_with_the_targets_weights_gets_the_slope(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs
) -> None:
    here = toy_experiment("attack.source=target", "attack.gradient.slope=0.25")
    target = ensure_target(here)
    (attack,) = attackers_of(here, target, open_target(here, target)[0])
    assert (attack.query, attack.needs, attack.source.key) == ("attack", "weights", target.key)
    images = toy_pairs.batch(range(8)).images
    with torch.no_grad():
        hashed, plain = (net.hash_images(images) for net in (attack.source.network, load_target(here, target)))
    torch.testing.assert_close(hashed, torch.tanh(0.25 * torch.atanh(plain)), atol=1e-5, rtol=1e-4)
