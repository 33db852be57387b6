"""The finished chunks of an unfinished image cache, so that a killed build goes on where it stopped."""

import json
from collections.abc import Iterable
from pathlib import Path

from aach_lightning.data.decoding import DecodedChunk
from aach_lightning.runtime.files import write_atomically


class BuildJournal:
    """A text file: the shape of the cache in the first line, then one JSON line for each finished chunk.

    Nothing is synced to the disk chunk by chunk: each line carries the checksum of its pixels, and who goes on with the
    build believes only those that match.

    Args:
        path: Of the journal; it need not exist.
        shape: Of the cache, N x 3 x H x W.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self._head = json.dumps({"shape": list(shape)})

    def finished(self, chunks: Iterable[range]) -> list[DecodedChunk]:
        """Read which of `chunks` are finished; a torn or strange line ends the reading."""
        try:
            head, *lines = self.path.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            return []
        if head != self._head:
            return []
        expected = {(rows.start, rows.stop): rows for rows in chunks}
        found: dict[int, DecodedChunk] = {}
        try:
            for line in lines[:-1]:  # what follows the last line end is torn, or nothing
                entry = json.loads(line)
                rows = expected[entry["start"], entry["stop"]]
                damaged = {int(row): str(reason) for row, reason in entry["damaged"].items()}
                if not all(row in rows for row in damaged):
                    break
                found[rows.start] = DecodedChunk(rows, int(entry["checksum"]), damaged)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        return list(found.values())

    def start(self, finished: Iterable[DecodedChunk]) -> None:
        """Begin anew with these chunks; with none, no file is written before the first `add`."""
        lines = [_line(chunk) for chunk in finished]
        if lines:
            content = "\n".join([self._head, *lines, ""]).encode()
            write_atomically(self.path, lambda file: file.write(content))
        else:
            self.remove()

    def add(self, chunk: DecodedChunk) -> None:
        """Record one more finished chunk."""
        with self.path.open("a", encoding="utf-8") as file:
            if not file.tell():
                file.write(f"{self._head}\n")
            file.write(f"{_line(chunk)}\n")

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _line(chunk: DecodedChunk) -> str:
    rows = chunk.rows
    return json.dumps({"start": rows.start, "stop": rows.stop, "checksum": chunk.checksum, "damaged": chunk.damaged})
