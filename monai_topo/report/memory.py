"""How much memory a case takes, so that one that does not fit is left out before it stops all others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai_topo._utils.errors import UserError
from monai_topo._utils.memory import available_memory, describe_bytes
from monai_topo.data.headers import count_voxels
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.report.files import Case
from monai_topo.report.reading import Images

__all__ = ["check_box", "check_size", "memory_per_case"]

# Measured, as the peak of the process (see docs/evaluate.md): the program with its libraries; a voxel of the image,
# while it is read; a voxel of the box around the structures, in Betti matching. White noise takes a third more.
_PROGRAM = 2**29
_PER_VOXEL, _PER_VOXEL_OF_BOX = 10, 100


def memory_per_case(max_memory_gib: float | None, processes: int) -> int:
    """Return the bytes that a process may take for a case: those that are given, or its part of the free memory.

    Raises:
        UserError: If the given number is not positive.
    """
    if max_memory_gib is None:
        # The program itself has been loaded, and the processes share it.
        return available_memory() // processes + _PROGRAM
    if not 0 < max_memory_gib < math.inf:
        raise UserError(f"Expected --max-memory to be positive, in GiB, but got {max_memory_gib:g}.")
    return int(max_memory_gib * 2**30)


def check_size(case: Case, memory: int) -> None:
    """Check by the header of the prediction that a case can be read.

    Raises:
        UserError: If reading it takes more than `memory` bytes.
    """
    voxels = count_voxels(case.prediction)
    _check(case, memory, _PROGRAM + _PER_VOXEL * voxels, f"{voxels} voxels")


def check_box(case: Case, images: Images, memory: int, *, needs_whole: bool) -> None:
    """Check by the box around the structures that a case can be measured and drawn.

    Args:
        case: Files of the case.
        images: Their contents.
        memory: Bytes that the process may take.
        needs_whole: Whether the settings need the whole image: a clean-up, or instances of the background.

    Raises:
        UserError: If the case takes more.
    """
    whole = images.label.shape
    if needs_whole:
        _check(case, memory, _estimate(whole, whole), f"{_size(whole)} voxels")
        return
    found = images.label | (images.prediction > 0)
    if images.second_label is not None:
        found |= images.second_label
    box = found[foreground_box(found, margin_vox=0)].shape
    _check(case, memory, _estimate(whole, box), f"{_size(whole)} voxels, with structures in {_size(box)}")


def _estimate(whole: Sequence[int], box: Sequence[int]) -> int:
    return _PROGRAM + _PER_VOXEL * math.prod(whole) + _PER_VOXEL_OF_BOX * math.prod(box)


def _check(case: Case, memory: int, needed: int, what: str) -> None:
    if needed > memory:
        raise UserError(
            f"Expected {case.prediction} to take at most {describe_bytes(memory)} of memory, but got {what}, which "
            f"take about {describe_bytes(needed)}: use fewer --jobs, or a larger --max-memory."
        )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[::-1]))
