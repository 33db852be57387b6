"""What a perturbation minimises: AACH's triplet with the roles of positive and negative exchanged."""

from torch import Tensor
from torch.nn import functional as F

from aach_lightning.networks.hashing import binary_codes, relaxed_distance


def exchanged_triplet(
    relaxed: Tensor, positives: Tensor, negatives: Tensor, margin: float, quantisation_weight: float
) -> Tensor:
    """Away from the positives, towards the negatives, plus quantisation (AACH, ICCV 2021; reconstructed).

    mean over (p, n) of max(0, margin + D(H, n) - D(H, p)), plus weight * mean over bits of (H - sign H)^2.

    Args:
        relaxed: N x K, H(o + delta).
        positives: N x P x K, relaxed codes of the other modality that are near to the clean item.
        negatives: N x Q x K, relaxed codes of the other modality that are far from it.
        margin: beta, in bits. From K bits on the hinge never closes and every step pulls at full strength.
        quantisation_weight: lambda.

    Returns:
        N values; each depends on its own item alone.
    """
    to_positives = _distances(relaxed, positives)
    to_negatives = _distances(relaxed, negatives)
    triplet = F.relu(margin + to_negatives[:, None, :] - to_positives[:, :, None]).mean(dim=(1, 2))
    gap = (relaxed - binary_codes(relaxed.detach())).square().mean(dim=1)
    return triplet + quantisation_weight * gap


def _distances(relaxed: Tensor, others: Tensor) -> Tensor:
    return (relaxed.shape[1] - (others @ relaxed[:, :, None]).squeeze(2)) / 2


def nearest_and_farthest(
    anchor_codes: Tensor, bank_codes: Tensor, positives: int, negatives: int
) -> tuple[Tensor, Tensor]:
    """Rank the queried items of the other modality by the Hamming distance of their codes to an attacked item's code.

    Args:
        anchor_codes: N x K in {-1, +1}, codes of the clean attacked items.
        bank_codes: M x K in {-1, +1}, codes of the queried items of the other modality.
        positives: P, how many of the nearest to return.
        negatives: Q, how many of the farthest to return.

    Returns:
        int64 N x P and N x Q, rows of the bank; ties in the order of the bank.
    """
    distances = relaxed_distance(anchor_codes.float(), bank_codes.float())
    ranking = distances.argsort(dim=1, stable=True)
    return ranking[:, :positives], ranking[:, -negatives:]
