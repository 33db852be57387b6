from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from aach_lightning.attacks.goals import voted_anchors
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError
from aach_lightning.evaluation.protocol import Searched
from aach_lightning.evaluation.targeted import Aim, aims_at_label, choose_aim, targeted_map


def wanted_labels(targets: torch.Tensor, count: int) -> torch.Tensor:
    return torch.eye(count, dtype=torch.uint8)[targets]


def draw(count: int, bits: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, bits), generator=generator, dtype=torch.int8) * 2 - 1


def test_relevance_is_the_wanted_label_and_owners_of_it_are_left_out(naive_map: Callable[..., float]) -> None:
    own = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    wanted = wanted_labels(torch.tensor([1, 2, 0, 0]), 3)
    labels = (torch.rand(25, 3, generator=torch.Generator().manual_seed(4)) < 0.4).to(torch.uint8)
    codes, searched = draw(4, 8, 1), draw(25, 8, 2)
    found = targeted_map(codes, own, wanted, Searched(searched, labels))
    kept = [0, 1, 3]  # the third has label 0 already
    assert found == pytest.approx(naive_map(codes[kept], wanted[kept], searched, labels), abs=1e-9)
    assert found != pytest.approx(naive_map(codes, wanted, searched, labels), abs=1e-9)


def test_a_query_that_is_pulled_onto_its_goal_finds_it_first() -> None:
    searched = torch.cat([torch.ones(5, 8, dtype=torch.int8), -torch.ones(20, 8, dtype=torch.int8)])
    labels = torch.tensor([[1, 0]] * 5 + [[0, 1]] * 20, dtype=torch.uint8)
    own, wanted = torch.tensor([[0, 1]], dtype=torch.uint8), torch.tensor([[1, 0]], dtype=torch.uint8)
    database = Searched(searched, labels)
    assert targeted_map(searched[:1], own, wanted, database) == 1.0
    far = targeted_map(searched[-1:], own, wanted, database)
    assert far == pytest.approx(sum((hit + 1) / (20 + hit + 1) for hit in range(5)) / 5)


def test_there_may_be_nobody_to_pull() -> None:
    own = torch.ones(2, 3, dtype=torch.uint8)
    database = Searched(draw(4, 8, 0), torch.ones(4, 3, dtype=torch.uint8))
    assert targeted_map(draw(2, 8, 1), own, wanted_labels(torch.tensor([0, 1]), 3), database) is None


Choose = Callable[..., Aim | None]
ROWS, KNOWN = np.array([3, 14, 15, 9]), np.arange(20, 50)


@pytest.fixture
def choose(make_experiment: Callable[..., Experiment], toy_pairs: Pairs) -> Choose:
    """An attacker of ROWS who knows the codes of some rows: all of the train part."""

    def chosen(*overrides: str, known: Any = KNOWN, pairs: Pairs = toy_pairs) -> Aim | None:
        split = Split(ROWS, known, known)
        return choose_aim(make_experiment(pairs, split, f"budget.pairs={len(known)}", *overrides))

    return chosen


def test_without_a_target_there_is_no_aim(choose: Choose, toy_config: RunConfig) -> None:
    assert choose() is None
    assert not aims_at_label(toy_config.attack)


def test_a_random_aim_is_another_label(choose: Choose, compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    assert aims_at_label(compose_toy("attack=dhta").attack)
    aim = choose("attack=dhta")
    assert aim is not None
    assert aim.targets is not None
    assert aim.item is None
    assert torch.equal(aim.wanted, wanted_labels(aim.targets, 3))
    assert not bool((aim.wanted & torch.from_numpy(toy_pairs.labels[ROWS])).bool().any())
    known, labels = draw(30, 16, 5), torch.from_numpy(toy_pairs.labels[KNOWN])
    assert torch.equal(aim.codes(known, labels, 0), voted_anchors(aim.targets, known, labels, 0))


def test_a_label_by_name(choose: Choose) -> None:
    aim = choose("attack=dhta", "attack.target_label=green")
    assert aim is not None
    assert aim.wanted.tolist() == [[0, 1, 0]] * 4
    reds = np.setdiff1d(np.arange(0, 60, 3), ROWS)
    with pytest.raises(ConfigError, match=r"attack.target_label=green: .* attacker's 17 pairs have: red$"):
        choose("attack=dhta", "attack.target_label=green", known=reds)
    only = choose("attack=dhta", known=reds)
    assert only is not None
    assert only.wanted.tolist() == [[1, 0, 0]] * 4  # also for what is red: nobody knows another label


def test_an_item_by_name(choose: Choose, compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    by_name = ("attack=dhta", "attack.target_item=pair-41")
    assert not aims_at_label(compose_toy(*by_name).attack)
    aim = choose(*by_name)
    assert aim is not None
    assert (aim.item, aim.targets) == (41, None)
    assert aim.wanted.tolist() == [toy_pairs.labels[41].tolist()] * 4
    code = draw(1, 16, 3)
    assert torch.equal(aim.codes(code, torch.zeros(1, 3), 0), code.repeat(4, 1))
    with pytest.raises(ConfigError, match=r"attack.target_item=nobody: .* pair-0, pair-1, pair-2$"):
        choose("attack=dhta", "attack.target_item=nobody")
    labels = toy_pairs.labels.copy()
    labels[41] = 0
    with pytest.raises(ConfigError, match=r"attack.target_item=pair-41: has no label"):
        choose(*by_name, pairs=replace(toy_pairs, labels=labels))
