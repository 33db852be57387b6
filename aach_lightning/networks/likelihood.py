"""The likelihood of similarities given relaxed codes, and of inverted ones (CMLA; Li et al., NeurIPS 2019)."""

from torch import Tensor
from torch.nn import functional as F


def likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """Negative log-likelihood of similarities, mean over j of log(1 + e^Theta_ij) - S_ij Theta_ij.

    Args:
        theta: N x M, half the inner products of relaxed codes.
        similar: N x M in {0, 1}, S.

    Returns:
        N values.

    Example:
        >>> import torch
        >>> likelihood(torch.tensor([[2.0, -2.0]]), torch.tensor([[1.0, 0.0]]))
        tensor([0.1269])
    """
    return (F.softplus(theta) - similar * theta).mean(dim=1)


def inverted_likelihood(gamma: Tensor, similar: Tensor) -> Tensor:
    """The same of inverted similarities, mean over j of log(1 + e^-Gamma_ij) + S_ij Gamma_ij; shapes as `likelihood`.

    Example:
        >>> import torch
        >>> inverted_likelihood(torch.tensor([[2.0, -2.0]]), torch.tensor([[0.0, 1.0]]))
        tensor([0.1269])
    """
    return (F.softplus(-gamma) + similar * gamma).mean(dim=1)
