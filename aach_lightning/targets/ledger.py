"""The ledger of one target: what was asked, by which run, and what was answered; append-only, shared by processes.

What it promises:

- A claim is on the disk (written and fsynced) before `claim` returns, hence before anything is sent.
- It counts keys, not attempts. A key that was claimed and never answered (the process died, the target failed) is
  paid for already and may be sent again without a new claim.
- Several runs share it. `claimed(run)` is what one run has asked for, which is what that run alone would have paid;
  `paid` is what any run has asked for, which is what the target was really sent.
- Readers and writers hold a lock beside the file, which the system drops when its holder dies. The end of a write that
  was cut is removed under that lock. Any other damage is refused, since a guess could send more than a budget allows.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock

from aach_lightning.errors import AachError
from aach_lightning.runtime.files import PART, disk_errors, write_atomically
from aach_lightning.targets.records import (
    HEADER_SIZE,
    RUN_SIZE,
    Header,
    HeaderError,
    Kind,
    Layout,
    Record,
    name_hash,
)

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.01


class LedgerError(AachError):
    """The ledger cannot be used."""


class LedgerDamaged(LedgerError):  # noqa: N818 - a state of the file
    """Bytes of the ledger are not what was written; the paid pairs cannot be counted."""


class LedgerMismatch(LedgerError):  # noqa: N818 - a state of the file
    """The ledger belongs to another target."""


class Ledger:
    """A file of claims and answers, with what it says in memory.

    Nothing touches the disk before the first `locked`. An object may be shared by threads and survives a fork.

    Args:
        path: The file; created with its folder when missing. A file `<path>.lock` stands beside it.
        code_length: K of the target.
        identity: Any text that names the target, its weights and the form of its answers; a ledger of another identity
            is refused.
        answer_size: Bytes of one packed answer; None where answers are codes.
    """

    def __init__(self, path: Path, code_length: int, identity: str, answer_size: int | None = None) -> None:
        self.path = path.resolve()  # one lock, whatever link leads here
        self._header = Header(code_length, name_hash(identity))
        self._identity = identity
        self._layout = Layout(self._header, answer_size)
        self._descriptor: int | None = None
        self._file: tuple[int, int] | None = None
        self._end = 0
        self._checksum = self._layout.first_checksum
        self._claims: dict[bytes, set[bytes]] = {}
        self._keys: set[bytes] = set()
        self._answers: dict[bytes, bytes] = {}

    @property
    def paid(self) -> int:
        """Number of different keys claimed by any run, as of the last `locked`."""
        return len(self._keys)

    @property
    def answers(self) -> Mapping[bytes, bytes]:
        """Packed answers by key, as of the last `locked`."""
        return MappingProxyType(self._answers)

    def claimed(self, run: str) -> Set[bytes]:
        """Keys that a run has claimed, as of the last `locked`."""
        return self._claims.get(name_hash(run), frozenset())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger alone, with everything read that other processes have written.

        Raises:
            LedgerDamaged: If the file is damaged, or has vanished or shrunk since it was read.
            LedgerMismatch: If it belongs to another target.
            StoreError: If a new ledger cannot be written.
        """
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(self.path) + ".lock", poll_interval=_POLL_SECONDS):
            if not self.path.exists():
                if self._end:
                    raise LedgerDamaged(f"{self.path} has vanished while it was in use. {self._advice}")
                for part in self.path.parent.glob(f".{self.path.name}.*{PART}"):  # of a process that was killed
                    part.unlink()
                write_atomically(self.path, lambda file: file.write(self._header.encode()))
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                self._read_news(self._descriptor)
                yield
            finally:
                os.close(self._descriptor)
                self._descriptor = None

    def claim(self, run: str, keys: Sequence[bytes]) -> None:
        """Write down, in one write and one fsync, that a run asks for `keys`; call it inside `locked`.

        Raises:
            LedgerError: If the disk is full or fails; the file is then as it was before.
        """
        records = [Record(Kind.CLAIM, key, name_hash(run)) for key in keys]
        self._append(records, "cannot reserve queries, nothing was sent")

    def record(self, answers: Mapping[bytes, bytes]) -> None:
        """Write down the packed answers to claimed keys; call it inside `locked`.

        Raises:
            LedgerError: If the disk is full or fails; the keys stay paid and may be sent again.
        """
        records = [Record(Kind.ANSWER, key, packed) for key, packed in answers.items()]
        self._append(records, "cannot keep the target's answers; asking again is free")

    @property
    def _advice(self) -> str:
        return (
            "What was paid can no longer be counted, so nothing is sent. Put a backup of the file back, or move it "
            "away: that starts a new ledger, which forgets all queries that this target was sent."
        )

    def _append(self, records: Sequence[Record], consequence: str) -> None:
        if self._descriptor is None:
            raise RuntimeError("the ledger is written to only inside locked()")
        data, checksum = self._layout.encode(records, self._checksum)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, self._end)
            raise LedgerError(
                f"{self.path}: {consequence} ({error.strerror}). The ledger is as it was before. Free space on that "
                f"disk and run the same command again."
            ) from error
        self._take_in(records, self._end + len(data), checksum)

    def _read_news(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if self._file not in (None, (status.st_dev, status.st_ino)) or status.st_size < self._end:
            raise LedgerDamaged(f"{self.path} was replaced or cut while it was in use. {self._advice}")
        if self._end == 0:
            self._check_header(_read(descriptor, 0, HEADER_SIZE))
            self._file, self._end = (status.st_dev, status.st_ino), HEADER_SIZE
        if status.st_size == self._end:
            return
        news = self._layout.decode(_read(descriptor, self._end, status.st_size), self._checksum)
        torn = self._end + news.size
        if news.damaged:
            number = (torn - HEADER_SIZE) // self._layout.record_size
            raise LedgerDamaged(
                f"{self.path} is damaged in record {number}, which begins at byte {torn}: its checksum does not fit, "
                f"and it is not the last one. {self._advice}"
            )
        if torn < status.st_size:
            log.warning("%s: removing %d bytes of a write that was cut", self.path, status.st_size - torn)
            os.ftruncate(descriptor, torn)
            os.fsync(descriptor)
        self._take_in(news.records, torn, news.checksum)

    def _check_header(self, data: bytes) -> None:
        try:
            found = Header.decode(data)
        except HeaderError as error:
            raise LedgerDamaged(f"{self.path} {error} (bytes 0 to {HEADER_SIZE - 1}). {self._advice}") from error
        if found != self._header:
            raise LedgerMismatch(
                f"{self.path} is the ledger of another target: it has code length {found.code_length} and identity "
                f"{found.identity.hex()}, this target has code length {self._header.code_length} and identity "
                f"{self._header.identity.hex()} ({self._identity!r}). Choose another path for it."
            )

    def _take_in(self, records: Sequence[Record], end: int, checksum: bytes) -> None:
        for record in records:
            if record.kind is Kind.CLAIM:
                self._claims.setdefault(record.payload[:RUN_SIZE], set()).add(record.key)
                self._keys.add(record.key)
            else:
                self._answers.setdefault(record.key, record.payload)
        self._end, self._checksum = end, checksum


def _read(descriptor: int, start: int, end: int) -> bytes:
    data = bytearray()
    while len(data) < end - start and (part := os.pread(descriptor, end - start - len(data), start + len(data))):
        data += part
    return bytes(data)
