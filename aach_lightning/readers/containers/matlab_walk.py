"""A strict walk through the elements of a MATLAB 5 variable, before scipy reads it.

scipy's parser believes type codes, lengths, dimensions and nesting. Wrong ones end the process or fill the memory. What
this walk lets through is sound in all of these.
"""

from dataclasses import dataclass
from math import prod
from struct import Struct, unpack

MAX_DEPTH, MAX_CELLS, MAX_FIELDS = 16, 2**22, 4096
"""Cells and structs inside one another, matrices in one variable, and fields of one struct."""
_BLANKS = 512

MATRIX = 14
_INT8, _INT32, _UINT32, _UTF8 = 1, 5, 6, 16
_WIDTH = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # of the number types, in bytes
_CHARACTERS = (1, 2, 4, 16, 17, 18)
_NUMBERS = {
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
}
KINDS = {1: "cell", 2: "struct", 4: "char", 5: "sparse", **_NUMBERS}
"""Class codes that are read; objects, functions and handles are not."""


class DamagedError(Exception):
    """A variable that is not sound; its words say where."""


@dataclass(frozen=True)
class Header:
    """The beginning of a matrix.

    Attributes:
        kind: A value of KINDS, or "other".
        shape: Dimensions.
        name: Empty inside cells and structs.
        is_complex: Whether an imaginary part follows the real one.
    """

    kind: str
    shape: tuple[int, ...]
    name: str
    is_complex: bool


class Walk:
    """Goes from element to element of one variable; every method goes on behind what it has read.

    Args:
        data: The variable from the tag of its matrix on, unpacked; for `start` its beginning is enough.
        order: Of bytes, "<" or ">".

    Each method raises DamagedError where the format or a limit is violated.
    """

    def __init__(self, data: bytes | memoryview, order: str) -> None:
        self.data, self.place, self.end, self.order = memoryview(data), 0, len(data), order
        self.kind = self.cells = 0
        self._two = Struct(f"{order}II")

    def start(self) -> Header:
        """Header of the variable."""
        kind, _ = self.tag()
        if kind != MATRIX:
            raise DamagedError(f"type {kind} where a matrix must stand")
        return self.header()

    def check(self) -> None:
        """Everything, which must end where it states to end."""
        kind, size = self.tag()
        if kind != MATRIX or size != self.end - self.place:
            raise DamagedError(f"type {kind} with {size:,} bytes where a matrix of {self.end - 8:,} must stand")
        self.matrix(size, 0)

    def tag(self) -> tuple[int, int]:
        """Type and bytes of the element that follows, in the long form alone."""
        if self.place + 8 > self.end:
            raise DamagedError("it ends inside a tag")
        self.place += 8
        kind, size = self._two.unpack_from(self.data, self.place - 8)
        return int(kind), int(size)

    def element(self, kinds: tuple[int, ...], what: str) -> memoryview:
        """Content of the next element, which must be of one of `kinds`."""
        kind, size = self.tag()
        start = self.place
        if kind >> 16:  # the short form: type, size and up to four bytes in eight
            kind, size, start = kind & 0xFFFF, kind >> 16, start - 4
            if size > 4:
                raise DamagedError(f"{what} of {size} bytes in the space of 4")
        else:
            self.place += size + -size % 8
        if kind not in kinds:
            raise DamagedError(f"type {kind} where {what} must stand")
        if self.place > self.end:
            raise DamagedError(f"{what} of {size:,} bytes goes beyond the end")
        self.kind = kind
        return self.data[start : start + size]

    def header(self) -> Header:
        """Flags, dimensions and name of a matrix."""
        if self.tag() != (_UINT32, 8):
            raise DamagedError("no array flags at the beginning of a matrix")
        flags, _ = self.tag()
        kind = KINDS.get(flags & 0xFF, "other")
        if kind == "other":  # what follows differs from class to class
            return Header(kind, (), "", False)
        shape = self.few("dimensions")
        if not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise DamagedError(f"dimensions {shape}")
        name = self.element((_INT8, _UTF8), "a name")
        if self.kind == _UTF8 and not bytes(name).isascii():
            raise DamagedError("a name that is not ASCII")
        return Header(kind, shape, bytes(name).decode("latin1"), bool(flags >> 11 & 1))

    def content(self, header: Header, depth: int) -> None:
        """What follows a header."""
        count = prod(header.shape)
        if header.kind == "cell":
            self.matrices(count, depth)
        elif header.kind == "struct":
            self.cells += count
            self.matrices(count * self.fields(), depth)
        elif header.kind == "char":
            size = len(self.element(_CHARACTERS, "characters"))
            if count > max(size, _BLANKS):  # scipy fills up with blanks what a string of no bytes claims to have
                raise DamagedError(f"{size} bytes for {count:,} characters")
        elif header.kind == "sparse":
            # the indices are looked at where the matrix is made dense
            for what in ("rows of a sparse matrix", "columns of a sparse matrix"):
                self.element((_INT32, _UINT32), what)
            for _ in range(1 + header.is_complex):
                self.element(tuple(_WIDTH), "values of a sparse matrix")
        elif header.kind != "other":
            for _ in range(1 + header.is_complex):
                size = len(self.element(tuple(_WIDTH), "numbers"))
                if size != count * _WIDTH[self.kind]:
                    raise DamagedError(f"{size:,} bytes for {count:,} numbers of {_WIDTH[self.kind]} bytes")
        else:
            raise DamagedError("an object, function or handle, none of which is read")

    def matrices(self, count: int, depth: int) -> None:
        """The `count` matrices of a cell array or struct."""
        self.cells += count
        if depth == MAX_DEPTH or self.cells > MAX_CELLS:
            raise DamagedError(f"cells nested deeper than {MAX_DEPTH} or more than {MAX_CELLS:,}")
        for _ in range(count):
            kind, size = self.tag()
            if kind != MATRIX or size > self.end - self.place:
                raise DamagedError(f"type {kind} with {size:,} bytes where a matrix must stand")
            if size:  # none: an empty matrix
                self.matrix(size, depth + 1)

    def matrix(self, size: int, depth: int) -> None:
        """Header and content, which must fill `size` bytes."""
        start = self.place
        self.content(self.header(), depth)
        if self.place != start + size:
            raise DamagedError(f"a matrix takes {self.place - start:,} bytes and states {size:,}")

    def fields(self) -> int:
        """Number of the fields of a struct."""
        stated = self.few("the length of field names")
        if len(stated) != 1 or not 1 <= stated[0] <= 64:
            raise DamagedError(f"field names of length {stated}")
        names, length = bytes(self.element((_INT8, _UTF8), "field names")), stated[0]
        count = len(names) // length
        ended = all(0 in names[start : start + length] for start in range(0, count * length, length))
        if len(names) % length or count > MAX_FIELDS or not ended:
            raise DamagedError(f"{len(names):,} bytes of field names, {length} each")
        return count

    def few(self, what: str) -> tuple[int, ...]:
        """Some whole numbers of 4 bytes."""
        content = self.element((_INT32, _UINT32), what)
        if len(content) % 4:
            raise DamagedError(f"{what} of {len(content)} bytes")
        return unpack(f"{self.order}{len(content) // 4}i", content)
