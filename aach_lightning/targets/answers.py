"""What a service reveals of its codes: the codes themselves, or ids of a fixed gallery in ranked order.

The door turns codes into answers before they are stored or returned, so that of another form no code comes out.

Threat model of ranked answers. The gallery is a public catalogue: a fixed part of the database, chosen by the service
and not among the attacked queries. The attacker knows the images and texts of its pairs and may learn from them; it
knows no code, no distance and no label of them. An image is answered by ids of gallery texts, a text by ids of gallery
images, nearest first by the Hamming distance of codes: all of them, or the first k.

Ties stand in an order that is drawn from a secret of the service for each code that it ranks by: the same code is
answered the same way always, before and after a restart, and its order says nothing of where distances grow. An order
by id would: wherever ids fall, the distance must have grown. One order for all queries could be learned from many.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.answer import LARGEST_GALLERY
from aach_lightning.networks.hashing import relaxed_distance
from aach_lightning.runtime.seeding import torch_generator


class AnswerForm(Protocol):
    """Codes to answers, and answers to bytes and back.

    Attributes:
        width: W, entries of the answer to one item.
        size: Bytes of one packed answer.
        dtype: Of the entries.
    """

    width: int
    size: int
    dtype: torch.dtype

    def of_images(self, codes: Tensor) -> Tensor:
        """Answers to images, N x W, from their codes, int8 in {-1, +1}, N x K."""
        ...

    def of_texts(self, codes: Tensor) -> Tensor:
        """Answers to texts; as `of_images`."""
        ...

    def pack(self, answers: NDArray[np.generic]) -> bytes:
        """Bytes of one query's answers, P x W, where P is 2 for a pair and 1 for a lone item."""
        ...

    def unpack(self, payload: bytes, parts: int) -> NDArray[np.generic]:
        """Answers, `parts` x W, from packed ones and any padding behind them."""
        ...


class CodeAnswers:
    """The codes: int8 in {-1, +1}, N x K; one bit each in the ledger, bit 1 for +1.

    Args:
        code_length: K.
    """

    dtype = torch.int8

    def __init__(self, code_length: int) -> None:
        self.width, self.size = code_length, -(-code_length // 8)

    def of_images(self, codes: Tensor) -> Tensor:
        """The codes."""
        return codes

    def of_texts(self, codes: Tensor) -> Tensor:
        """The codes."""
        return codes

    def pack(self, answers: NDArray[np.generic]) -> bytes:
        """See `AnswerForm`."""
        return np.packbits(answers.astype(np.int8) > 0, axis=-1).tobytes()

    def unpack(self, payload: bytes, parts: int) -> NDArray[np.int8]:
        """See `AnswerForm`."""
        packed = np.frombuffer(payload, np.uint8, parts * self.size).reshape(parts, self.size)
        return np.unpackbits(packed, axis=-1, count=self.width).astype(np.int8) * np.int8(2) - np.int8(1)


class RankedAnswers:
    """Ids of a gallery, nearest first: int64 in 0..G-1, N x k; two bytes each in the ledger.

    Args:
        image_codes: int8 in {-1, +1}, G x K, of the gallery's images, by which texts are answered.
        text_codes: int8 in {-1, +1}, G x K, of its texts, by which images are answered.
        k: How many ids are revealed, 1 to G.
        secret: Of the service; orders ties. See the top of this file.

    Raises:
        ValueError: If k is outside 1 to G, G is above LARGEST_GALLERY, or the two halves have different shapes.
    """

    dtype = torch.int64

    def __init__(self, image_codes: Tensor, text_codes: Tensor, k: int, secret: str) -> None:
        if image_codes.shape != text_codes.shape:
            raise ValueError(f"a gallery has pairs, got {tuple(image_codes.shape)} and {tuple(text_codes.shape)} codes")
        if not 1 <= k <= len(image_codes) <= LARGEST_GALLERY:
            raise ValueError(f"k must lie in 1 to {len(image_codes)} items, at most {LARGEST_GALLERY}, got {k}")
        self._images, self._texts, self._secret = image_codes, text_codes, secret
        self.width, self.size = k, 2 * k

    def of_images(self, codes: Tensor) -> Tensor:
        """Ids of texts."""
        return self._ranked("image", codes, self._texts)

    def of_texts(self, codes: Tensor) -> Tensor:
        """Ids of images."""
        return self._ranked("text", codes, self._images)

    def _ranked(self, half: str, codes: Tensor, gallery: Tensor) -> Tensor:
        distances = relaxed_distance(codes.float(), gallery.float()).round().long()
        ties = torch.empty_like(distances)
        for row, code in enumerate(codes):
            drawn = torch_generator(0, "ties", self._secret, half, np.packbits(code.numpy() > 0).tobytes().hex())
            ties[row] = torch.randperm(len(gallery), generator=drawn)
        return (distances * len(gallery) + ties).argsort(dim=1)[:, : self.width]

    def pack(self, answers: NDArray[np.generic]) -> bytes:
        """See `AnswerForm`."""
        return answers.astype("<u2").tobytes()

    def unpack(self, payload: bytes, parts: int) -> NDArray[np.int64]:
        """See `AnswerForm`."""
        return np.frombuffer(payload, "<u2", parts * self.width).reshape(parts, self.width).astype(np.int64)
