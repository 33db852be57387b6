from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from aach_lightning.retrieval.codes import as_words
from aach_lightning.retrieval.cpu_kernels import count_on_cpu
from aach_lightning.retrieval.histogram import (
    CountKernel,
    JointHistogram,
    count_kernel,
    joint_histogram,
    packed_joint_histogram,
)
from aach_lightning.retrieval.histogram_torch import count_in_torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


def naive_histogram(query_codes, query_labels, database_codes, database_labels) -> tuple[np.ndarray, np.ndarray]:
    code_length = query_codes.shape[1]
    items = np.zeros((len(query_codes), code_length + 1), np.int64)
    relevant = np.zeros_like(items)
    for q in range(len(query_codes)):
        for j in range(len(database_codes)):
            distance = int(np.sum(query_codes[q] != database_codes[j]))
            items[q, distance] += 1
            relevant[q, distance] += bool(np.any((query_labels[q] == 1) & (database_labels[j] == 1)))
    return items, relevant


def as_tensors(*arrays: np.ndarray) -> Retrieval:
    codes, labels, more_codes, more_labels = (torch.from_numpy(array) for array in arrays)
    return codes, labels, more_codes, more_labels


@st.composite
def retrievals(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes as int8 -1/+1 and labels as uint8 0/1, any width, with few or many distinct codes."""
    code_length = draw(st.one_of(st.integers(1, 1024), st.sampled_from([1, 8, 63, 64, 65, 128, 1023, 1024])))
    classes = draw(st.one_of(st.integers(1, 300), st.sampled_from([1, 21, 24, 63, 64, 65, 128, 255])))
    queries, items = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    density = draw(st.sampled_from([0.0, 0.01, 0.3, 1.0]))

    def codes(rows: int) -> np.ndarray:
        return np.where(rng.random((rows, code_length)) < share, 1, -1).astype(np.int8)

    def labels(rows: int) -> np.ndarray:
        return (rng.random((rows, classes)) < density).astype(np.uint8)

    query_codes = codes(queries)
    if draw(st.booleans()):
        query_codes = -query_codes  # distances up to K
    return query_codes, labels(queries), codes(items), labels(items)


@settings(max_examples=60, deadline=None)
@given(retrievals())
def test_every_implementation_counts_what_a_double_loop_counts(retrieval) -> None:
    query_codes, query_labels, database_codes, database_labels = retrieval
    items, relevant = naive_histogram(*retrieval)
    result = joint_histogram(*as_tensors(*retrieval))
    assert np.array_equal(result.items.numpy(), items)
    assert np.array_equal(result.relevant.numpy(), relevant)
    packed = [
        torch.from_numpy(np.packbits(bits > 0, axis=1))  # numpy's order of bits, not ours
        for bits in (query_codes, query_labels, database_codes, database_labels)
    ]
    from_bytes = packed_joint_histogram(*packed, code_length=query_codes.shape[1])
    assert np.array_equal(from_bytes.items.numpy(), items)
    assert np.array_equal(from_bytes.relevant.numpy(), relevant)
    words = [as_words(octets) for octets in packed]
    table = torch.zeros(len(items), words[0].shape[1] * 64 + 1, dtype=torch.int64)
    hits = table.clone()
    count_in_torch(*words, table, hits)
    assert np.array_equal(table[:, : items.shape[1]].numpy(), items)
    assert np.array_equal(hits[:, : items.shape[1]].numpy(), relevant)


@pytest.mark.parametrize(("code_length", "classes"), [(64, 24), (70, 80)])
def test_sets_larger_than_the_blocks_of_the_kernels(
    draw_retrieval: Callable[..., Retrieval],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
    code_length: int,
    classes: int,
) -> None:
    # 70 queries and 5,003 items: more than one tile of 32 and one block of 2,048, and a remainder of each
    retrieval = draw_retrieval(70, 5003, code_length=code_length, classes=classes)
    query_codes, query_labels, codes, labels = retrieval
    distances = (query_codes.numpy()[:, None] != codes.numpy()).sum(2)
    hits = query_labels.numpy().astype(int) @ labels.numpy().T > 0
    pairs = list(zip(distances, hits, strict=True))
    items = np.stack([np.bincount(d, minlength=code_length + 1) for d, _ in pairs])
    relevant = np.stack([np.bincount(d[hit], minlength=code_length + 1) for d, hit in pairs])
    monkeypatch.setattr("aach_lightning.retrieval.histogram_torch._PAIRS", 1 << 14)
    monkeypatch.setattr("aach_lightning.retrieval.histogram_torch._QUERIES", 32)
    for kernel in (count_on_cpu, count_in_torch):
        monkeypatch.setattr("aach_lightning.retrieval.histogram.count_kernel", lambda _device, chosen=kernel: chosen)
        result = joint_histogram(*retrieval)
        assert np.array_equal(result.items.numpy(), items)
        assert np.array_equal(result.relevant.numpy(), relevant)


def test_kernels_add_to_what_the_tables_hold(draw_retrieval: Callable[..., Retrieval]) -> None:
    words = [as_words(torch.ones(2, 1, dtype=torch.int64)) for _ in range(4)]
    for kernel in (count_on_cpu, count_in_torch):
        items, relevant = torch.full((2, 65), 5), torch.full((2, 65), 7)
        kernel(*words, items, relevant)
        assert items[:, 0].tolist() == [7, 7]
        assert relevant[:, 0].tolist() == [9, 9]
        assert items[:, 1:].eq(5).all()
        assert relevant[:, 1:].eq(7).all()


def test_histograms_of_parts_add_up(draw_retrieval: Callable[..., Retrieval]) -> None:
    query_codes, query_labels, codes, labels = draw_retrieval(4, 50)
    whole = joint_histogram(query_codes, query_labels, codes, labels)
    parts = [
        joint_histogram(query_codes, query_labels, codes[rows], labels[rows])
        for rows in (slice(0, 7), slice(7, 8), slice(8, 50))
    ]
    assert torch.equal(sum(part.items for part in parts), whole.items)
    assert torch.equal(sum(part.relevant for part in parts), whole.relevant)


def test_calls_from_several_python_threads_do_not_disturb_each_other(draw_retrieval: Callable[..., Retrieval]) -> None:
    retrievals = [draw_retrieval(40, 500, code_length=64, seed=seed) for seed in range(8)]
    alone = [joint_histogram(*retrieval) for retrieval in retrievals]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda retrieval: joint_histogram(*retrieval), retrievals))
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.items, other.items)
        assert torch.equal(one.relevant, other.relevant)


def test_bits_beyond_the_code_length_are_refused() -> None:
    label = torch.tensor([[1]])
    query, item = torch.tensor([[0b000]]), torch.tensor([[0b111]])
    assert packed_joint_histogram(query, label, item, label, code_length=3).items.tolist() == [[0, 0, 0, 1]]
    with pytest.raises(ValueError, match="more than code_length = 2 bits"):
        packed_joint_histogram(query, label, item, label, code_length=2)
    with pytest.raises(ValueError, match="code_length must be 1 to 64 for these codes, got 65"):
        packed_joint_histogram(query, label, item, label, code_length=65)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.ones(0, 3), 1: torch.ones(0, 2)}, r"no query items: query codes have shape \(0, 3\)"),
        ({2: torch.ones(0, 3), 3: torch.ones(0, 2)}, "no database items"),
        ({1: torch.ones(3, 2)}, "2 query codes, but 3 rows of query labels"),
        ({3: torch.ones(3, 2)}, "4 database codes, but 3 rows of database labels"),
        ({0: torch.ones(2, 4)}, "query codes are 4 wide, database codes 3"),
        ({1: torch.ones(2, 1)}, "query labels are 1 wide, database labels 2"),
        ({2: torch.ones(4, 3).mul(float("nan"))}, "found nan"),
        ({3: torch.ones(4, 2).mul(0.5)}, "labels must be 0 or 1"),
        ({2: torch.ones(4, 3, device="meta")}, "one device, got cpu, meta"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change: dict[int, Tensor], message: str) -> None:
    inputs = [torch.ones(2, 3), torch.ones(2, 2), torch.ones(4, 3), torch.ones(4, 2)]
    for position, tensor in change.items():
        inputs[position] = tensor
    with pytest.raises(ValueError, match=message):
        joint_histogram(*inputs)


def test_a_device_without_a_kernel_uses_plain_torch() -> None:
    assert count_kernel(torch.device("cpu")) is count_on_cpu
    assert count_kernel(torch.device("mps")) is count_in_torch


@needs_gpu
@pytest.mark.parametrize(
    ("code_length", "classes", "queries", "items"),
    [(1, 1, 1, 1), (16, 24, 3, 1024), (64, 24, 70, 5003), (65, 80, 5, 3000), (1024, 255, 4, 2500), (64, 21, 2, 40_000)],
)
@pytest.mark.parametrize("implementation", ["triton", "torch"])
def test_the_gpu_counts_what_the_cpu_counts(
    draw_retrieval: Callable[..., Retrieval],
    monkeypatch: pytest.MonkeyPatch,
    implementation: str,
    code_length: int,
    classes: int,
    queries: int,
    items: int,
) -> None:
    kernel: CountKernel = count_in_torch
    if implementation == "triton":
        pytest.importorskip("triton")
        from aach_lightning.retrieval.histogram_triton import count_on_gpu

        kernel = count_on_gpu
    retrieval = draw_retrieval(queries, items, code_length=code_length, classes=classes)
    expected = joint_histogram(*retrieval)
    monkeypatch.setattr("aach_lightning.retrieval.histogram.count_kernel", lambda _device: kernel)
    result: JointHistogram = joint_histogram(*(tensor.cuda() for tensor in retrieval))
    assert torch.equal(result.items.cpu(), expected.items)
    assert torch.equal(result.relevant.cpu(), expected.relevant)
