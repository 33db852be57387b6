import threading

import numba
import pytest

from aach_lightning.retrieval import cpu_kernels
from aach_lightning.retrieval.cpu_kernels import compile_kernel, run_in_threads


@pytest.mark.parametrize("rows", [1, 2, 3, 15, 16, 17, 1000])
def test_ranges_cover_each_row_once(threads: int, rows: int) -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def kernel(first: int, last: int) -> None:
        with lock:
            seen.extend(range(first, last))

    run_in_threads(kernel, rows)
    assert sorted(seen) == list(range(rows))


def test_an_error_in_a_thread_is_not_lost(threads: int) -> None:
    def kernel(first: int, last: int) -> None:
        raise ZeroDivisionError(f"{first}..{last}")

    with pytest.raises(ZeroDivisionError):
        run_in_threads(kernel, 8)


def test_without_a_folder_for_machine_code_a_kernel_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(function, **options)

    monkeypatch.setattr(cpu_kernels, "njit", njit)

    def double(value: int) -> int:
        return 2 * value

    assert compile_kernel(double)(21) == 42
