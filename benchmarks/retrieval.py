"""MAP over the whole ranking by this package and by others, on the same data in the same run; prints a table.

python benchmarks/retrieval.py                    two standard sizes
python benchmarks/retrieval.py --stream           10,000 queries, database of 1 to 10 million in shards of a million
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aach_lightning.retrieval import (
    HammingMAP,
    expected_average_precision,
    mean_average_precision,
    mean_over_queries,
    pack_codes,
    pack_labels,
    packed_joint_histogram,
)

CODE_LENGTH = 64
SIZES = {"MIRFlickr-25K": (2_000, 18_015, 24), "NUS-WIDE": (2_100, 193_734, 21)}


class Retrieval(NamedTuple):
    query_codes: Tensor  # int8 -1/+1
    query_labels: Tensor  # uint8 0/1
    codes: Tensor
    labels: Tensor


def draw(queries: int, items: int, classes: int, seed: int = 0) -> Retrieval:
    """Random codes with a little structure: the first label of an item flips the odds of half of its bits."""
    generator = torch.Generator().manual_seed(seed)

    def side(rows: int) -> tuple[Tensor, Tensor]:
        labels = (torch.rand(rows, classes, generator=generator) < 0.1).to(torch.uint8)
        odds = torch.full((rows, CODE_LENGTH), 0.5)
        odds[:, ::2] += 0.2 * (labels[:, :1] * 2.0 - 1)
        return (torch.rand(rows, CODE_LENGTH, generator=generator) < odds).to(torch.int8) * 2 - 1, labels

    return Retrieval(*side(queries), *side(items))


# Each method: retrieval -> a function to be timed, which returns MAP. What happens before it is not timed.


def from_codes(data: Retrieval) -> Callable[[], float]:
    return lambda: mean_average_precision(*data)


def from_packed(data: Retrieval) -> Callable[[], float]:
    words = [f(t) for f, t in zip((pack_codes, pack_labels, pack_codes, pack_labels), data, strict=True)]

    def run() -> float:
        items, relevant = packed_joint_histogram(*words, code_length=CODE_LENGTH)
        return mean_over_queries(expected_average_precision(items, relevant), relevant).value

    return run


def torch_loop(data: Retrieval) -> Callable[[], float]:
    """A matrix product, a sort and a mean for each query, as public code of the field does it."""
    query_codes, query_labels, codes, labels = (tensor.float() for tensor in data)

    def run() -> float:
        values = []
        for code, label in zip(query_codes, query_labels, strict=True):
            hits = (labels @ label > 0)[torch.sort((CODE_LENGTH - codes @ code) / 2).indices]
            ranks = hits.nonzero().squeeze(1) + 1
            if len(ranks):
                values.append(float((torch.arange(1, len(ranks) + 1) / ranks).mean()))
        return sum(values) / len(values)

    return run


def numpy_loop(data: Retrieval) -> Callable[[], float]:
    """Packed words, a popcount, a radix sort of bytes and a mean for each query."""
    words = [
        f(t).numpy().view(np.uint64)[:, 0]
        for f, t in zip((pack_codes, pack_labels, pack_codes, pack_labels), data, strict=True)
    ]
    query_codes, query_labels, codes, labels = words

    def run() -> float:
        values = []
        for code, label in zip(query_codes, query_labels, strict=True):
            order = np.argsort(np.bitwise_count(codes ^ code), kind="stable")
            ranks = np.flatnonzero((labels & label)[order]) + 1
            if len(ranks):
                values.append((np.arange(1, len(ranks) + 1) / ranks).mean())
        return float(np.mean(values))

    return run


def faiss_search(data: Retrieval) -> Callable[[], float]:
    """Faiss ranks the whole database for 50 queries at once; relevance and the mean in numpy."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    query_codes, codes = (np.packbits(t.numpy() > 0, axis=1) for t in (data.query_codes, data.codes))
    query_labels, labels = (pack_labels(t).numpy()[:, 0] for t in (data.query_labels, data.labels))
    index = faiss.IndexBinaryFlat(CODE_LENGTH)
    index.add(codes)

    def run() -> float:
        values = []
        for first in range(0, len(query_codes), 50):
            _, orders = index.search(query_codes[first : first + 50], len(codes))
            for label, order in zip(query_labels[first : first + 50], orders, strict=True):
                ranks = np.flatnonzero((labels & label)[order]) + 1
                if len(ranks):
                    values.append((np.arange(1, len(ranks) + 1) / ranks).mean())
        return float(np.mean(values))

    return run


