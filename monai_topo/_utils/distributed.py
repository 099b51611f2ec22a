"""Rank and world size: 0 and 1 outside a distributed run."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def rank() -> int:
    """Return the rank of this process."""
    return dist.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if _is_distributed() else 1


def broadcast_from_rank0(value: T) -> T:
    """Return the value of rank zero in every process; all processes have to call it with a picklable value."""
    if not _is_distributed():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def gather(value: T) -> list[T]:
    """Return the values of all processes by rank, in every process; all have to call it with a picklable value."""
    if not _is_distributed():
        return [value]
    values: list[T] = [value] * world_size()
    dist.all_gather_object(values, value)
    return values


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, the same in each; all of them have to call it."""
    if not _is_distributed():
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
