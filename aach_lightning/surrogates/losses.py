"""What a surrogate learns from: triplets of the target's codes, and the codes themselves (AACH, ICCV 2021)."""

from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.choices import Quantisation, TripletForm
from aach_lightning.mining.triplets import Triplets
from aach_lightning.networks.hashing import binary_codes, relaxed_distance


def triplet_loss(anchors: Tensor, others: Tensor, triplets: Triplets, margin: float, form: TripletForm) -> Tensor:
    """Mean triplet loss over T triplets; 0 where there are none.

    hinge: max(0, margin + D(a, p) - D(a, n));  nll: -log sigmoid(Theta(a, p) - Theta(a, n) - margin) with
    Theta = H.H'/2, which is softplus(margin + D(a, p) - D(a, n)), the hinge made smooth.

    Args:
        anchors: N x K relaxed codes of the anchors' modality.
        others: M x K relaxed codes of the other modality.
        triplets: Rows of `anchors` and `others`.
        margin: beta, in bits.
        form: "hinge" or "nll".

    Returns:
        Scalar, in bits.
    """
    if not len(triplets):
        return anchors.sum() * 0.0 + others.sum() * 0.0
    distances = relaxed_distance(anchors, others)
    excess = margin + distances[triplets.anchor, triplets.positive] - distances[triplets.anchor, triplets.negative]
    return (F.relu(excess) if form == TripletForm.hinge else F.softplus(excess)).mean()


def quantisation_loss(relaxed: Tensor, codes: Tensor | None, target: Quantisation) -> Tensor:
    """Mean squared gap, over N items and K bits, between a relaxed code and a binary one.

    Args:
        relaxed: N x K in (-1, 1).
        codes: N x K in {-1, +1}, what the system under attack answered; None where it was not asked.
        target: "sign": towards the surrogate's own sign; "code": towards the answered code.

    Returns:
        Scalar in [0, 4].

    Raises:
        ValueError: If the target is "code" and there are no codes.
    """
    wanted = binary_codes(relaxed.detach()) if target == Quantisation.sign else codes
    if wanted is None:
        raise ValueError("the target was not asked for codes: quantisation can be towards the sign alone")
    return (relaxed - wanted).square().mean()


def balance_loss(relaxed: Tensor) -> Tensor:
    """Mean squared mean of each bit over N items: 0 where every bit is +1 as often as -1.

    Args:
        relaxed: N x K in (-1, 1).

    Returns:
        Scalar in [0, 1].
    """
    return relaxed.mean(dim=0).square().mean()
