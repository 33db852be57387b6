from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.perturbations.edits import WordEdits, random_edits

WORDS, BITS = 14, 8
Hash = Callable[[Tensor], Tensor]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(WORDS, 24), nn.ReLU(), nn.Linear(24, BITS), nn.Tanh()).requires_grad_(False)


@pytest.fixture
def texts() -> Tensor:
    texts = (torch.rand(6, WORDS, generator=torch.Generator().manual_seed(2)) < 0.3).float()
    texts[:, 4] = 1
    return texts


@pytest.fixture
def goals() -> Tensor:
    return torch.randn(6, BITS, generator=torch.Generator().manual_seed(3)).sign()


def towards(goals: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda hashed, delta: (hashed - goals).square().sum(dim=1)


def edit_texts(
    hashing: Hash, loss: Callable[[Tensor, Tensor], Tensor], texts: Tensor, edits: int, candidates: int, removable: bool
) -> Tensor:
    return texts + WordEdits(edits, candidates, removable)(hashing, loss, texts, torch.arange(len(texts)))[0]


def value(network: Hash, goal: Tensor, text: Tensor) -> float:
    return float((network(text[None])[0] - goal).square().sum())


def changed(clean: Tensor, edited: Tensor) -> Tensor:
    return ((clean > 0) != (edited > 0)).sum(dim=1)


def best_flip(network: Hash, goal: Tensor, clean: Tensor, text: Tensor, removable: bool) -> Tensor:
    """The best single change by trying all of them."""
    trials = [text]
    for word in range(WORDS):
        trial = text.clone()
        trial[word] = float(text[word] == 0)
        adds = text[word] == 0
        if text[word] == clean[word] and (adds or (removable and int((text > 0).sum()) > 1)):
            trials.append(trial)
    return min(trials, key=lambda trial: value(network, goal, trial))


@pytest.mark.parametrize("removable", [True, False])
def test_with_every_word_as_a_candidate_each_step_is_the_best_one(
    network: nn.Module, texts: Tensor, goals: Tensor, removable: bool
) -> None:
    for edits in (1, 3):
        found = edit_texts(network, towards(goals), texts, edits, WORDS, removable)
        for item in range(len(texts)):
            expected = texts[item]
            for _ in range(edits):
                expected = best_flip(network, goals[item], texts[item], expected, removable)
            assert torch.equal(found[item], expected)
        assert bool((found - texts).any())
        assert removable or bool((found >= texts).all())


def test_the_first_order_finds_the_best_pair_of_words_of_a_linear_loss() -> None:
    """Where the loss is linear in the words one candidate is enough, and greedy is as good as trying all pairs."""
    weights = torch.randn(WORDS, generator=torch.Generator().manual_seed(0))
    texts = (torch.rand(5, WORDS, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    found = edit_texts(lambda x: x @ weights[:, None], lambda hashed, delta: hashed[:, 0], texts, 2, 1, True)
    for text, edited in zip(texts, found, strict=True):
        best = float("inf")
        for pair in combinations(range(WORDS), 2):
            trial = text.clone()
            trial[list(pair)] = 1 - trial[list(pair)]
            best = min(best, float(trial @ weights))
        assert float(edited @ weights) == pytest.approx(best, abs=1e-5)


def test_edits_are_few_whole_and_never_worse(network: nn.Module, texts: Tensor, goals: Tensor) -> None:
    before = towards(goals)(network(texts), torch.zeros_like(texts))
    last = before
    for edits in range(5):
        found = edit_texts(network, towards(goals), texts, edits, 4, True)
        assert int(changed(texts, found).max()) <= edits
        assert set(found.unique().tolist()) <= {0.0, 1.0}
        now = towards(goals)(network(found), found - texts)
        assert bool((now <= last).all())
        last = now
    assert bool((last < before).all())


def test_no_item_sees_its_batch(network: nn.Module, texts: Tensor, goals: Tensor) -> None:
    together = edit_texts(network, towards(goals), texts, 3, 5, True)
    for item in range(len(texts)):
        one = slice(item, item + 1)
        assert torch.equal(edit_texts(network, towards(goals[one]), texts[one], 3, 5, True), together[one])
    # one that nothing improves leaves the others alone
    stuck = goals.clone()
    stuck[0] = network(texts[:1])[0]
    found = edit_texts(network, towards(stuck), texts, 3, 5, True)
    assert torch.equal(found[0], texts[0])
    assert torch.equal(found[1:], together[1:])


def test_a_text_keeps_a_word(network: nn.Module) -> None:
    """A loss that wants all words gone."""
    texts = torch.eye(WORDS)[:4]
    texts[1, 5] = texts[2, 6] = texts[2, 7] = 1
    for found in (
        edit_texts(lambda x: x, lambda hashed, delta: hashed.sum(dim=1), texts, 5, 3, True),
        random_edits(texts, torch.arange(4), 5, True, seed=1),
    ):
        assert bool((found.sum(dim=1) >= 1).all())
    found = edit_texts(lambda x: x, lambda hashed, delta: hashed.sum(dim=1), texts, 5, 3, True)
    assert found.sum(dim=1).tolist() == [1, 1, 1, 1]


def test_a_word_that_occurs_often_is_removed_whole_and_an_added_one_occurs_once() -> None:
    weights = torch.tensor([[0.1], [-3.0], [0.4]])
    texts = torch.tensor([[0.0, 0.0, 7.0], [5.0, 2.0, 0.0]])
    found = edit_texts(lambda x: x @ weights, lambda hashed, delta: hashed[:, 0], texts, 2, 3, True)
    # 7 x 0.4 is less than 3, so the word is added first; then the text may lose its other one
    assert found.tolist() == [[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]]


def test_the_change_itself_reaches_the_loss(texts: Tensor) -> None:
    """A loss that punishes change more than it gains."""
    found = edit_texts(lambda x: x, lambda hashed, delta: hashed.sum(1) + 2 * delta.abs().sum(1), texts, 3, 4, True)
    assert torch.equal(found, texts)


def test_random_edits_are_many_as_allowed_and_depend_on_the_id_alone() -> None:
    texts = (torch.rand(40, 30, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    texts[:, 0] = 1
    ids = torch.arange(40) + 100
    found = random_edits(texts, ids, 3, True, seed=4)
    assert changed(texts, found).tolist() == [3] * 40
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(random_edits(texts[7:8], ids[7:8], 3, True, seed=4), found[7:8])
    assert not torch.equal(random_edits(texts, ids, 3, True, seed=5), found)
    removed = ((texts > 0) & (found == 0)).sum()
    assert 0.3 < float(removed) / 120 < 0.7
    added = random_edits(texts, ids, 3, False, seed=4)
    assert bool((added >= texts).all())
    assert changed(texts, added).tolist() == [3] * 40
