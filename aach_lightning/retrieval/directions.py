"""Retrieval across and within modalities: which codes are the queries and which the database."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from aach_lightning.retrieval.codes import pack_codes, pack_labels
from aach_lightning.retrieval.histogram import JointHistogram, packed_joint_histogram
from aach_lightning.retrieval.inputs import check_codes_shape, check_labels_shape


class Direction(StrEnum):
    """Modality of the query and of the database."""

    IMAGE_TO_TEXT = "I->T"
    TEXT_TO_IMAGE = "T->I"
    IMAGE_TO_IMAGE = "I->I"
    TEXT_TO_TEXT = "T->T"


@dataclass(frozen=True)
class PairCodes:
    """Codes of both modalities of N pairs, and their labels.

    Attributes:
        image: N x K with values -1 and +1.
        text: N x K with values -1 and +1.
        labels: N x C with values 0 and 1.
    """

    image: Tensor
    text: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check that the parts describe the same pairs.

        Raises:
            TypeError: If a part is not a real tensor.
            ValueError: If the shapes do not fit together.
        """
        check_codes_shape(self.image, "image codes")
        check_codes_shape(self.text, "text codes")
        check_labels_shape(self.labels, "labels")
        if self.image.shape != self.text.shape or len(self.image) != len(self.labels):
            shapes = [tuple(part.shape) for part in (self.image, self.text, self.labels)]
            raise ValueError(f"image codes, text codes and labels must be N x K, N x K and N x C, got {shapes}")


def histograms_by_direction(
    queries: PairCodes, database: PairCodes, directions: Iterable[Direction] = Direction
) -> dict[Direction, JointHistogram]:
    """Joint histogram for each direction. The queries must not be part of the database, or each would find itself.

    Args:
        queries: Codes of Q pairs.
        database: Codes of N pairs, on the same device.
        directions: Which ones, all four unless told.

    Raises:
        ValueError: If either set is empty, they do not fit together, a code is not binary or a label not 0/1.

    Example:
        >>> import torch
        >>> pairs = PairCodes(torch.tensor([[1, 1]]), torch.tensor([[1, -1]]), torch.tensor([[1]]))
        >>> {str(name): table.items.tolist() for name, table in histograms_by_direction(pairs, pairs).items()}
        {'I->T': [[0, 1, 0]], 'T->I': [[0, 1, 0]], 'I->I': [[1, 0, 0]], 'T->T': [[1, 0, 0]]}
    """
    if queries.image.shape[1] != database.image.shape[1]:
        raise ValueError(f"query codes have {queries.image.shape[1]} bits, database codes {database.image.shape[1]}")
    query_words = {"I": pack_codes(queries.image), "T": pack_codes(queries.text)}
    words = {"I": pack_codes(database.image), "T": pack_codes(database.text)}
    query_labels, labels = pack_labels(queries.labels), pack_labels(database.labels)
    length = queries.image.shape[1]
    return {
        direction: packed_joint_histogram(query_words[direction[0]], query_labels, words[direction[-1]], labels, length)
        for direction in directions
    }
