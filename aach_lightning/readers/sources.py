"""The official archives of the public data sets: addresses, sizes, checksums and where each comes from.

Neither was measured for this table: a size or checksum stands here only where at least two
independent public projects give the same one.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Checksum:
    """A published checksum.

    Attributes:
        algorithm: A name that hashlib knows.
        value: Hexadecimal, lower case.
        origin: Who published it.
    """

    algorithm: str
    value: str
    origin: str


@dataclass(frozen=True)
class Source:
    """One zip archive.

    Attributes:
        url: Where it lies.
        folder: The folder that its content becomes.
        size: Bytes of the archive, or None: then only the length that the server states is compared.
        checksum: Published checksum, or None: then the CRCs inside the zip are checked.
    """

    url: str
    folder: str
    size: int | None
    checksum: Checksum | None

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


_LIACS = "http://press.liacs.nl/mirflickr/mirflickr25k.v3b"
_COCO = "http://images.cocodataset.org"
_TORCHVISION = "torchvision, prototype data sets, coco.py"

SOURCES: dict[str, tuple[Source, ...]] = {
    "mirflickr25k": (
        Source(
            f"{_LIACS}/mirflickr25k.zip",
            "mirflickr",
            3_069_184_257,
            Checksum("md5", "a23d0a8564ee84cda5622a6c2f947785", "the download page of LIACS, as others quote it"),
        ),
        Source(f"{_LIACS}/mirflickr25k_annotations_v080.zip", "annotations", None, None),
    ),
    "mscoco": (
        Source(
            f"{_COCO}/annotations/annotations_trainval2014.zip",
            "annotations",
            252_872_794,
            Checksum("sha256", "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009", _TORCHVISION),
        ),
        Source(
            f"{_COCO}/zips/val2014.zip",
            "val2014",
            6_645_013_297,
            Checksum("sha256", "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0", _TORCHVISION),
        ),
        Source(
            f"{_COCO}/zips/train2014.zip",
            "train2014",
            13_510_573_713,
            Checksum("sha256", "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775", _TORCHVISION),
        ),
    ),
}
