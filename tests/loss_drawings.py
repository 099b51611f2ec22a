"""Drawings on which every loss is tested: a ring and a bar, four errors in them, and random values."""

from __future__ import annotations

import torch
from torch import Tensor

LOW, HIGH = 0.1, 0.9


def ring(ndim: int) -> Tensor:
    """A ring (2D) or a shell (3D) and a bar; nothing touches the border."""
    label = torch.zeros(1, 1, *((7, 16) if ndim == 2 else (7, 8, 16)), dtype=torch.float64)
    box = (..., *[slice(1, 6)] * ndim)
    inside = (..., *[slice(2, 5)] * ndim)
    label[box], label[inside] = 1, 0
    label[(..., *[slice(3, 4)] * (ndim - 1), slice(9, 15))] = 1
    return label


def likelihood(label: Tensor) -> Tensor:
    return LOW + (HIGH - LOW) * label


ERRORS = {  # where in the drawing a value is wrong, in the last two axes (the first of 3D is 3), and the value
    "break": ((3, 12), 0.3),  # of the bar
    "bridge": ((3, slice(6, 9)), 0.6),  # from the ring to the bar
    "hole": ((3, 1), 0.4),  # in the wall: the ring is open, the shell leaks
    "speck": ((1, 13), 0.6),
}


def spot(ndim: int, error: str) -> tuple:
    return (0, 0, *([3] if ndim == 3 else []), *ERRORS[error][0])


def wrong(ndim: int, error: str) -> Tensor:
    input = likelihood(ring(ndim))
    input[spot(ndim, error)] = ERRORS[error][1]
    return input


def random_case(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Distinct likelihoods, well apart, and a label."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(shape, generator=generator).flatten().argsort().argsort().view(shape)
    # No value is 0.5, where a mask would change.
    return (order.double() + 1.5) / (order.numel() + 2), (torch.rand(shape, generator=generator) > 0.5).double()
