"""Image and text as two values of one type: which half of a pair is attacked, and all that depends on it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Literal, Protocol, TypeVar

from torch import Tensor

from aach_lightning.data.pairs import PairBatch, Pairs

Direction = Literal["I2T", "T2I"]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Hashes(Protocol):
    """What has a hash function for each modality: a network, or a target."""

    def hash_images(self, images: Tensor, /) -> Tensor:
        """Codes of images, N x K."""
        ...

    def hash_texts(self, texts: Tensor, /) -> Tensor:
        """Codes of texts, N x K."""
        ...


class HasCodes(Protocol[T_co]):
    """What has codes of both modalities: an index or answers that keep them, or a door that is asked for them."""

    @property
    def image_codes(self) -> T_co:
        """Codes of images, N x K, or how to get them."""
        ...

    @property
    def text_codes(self) -> T_co:
        """Codes of texts, N x K, or how to get them."""
        ...


class Answering(Protocol):
    """A metered door."""

    def query_images(self, images: Tensor) -> Tensor:
        """Answers to images alone."""
        ...

    def query_texts(self, texts: Tensor) -> Tensor:
        """Answers to texts alone."""
        ...


class Modality(StrEnum):
    """One of the two halves of a pair. Its value is what results and file names call it.

    Example:
        >>> Modality.image.other, f"{Modality.text}s"
        (<Modality.text: 'text'>, 'texts')
    """

    image = "image"
    text = "text"

    @property
    def other(self) -> "Modality":
        """The modality that is searched when this one is the query."""
        return Modality.text if self is Modality.image else Modality.image

    @property
    def direction(self) -> Direction:
        """The direction of retrieval in which this half is the query."""
        return "I2T" if self is Modality.image else "T2I"

    def of(self, batch: PairBatch) -> Tensor:
        """This half of a batch: images, or texts."""
        return batch.images if self is Modality.image else batch.texts

    def bounds(self, pairs: Pairs) -> tuple[float, float]:
        """The smallest and the largest value that an entry of this half may take."""
        return (0.0, 1.0) if self is Modality.image else (pairs.text_low, pairs.text_high)

    def hashed_by(self, network: Hashes) -> Callable[[Tensor], Tensor]:
        """The hash function of a network for this half."""
        return network.hash_images if self is Modality.image else network.hash_texts

    def codes(self, of: HasCodes[T]) -> T:
        """The codes of this half: N x K of an index or of answers; of evaluation's door how to ask for them."""
        return of.image_codes if self is Modality.image else of.text_codes

    def asked_of(self, door: Answering) -> Callable[[Tensor], Tensor]:
        """How a metered door is asked about this half alone."""
        return door.query_images if self is Modality.image else door.query_texts
