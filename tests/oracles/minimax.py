"""Minimax paths between the components of a mask, voxel by voxel in plain Python."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterator

import numpy as np

FRAME = -1


def neighbors(voxel: tuple[int, ...], shape: tuple[int, ...], connectivity: str, border: str) -> Iterator[object]:
    """Voxels around one, and `FRAME` where foreground lies outside."""
    for step in itertools.product((-1, 0, 1), repeat=len(shape)):
        if not any(step) or (connectivity == "face" and sum(map(abs, step)) != 1):
            continue
        there = tuple(a + b for a, b in zip(voxel, step, strict=True))
        if all(0 <= a < n for a, n in zip(there, shape, strict=True)):
            yield there
        elif border == "foreground":
            yield FRAME


def bottlenecks(image: np.ndarray, connectivity: str, border: str) -> dict[tuple[object, object], float]:
    """For each two voxels the highest lowest value of a path between them, by Floyd and Warshall's algorithm."""
    voxels: list[object] = [*np.ndindex(*image.shape), *([FRAME] if border == "foreground" else [])]
    value = {voxel: np.inf if voxel == FRAME else image[voxel] for voxel in voxels}
    number = {voxel: i for i, voxel in enumerate(voxels)}
    best = np.full((len(voxels), len(voxels)), -np.inf)
    for voxel in np.ndindex(*image.shape):
        for other in neighbors(voxel, image.shape, connectivity, border):
            i, j = number[voxel], number[other]
            best[i, j] = best[j, i] = min(value[voxel], value[other])
    for i, voxel in enumerate(voxels):
        best[i, i] = value[voxel]
    for k in range(len(voxels)):
        best = np.maximum(best, np.minimum(best[:, k, None], best[None, k]))
    return {(u, v): best[number[u], number[v]] for u in voxels for v in voxels}


def fewest_voxels(
    image: np.ndarray, start: Collection[object], goal: Collection[object], least: float, connectivity: str, border: str
) -> float:
    """Voxels strictly between two sets of voxels on a shortest path of values of `least` and more, by flooding."""
    steps = dict.fromkeys(start, 0)
    queue = deque(start)
    if FRAME in steps:  # walk from the other side: the frame has no neighbors of its own here
        return fewest_voxels(image, goal, start, least, connectivity, border) if FRAME not in goal else 0
    while queue:
        voxel = queue.popleft()
        for other in neighbors(voxel, image.shape, connectivity, border):
            if other in goal:
                return steps[voxel]
            if other not in steps and other != FRAME and image[other] >= least:
                steps[other] = steps[voxel] + 1
                queue.append(other)
    return float("inf")
