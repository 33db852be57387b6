import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from aach_lightning.mining.lists import list_distances
from aach_lightning.surrogates.estimation import estimate_codes

QUERIED, GALLERY, BITS = 60, 80, 12


def world(noise: float) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Codes of queried and gallery pairs, whose two halves differ in a share of the bits."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(4, BITS, generator=generator)
    codes = {}
    for name, count in (("queried", QUERIED), ("gallery", GALLERY)):
        pair = (torch.randn(count, 4, generator=generator) @ directions).sign()
        for half in ("image", "text"):
            flips = torch.rand(count, BITS, generator=generator) < noise
            codes[f"{name} {half}"] = torch.where(flips, -pair, pair)

    def lists(half: str, other: str) -> Tensor:
        away = (BITS - codes[f"queried {half}"] @ codes[f"gallery {other}"].T) / 2
        return (away + torch.rand(away.shape, generator=generator) * 0.5).argsort(dim=1)

    return codes, lists("image", "text"), lists("text", "image")


def estimated(images: Tensor, texts: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    distances = [list_distances(part, GALLERY, BITS) for part in (images, texts)]
    return estimate_codes(images, texts, *distances, bits=BITS, seed=seed)  # type: ignore[misc]


def agreement(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """Spearman of the image-text distances of two sets of codes."""
    found, true = (-(images.double() @ texts.double().T).numpy().ravel() for images, texts in (first, second))
    return float(spearmanr(found, true).statistic)


@pytest.mark.parametrize(("length", "noise", "least"), [(GALLERY, 0.0, 0.9), (GALLERY, 0.1, 0.75), (12, 0.05, 0.6)])
def test_distances_between_queried_items_come_back(length: int, noise: float, least: float) -> None:
    codes, images, texts = world(noise)
    found = estimated(images[:, :length], texts[:, :length])
    for part in found:
        assert part.dtype == torch.int8
        assert part.shape == (QUERIED + GALLERY, BITS)
        assert set(part.unique().tolist()) == {-1, 1}
    assert torch.equal(found[0][QUERIED:], found[1][QUERIED:])
    queried = (found[0][:QUERIED], found[1][:QUERIED])
    assert agreement(queried, (codes["queried image"], codes["queried text"])) > least
    known = (found[0][:QUERIED], found[1][QUERIED:])
    assert agreement(known, (codes["queried image"], codes["gallery text"])) > least


def test_lists_that_say_nothing_give_nothing() -> None:
    codes, images, texts = world(0.0)
    generator = np.random.default_rng(0)
    mixed = [torch.from_numpy(generator.permuted(part.numpy(), axis=1)) for part in (images, texts)]
    found = estimated(mixed[0], mixed[1])
    queried = (found[0][:QUERIED], found[1][:QUERIED])
    assert abs(agreement(queried, (codes["queried image"], codes["queried text"]))) < 0.1


def test_it_follows_from_the_lists_and_the_seed() -> None:
    _, images, texts = world(0.1)
    first = estimated(images, texts)
    torch.manual_seed(7)
    again, other = estimated(images, texts), estimated(images, texts, seed=1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
