"""Named tensors of a file against the layers of a network: sizes come from the file, and every mismatch is listed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from aach_lightning.errors import CheckpointError

Module = TypeVar("Module", bound=nn.Module)
_SHOWN = 12
_COUNTER = "num_batches_tracked"  # of batch norm: old files lack it, and evaluation does not read it


class Weights:
    """The tensors of a file, or those of them whose names start alike.

    Names lose the `module.` that DataParallel puts before them; half precision becomes float32.

    Args:
        tensors: By name.
        path: For messages.
        prefix: What was cut off the names.
    """

    def __init__(self, tensors: Mapping[str, Tensor], path: Path, prefix: str = "") -> None:
        if tensors and all(name.startswith("module.") for name in tensors):
            tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        self.tensors = {name: it.float() if it.is_floating_point() else it for name, it in tensors.items()}
        self.path, self.prefix = path, prefix

    def __contains__(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.tensors

    def below(self, prefix: str) -> "Weights":
        """Those whose names start with `prefix`, without it."""
        found = {name.removeprefix(prefix): it for name, it in self.tensors.items() if name.startswith(prefix)}
        return Weights(found, self.path, self.prefix + prefix)

    def check_parts(self, prefixes: Sequence[str]) -> None:
        """Refuse names that start with none of `prefixes`.

        Raises:
            CheckpointError: Lists them.
        """
        if other := [name for name in self.tensors if not name.startswith(tuple(prefixes))]:
            raise CheckpointError(
                f"{self.path} holds more than this format has: {_listed(other)}; its parts are {', '.join(prefixes)}"
            )

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of one tensor.

        Raises:
            CheckpointError: If there is no such tensor, or it has not `axes` axes.
        """
        if name not in self.tensors:
            raise CheckpointError(
                f"{self.path} has no {self.prefix}{name}, so it is a file of another format; it holds "
                f"{_listed([self.prefix + other for other in self.tensors]) or 'nothing of that kind'}"
            )
        found = tuple(self.tensors[name].shape)
        if len(found) != axes or 0 in found:
            raise CheckpointError(
                f"{self.path}: {self.prefix}{name} must have {axes} axes without an empty one, it has shape {found}"
            )
        return found

    def numbers(self, prefix: str) -> list[int]:
        """The numbers that follow `prefix` in names such as prefix12.weight, in ascending order."""
        parts = {name.removeprefix(prefix).partition(".")[0] for name in self.tensors if name.startswith(prefix)}
        return sorted(int(part) for part in parts if part.isdigit())

    def build(self, make: Callable[[], Module], unused: Sequence[str] = ()) -> Module:
        """A network with these weights, in eval mode and without gradients of parameters.

        Args:
            make: Creates it; its tensors have the names and shapes that the file must have.
            unused: Beginnings of names that the file may have beside them: parts that only training needs.

        Raises:
            CheckpointError: Lists what is missing, unexpected, of another shape, or not finite.
        """
        with torch.device("meta"):  # nobody needs random weights
            module = make()
        wanted = module.state_dict()
        given = {name: it for name, it in self.tensors.items() if not name.startswith(tuple(unused)) or name in wanted}
        wrong = [
            (f"missing: {self.prefix}{name} of shape {tuple(it.shape)}")
            for name, it in wanted.items()
            if name not in given and not name.endswith(_COUNTER)
        ]
        wrong += [
            f"unexpected: {self.prefix}{name} of shape {tuple(it.shape)}"
            for name, it in given.items()
            if name not in wanted and not name.endswith(_COUNTER)
        ]
        for name in wanted.keys() & given.keys():
            found, expected = tuple(given[name].shape), tuple(wanted[name].shape)
            if found != expected:
                wrong.append(f"shape: {self.prefix}{name} has {found}, expected is {expected}")
            elif not bool(torch.isfinite(given[name]).all()):
                wrong.append(f"not finite: {self.prefix}{name} holds NaN or infinity")
        if wrong:
            more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            lines = "".join(f"\n  - {line}" for line in sorted(wrong)[:_SHOWN])
            raise CheckpointError(f"{self.path} does not fit {type(module).__name__}:{lines}{more}")
        counters = {name: torch.zeros((), dtype=torch.long) for name in wanted if name.endswith(_COUNTER)}
        module.load_state_dict({**counters, **{name: given[name] for name in wanted if name in given}}, assign=True)
        return module.requires_grad_(False).eval()


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more
