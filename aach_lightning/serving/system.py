"""What is served: a target, what a client has to know of it, and its answers as bytes."""

import json
import threading
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aach_lightning.targets.service import Service, Target


@dataclass(frozen=True)
class About:
    """What a client has to know of a system.

    Attributes:
        identity: Names the target and its weights: another name wherever the answers differ.
        code_length: K.
        image_size: Height and width in pixels.
        text_width: D.
        words_hash: Of the vocabulary (`remote_deployment.words_hash`); None where texts are vectors of no words.
    """

    identity: str
    code_length: int
    image_size: int
    text_width: int
    words_hash: str | None = None


class System:
    """A target for many threads.

    Args:
        target: Hashes images and texts.
        about: Its sizes and its name.
    """

    def __init__(self, target: Target, about: About) -> None:
        self.about = about
        self._service = Service(target, about.code_length)
        self._computing = threading.Lock()  # a network of one's own need not be made for several threads

    def answer(self, inputs: Tensor) -> bytes:
        """The codes of images (uint8, N x 3 x H x H) or texts (float32, N x D) as JSON.

        Raises:
            TargetError: If the target answers with anything but codes.
        """
        ask = self._service.image_codes if inputs.dtype == torch.uint8 else self._service.text_codes
        with self._computing:
            codes = ask(inputs)
        return json.dumps({"codes": code_strings(codes)}, separators=(",", ":")).encode()


def code_strings(codes: Tensor) -> list[str]:
    """Codes, int8 in {-1, +1}, N x K, as strings of 1 and 0.

    Example:
        >>> code_strings(torch.tensor([[1, -1, -1]], dtype=torch.int8))
        ['100']
    """
    digits = np.where(codes.numpy() > 0, ord("1"), ord("0")).astype(np.uint8)
    return [row.tobytes().decode("ascii") for row in digits]
