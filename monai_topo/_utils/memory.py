"""The memory of this machine, and amounts of it in words."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "describe_bytes", "total_memory"]

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
_UNKNOWN = 2**63


def total_memory() -> int:
    """Return the bytes of memory of this machine; a number above all sizes on Windows, which does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return _UNKNOWN


def available_memory() -> int:
    """Return the bytes of memory that programs can still take: on Linux what is free, elsewhere all of it.

    In a container it is not more than the container's limit.
    """
    amounts = [total_memory()]
    for file in _LIMITS:
        with suppress(OSError, ValueError):  # "max" is no number
            amounts.append(int(Path(file).read_text()))
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                amounts.append(int(line.split()[1]) * 2**10)
    return min(amounts)


def describe_bytes(size: int) -> str:
    """Return a number of bytes with a unit, such as "2.095 GiB"."""
    scales = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
    return next((f"{size / scale:.4g} {unit}" for scale, unit in scales if size >= scale), f"{size} bytes")
