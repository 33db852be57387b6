"""Several HashingNetworks as one: their relaxed codes are averaged."""

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork


class Average(nn.Module):
    """One modality's half of an ensemble: the mean of what its members give.

    Args:
        members: Halves of HashingNetworks of one code length.
        widths: Number of features of each member, where the inputs are the features of all of them side by side; None
            where every member gets the whole input.

    Shapes: N x ... (or N x sum of widths) -> N x K in (-1, 1).
    """

    def __init__(self, members: Sequence[nn.Module], widths: Sequence[int] | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.widths = None if widths is None else list(widths)

    def parts(self, inputs: Tensor) -> Sequence[Tensor]:
        """What each member gets of the inputs."""
        return [inputs] * len(self.members) if self.widths is None else torch.split(inputs, self.widths, dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Hash a batch of one modality."""
        hashed = [member(part) for member, part in zip(self.members, self.parts(inputs), strict=True)]
        return torch.stack(hashed).mean(dim=0)


class EnsembleNetwork(HashingNetwork):
    """A HashingNetwork whose relaxed codes are the mean of its members'.

    The mean makes sense where bit k means the same to all members: where each was trained towards the codes of one
    target (`surrogate.quantisation=code`). Its gradient is the mean of theirs, as in attacks on ensembles (Liu et al.,
    ICLR 2017; Dong et al., CVPR 2018).

    Args:
        members: At least one, all of one code length.
        widths: As of `Average`, of the image half.

    Raises:
        ValueError: If there are no members, or their code lengths differ.
    """

    def __init__(self, members: Sequence[HashingNetwork], widths: Sequence[int] | None = None) -> None:
        lengths = {member.code_length for member in members}
        if len(lengths) != 1:
            raise ValueError(f"an ensemble needs members of one code length, got {sorted(lengths)}")
        image = Average([member.image for member in members], widths)
        super().__init__(image, Average([member.text for member in members]), lengths.pop())

    @property
    def members(self) -> list[HashingNetwork]:
        """The networks that are averaged; parameters are shared."""
        images, texts = cast(Average, self.image).members, cast(Average, self.text).members
        return [HashingNetwork(*halves, self.code_length) for halves in zip(images, texts, strict=True)]

    def member_inputs(self, images: Tensor) -> Sequence[Tensor]:
        """What each member gets of images, or of features of images."""
        return cast(Average, self.image).parts(images)

    def on_features(self) -> Self:
        """The same network for the features of all members side by side; parameters are shared.

        Raises:
            TypeError: If the image half of a member is not an Encoder.
        """
        members = self.members
        return type(self)([m.on_features() for m in members], [m.feature_width for m in members])
