"""Each search against a loop over one item, in numpy, written from the paper; images are whole levels 0..255 there."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aach_lightning.attacks.search.nes import NES
from aach_lightning.attacks.search.problem import Problem
from aach_lightning.attacks.search.sign_hunter import SignHunter
from aach_lightning.attacks.search.square import SquareAttack
from aach_lightning.runtime.seeding import torch_generator
from tests.attacks.search.conftest import LinearTarget, middle

Array = NDArray[np.float64]


@dataclass
class PlainItem:
    """One item and its score; everything is in units of levels for images, of entries for texts."""

    clean: Array
    weights: Array
    middle: Array
    unit: float  # what 1 of the network's input is
    epsilon: float
    limit: int
    asked: set[bytes] = field(default_factory=set)
    highest: int = 0

    def __post_init__(self) -> None:
        self.own_code = self.code(self.clean)

    def code(self, changed: Array) -> NDArray[np.bool_]:
        if self.unit == 255:
            changed = np.rint(changed)
        self.asked.add(changed.tobytes())
        bits: NDArray[np.bool_] = (changed / self.unit - self.middle).ravel() @ self.weights >= 0
        return bits

    def score(self, delta: Array) -> int:
        found = int((self.code(self.inside(self.clean + delta)) != self.own_code).sum())
        self.highest = max(self.highest, found)
        return found

    def inside(self, changed: Array) -> Array:
        return np.minimum(np.maximum(changed, 0), self.unit)

    def project(self, delta: Array) -> Array:
        return self.inside(self.clean + np.clip(delta, -self.epsilon, self.epsilon)) - self.clean


def signs(shape: tuple[int, ...], generator: torch.Generator) -> Array:
    return torch.randint(0, 2, shape, generator=generator).double().numpy() * 2 - 1


def plain_square(item: PlainItem, generator: torch.Generator, p: float, wander: bool) -> tuple[Array, int]:
    shape = item.clean.shape
    image = len(shape) == 3
    if image:
        delta = np.broadcast_to(item.epsilon * signs((3, 1, shape[2]), generator), shape).copy()
    else:
        delta = item.epsilon * signs(shape, generator)
    best = item.score(delta)
    bits = len(item.own_code)
    iterations = item.limit - 1
    for iteration in range(iterations - 1):
        if best == bits:
            break
        done = int(iteration / iterations * 10000)
        halvings = sum(done > bound for bound in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
        fraction = p / 2**halvings
        side = round(math.sqrt(fraction * shape[1] * shape[2])) if image else round(fraction * shape[0])
        side = max(side, 1)
        new = delta.copy()
        if image:
            top = int(torch.randint(shape[1] - side + 1, (1,), generator=generator))
            left = int(torch.randint(shape[2] - side + 1, (1,), generator=generator))
            while np.array_equal(item.inside(item.clean + new), item.inside(item.clean + delta)):
                colours = signs((3, 1, 1), generator)
                for channel in range(3):
                    new[channel, top : top + side, left : left + side] = item.epsilon * colours[channel, 0, 0]
        else:
            start = int(torch.randint(shape[0] - side + 1, (1,), generator=generator))
            while np.array_equal(item.inside(item.clean + new), item.inside(item.clean + delta)):
                new[start : start + side] = item.epsilon * signs((1,), generator)[0]
        score = item.score(new)
        if score > best or (wander and score == best):
            delta, best = new, score
    return item.project(delta), best


def plain_sign_hunter(item: PlainItem, generator: torch.Generator) -> tuple[Array, int]:
    n = item.clean.size
    bits = np.ones(n)
    best = item.score(item.epsilon * bits.reshape(item.clean.shape))
    h = i = 0
    for _ in range(item.limit - 2):
        if best == len(item.own_code):
            break
        length = math.ceil(n / 2**h)
        first, last = i * length, min((i + 1) * length, n)
        bits[first:last] *= -1
        score = item.score(item.epsilon * bits.reshape(item.clean.shape))
        if score >= best:
            best = score
        else:
            bits[first:last] *= -1
        i += 1
        if i == 2**h or last == n:
            i, h = 0, h + 1
            if h == math.ceil(math.log2(n)) + 1:
                h = 0
    return item.project(item.epsilon * bits.reshape(item.clean.shape)), best


def plain_nes(
    item: PlainItem, generator: torch.Generator, samples: int, sigma: float, step_size: float, momentum: float
) -> tuple[Array, int]:
    current = np.zeros_like(item.clean)
    past = np.zeros_like(item.clean)
    kept, best = current, 0
    left = item.limit - 1
    while best < len(item.own_code):
        pairs = min(samples // 2, (left - 1) // 2)
        if pairs < 1:
            break
        g = np.zeros_like(item.clean)
        for _ in range(pairs):
            u = torch.randn(item.clean.shape, generator=generator).double().numpy()
            g += item.score(current + sigma * item.epsilon * u) * u
            g -= item.score(current - sigma * item.epsilon * u) * u
        past = momentum * past + (1 - momentum) * g / (2 * pairs * sigma * item.epsilon / item.unit)
        current = item.project(current + step_size * item.epsilon * np.sign(past))
        score = item.score(current)
        if score >= best:
            kept, best = current, score
        left -= 2 * pairs + 1
    return kept, best


CASES: dict[str, tuple[Any, Callable[..., tuple[Array, int]], dict[str, float]]] = {
    "square": (SquareAttack, plain_square, {"p": 0.3, "wander": False}),
    "wandering square": (SquareAttack, plain_square, {"p": 0.3, "wander": True}),
    "sign_hunter": (SignHunter, plain_sign_hunter, {}),
    "nes": (NES, plain_nes, {"samples": 10, "sigma": 0.5, "step_size": 0.3, "momentum": 0.5}),
}


@pytest.fixture(params=[1, 32])
def target(request: pytest.FixtureRequest) -> Any:
    """A code of one bit is soon changed, for some items."""
    return LinearTarget(request.param, seed=2)


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("limit", [2, 3, 4, 5, 75, 400])
@pytest.mark.parametrize("name", CASES)
def test_every_item_ends_where_the_plain_loop_ends(
    make_problem: Callable[..., Problem], target: Any, name: str, limit: int, modality: str
) -> None:
    search, plain, parameters = CASES[name]
    problem = make_problem(modality, limit)
    found = search(*parameters.values())(problem)
    unit = 255 if modality == "image" else 1
    weights = (target.of_images if modality == "image" else target.of_texts).numpy()
    for number, identity in enumerate(problem.ids.tolist()):
        clean = np.rint(problem.clean[number].double().numpy() * unit)
        centre = middle(clean.shape).double().numpy()
        epsilon = round(problem.space.epsilon * unit, 9)
        item = PlainItem(clean, weights, centre, unit, epsilon, limit)
        word = "nes" if name == "nes" else "square"
        delta, best = plain(item, torch_generator(problem.seed, word, identity), **parameters)
        assert int(found.distance[number]) == best
        np.testing.assert_allclose(found.delta[number].double().numpy() * unit, delta, atol=1e-6 * unit)
        assert int(found.queries[number]) == len(item.asked) <= limit
        if name != "nes":
            assert best == item.highest  # what was scored higher is never given up
    assert found.delta.dtype == torch.float32


def test_the_cases_are_no_triviality(make_problem: Callable[..., Problem], target: Any) -> None:
    """Some items reach K = 1, none K = 32; and the searches end at different deltas."""
    problem = make_problem("text", limit=400)
    ends = {name: search(*parameters.values())(problem) for name, (search, _, parameters) in CASES.items()}
    for found in ends.values():
        if target.code_length == 1:
            assert bool(((found.distance == 1) & (found.queries < 30)).any())
        else:
            assert 6 < int(found.distance.max()) < 32
    assert not torch.equal(ends["square"].delta, ends["sign_hunter"].delta)
