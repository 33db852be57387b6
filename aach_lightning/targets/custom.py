"""A system of one's own under attack, in this process: what it is known by, and what of it gives gradients."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime.files import digest
from aach_lightning.targets.service import Service, Target, TargetError


def given_in_process() -> Target:
    """What `target.method._target_` names where `aach_lightning.attack` was called with an object.

    Raises:
        ConfigError: Always: from its configuration alone such an attack cannot be repeated.
    """
    raise ConfigError(
        "target.method._target_ names a target that a Python program gave to aach_lightning.attack: call that again, "
        "or name a class of your own"
    )


def identity_of(system: object, given: str | None) -> dict[str, str]:
    """What a ledger knows a system by: its given name; else, of an nn.Module, its class and its weights.

    Raises:
        ConfigError: If there is neither.
    """
    kind = f"{type(system).__module__}.{type(system).__qualname__}"
    if given is not None:
        return {"identity": given}
    tensors = system.state_dict() if isinstance(system, nn.Module) else {}
    parts = [part for name, value in tensors.items() if isinstance(value, Tensor) for part in _bytes_of(name, value)]
    if not parts:
        raise ConfigError(
            f"target.method.identity=null: {kind} has no weights that tell it from another one, and answers are kept "
            f"in a ledger for each target. Name it and its version, such as identity='my system, version 1'"
        )
    return {"class": kind, "weights": digest(*parts)}


def _bytes_of(name: str, value: Tensor) -> tuple[bytes, bytes]:
    plain = value.detach().cpu().contiguous()
    described = f"{name} {plain.dtype} {tuple(plain.shape)}"
    return described.encode(), plain.flatten().view(torch.uint8).numpy().tobytes()


def code_length_of(system: Any, pairs: Pairs) -> int:
    """K, from what a system answers to one image.

    Raises:
        TargetError: If it is in training mode, or answers with no tensor of two dimensions.
    """
    if isinstance(system, nn.Module) and system.training:
        raise TargetError("the target is in training mode, its codes would be random; call its eval() first")
    with torch.inference_mode():
        answer = system.hash_images(pairs.batch([0]).images.to(Service(system, 1).device))
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        raise TargetError(f"the target must answer N images with a tensor of shape N x K, got {answer!r:.80}")
    return answer.shape[1]


def gives_gradients(system: Any, inputs: Mapping[Modality, Tensor]) -> bool:
    """Whether an attacker with a system's weights could follow its gradients.

    Args:
        system: The system under attack.
        inputs: Some inputs of each attacked modality, where the system computes.
    """
    arrives = (_gradient_arrives(modality.hashed_by(system), some) for modality, some in inputs.items())
    return isinstance(system, nn.Module) and all(arrives)


def as_network(system: Any, code_length: int, inputs: Mapping[Modality, Tensor]) -> HashingNetwork:
    """A copy of a system as a source of gradients: the white box.

    Its answers are relaxed codes; where one to `inputs` lies outside [-1, 1], they are taken for what a tanh gets.

    Args:
        system: The system under attack.
        code_length: K.
        inputs: Some inputs of both modalities, where the system computes.
    """
    system, halves = copy.deepcopy(system).requires_grad_(False), dict[Modality, nn.Module]()
    for modality, some in inputs.items():
        with torch.no_grad():
            beyond = bool(modality.hashed_by(system)(some).abs().max() > 1)
        halves[modality] = _Half(system, modality, beyond)
    return HashingNetwork(halves[Modality.image], halves[Modality.text], code_length).eval()


class _Half(nn.Module):
    """One modality of a system: N x ... -> N x K in [-1, 1]."""

    system: Any

    def __init__(self, system: nn.Module, modality: Modality, logits: bool) -> None:
        super().__init__()
        self.system, self.modality, self.logits = system, modality, logits

    def forward(self, inputs: Tensor) -> Tensor:
        answers = self.modality.hashed_by(self.system)(inputs)
        return answers.tanh() if self.logits else answers


def _gradient_arrives(answer: Callable[[Tensor], Any], inputs: Tensor) -> bool:
    inputs = inputs.clone().requires_grad_()
    with torch.enable_grad():
        answers = answer(inputs)
        if not isinstance(answers, Tensor) or not answers.is_floating_point() or not answers.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(answers.sum(), inputs, allow_unused=True)
    return gradient is not None and bool(gradient.count_nonzero())
