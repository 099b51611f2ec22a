"""What is not specified about critical voxels on plateaus, so that two results can be compared."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["PLATEAU", "up_to_plateau"]

PLATEAU = -1


def up_to_plateau(points: list[tuple[int, int, int]], image: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Return the sorted points, with `PLATEAU` for the critical voxels of which only the value is specified.

    In 3D, a class of dimension 1 may be born or die on the plateau of the least or of the greatest value. If the larger
    of the two plateaus holds an eighth of the voxels, the class gets a nearby voxel of that plateau. (Which of two
    equally large plateaus is chosen is not specified.)
    """
    if image.ndim < 3:
        return sorted(points)
    value = image.ravel()
    sizes = {level: int((value == level).sum()) for level in (value.min(), value.max())}
    largest = max(sizes.values())
    plateaus = [level for level, size in sizes.items() if size == largest and size >= image.size // 8]

    def place(dim: int, voxel: int) -> int:
        return PLATEAU if dim == 1 and value[voxel] in plateaus else voxel

    return sorted((dim, place(dim, birth), place(dim, death)) for dim, birth, death in points)
