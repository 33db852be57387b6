"""A target as it is deployed: images and texts in, binary codes out, and nothing else; only doors hold one."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from aach_lightning.errors import AachError
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.targets.contents import level_images


class TargetError(AachError):
    """The target answered with something that is not N codes of length K."""


class Target(Protocol):
    """What can be put behind a door; a HashingNetwork in eval mode is one.

    Answers are N x K: integers in {-1, +1}, or relaxed codes whose sign is taken (0 counts as +1). Inputs come on the
    device of its parameters where it is an nn.Module, else on the CPU.
    """

    def hash_images(self, images: Tensor) -> Tensor:
        """Codes of images, float32 in [0, 1], N x 3 x H x W."""
        ...

    def hash_texts(self, texts: Tensor) -> Tensor:
        """Codes of texts, float32, N x D."""
        ...


class Service:
    """The part of a door that holds the target.

    The target runs without autograd on inputs rounded to 8 bits. What it answers is checked and reduced to signs, so
    that no gradient, weight, distance or real-valued output comes out.

    Args:
        target: The system under attack.
        code_length: K, the number of bits that it must answer with.
    """

    def __init__(self, target: Target, code_length: int) -> None:
        if code_length < 1:
            raise ValueError(f"code_length must be at least 1, got {code_length}")
        self._target = target
        self.code_length = code_length

    def image_codes(self, levels: Tensor) -> Tensor:
        """Codes of 8-bit images.

        Args:
            levels: uint8, N x 3 x H x W.

        Returns:
            int8 in {-1, +1}, N x K, on the CPU; an inference tensor, which the doors copy.

        Raises:
            TargetError: If the target is in training mode, or answers with anything else than N codes of length K.
        """
        return self._ask("images", self._target.hash_images, level_images(levels, self.device))

    def text_codes(self, texts: Tensor) -> Tensor:
        """Codes of texts, float32 N x D; returns and raises as `image_codes`."""
        return self._ask("texts", self._target.hash_texts, texts.detach().to(self.device))

    @property
    def device(self) -> torch.device:
        """Where the target computes."""
        module = self._target if isinstance(self._target, nn.Module) else nn.Identity()
        return next((part.device for part in (*module.parameters(), *module.buffers())), torch.device("cpu"))

    def _ask(self, what: str, answer: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        if isinstance(self._target, nn.Module) and self._target.training:
            raise TargetError("the target is in training mode, its codes would be random; call its eval() first")
        with torch.inference_mode():
            return self._checked(what, answer(inputs), len(inputs))

    def _checked(self, what: str, answer: object, count: int) -> Tensor:
        expected = f"the target must answer {count} {what} with a tensor of shape {count} x {self.code_length}"
        if not isinstance(answer, Tensor):
            raise TargetError(f"{expected}, got a {type(answer).__name__}")
        if tuple(answer.shape) != (count, self.code_length):
            raise TargetError(f"{expected}, got shape {tuple(answer.shape)}")
        answer = answer.cpu()
        if answer.is_floating_point():
            if not bool(torch.isfinite(answer).all()):
                raise TargetError(f"{expected}, got NaN or infinity in it")
            return binary_codes(answer)
        # In double: 255 in uint8 would compare equal to -1.
        if answer.is_complex() or answer.dtype == torch.bool or not bool((answer.double().abs() == 1).all()):
            raise TargetError(f"{expected} of integers in {{-1, +1}} or of floats, got {answer.dtype} of other values")
        return answer.to(torch.int8)
