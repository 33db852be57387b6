"""Images decoded once into a memory-mapped uint8 array that processes share; a damaged cache is built anew."""

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from aach_lightning.runtime.errors import DataError
from aach_lightning.runtime.files import disk_errors, write_json

log = logging.getLogger(__name__)

ReadImage = Callable[[int], NDArray[np.uint8]]
"""Row number to one decoded image, uint8 3 x H x W; raises DataError for an image that cannot be read. Picklable."""

_CHUNK = 64
_PARALLEL_FROM = 512  # fewer images are decoded sooner than worker processes start


def cached_images(
    directory: Path, key: str, count: int, size: int, read: ReadImage, description: str
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Open the cache of `count` images, decoding them first where it is missing or damaged.

    The file is written beside its final name, its blocks allocated before the first image (a full disk is an error
    there, not a crash in the middle), and renamed when it is whole. Processes that want the same cache wait for one.

    Args:
        directory: Folder of all caches.
        key: Hash of the content and of everything that decoding depends on.
        count: Number of images, N.
        size: Height and width in pixels.
        read: Decodes one image.
        description: Shown beside the progress bar.

    Returns:
        Read-only memory map, uint8 N x 3 x size x size; and, for each row that could not be read, the reason. Such rows
        are zero.

    Raises:
        StoreError: If the disk is full or cannot be written.
    """
    path = directory / f"{key}.npy"
    with disk_errors(path):
        directory.mkdir(parents=True, exist_ok=True)
    with FileLock(str(directory / f"{key}.lock")):
        meta = _verified(path, (count, 3, size, size))
        if meta is None:
            meta = _build(path, (count, 3, size, size), read, description)
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return images, {int(row): reason for row, reason in meta["damaged"].items()}


def _verified(path: Path, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Return the description of a whole cache, or None where one must be built."""
    description = path.with_suffix(".json")
    if not path.exists() or not description.exists():
        return None
    try:
        meta: dict[str, Any] = json.loads(description.read_text())
        status = path.stat()
        images = np.load(path, mmap_mode="r")
        if images.shape != shape or images.dtype != np.uint8:
            raise ValueError(f"holds {images.dtype} {images.shape} instead of uint8 {shape}")
        damaged = {int(row): str(reason) for row, reason in meta["damaged"].items()}
        if not all(0 <= row < shape[0] for row in damaged):
            raise ValueError(f"its description names rows outside 0 to {shape[0] - 1}")
        # Reading gigabytes at every start would cost more than decoding saves: the checksum is read again only when
        # the file was touched since it was last found whole.
        if [status.st_size, status.st_mtime_ns] != meta["seen"]:
            if _checksum(images) != meta["checksum"]:
                raise ValueError("its checksum does not match")
            meta["seen"] = [status.st_size, status.st_mtime_ns]
            write_json(description, meta)
    except Exception as error:  # numpy's parser of a damaged header raises almost anything
        log.warning("the image cache %s is damaged (%s): it is built anew", path, error)
        return None
    return meta


def _build(path: Path, shape: tuple[int, ...], read: ReadImage, description: str) -> dict[str, Any]:
    part = path.with_suffix(".part")
    count = shape[0]
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    damaged: dict[str, str] = {}
    try:
        with disk_errors(path):
            images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            with part.open("r+b") as file:
                # a memory map of a sparse file dies of SIGBUS when the disk is full; allocated blocks cannot
                if hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
            del images
            with _workers(count) as run, _progress(description, count) as advance:
                for chunk, found in run(part, chunks, read):
                    damaged.update({str(row): reason for row, reason in found.items()})
                    advance(len(chunk))
            whole = np.load(part, mmap_mode="r")
            checksum = _checksum(whole)
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            status = part.stat()
            meta = {
                "checksum": checksum,
                "damaged": damaged,
                "seen": [status.st_size, status.st_mtime_ns],
                "source": description,
            }
            part.replace(path)
            write_json(path.with_suffix(".json"), meta)
    finally:
        part.unlink(missing_ok=True)
    return meta


_RunChunks = Callable[[Path, list[range], ReadImage], Iterable[tuple[range, dict[int, str]]]]


@contextmanager
def _workers(count: int) -> Iterator[_RunChunks]:
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < _PARALLEL_FROM or processes == 1:
        yield lambda part, chunks, read: ((chunk, _decode(part, chunk, read)) for chunk in chunks)
        return
    # spawn: forking a process in which torch has started threads can hang
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield lambda part, chunks, read: zip(
            chunks, pool.map(_decode, *zip(*((part, chunk, read) for chunk in chunks), strict=True)), strict=True
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(part: Path, rows: range, read: ReadImage) -> dict[int, str]:
    images = np.load(part, mmap_mode="r+")
    damaged = {}
    for row in rows:
        try:
            images[row] = read(row)
        except DataError as error:
            damaged[row] = str(error)
    images.flush()
    return damaged


@contextmanager
def _progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    # not at the top: worker processes draw no bar, and Lightning, which comes with it, takes seconds to import
    from rich.progress import Progress

    from aach_lightning.runtime.progress import progress_columns

    with Progress(*progress_columns()) as progress:
        task = progress.add_task(description, total=total, numbers="")
        yield lambda done: progress.advance(task, done)


def _checksum(images: NDArray[np.uint8]) -> int:
    value = 0
    for start in range(0, len(images), _CHUNK):
        value = zlib.crc32(np.ascontiguousarray(images[start : start + _CHUNK]).data, value)
    return value
