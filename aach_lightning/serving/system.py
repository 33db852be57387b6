"""What is served: a target, the sizes of its inputs, and its answers as bytes."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aach_lightning.runtime.files import digest_json
from aach_lightning.serving.bodies import code_strings
from aach_lightning.targets.service import Service, Target


@dataclass(frozen=True)
class About:
    """What a client has to know.

    Attributes:
        identity: Names the target and its weights.
        code_length: K.
        image_size: Height and width in pixels.
        text_width: D.
        words_hash: Of the vocabulary; None where texts are vectors of no words.
        most_items: Items that one request may hold.
    """

    identity: str
    code_length: int
    image_size: int
    text_width: int
    words_hash: str | None
    most_items: int


class System:
    """A target for many threads.

    Args:
        target: Hashes images and texts.
        code_length: K.
        image_size: Height and width in pixels.
        text_width: D.
        words: Vocabulary of bags of words; None where entries are no words.
        identity: Names the target and its weights.
    """

    def __init__(
        self,
        target: Target,
        code_length: int,
        image_size: int,
        text_width: int,
        words: Sequence[str] | None = None,
        *,
        identity: str,
    ) -> None:
        if words is not None and len(words) != text_width:
            raise ValueError(f"{len(words)} words for texts of {text_width} entries")
        self._service = Service(target, code_length)
        self._computing = threading.Lock()  # a network of one's own need not be made for several threads
        self.code_length, self.image_size, self.text_width = code_length, image_size, text_width
        self.words = None if words is None else tuple(words)
        self.identity = identity

    def about(self, most_items: int) -> About:
        """What a client has to know."""
        words = None if self.words is None else digest_json(list(self.words))
        return About(self.identity, self.code_length, self.image_size, self.text_width, words, most_items)

    def answer(self, inputs: Tensor) -> bytes:
        """The codes of images (uint8, N x 3 x H x W) or texts (float32, N x D) as JSON.

        Raises:
            TargetError: If the target answers with anything but codes.
        """
        ask = self._service.image_codes if inputs.dtype == torch.uint8 else self._service.text_codes
        with self._computing:
            codes = ask(inputs)
        return json.dumps({"codes": code_strings(codes)}, separators=(",", ":")).encode()
