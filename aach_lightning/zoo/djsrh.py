"""DJSRH (Su, Zhong and Zhang, ICCV 2019): unsupervised, reconstructs joint similarities of a batch."""

from torch import Tensor

from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.unsupervised import UnsupervisedModule, reconstruction, sharpened


def joint_semantics(images: Tensor, texts: Tensor, beta: float, eta: float) -> Tensor:
    """Joint similarities of a batch of m pairs, (1 - eta) S~ + eta S~ S~' / m with S~ = beta S_I + (1 - beta) S_T.

    The second part calls two items similar that have similar neighbours in the batch.

    Args:
        images: m x m in [-1, 1], S_I, similarities of images.
        texts: m x m in [-1, 1], S_T, of texts.
        beta: Share of images, in [0, 1].
        eta: Share of neighbours, in [0, 1].

    Returns:
        m x m in [-1, 1].
    """
    mixed = beta * images + (1 - beta) * texts
    return (1 - eta) * mixed + eta * mixed @ mixed.T / len(mixed)


def djsrh_loss(images: Tensor, texts: Tensor, similarity: Tensor, mu: float, intra_weight: float) -> Tensor:
    """The DJSRH objective of a batch: cosines of codes against mu S, squared, mean over m x m.

    |mu S - cos(B_I, B_T)|^2 + lambda |mu S - cos(B_I, B_I)|^2 + lambda |mu S - cos(B_T, B_T)|^2
    (the paper divides B B' by K; its authors' code takes cosines, as here, which is the same for binary codes).

    Args:
        images: m x K, B_I, relaxed codes of images.
        texts: m x K, B_T, of texts.
        similarity: m x m, S, from `joint_semantics`.
        mu: Scale of S.
        intra_weight: lambda, weight of both parts within a modality.

    Returns:
        Scalar.
    """
    wanted = mu * similarity
    within = reconstruction(images, images, wanted) + reconstruction(texts, texts, wanted)
    return reconstruction(images, texts, wanted) + intra_weight * within


class DJSRHModule(UnsupervisedModule):
    """Trains a HashingNetwork on pairs without labels by DJSRH.

    Codes are tanh(alpha x), alpha the root of the number of the epoch, as in the authors' code.

    Args:
        network: The network that gets trained; its inputs are what the data loaders give (images or features).
        train: What it learns from.
        schedule: How long and how fast.
        beta: Share of images in the joint similarity.
        eta: Share of neighbours in it.
        mu: Its scale.
        intra_weight: Weight of the parts within a modality.
    """

    def __init__(
        self,
        network: HashingNetwork,
        train: TrainPart,
        schedule: Schedule,
        *,
        beta: float,
        eta: float,
        mu: float,
        intra_weight: float,
    ) -> None:
        super().__init__(network, train, schedule)
        self.beta, self.eta, self.mu, self.intra_weight = beta, eta, mu, intra_weight

    def pairs_loss(self, images: Tensor, texts: Tensor, positions: Tensor) -> Tensor:
        """The objective of a batch; see `UnsupervisedModule`."""
        similarity = joint_semantics(*self.similarities(positions), self.beta, self.eta)
        sharp = [sharpened(codes, self.sharpness) for codes in (images, texts)]
        return djsrh_loss(sharp[0], sharp[1], similarity, self.mu, self.intra_weight)
