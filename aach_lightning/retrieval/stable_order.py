"""MAP as published: ties in database order, under each definition of MAP that is in circulation."""

from enum import StrEnum

import torch
from torch import Tensor

from aach_lightning.retrieval.codes import pack_codes, pack_labels
from aach_lightning.retrieval.cpu_kernels import kernel_arrays, rank_queries, run_in_threads
from aach_lightning.retrieval.inputs import check_retrieval_inputs
from aach_lightning.retrieval.tables import QueryMean, mean_over_queries


class MapDefinition(StrEnum):
    """What a paper may mean by MAP. R is the number of relevant items in the database, k a cut-off.

    Attributes:
        ALL: Precisions at all R relevant items, divided by R (DCMH, SSAH, CMLA, MITH).
        FIRST_K_RELEVANT: Precisions at the first k relevant items wherever they rank, divided by min(k, R) (the k in
            DCMH's code; EQB2A and TA-DCH call it MAP@k).
        TOP_K_BY_HITS: Precisions at the relevant items among the first k ranks, divided by their number, 0 if there is
            none (DJSRH, SAAT).
        TOP_K_TREC: The same sum, divided by min(k, R).
    """

    ALL = "all"
    FIRST_K_RELEVANT = "first_k_relevant"
    TOP_K_BY_HITS = "top_k_by_hits"
    TOP_K_TREC = "top_k_trec"


def stable_mean_average_precision(
    query_codes: Tensor,
    query_labels: Tensor,
    database_codes: Tensor,
    database_labels: Tensor,
    definition: MapDefinition | str = MapDefinition.ALL,
    k: int | None = None,
) -> QueryMean:
    """MAP with ties in database order, to compare with published numbers: it changes when the database is shuffled.

    Queries without a relevant item are left out and counted; public code mostly lets them count as 0, which is
    `value * queries / (queries + excluded)`. Runs on the CPU, with memory O(N) a thread.

    Args:
        query_codes: As for `joint_histogram`, which checks and raises the same.
        query_labels: Likewise.
        database_codes: Likewise.
        database_labels: Likewise.
        definition: See `MapDefinition`.
        k: Cut-off, at least 1; none for `all`.

    Raises:
        ValueError: If no query has a relevant item, or the definition is unknown or does not go with `k`.

    Example:
        One ranking, relevant at ranks 1, 4 and 5 of 6: the same codes are worth 0.5 or 1, depending on the paper.

        >>> database = torch.tensor([[1] * (6 - i) + [-1] * i for i in range(6)])
        >>> labels = torch.tensor([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0], [0, 1]])
        >>> for definition in MapDefinition:
        ...     k = None if definition == "all" else 2
        ...     mean = stable_mean_average_precision(database[:1], labels[:1], database, labels, definition, k)
        ...     print(f"{definition} {mean.value:.3f}")
        all 0.700
        first_k_relevant 0.750
        top_k_by_hits 1.000
        top_k_trec 0.500
    """
    definition = _check_definition(definition, k)
    check_retrieval_inputs(query_codes, query_labels, database_codes, database_labels)
    queries, count = len(query_codes), len(database_codes)
    cut = count if k is None else k
    max_hits = cut if definition is MapDefinition.FIRST_K_RELEVANT else count
    max_rank = count if definition is MapDefinition.FIRST_K_RELEVANT else cut
    packed = (
        pack_codes(query_codes),
        pack_labels(query_labels),
        pack_codes(database_codes),
        pack_labels(database_labels),
    )
    arrays = kernel_arrays(*(part.cpu() for part in packed))
    sums = torch.empty(queries, dtype=torch.float64)
    hits, relevant = torch.empty(queries, dtype=torch.int64), torch.empty(queries, dtype=torch.int64)
    results = sums.numpy(), hits.numpy(), relevant.numpy()
    run_in_threads(lambda first, last: rank_queries(*arrays, max_rank, max_hits, *results, first, last), queries)
    divisor = hits if definition is MapDefinition.TOP_K_BY_HITS else relevant.clamp(max=cut)
    return mean_over_queries(sums / divisor.clamp(min=1), relevant.unsqueeze(1))


def _check_definition(definition: MapDefinition | str, k: int | None) -> MapDefinition:
    allowed = [str(name) for name in MapDefinition]
    if definition not in allowed:
        raise ValueError(f"unknown definition of MAP {definition!r}: choose one of {', '.join(allowed)}")
    definition = MapDefinition(definition)
    if definition is MapDefinition.ALL and k is not None:
        raise ValueError(f"definition 'all' takes no k, got k = {k}")
    if definition is not MapDefinition.ALL and (k is None or k < 1):
        raise ValueError(f"definition {str(definition)!r} needs k of at least 1, got k = {k}")
    return definition
