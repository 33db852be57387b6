"""SSAH (Li et al., CVPR 2018): a network that hashes labels supervises both modalities, discriminators align them."""

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.config.method import SSAHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.likelihood import likelihood
from aach_lightning.networks.sharing import Half
from aach_lightning.runtime import ranks
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.auxiliary import SemanticModule, dense, reverse_gradient, similarity_of

_BATCH = 128  # labels at once while the label network learns alone


def semantic_loss(
    half: Half,
    memory: Half,
    similarity: Tensor,
    codes: Tensor,
    predicted: Tensor,
    labels: Tensor,
    options: SSAHConfig,
) -> Tensor:
    """One network's part of the SSAH objective for a batch of b items against the labels of all n train items.

    [ alpha sum (log(1 + e^Delta) - S Delta) + gamma sum (log(1 + e^Gamma) - S Gamma) + eta |H - B|^2
    + beta |L' - L|^2 ] / (b n), Delta = F F_l' / 2, Gamma = H H_l' / 2
    (the form of the paper, the sum of J1 to J4; the division keeps the size of a step independent of b and n. The
    authors' public code differs: it takes squares of the two parts of each likelihood's difference.)

    Args:
        half: F and H, features and relaxed codes of the batch.
        memory: F_l and H_l, the latest ones that the label network made of all n train items.
        similarity: b x n in {0, 1}, S.
        codes: b x K in {-1, +1}, B.
        predicted: b x C in (0, 1), L'.
        labels: b x C in {0, 1}, L.
        options: alpha, gamma, eta, beta.

    Returns:
        Scalar.
    """
    features = likelihood(half.semantics @ memory.semantics.T / 2, similarity).mean()
    hashed = likelihood(half.codes @ memory.codes.T / 2, similarity).mean()
    errors = options.eta * (half.codes - codes).square().sum() + options.beta * (predicted - labels).square().sum()
    loss: Tensor = options.alpha * features + options.gamma * hashed + errors / similarity.numel()
    return loss


def discriminator_loss(of_labels: Tensor, of_items: Tensor) -> Tensor:
    """|D(F) - y|^2, y = 1 for features of labels and 0 for those of the modality, mean over each, summed.

    The authors' public code has a cross-entropy instead.

    Args:
        of_labels: N logits; D is their sigmoid, so that what is gained by misleading it is bounded.
        of_items: M logits.

    Returns:
        Scalar in (0, 2); 0.5 for a discriminator that cannot tell them apart.
    """
    return (of_labels.sigmoid() - 1).square().mean() + of_items.sigmoid().square().mean()


class SSAHModule(SemanticModule):
    """Trains a HashingNetwork on labelled pairs by SSAH, all networks in each step.

    As in the authors' public code, the label network learns alone first: what the modalities shall follow must stand.
    Then every batch updates all networks, where that code takes turns, against memories of what the label network made
    of all train items. Ours, too: the codes B = sign(H_v + H_t + H_l) are those of the current step, and the
    discriminators stand behind reversed gradients. Labels supervise alone: the discriminators do not move the features
    of the label network.
    """

    options: SSAHConfig
    labels: Tensor
    label_semantics: Tensor
    label_codes: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: SSAHConfig) -> None:
        super().__init__(network, train, schedule, options)
        count, classes, width = *train.labels.shape, self.semantic_width
        self.register_buffer("labels", train.labels[self.order].float())
        self.register_buffer("label_semantics", torch.zeros(count, width))
        self.register_buffer("label_codes", torch.zeros(count, network.code_length))
        self.label_network = dense(classes, options.label_hidden, width)
        self.label_head = nn.Linear(width, network.code_length)
        self.classifiers = nn.ModuleList(nn.Linear(width, classes) for _ in range(3))
        self.discriminators = nn.ModuleList(dense(width, width, 1) for _ in range(2))
        self._order_seed = int(torch.randint(2**62, ()))

    def on_train_start(self) -> None:
        """Let the label network learn alone, unless the training goes on where it was interrupted."""
        if self.current_epoch == 0:
            self.train_labels()

    @torch.enable_grad()
    def train_labels(self) -> None:
        """Train the label network on the labels of all train items, and remember what it makes of each."""
        own = [self.label_network, self.label_head, self.classifiers[0]]
        optimizer = torch.optim.Adam([p for part in own for p in part.parameters()], lr=self.options.auxiliary_lr)
        shuffle = torch.Generator().manual_seed(self._order_seed)
        epochs = range(self.options.label_epochs)
        for _ in track(epochs, "learning from labels", transient=True, disable=not ranks.is_first()):
            for positions in torch.split(torch.randperm(len(self.labels), generator=shuffle), _BATCH):
                labels = self.labels[positions]
                label = self.hash_labels(labels)
                self.remember_labels(positions, label)
                codes = binary_codes(label.codes.detach()).float()
                loss = self.part(label, 0, labels, codes)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        with torch.no_grad():
            for positions in torch.split(torch.arange(len(self.labels)), _BATCH):
                self.remember_labels(positions, self.hash_labels(self.labels[positions]))

    def hash_labels(self, labels: Tensor) -> Half:
        """What the label network makes of labels, N x C float in {0, 1}."""
        semantics = F.relu(self.label_network(labels))
        return Half(semantics, self.label_head(semantics).tanh())

    def remember_labels(self, positions: Tensor, label: Half) -> None:
        """Put what the label network made of train items into the memories."""
        self.label_semantics[positions] = label.semantics.detach()
        self.label_codes[positions] = label.codes.detach()

    def part(self, half: Half, which: int, labels: Tensor, codes: Tensor) -> Tensor:
        """`semantic_loss` of one network: 0 that of labels, 1 of images, 2 of texts."""
        memory = Half(self.label_semantics, self.label_codes)
        predicted = self.classifiers[which](half.semantics).sigmoid()
        return semantic_loss(half, memory, similarity_of(labels, self.labels), codes, predicted, labels, self.options)

    def semantic_loss(self, image: Half, text: Half, batch: PairBatch) -> Tensor:
        """The objective of the label network, both modalities and both discriminators; see `SemanticModule`."""
        labels, positions = batch.labels.float(), self.positions(batch.ids)
        label = self.hash_labels(labels)
        self.remember_labels(positions, label)
        codes = binary_codes((image.codes + text.codes + label.codes).detach()).float()
        total = labels.new_zeros(())
        for which, half in enumerate((label, image, text)):
            total = total + self.part(half, which, labels, codes)
        for half, discriminator in zip((image, text), self.discriminators, strict=True):
            of_items = discriminator(reverse_gradient(half.semantics, self.options.adversarial))
            total = total + discriminator_loss(discriminator(label.semantics.detach()), of_items)
        return total
