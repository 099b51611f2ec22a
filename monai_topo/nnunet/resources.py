"""What the topology term needs of the machine: threads and memory."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from monai_topo._utils.distributed import world_size
from monai_topo._utils.errors import UserError

__all__ = ["available_memory", "check_memory", "count_threads"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def count_threads() -> int:
    """Return the number of processors for each process; nnU-Net itself limits torch to one thread on a GPU."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // world_size())


def check_memory(
    *,
    bytes_per_voxel: float,
    patch_size: Sequence[int],
    num_patches: int,
    num_threads: int,
    available: float | None = None,
) -> float:
    """Check that the term fits into memory.

    Args:
        bytes_per_voxel: Memory of the loss for each voxel of a patch that it works on.
        patch_size: Patch size of the loss in voxels.
        num_patches: Number of patches of a batch, over images and classes.
        num_threads: Number of patches that are worked on at a time.
        available: Free memory in bytes; None to ask the system. Where the system does not tell, nothing is checked.

    Returns:
        The memory that is needed, in bytes.

    Raises:
        UserError: If less memory is free.
    """
    needed = bytes_per_voxel * math.prod(patch_size) * min(num_patches, num_threads)
    free = available_memory() if available is None else available
    if free is not None and needed > free:
        raise UserError(
            f"Expected {needed / 2**30:.1f} GiB of free memory for the topology term on patches of {tuple(patch_size)} "
            f"voxels, {min(num_patches, num_threads)} at a time, but got {free / 2**30:.1f}: set a smaller "
            "`patch_size` or fewer `num_threads`."
        )
    return needed


def available_memory() -> float | None:
    """Return the free memory in bytes, within the limit of the container; None where the system does not tell."""
    known = [value for value in (_free_of_machine(), _free_of_container()) if value is not None]
    return min(known) if known else None


def _free_of_machine() -> float | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(found[0]) if found else None


def _free_of_container() -> float | None:
    """Return the free memory of a container (cgroup version 2); its page cache counts as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        entries = dict(line.split() for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else float(limit) - used + int(entries.get("inactive_file", 0))
