"""Images decoded once into a memory-mapped uint8 array that processes share; a damaged cache is built anew."""

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from aach_lightning.data.decoding import ChunkDecoder, DecodedChunk, ReadImage, decode_chunks
from aach_lightning.data.journal import BuildJournal
from aach_lightning.errors import StoreError
from aach_lightning.runtime.files import disk_errors, write_json

log = logging.getLogger(__name__)

_CHUNK = 64
_BLOCK = 2**23
_PARALLEL_FROM = 512  # fewer images are decoded sooner than worker processes start


def cached_images(
    directory: Path,
    key: str,
    count: int,
    size: int,
    read: ReadImage | AbstractContextManager[ReadImage],
    description: str,
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Open the cache of `count` images, decoding them first where it is missing or damaged.

    The file is written beside its final name, its blocks allocated before the first image (a full disk is an error
    there, not a crash in the middle), and renamed when it is whole. Processes that want the same cache wait for one. A
    build that was killed or interrupted goes on where it stopped.

    Args:
        directory: Folder of all caches.
        key: Hash of the content and of everything that decoding depends on.
        count: Number of images, N.
        size: Height and width in pixels.
        read: Decodes one image; or a context that gives what does, entered only where images must be decoded.
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
            with read if isinstance(read, AbstractContextManager) else nullcontext(read) as ready:
                meta = _build(path, (count, 3, size, size), ready, description)
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
            if _checksum(path, images.offset) != meta["checksum"]:
                raise ValueError("its checksum does not match")
            meta["seen"] = [status.st_size, status.st_mtime_ns]
            write_json(description, meta)
    except Exception as error:  # numpy's parser of a damaged header raises almost anything
        log.warning("the image cache %s is damaged (%s): it is built anew", path, error)
        return None
    return meta


def _build(path: Path, shape: tuple[int, ...], read: ReadImage, description: str) -> dict[str, Any]:
    part, journal = path.with_suffix(".part"), BuildJournal(path.with_suffix(".journal"), shape)
    chunks = [range(start, min(start + _CHUNK, shape[0])) for start in range(0, shape[0], _CHUNK)]
    try:
        with disk_errors(path):
            finished = {chunk.rows: chunk for chunk in _whole_chunks(part, journal, shape, chunks)}
            journal.start(finished.values())
            if not finished:
                _allocate(part, shape)
            missing = [rows for rows in chunks if rows not in finished]
            decode = ChunkDecoder(part, _offset(part), shape[1:], read)
            with (
                progress_bar(description, shape[0]) as advance,
                closing(decode_chunks(decode, missing, _processes(sum(map(len, missing))))) as decoded,
            ):
                advance(sum(map(len, finished)))
                for chunk in decoded:
                    journal.add(chunk)
                    finished[chunk.rows] = chunk
                    advance(len(chunk.rows))
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            status = part.stat()
            meta = {
                "checksum": _checksum(part, decode.offset),
                "damaged": {str(row): reason for rows in chunks for row, reason in finished[rows].damaged.items()},
                "seen": [status.st_size, status.st_mtime_ns],
                "source": description,
            }
            write_json(path.with_suffix(".json"), meta)
            part.replace(path)
            journal.remove()
    except BrokenExecutor as error:
        raise StoreError(
            f"{path}: one of the processes that decode images was killed, most likely for lack of memory. The images "
            f"decoded so far are kept: run the same command again to go on."
        ) from error
    except Exception:  # not when interrupted or killed: the next build goes on where this one stopped
        part.unlink(missing_ok=True)
        journal.remove()
        raise
    return meta


def _whole_chunks(
    part: Path, journal: BuildJournal, shape: tuple[int, ...], chunks: list[range]
) -> Iterator[DecodedChunk]:
    """Those of an earlier, killed build whose pixels still are what the journal says."""
    finished = journal.finished(chunks)
    try:
        kept = np.load(part, mmap_mode="r") if finished else None
    except Exception:  # numpy's parser of a damaged header raises almost anything
        return
    if kept is None or kept.shape != shape or kept.dtype != np.uint8:
        return
    size = kept[0].nbytes
    with part.open("rb") as file:
        for chunk in finished:
            file.seek(_offset(part) + chunk.rows.start * size)
            if zlib.crc32(file.read(len(chunk.rows) * size)) == chunk.checksum:
                yield chunk


def _allocate(part: Path, shape: tuple[int, ...]) -> None:
    np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    with part.open("r+b") as file:
        # the disk is found full here, before the first image, and not in the middle
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)


def _processes(count: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if count >= _PARALLEL_FROM else 1


def _offset(path: Path) -> int:
    images = np.load(path, mmap_mode="r")
    return int(images.offset)


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar; what is yielded is called with the number of further items done."""
    # not at the top: worker processes draw no bar, and Lightning, which comes with it, takes seconds to import
    from rich.progress import Progress

    from aach_lightning.runtime.progress import progress_columns

    with Progress(*progress_columns()) as progress:
        task = progress.add_task(description, total=total, numbers="")
        yield lambda done: progress.advance(task, done)


def _checksum(path: Path, offset: int) -> int:
    # read, not mapped: pages of a map count as memory of this process
    value = 0
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
