"""Several HashingNetworks as one, and one whose bits are softer: what a gradient with respect to inputs is taken of."""

from collections.abc import Sequence
from typing import Protocol, Self, cast, runtime_checkable

import torch
from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork


@runtime_checkable
class Half(Protocol):
    """What an ensemble needs of a member's half: an nn.Module that also gives what its last tanh gets."""

    def logits(self, inputs: Tensor) -> Tensor:
        """N x ... -> N x K."""
        ...


class Average(nn.Module):
    """One modality's half of an ensemble: tanh(slope * mean of the members' logits).

    Args:
        members: Halves of HashingNetworks of one code length.
        slope: Of the tanh at 0, greater than 0. Below 1, bits that a member is sure of still have a gradient.
        widths: Number of features of each member, where the inputs are the features of all of them side by side; None
            where every member gets the whole input.

    Shapes: N x ... (or N x sum of widths) -> N x K in (-1, 1).

    Raises:
        TypeError: If a member gives no logits.
    """

    def __init__(self, members: Sequence[nn.Module], slope: float, widths: Sequence[int] | None = None) -> None:
        super().__init__()
        for member in members:
            if not isinstance(member, Half):
                raise TypeError(f"{type(member).__name__} gives no logits, which an ensemble averages")
        self.members = nn.ModuleList(members)
        self.slope = slope
        self.widths = None if widths is None else list(widths)

    def parts(self, inputs: Tensor) -> Sequence[Tensor]:
        """What each member gets of the inputs."""
        return [inputs] * len(self.members) if self.widths is None else torch.split(inputs, self.widths, dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Hash a batch of one modality."""
        members = zip(self.members, self.parts(inputs), strict=True)
        logits = torch.stack([cast(Half, member).logits(part) for member, part in members])
        return torch.tanh(self.slope * logits.mean(dim=0))


class EnsembleNetwork(HashingNetwork):
    """A HashingNetwork that averages the logits of its members, as in Dong et al. (CVPR 2018, section 3.4).

    The mean makes sense where bit k means the same to all members: where each was trained towards the codes of one
    target (`surrogate.quantisation=code`). A slope below 1 keeps the tanh out of saturation, as the alpha of DHTA does
    (Bai et al., ECCV 2020): the codes stay, but an attack gets a gradient from all bits and not only from undecided
    ones. One member with a slope is that network made softer.

    Args:
        members: At least one, all of one code length.
        slope: As of `Average`, of both halves.
        widths: As of `Average`, of the image half.

    Raises:
        ValueError: If there are no members, their code lengths differ, or the slope is not greater than 0.
        TypeError: If a half of a member gives no logits.
    """

    def __init__(
        self, members: Sequence[HashingNetwork], slope: float = 1.0, widths: Sequence[int] | None = None
    ) -> None:
        lengths = {member.code_length for member in members}
        if len(lengths) != 1:
            raise ValueError(f"an ensemble needs members of one code length, got {sorted(lengths)}")
        if slope <= 0:
            raise ValueError(f"slope must be greater than 0, got {slope}")
        image = Average([member.image for member in members], slope, widths)
        super().__init__(image, Average([member.text for member in members], slope), lengths.pop())

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
        members, slope = self.members, cast(Average, self.image).slope
        return type(self)([m.on_features() for m in members], slope, [m.feature_width for m in members])


def soften(network: HashingNetwork, slope: float) -> HashingNetwork:
    """The same network with another slope of its tanh: equal codes, other gradients. Parameters are shared.

    Args:
        network: Its halves, or those of its members, give logits.
        slope: Greater than 0; at 1 the network itself is returned.

    Raises:
        ValueError: If the slope is not greater than 0.
        TypeError: If a half gives no logits.
    """
    return network if slope == 1 else EnsembleNetwork(network.members, slope)
