"""What holds for every search: bounds, counts at the real door, order, early ends, and more damage than noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aach_lightning.attacks.search.nes import NES, estimate_gradient
from aach_lightning.attacks.search.problem import Found, Problem, Search
from aach_lightning.attacks.search.sign_hunter import SignHunter
from aach_lightning.attacks.search.square import SquareAttack
from aach_lightning.data.modality import Modality
from aach_lightning.perturbations.space import Space
from aach_lightning.targets.blackbox import BlackBox
from tests.attacks.search.conftest import LinearTarget

SEARCHES: dict[str, Search] = {
    "nes": NES(samples=20, sigma=0.5, step_size=0.3, momentum=0.5),
    "square": SquareAttack(0.3, False),
    "sign_hunter": SignHunter(),
}
MODALITIES = [Modality.image, Modality.text]


@pytest.fixture(params=SEARCHES)
def search(request: pytest.FixtureRequest) -> Search:
    return SEARCHES[request.param]


def distances(target: Any, problem: Problem, delta: Tensor) -> Tensor:
    """Computed anew, on what a target is shown."""
    changed = problem.clean + delta
    if changed.ndim == 4:
        changed = (changed * 255).round() / 255
    return (target.hash_images(changed) != target.hash_images(problem.clean)).sum(dim=1)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deltas_stay_within_their_bounds_and_scores_are_what_is_measured(
    make_problem: Callable[..., Problem], target: Any, search: Search, norm: str, modality: str
) -> None:
    problem = make_problem(modality, 200, 8 / 255 if norm == "linf" else 1.0, norm)
    found = search(problem)
    changed = problem.clean + found.delta
    assert float(changed.min()) >= -1e-6
    assert float(changed.max()) <= 1 + 1e-6
    sizes = found.delta.flatten(1).norm(dim=1) if norm == "l2" else found.delta.flatten(1).abs().amax(dim=1)
    assert float(sizes.max()) <= problem.space.epsilon * (1 + 1e-5)
    assert float(sizes.min()) > 0
    assert torch.equal(found.distance, distances(target, problem, found.delta))


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_door_counts_the_same_and_a_second_time_costs_nothing(
    make_problem: Callable[..., Problem], target: Any, search: Search, modality: str, tmp_path: Path
) -> None:
    def look() -> tuple[Found, BlackBox]:
        door = BlackBox(target, 32, 5 * 90, tmp_path / "ledger", identity="target", run="search")
        codes = door.query_images if modality == Modality.image else door.query_texts
        return search(make_problem(modality, 90, codes=codes)), door

    first, door = look()
    assert int(first.queries.sum()) == door.spent == door.paid == target.sent
    assert int(first.queries.max()) <= 90
    assert int(first.queries.sum()) > 5 * 30
    again, door = look()
    assert torch.equal(again.delta, first.delta)
    assert torch.equal(again.queries, first.queries)
    assert int(first.queries.sum()) == door.spent == target.sent


def test_what_is_sent_are_8_bit_images(make_problem: Callable[..., Problem], target: Any, search: Search) -> None:
    search(make_problem())
    for images in target.batches:
        assert images.dtype == torch.float32
        assert torch.equal((images * 255).round() / 255, images)
        assert 0 <= float(images.min()) <= float(images.max()) <= 1


@pytest.mark.parametrize("modality", MODALITIES)
def test_neither_order_nor_batches_matter(make_problem: Callable[..., Problem], search: Search, modality: str) -> None:
    whole = make_problem(modality, 120)
    found = search(whole)

    def part(rows: list[int]) -> Found:
        return search(Problem(whole.codes, whole.clean[rows], whole.ids[rows], whole.space, whole.limit, whole.seed))

    for rows in ([4, 2, 0, 1, 3], [1], [3, 0]):
        again = part(rows)
        assert torch.equal(again.delta, found.delta[rows])
        assert torch.equal(again.distance, found.distance[rows])
        assert torch.equal(again.queries, found.queries[rows])


def test_clean_items_are_left_as_they_were(make_problem: Callable[..., Problem], search: Search) -> None:
    problem = make_problem()
    before = problem.clean.clone()
    search(problem)
    assert torch.equal(problem.clean, before)


@pytest.mark.parametrize("name", ["square", "sign_hunter"])
def test_an_item_whose_code_is_all_changed_asks_no_more(make_problem: Callable[..., Problem], name: str) -> None:
    """Every change of an item changes all bits of its code, and so does the first."""
    easy, asked = make_problem(), []

    def codes(images: Tensor) -> Tensor:
        asked.append(len(images))
        levels = (images * 255).round().flatten(1)
        clean = torch.cdist(levels, (easy.clean * 255).round().flatten(1)).amin(dim=1) < 0.5
        return torch.where(clean[:, None], -1, 1).expand(-1, 4).to(torch.int8)

    found = SEARCHES[name](make_problem(limit=300, codes=codes))
    assert found.distance.tolist() == [4] * 5
    assert found.queries.tolist() == [2] * 5
    assert asked == [5, 5]


@pytest.mark.parametrize("modality", MODALITIES)
def test_with_many_queries_codes_move_farther_than_by_noise(
    make_problem: Callable[..., Problem], search: Search, modality: str
) -> None:
    target = LinearTarget(64)
    problem = make_problem(modality, 2500, 3 / 255 if modality == Modality.image else 0.06, codes=target.hash_images)
    found = search(problem)
    generator = torch.Generator().manual_seed(5)
    noise = []
    for _ in range(50):
        signs = torch.randint(0, 2, problem.clean.shape, generator=generator).float() * 2 - 1
        noise.append(distances(target, problem, problem.space.sign_noise(problem.clean, signs)))
    of_noise = torch.stack(noise).double().mean(dim=0)
    assert bool((found.distance > 1.5 * of_noise).all())
    assert float(found.distance.double().mean()) > 2 * float(of_noise.mean())


def test_a_search_that_has_tried_everything_ends(make_problem: Callable[..., Problem]) -> None:
    """Two entries, of which one is at the rim: four deltas there are."""
    asked = []

    def codes(texts: Tensor) -> Tensor:
        asked.extend(texts.tolist())
        return torch.where(texts >= 0.5, 1, -1).to(torch.int8)

    space = Space(0.1, "linf", 0.0, 1.0)
    for search in (SquareAttack(0.5, False), SignHunter()):
        asked.clear()
        problem = Problem(codes, torch.tensor([[0.0, 0.55]]), torch.tensor([0]), space, 5000, 0)
        found = search(problem)
        assert len(asked) == int(found.queries) <= 5
        assert int(found.distance) == 1
        assert float(found.delta[0, 1]) == pytest.approx(-0.1)


def test_probes_that_rounding_undoes_cost_nothing(make_problem: Callable[..., Problem]) -> None:
    found = NES(samples=10, sigma=1e-4, step_size=0.5, momentum=0.0)(make_problem(limit=100))
    assert found.queries.tolist() == [1] * 5
    assert not found.delta.any()


@pytest.mark.parametrize("shape", [(40,), (3, 6, 5)])
def test_the_estimate_is_the_gradient_of_a_smooth_score(shape: tuple[int, ...]) -> None:
    """Score sum_j tanh(w_j.x), whose gradient is sum_j (1 - tanh^2) w_j; the error is that of the mean of the draws."""
    generator = torch.Generator().manual_seed(0)
    entries = int(torch.tensor(shape).prod())
    weights = torch.randn(4, entries, generator=generator, dtype=torch.float64) / entries**0.5
    at = torch.randn(2, *shape, generator=generator, dtype=torch.float64)

    def score(points: Tensor) -> Tensor:
        return torch.tanh(points.flatten(1) @ weights.T).sum(dim=1)

    gradient = ((1 - torch.tanh(at.flatten(1) @ weights.T) ** 2) @ weights).view_as(at)
    pairs = 20_000
    draws = (torch.randn(2, *shape, generator=generator, dtype=torch.float64) for _ in range(pairs))
    estimate = estimate_gradient(score, at, draws, sigma=1e-3)
    # each entry's estimate has variance (|g|^2 + g_i^2) / pairs
    error = ((gradient.flatten(1).square().sum(dim=1, keepdim=True) + gradient.flatten(1).square()) / pairs).sqrt()
    z = (estimate - gradient).flatten(1) / error
    assert float(z.abs().max()) < 4.5
    assert 0.8 < float(z.square().mean()) < 1.25


def test_too_few_queries_are_refused(make_problem: Callable[..., Problem]) -> None:
    with pytest.raises(ValueError, match="got 1"):
        make_problem(limit=1)
