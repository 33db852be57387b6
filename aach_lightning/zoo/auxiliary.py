"""Methods with networks of their own: they help the deployed one to learn, are never saved with it, never attacked."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.config.method import AuxiliaryMethodConfig, SemanticMethodConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.sharing import Half, read_global_batch
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart


def reverse_gradient(values: Tensor, strength: float) -> Tensor:
    """The same values; what flows back is multiplied by -strength (Ganin and Lempitsky, ICML 2015).

    A discriminator behind it learns as usual, and what is before it learns to mislead the discriminator: minimum and
    maximum of one loss in one step.

    Example:
        >>> values = torch.tensor([2.0], requires_grad=True)
        >>> (reverse_gradient(values, 0.5) * 3).sum().backward()
        >>> values.grad
        tensor([-1.5000])
    """
    return values.detach() - strength * (values - values.detach())


def similarity_of(labels: Tensor, others: Tensor) -> Tensor:
    """Whether items share a label: labels N x C and M x C in {0, 1} -> N x M float in {0, 1}."""
    return (labels.float() @ others.float().T > 0).float()


def dense(*widths: int) -> nn.Sequential:
    """Linear layers of some widths with ReLU between them: N x widths[0] -> N x widths[-1]."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def told_apart(ones: Tensor, zeros: Tensor) -> Tensor:
    """Loss of a discriminator: mean of -log D over items that are to be called 1 and of -log(1 - D) over the others.

    Args:
        ones: N logits.
        zeros: M logits.

    Returns:
        Scalar; 2 log 2 for a discriminator that cannot tell them apart.
    """
    return F.softplus(-ones).mean() + F.softplus(zeros).mean()


def gradient_penalty(discriminator: nn.Module, ones: Tensor, zeros: Tensor, shares: Tensor) -> Tensor:
    """Mean of (|gradient of D at x| - 1)^2 at points x between pairs of inputs (Gulrajani et al., NeurIPS 2017).

    Args:
        discriminator: N x F to N x 1 logits.
        ones: N x F, without gradients.
        zeros: N x F, without gradients.
        shares: N x F in [0, 1], where between them.

    Returns:
        Scalar with a gradient to the parameters of the discriminator.
    """
    between = (shares * ones + (1 - shares) * zeros).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    # the root has no derivative at 0, where a ReLU discriminator may be flat
    length = gradient.square().sum(dim=1).clamp(min=1e-12).sqrt()
    return (length - 1).square().mean()


def label_prediction(image_logits: Tensor, text_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of predicted labels, of both modalities: sum over classes, mean over items.

    Items may have several labels or none, so each class is predicted by itself.

    Args:
        image_logits: N x C.
        text_logits: N x C.
        labels: N x C float in {0, 1}.

    Returns:
        Scalar.
    """
    logits, wanted = torch.cat([image_logits, text_logits]), torch.cat([labels, labels])
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / len(labels)


class AuxiliaryModule(TargetModule):
    """A method whose own networks are trained together with the deployed one; arguments as of `TargetModule`.

    A subclass makes them attributes; the initial weights come from the seed of the target.
    """

    options: AuxiliaryMethodConfig

    def parameter_groups(self) -> list[dict[str, Any]]:
        """A third group: all that does not belong to the deployed network."""
        deployed = {id(parameter) for parameter in self.network.parameters()}
        others = [parameter for parameter in self.parameters() if id(parameter) not in deployed]
        return [*super().parameter_groups(), {"params": others, "lr": self.options.auxiliary_lr}]


class SemanticModule(AuxiliaryModule):
    """A method that compares the features that are hashed, too: those of the hidden layer of each half's head.

    Arguments as of `TargetModule`.

    Attributes:
        semantic_width: F, entries of these features.
    """

    semantic_width: int

    def __init__(
        self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: SemanticMethodConfig
    ) -> None:
        super().__init__(network, train, schedule, options)
        widths = [
            [layer.in_features for layer in half.modules() if isinstance(layer, nn.Linear)][-1]
            for half in (network.image, network.text)
        ]
        if widths[0] != widths[1]:
            raise ConfigError(
                f"the hash layers of target.image_net and target.text_net get {widths[0]} and {widths[1]} features: "
                f"this method compares them; set hidden of both to one width"
            )
        self.semantic_width = widths[0]

    def batch_loss(self, batch: PairBatch) -> Tensor:
        """Hash a batch and take its loss."""
        image, text = read_global_batch(self.network, batch.images, batch.texts)
        self.remember(batch.ids, image.codes.detach(), text.codes.detach())
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            return self.semantic_loss(image, text, batch)

    def semantic_loss(self, image: Half, text: Half, batch: PairBatch) -> Tensor:
        """The objective of both modalities.

        Args:
            image: Features and relaxed codes of the images of a batch.
            text: Of the texts.
            batch: Says which train items they are; holds this process's share of the images.

        Returns:
            Scalar.
        """
        raise NotImplementedError
