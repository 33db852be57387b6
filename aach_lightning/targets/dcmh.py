"""DCMH (Jiang and Li, CVPR 2017): supervised deep cross-modal hashing."""

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.method import DCMHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart


# one parameter for each symbol of eqs. 1 and 3
def dcmh_loss(
    relaxed: Tensor, memory: Tensor, similarity: Tensor, codes: Tensor, other_sum: Tensor, gamma: float, eta: float
) -> Tensor:
    """One modality's part of the DCMH objective for a batch of b items against all n train items of the other modality.

    [ sum (log(1 + e^Theta) - S Theta) + gamma |B - F|^2 + eta |F 1|^2 ] / (b n), Theta = F G' / 2
    (eqs. 1 and 3 of the paper; the division keeps the size of a step independent of b and n).

    Args:
        relaxed: b x K, F, this batch's relaxed codes of one modality.
        memory: n x K, G, the latest relaxed codes of all train items of the other modality.
        similarity: b x n in {0, 1}, S, whether two items share a label.
        codes: b x K in {-1, +1}, B.
        other_sum: K, sum of the same modality's relaxed codes over the train items outside the batch.
        gamma: Weight of quantisation.
        eta: Weight of bit balance.

    Returns:
        Scalar.
    """
    theta = relaxed @ memory.T / 2
    likelihood = (F.softplus(theta) - similarity * theta).sum()
    quantisation = (codes - relaxed).square().sum()
    balance = (relaxed.sum(dim=0) + other_sum).square().sum()
    loss: Tensor = (likelihood + gamma * quantisation + eta * balance) / similarity.numel()
    return loss


class DCMHModule(TargetModule):
    """Trains a HashingNetwork on labelled pairs by DCMH, both modalities in each step.

    The paper alternates between modalities epoch by epoch; here every batch updates both, against memories of the
    latest relaxed codes of all train items, and the codes B = sign(F + G) are those of the current step.

    Args:
        network: The network that gets trained; its inputs are what the data loaders give (images or features).
        train: What it learns from.
        schedule: How long and how fast.
        options: Weights.
    """

    options: DCMHConfig
    labels: Tensor
    image_memory: Tensor
    text_memory: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: DCMHConfig) -> None:
        super().__init__(network, train, schedule, options)
        self.register_buffer("labels", train.labels[self.order].float())
        # Items not seen yet stand at 0: they pull nobody, where the paper's random start would pull at random.
        memory = torch.zeros(len(train.rows), network.code_length)
        self.register_buffer("image_memory", memory)
        self.register_buffer("text_memory", memory.clone())

    def remember(self, ids: Tensor, images: Tensor, texts: Tensor) -> None:
        """Put relaxed codes of train items, N x K, into the memories."""
        positions = self.positions(ids)
        self.image_memory[positions] = images
        self.text_memory[positions] = texts

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        positions = self.positions(batch.ids)
        similarity = (batch.labels.float() @ self.labels.T > 0).float()
        codes = binary_codes(images.detach() + texts.detach())
        image_rest = self.image_memory.sum(dim=0) - self.image_memory[positions].sum(dim=0)
        text_rest = self.text_memory.sum(dim=0) - self.text_memory[positions].sum(dim=0)
        gamma, eta = self.options.gamma, self.options.eta
        loss = dcmh_loss(images, self.text_memory, similarity, codes, image_rest, gamma, eta)
        return loss + dcmh_loss(texts, self.image_memory, similarity, codes, text_rest, gamma, eta)
