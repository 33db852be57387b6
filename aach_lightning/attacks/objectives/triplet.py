"""AACH's objective: the triplet with the roles of positive and negative exchanged."""

from torch import Tensor
from torch.nn import functional as F

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss
from aach_lightning.config.choices import TripletForm
from aach_lightning.networks.hashing import binary_codes, relaxed_distance


class ExchangedTriplet:
    """Away from what is near to the clean item, towards what is far from it (AACH, ICCV 2021; reconstructed).

    Args:
        form: "hinge" or "nll", the hinge made smooth.
        margin: beta, as a share of K. From 1 on the hinge never closes and every step pulls at full strength.
        positives: Share of the bank's items, the nearest, that are left; at least one is.
        negatives: Share of the bank's items, the farthest, that are approached; at least one is.
        quantisation_weight: lambda, weight of the gap between a relaxed code and its own sign.
    """

    needs_labels = False
    needs_own = False

    def __init__(
        self, form: TripletForm, margin: float, positives: float, negatives: float, quantisation_weight: float
    ) -> None:
        self.form, self.margin = TripletForm(form), margin
        self.positives, self.negatives = positives, negatives
        self.quantisation_weight = quantisation_weight

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Rank the bank from each item; see `Objective`."""
        positives, negatives = (max(1, round(share * len(bank.other))) for share in (self.positives, self.negatives))
        near, far = nearest_and_farthest(items.codes, bank.ranking, positives, negatives)
        left, approached = bank.other[near], bank.other[far]
        margin = self.margin * bank.other.shape[1]

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            return exchanged_triplet(hashed, left, approached, margin, self.quantisation_weight, self.form)

        return loss


def exchanged_triplet(
    relaxed: Tensor,
    positives: Tensor,
    negatives: Tensor,
    margin: float,
    quantisation_weight: float,
    form: TripletForm = TripletForm.hinge,
) -> Tensor:
    """The triplet with its roles exchanged, plus quantisation.

    hinge: mean over (p, n) of max(0, margin + D(H, n) - D(H, p)), plus weight * mean over bits of (H - sign H)^2;
    nll: softplus in the place of max(0, .).

    Args:
        relaxed: N x K, H(o + delta).
        positives: N x P x K, relaxed codes of the other modality that are near to the clean item.
        negatives: N x Q x K, relaxed codes of the other modality that are far from it.
        margin: beta, in bits.
        quantisation_weight: lambda.
        form: "hinge" or "nll".

    Returns:
        N values; each depends on its own item alone.
    """
    to_positives = _distances(relaxed, positives)
    to_negatives = _distances(relaxed, negatives)
    excess = margin + to_negatives[:, None, :] - to_positives[:, :, None]
    triplet = (F.relu(excess) if form is TripletForm.hinge else F.softplus(excess)).mean(dim=(1, 2))
    gap = (relaxed - binary_codes(relaxed.detach())).square().mean(dim=1)
    return triplet + quantisation_weight * gap


def _distances(relaxed: Tensor, others: Tensor) -> Tensor:
    return (relaxed.shape[1] - (others @ relaxed[:, :, None]).squeeze(2)) / 2


def nearest_and_farthest(
    anchor_codes: Tensor, bank_codes: Tensor, positives: int, negatives: int
) -> tuple[Tensor, Tensor]:
    """Rank the bank's items of the other modality by the Hamming distance of their codes to an attacked item's code.

    Args:
        anchor_codes: N x K in {-1, +1}, codes of the clean attacked items.
        bank_codes: M x K in {-1, +1}, codes of the bank's items of the other modality.
        positives: P, how many of the nearest to return.
        negatives: Q, how many of the farthest to return.

    Returns:
        int64 N x P and N x Q, rows of the bank; ties in the order of the bank.
    """
    distances = relaxed_distance(anchor_codes.float(), bank_codes.float())
    ranking = distances.argsort(dim=1, stable=True)
    return ranking[:, :positives], ranking[:, -negatives:]
