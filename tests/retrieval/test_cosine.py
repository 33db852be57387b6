import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.retrieval import cosine_mean_average_precision, mean_average_precision


def naive_map(queries: Tensor, query_labels: Tensor, database: Tensor, labels: Tensor) -> float:
    """One query after the other, one rank after the other; no ties."""
    values = []
    for vector, own in zip(queries.tolist(), query_labels.tolist(), strict=True):
        ranked = sorted(
            (
                (
                    -sum(a * b for a, b in zip(vector, other, strict=True))
                    / (math.hypot(*vector) * math.hypot(*other)),
                    any(a and b for a, b in zip(own, item, strict=True)),
                )
                for other, item in zip(database.tolist(), labels.tolist(), strict=True)
            ),
            key=lambda pair: pair[0],
        )
        found = [place for place, (_, relevant) in enumerate(ranked, 1) if relevant]
        if found:
            values.append(sum(number / place for number, place in enumerate(found, 1)) / len(found))
    return sum(values) / len(values)


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)

    def labels(rows: int) -> NDArray[np.int64]:
        return (rng.random((rows, 4)) < 0.3).astype(np.int64)

    parts = (rng.normal(size=(7, 5)), labels(7), rng.normal(size=(40, 5)) * 3, labels(40))
    vectors, own, database, others = (torch.from_numpy(part) for part in parts)
    return vectors, own, database, others


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_a_naive_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn(seed)
    assert cosine_mean_average_precision(*inputs) == pytest.approx(naive_map(*inputs), abs=1e-12)
    monkeypatch.setattr("aach_lightning.retrieval.cosine._ENTRIES", 80)  # two queries at once
    assert cosine_mean_average_precision(*inputs) == pytest.approx(naive_map(*inputs), abs=1e-12)


def test_ties_count_as_the_mean_over_their_orders() -> None:
    queries, database = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.1], [2.0, 2.0], [0.5, 0.5], [4.0, 4.0]])
    labels = torch.tensor([[1], [0], [1], [0]])
    values = []
    for order in itertools.permutations([0, 1, 0]):
        ranking = [1, *order]
        hits = [place for place, relevant in enumerate(ranking, 1) if relevant]
        values.append(sum(number / place for number, place in enumerate(hits, 1)) / len(hits))
    expected = sum(values) / len(values)
    for shuffled in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        found = cosine_mean_average_precision(queries, torch.tensor([[1]]), database[shuffled], labels[shuffled])
        assert found == pytest.approx(expected)


def test_of_binary_vectors_it_is_the_map_of_codes() -> None:
    rng = np.random.default_rng(0)
    codes = [torch.from_numpy(np.where(rng.random((rows, 12)) < 0.5, -1, 1)) for rows in (6, 50)]
    labels = [torch.from_numpy((rng.random((rows, 3)) < 0.4).astype(np.int64)) for rows in (6, 50)]
    found = cosine_mean_average_precision(codes[0].float(), labels[0], codes[1].float(), labels[1])
    assert found == pytest.approx(mean_average_precision(codes[0], labels[0], codes[1], labels[1]), abs=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    vectors, labels = torch.ones(2, 3), torch.ones(2, 1)
    for wrong, said in (
        ((vectors, labels, torch.ones(2, 4), labels), "query vectors are 3 wide, database vectors 4"),
        ((vectors, labels[:1], vectors, labels), "2 query vectors, but 1 rows of query labels"),
        ((vectors, labels, vectors[:0], labels[:0]), "no database items"),
        ((vectors[:, :0], labels, vectors[:, :0], labels), "at least one entry"),
    ):
        with pytest.raises(ValueError, match=said):
            cosine_mean_average_precision(*wrong)
