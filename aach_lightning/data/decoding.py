"""Images decoded in chunks, by several processes, into a file of pixels."""

import zlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.runtime.processes import follow_parent, spawning

ReadImage = Callable[[int], NDArray[np.uint8]]
"""Row number to one decoded image, uint8 3 x H x W; raises DataError for an image that cannot be read. Picklable."""


@dataclass(frozen=True)
class DecodedChunk:
    """What came of some rows.

    Attributes:
        rows: Neighbouring rows.
        checksum: CRC-32 of their pixels.
        damaged: For each row that could not be read, the reason; its pixels are zero.
    """

    rows: range
    checksum: int
    damaged: dict[int, str]


@dataclass(frozen=True)
class ChunkDecoder:
    """Decodes rows and writes their pixels where they belong in a file.

    Attributes:
        file: An existing file.
        offset: Byte where the pixels of row 0 start.
        shape: Of one image, 3 x H x W.
        read: Decodes one image.
    """

    file: Path
    offset: int
    shape: tuple[int, ...]
    read: ReadImage

    def __call__(self, rows: range) -> DecodedChunk:
        """Decode `rows`; only one process may decode the same rows at a time."""
        pixels = np.zeros((len(rows), *self.shape), np.uint8)
        damaged = {}
        for position, row in enumerate(rows):
            try:
                pixels[position] = self.read(row)
            except DataError as error:
                damaged[row] = str(error)
        # written, not mapped: pages of a map count as memory of this process, and a full disk would be a SIGBUS
        with self.file.open("r+b") as file:
            file.seek(self.offset + rows.start * pixels[0].nbytes)
            file.write(pixels.data)
        return DecodedChunk(rows, zlib.crc32(pixels.data), damaged)


def decode_chunks(decode: ChunkDecoder, chunks: Sequence[range], processes: int) -> Generator[DecodedChunk, None, None]:
    """Decode all chunks, in order, with `processes` processes.

    Raises:
        BrokenExecutor: If one of the processes was killed.
    """
    if processes == 1:
        yield from map(decode, chunks)
        return
    pool = ProcessPoolExecutor(processes, mp_context=spawning(), initializer=_start_worker, initargs=(decode,))
    try:
        yield from pool.map(_decode, chunks)
    finally:
        pool.shutdown(cancel_futures=True)


_own: list[ChunkDecoder] = []  # of a worker process: sent once, since it may hold the paths of 200,000 files


def _start_worker(decode: ChunkDecoder) -> None:
    follow_parent()
    _own.append(decode)


def _decode(rows: range) -> DecodedChunk:
    return _own[0](rows)
