"""The value of one function with the gradient of another (Bengio et al., 2013; BPDA in Athalye et al., ICML 2018)."""

from torch import Tensor


def straight_through(exact: Tensor, stand_in: Tensor) -> Tensor:
    """The values of `exact`, to the bit, with the gradient of `stand_in`.

    Args:
        exact: Any shape.
        stand_in: The same shape; finite.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.3, 1.8], requires_grad=True)
        >>> straight_through(x.round(), x * 2).sum().backward()
        >>> x.grad
        tensor([2., 2.])
    """
    return exact.detach() + (stand_in - stand_in.detach())
