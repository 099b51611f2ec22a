"""The weight of a topology loss by its gradient: the same number means the same force on every data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from monai_topo._utils.distributed import sum_over_ranks
from monai_topo._utils.validation import check_at_least, check_whole_number

__all__ = ["GradientRatio", "gradients_at", "with_gradients"]


class GradientRatio(nn.Module):
    r"""Find the factor that gives a topology loss a multiple of the gradient of its pixel loss.

    Both gradients are taken at the output of the network, so they cost no pass through it. With the running means `b`
    and `t` of the Euclidean norms of the gradients of the pixel loss and of the topology loss, the factor is

    .. math:: f = \min(1, n / n_0) \; \text{ratio} \cdot b / t,

    kept between the bounds, where `n` is the number of measured steps and :math:`n_0` is `warmup_steps`.

    A step counts only if both norms are finite and greater than 0: a step without a topological error, and one with NaN
    or an overflow, leave the running means and `n` as they are. Before the first step that counts, the factor is its
    lower bound.

    Source: weights by the ratio of gradients are used by Berger et al., 2026 (sparse Betti matching), fixed in advance;
    ratios of 1 to 2 were best there, and overlap suffered above 2 to 3. The running mean is ours.

    Args:
        ratio: Norm of the gradient of the topology loss, as a multiple of that of the pixel loss; greater than 0.
        momentum: Weight of the past in the running means, at least 0 and less than 1; 0.99 averages about 100 steps.
        warmup_steps: Number of steps over which the factor grows to its value, since the first means are of few steps.
        bounds: Least and greatest factor, greater than 0.

    Raises:
        ValueError: If a setting is out of its range.

    Attributes:
        norms: Running means of the two norms, pixel loss first, `(2,)` float32: both with the weight
            `1 - momentum^n`, which cancels in their ratio.
        steps: Number of steps that count, int64.

    `norms` and `steps` are buffers, so a `state_dict` holds them, and a resumed training run continues with the same
    factor. They move to the device of the gradients. In a distributed run the squared norms are summed over all
    processes, which is the squared norm of the whole batch, so every process has the same factor.

    Example:
        >>> import torch
        >>> balance = GradientRatio(0.5, warmup_steps=0)
        >>> balance.update(torch.tensor([4.0, 16.0]))  # squared norms
        >>> balance.factor()  # a gradient of 4, to be half of 2
        tensor(0.2500)
    """

    def __init__(
        self,
        ratio: float = 1.0,
        *,
        momentum: float = 0.99,
        warmup_steps: int = 20,
        bounds: tuple[float, float] = (1e-4, 1e4),
    ) -> None:
        super().__init__()
        check_at_least("ratio", ratio)
        if ratio == 0:
            raise ValueError("Expected `ratio` to be greater than 0, but got 0: set the weight to 0 instead.")
        if not 0 <= momentum < 1:
            raise ValueError(f"Expected `momentum` to be at least 0 and less than 1, but got {momentum!r}.")
        check_whole_number("warmup_steps", warmup_steps)
        least, greatest = bounds
        if not 0 < least <= greatest < math.inf:
            raise ValueError(f"Expected `bounds` to be two numbers greater than 0 in order, but got {bounds!r}.")
        self.ratio = float(ratio)
        self.momentum = float(momentum)
        self.warmup_steps = warmup_steps
        self.bounds = (float(least), float(greatest))
        self.register_buffer("norms", torch.zeros(2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.norms: Tensor
        self.steps: Tensor

    def measure(self, of_base: Tensor | None, of_topology: Tensor | None) -> Tensor:
        """Measure the gradients of two losses at the output of a network, and update the running means.

        Args:
            of_base: Gradient of the pixel loss; None if it does not depend on the output.
            of_topology: Gradient of the topology loss, of the same shape, or None.

        Returns:
            The two norms of this step over all processes, `(2,)`.
        """
        known = of_base if of_base is not None else of_topology
        device = self.norms.device if known is None else known.device
        squares = torch.stack([_squared_norm(gradient, device) for gradient in (of_base, of_topology)])
        squares = sum_over_ranks(squares)
        self.update(squares)
        return squares.sqrt()

    def update(self, squares: Tensor) -> None:
        """Take the squared norms of one step, `(2,)`, into the running means; no synchronization with a GPU."""
        norms = squares.sqrt().float()
        self.norms, self.steps = self.norms.to(norms.device), self.steps.to(norms.device)
        counts = (norms > 0).all() & norms.isfinite().all()
        updated = self.momentum * self.norms + (1 - self.momentum) * norms
        self.norms = torch.where(counts, updated, self.norms)
        self.steps = self.steps + counts

    def factor(self) -> Tensor:
        """Return the current factor, a float32 scalar without a gradient."""
        least, greatest = self.bounds
        of_base, of_topology = self.norms.unbind()
        factor = self.ratio * of_base / of_topology
        if self.warmup_steps:
            factor = factor * (self.steps / self.warmup_steps).clamp(max=1)
        # Before the first step both norms are 0.
        return torch.where(self.steps > 0, factor, least).clamp(least, greatest)

    def extra_repr(self) -> str:
        """Return the settings for `print`."""
        return f"{self.ratio:g}, momentum={self.momentum:g}, warmup_steps={self.warmup_steps}, bounds={self.bounds}"


def gradients_at(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradient of a scalar loss at each tensor, and free its graph; None where it does not depend on it."""
    if not loss.requires_grad:
        return [None] * len(tensors)
    return list(torch.autograd.grad(loss, tensors, allow_unused=True))


def with_gradients(value: Tensor, tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """Return a scalar with known gradients: its backward pass continues from the tensors, without a second derivative.

    A tensor with the gradient None is not reached, as if the value had not been computed from it.
    """
    known = [(tensor, gradient) for tensor, gradient in zip(tensors, gradients, strict=True) if gradient is not None]
    pairs = [part for pair in known for part in pair]
    result: Tensor = _KnownGradients.apply(value.detach(), *pairs)  # type: ignore[no-untyped-call]
    return result


class _KnownGradients(torch.autograd.Function):
    """A value, then pairs of a tensor and the gradient of the value at it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *pairs: Tensor) -> Tensor:
        ctx.save_for_backward(*pairs[1::2])
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        parts = ((scale.to(gradient.device) * gradient, None) for gradient in ctx.saved_tensors)
        return (None, *(part for pair in parts for part in pair))


def _squared_norm(gradient: Tensor | None, device: torch.device) -> Tensor:
    if gradient is None:
        return torch.zeros((), device=device)
    norm: Tensor = torch.linalg.vector_norm(gradient.as_subclass(Tensor)).float()
    return norm**2