def torchmetrics_map(data: Retrieval) -> Callable[[], float]:
    """RetrievalMAP on all pairs at once; similarities are positive, for it drops scores of 0 and less."""
    from torchmetrics.retrieval import RetrievalMAP

    query_codes, query_labels, codes, labels = (tensor.float() for tensor in data)
    pairs = len(query_codes) * len(codes)
    if pairs * 80 > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2:
        raise MemoryError(f"would need about {pairs * 80 / 1e9:.0f} GB (80 bytes a pair, as measured on a smaller set)")

    def run() -> float:
        metric = RetrievalMAP(empty_target_action="skip")
        similarity = query_codes @ codes.T + CODE_LENGTH + 1
        indexes = torch.arange(len(query_codes)).unsqueeze(1).expand_as(similarity)
        metric.update(similarity.flatten(), (query_labels @ labels.T > 0).flatten(), indexes=indexes.flatten())
        return float(metric.compute())

    return run


METHODS: dict[str, Callable[[Retrieval], Callable[[], float]]] = {
    "aach_lightning, packed": from_packed,
    "aach_lightning, int8 codes": from_codes,
    "numpy loop": numpy_loop,
    "faiss": faiss_search,
    "torch loop": torch_loop,
    "torchmetrics": torchmetrics_map,
}


def memory(field: str) -> int:
    """Resident bytes of this process: now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure(connection: Connection, method: str, size: tuple[int, int, int], seconds: float, threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        METHODS[method](draw(3, 100, size[2]))()  # compiles and loads libraries
        run = METHODS[method](draw(*size))
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what was done so far
        before, times = memory("VmRSS"), []
        started = time.perf_counter()
        while not times or (len(times) < 15 and time.perf_counter() - started < seconds):
            start = time.perf_counter()
            value = run()
            times.append(time.perf_counter() - start)
        connection.send((times, memory("VmHWM") - before, value))
    except (MemoryError, ImportError) as error:
        connection.send(f"left out: {error}")


def compare(methods: list[str], seconds: float, threads: int) -> None:
    spawn = multiprocessing.get_context("spawn")  # a process for each row: none inherits the memory of another
    for name, size in SIZES.items():
        print(f"\n{name}: {size[0]:,} queries x {size[1]:,} items, {CODE_LENGTH} bits, {size[2]} labels")
        print(f"{'':28}{'median s':>10}{'best s':>10}{'runs':>6}{'G pairs/s':>11}{'MB above':>10}{'MAP':>9}")
        for method in methods:
            if method == "faiss" and not find_spec("faiss"):
                print(f"{method:28}left out: faiss-cpu is not installed")
                continue
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(sender, method, size, seconds, threads))
            process.start()
            sender.close()
            try:
                answer = receiver.recv()
            except EOFError:
                answer = "left out: the process was killed"
            process.join()
            if isinstance(answer, str):
                print(f"{method:28}{answer}")
                continue
            times, peak, value = answer
            median = statistics.median(times)
            rate = size[0] * size[1] / median / 1e9
            print(
                f"{method:28}{median:10.3f}{min(times):10.3f}{len(times):6}{rate:11.2f}{peak / 1e6:10.1f}{value:9.5f}"
            )


def stream(queries: int, millions: int) -> None:
    """Show that time grows with the database and memory does not."""
    query_codes, query_labels, _, _ = draw(queries, 1, 24)
    metric = HammingMAP(queries, CODE_LENGTH)
    print(f"\n{queries:,} queries, database in shards of 1,000,000, {CODE_LENGTH} bits, 24 labels")
    print(f"{'items':>12}{'s in all':>10}{'s a shard':>11}{'G pairs/s':>11}{'peak MB':>9}{'MAP':>9}")
    total = 0.0
    for shard in range(millions):
        _, _, codes, labels = draw(1, 1_000_000, 24, seed=shard + 1)
        start = time.perf_counter()
        metric.update(query_codes, query_labels, codes, labels)
        seconds = time.perf_counter() - start
        total += seconds
        rate = queries * 1e6 / seconds / 1e9
        print(
            f"{(shard + 1) * 1_000_000:12,}{total:10.1f}{seconds:11.2f}{rate:11.2f}{memory('VmHWM') / 1e6:9.0f}"
            f"{float(metric.compute()):9.5f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", action="store_true", help="grow a streamed database instead of comparing")
    parser.add_argument("--queries", type=int, default=10_000, help="queries of --stream")
    parser.add_argument("--millions", type=int, default=10, help="database of --stream, in millions")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seconds", type=float, default=10, help="time for a row, which runs at least once")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, load before the run {load:.1f}; "
        f"torch {torch.__version__}, numpy {np.__version__}"
    )
    torch.set_num_threads(arguments.threads)
    if arguments.stream:
        stream(arguments.queries, arguments.millions)
    else:
        compare(arguments.methods, arguments.seconds, arguments.threads)


if __name__ == "__main__":
    main()
