"""The bytes of a ledger: a header, then records of one size, each with a checksum that continues the one before.

Header, 46 bytes: magic (8), version (u16), K (u32), hash of the target's identity (16), checksum (16).
Record, 18 + W + 8 bytes with W = max(16, 2 A) and A the bytes of one answer: kind (1), key (17), payload (W), checksum
(8).

- A claim "C" says that a run has asked for a key; its payload is the hash of the run's name.
- An answer "A" holds what was answered to a key, packed: image and text of a pair, or one answer and padding. A code
  takes A = ceil(K / 8) bytes; what other forms take, `targets.answers` says.

A checksum is BLAKE2b over the previous checksum and the record (the first one over the header's), so that a record
that is changed, moved, dropped or taken from another ledger is noticed. All numbers are little-endian.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

RUN_SIZE = 16
KEY_SIZE = 17
_CHECKSUM_SIZE = 8
_MAGIC, _VERSION = b"AACHLDGR", 1
_FIELDS = struct.Struct("<8sHI16s")
HEADER_SIZE = _FIELDS.size + 16


def name_hash(name: str) -> bytes:
    """16 bytes that stand for the name of a run or a target."""
    return hashlib.blake2b(name.encode(), digest_size=RUN_SIZE).digest()


class HeaderError(ValueError):
    """A header that cannot be read; the message completes "this file ..."."""


@dataclass(frozen=True)
class Header:
    """What a ledger belongs to.

    Attributes:
        code_length: K.
        identity: 16 bytes, hash of the target's identity.
    """

    code_length: int
    identity: bytes

    def encode(self) -> bytes:
        """The first HEADER_SIZE bytes of the file."""
        fields = _FIELDS.pack(_MAGIC, _VERSION, self.code_length, self.identity)
        return fields + hashlib.blake2b(fields, digest_size=16).digest()

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        """Read the first HEADER_SIZE bytes of a file.

        Raises:
            HeaderError: If they are not the header of a ledger of this version.
        """
        if len(data) != HEADER_SIZE or not data.startswith(_MAGIC):
            raise HeaderError("does not begin like a ledger")
        _, version, code_length, identity = _FIELDS.unpack(data[: _FIELDS.size])
        if hashlib.blake2b(data[: _FIELDS.size], digest_size=16).digest() != data[_FIELDS.size :]:
            raise HeaderError("has a header whose checksum does not fit")
        if version != _VERSION:
            raise HeaderError(f"is a ledger of version {version}, this program reads version {_VERSION}")
        return cls(code_length, identity)


class Kind(Enum):
    """What a record says."""

    CLAIM = b"C"
    ANSWER = b"A"


@dataclass(frozen=True)
class Record:
    """One entry.

    Attributes:
        kind: Claim or answer.
        key: 17 bytes, what was asked.
        payload: Hash of the run, or packed answers; padded with zeros on disk.
    """

    kind: Kind
    key: bytes
    payload: bytes


@dataclass(frozen=True)
class Decoded:
    """What was understood of a stretch of the file.

    Attributes:
        records: Whole records, in order.
        size: Bytes that they take; what follows is torn or damaged.
        checksum: Of the last whole record, or the one before the stretch.
        damaged: True if what follows cannot be the torn end of a write.
    """

    records: list[Record]
    size: int
    checksum: bytes
    damaged: bool


class Layout:
    """Sizes of the records of a ledger, and their translation to bytes and back.

    Args:
        header: Header of the ledger.
        answer_size: Bytes of one packed answer; None where answers are codes.
    """

    def __init__(self, header: Header, answer_size: int | None = None) -> None:
        self._payload_size = max(RUN_SIZE, 2 * (answer_size or -(-header.code_length // 8)))
        self._body_size = 1 + KEY_SIZE + self._payload_size
        self.record_size = self._body_size + _CHECKSUM_SIZE
        self.first_checksum = header.encode()[-_CHECKSUM_SIZE:]

    def encode(self, records: Iterable[Record], checksum: bytes) -> tuple[bytes, bytes]:
        """Bytes of records that follow one whose checksum is `checksum`, and the checksum of the last of them."""
        data = bytearray()
        for record in records:
            body = record.kind.value + record.key + record.payload.ljust(self._payload_size, b"\0")
            checksum = _continued(checksum, body)
            data += body + checksum
        return bytes(data), checksum

    def decode(self, data: bytes, checksum: bytes) -> Decoded:
        """Read records up to the end of the file.

        A write that was cut leaves a part of a record, a last record whose checksum does not fit, or zeros up to the
        end where the file system made room and never filled it; everything else is damage.

        Args:
            data: Everything from the end of a record (or of the header) to the end of the file.
            checksum: Of that record (or header).
        """
        records: list[Record] = []
        for start in range(0, len(data), self.record_size):
            end = start + self._body_size
            body, found = data[start:end], data[end : end + _CHECKSUM_SIZE]
            if len(found) < _CHECKSUM_SIZE or _continued(checksum, body) != found:
                return Decoded(records, start, checksum, damaged=any(data[start + self.record_size :]))
            records.append(Record(Kind(body[:1]), body[1 : 1 + KEY_SIZE], body[1 + KEY_SIZE :]))
            checksum = found
        return Decoded(records, len(data), checksum, damaged=False)


def _continued(checksum: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(checksum + body, digest_size=_CHECKSUM_SIZE).digest()
