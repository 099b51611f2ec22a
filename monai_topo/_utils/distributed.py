"""Which process of a distributed run this is; without one, the first of one."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    """Number of this process, 0 for the first and for one alone."""
    return dist.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if _is_distributed() else 1


def broadcast_from_rank0(value: T) -> T:
    """The first process's value, in all of them; every process has to call it, the value must be picklable."""
    if not _is_distributed():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
