"""DJSRH (Su, Zhong and Zhang, ICCV 2019): unsupervised, reconstructs joint similarities of a batch."""

from torch import Tensor

from aach_lightning.config.method import DJSRHConfig
from aach_lightning.data.pairs import PairBatch
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
    """

    options: DJSRHConfig

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        options = self.options
        similarity = joint_semantics(*self.similarities(self.positions(batch.ids)), options.beta, options.eta)
        sharp = [sharpened(codes, self.sharpness) for codes in (images, texts)]
        return djsrh_loss(sharp[0], sharp[1], similarity, options.mu, options.intra_weight)
