from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aach_lightning.retrieval.directions import Direction, PairCodes, histograms_by_direction

Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


def test_each_direction_takes_its_own_codes(draw_retrieval: Callable[..., Retrieval]) -> None:
    image_queries, query_labels, image_codes, labels = draw_retrieval(3, 30, seed=0)
    text_queries, _, text_codes, _ = draw_retrieval(3, 30, seed=1)
    queries = PairCodes(image_queries, text_queries, query_labels)
    database = PairCodes(image_codes, text_codes, labels)
    sides = {
        "I->T": (image_queries, text_codes),
        "T->I": (text_queries, image_codes),
        "I->I": (image_queries, image_codes),
        "T->T": (text_queries, text_codes),
    }
    hit = (query_labels.int() @ labels.int().T) > 0
    results = histograms_by_direction(queries, database)
    assert set(results) == set(sides)
    for name, (query_codes, codes) in sides.items():
        distance = (query_codes.unsqueeze(1) != codes).sum(2)
        items, relevant = results[Direction(name)]
        for d in range(13):
            assert torch.equal(items[:, d], (distance == d).sum(1))
            assert torch.equal(relevant[:, d], ((distance == d) & hit).sum(1))


def test_only_the_directions_asked_for(draw_retrieval: Callable[..., Retrieval]) -> None:
    codes, labels, _, _ = draw_retrieval(3, 1)
    pairs = PairCodes(codes, codes, labels)
    assert list(histograms_by_direction(pairs, pairs, [Direction.TEXT_TO_IMAGE])) == [Direction.TEXT_TO_IMAGE]


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 8\), \(3, 9\), \(3, 2\)"):
        PairCodes(torch.ones(3, 8), torch.ones(3, 9), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"\(3, 8\), \(3, 8\), \(2, 2\)"):
        PairCodes(torch.ones(3, 8), torch.ones(3, 8), torch.ones(2, 2))
    eight, nine = (PairCodes(torch.ones(3, k), torch.ones(3, k), torch.ones(3, 2)) for k in (8, 9))
    with pytest.raises(ValueError, match="query codes have 8 bits, database codes 9"):
        histograms_by_direction(eight, nine)
    with pytest.raises(ValueError, match="no database items"):
        histograms_by_direction(eight, PairCodes(torch.ones(0, 8), torch.ones(0, 8), torch.ones(0, 2)))
