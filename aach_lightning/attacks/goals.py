"""Goals of a targeted attack: a label that a query does not have, and the code that stands for it."""

import torch
from torch import Tensor

from aach_lightning.networks.hashing import binary_codes
from aach_lightning.runtime.seeding import torch_generator

VOTERS = 9


def voted_code(codes: Tensor) -> Tensor:
    """The code with the smallest mean Hamming distance to some codes, bit by bit (DHTA, Bai et al., ECCV 2020, eq. 6).

    Args:
        codes: int8 in {-1, +1}, V x K.

    Returns:
        int8 in {-1, +1}, K; a bit that gets as many votes as it loses is +1.

    Example:
        >>> voted_code(torch.tensor([[1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.int8))
        tensor([ 1, -1, -1], dtype=torch.int8)
    """
    return binary_codes(codes.sum(dim=0, dtype=torch.int64))


def voted_anchors(targets: Tensor, codes: Tensor, labels: Tensor, seed: int, voters: int = VOTERS) -> Tensor:
    """The code that stands for each item's target label: voted by some queried items that have the label.

    Args:
        targets: int64, N, columns of `labels`, each with at least one item.
        codes: int8 in {-1, +1}, M x K, codes of the queried items of the modality that is not attacked.
        labels: uint8 in {0, 1}, M x C, of these items: what the attacker knows of its own pairs.
        seed: Base seed of the draw of voters.
        voters: Number of items that vote, drawn for each label; all of them where a label has fewer.

    Returns:
        int8 in {-1, +1}, N x K; equal for items with the same target.

    Raises:
        ValueError: If no item has one of the targets.
    """
    anchors = torch.empty(len(targets), codes.shape[1], dtype=torch.int8)
    for label in sorted(set(targets.tolist())):
        members = labels[:, label].nonzero()[:, 0]
        if not len(members):
            raise ValueError(f"no item has label {label}")
        order = torch.randperm(len(members), generator=torch_generator(seed, "voters", label))
        anchors[targets == label] = voted_code(codes[members[order[:voters]]])
    return anchors


def other_labels(labels: Tensor, ids: Tensor, possible: Tensor, seed: int) -> Tensor:
    """A label for each item that it does not have, at random.

    Args:
        labels: uint8 in {0, 1}, N x C, of the items.
        ids: int64, N; an item's draw depends on its id alone.
        possible: bool, C, the labels to draw from, at least one. An item that has all of them gets one of these.
        seed: Base seed.

    Returns:
        int64, N, columns of `labels`.
    """
    drawn = []
    for own, number in zip(labels, ids.tolist(), strict=True):
        foreign = (possible & (own == 0)).nonzero()[:, 0]
        pool = foreign if len(foreign) else possible.nonzero()[:, 0]
        place = torch.randint(len(pool), (), generator=torch_generator(seed, "target_label", number))
        drawn.append(int(pool[place]))
    return torch.tensor(drawn, dtype=torch.int64)
