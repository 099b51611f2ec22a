"""Synthetic vessels in 2D and 3D: tapering, branching trees with loops, bright in noise, their label whole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo.data._imaging import (
    FloatArray,
    MaskArray,
    blobs,
    check_between,
    checked_shape,
    faded_contrast,
    photographed,
    smooth_noise,
    without_pinholes,
)

__all__ = ["synthetic_vessels"]

IndexArray = NDArray[np.int64]

_STEP_VOX = 0.5  # at most one voxel further along each axis after rounding: a chain of nodes is connected
_NARROWEST_VOX = 1.0
_MURRAY_EXPONENT = 3.0  # C. D. Murray, The physiological principle of minimum work, PNAS 1926: r^3 adds up at a branch


class Centerlines(NamedTuple):
    """All trees' centerlines; a node's parent has a smaller index, a root is its own parent."""

    points: FloatArray  # (nodes, axes), voxels
    parents: IndexArray  # (nodes,)
    trees: IndexArray  # (nodes,)


def synthetic_vessels(
    shape: Sequence[int],
    *,
    seed: int,
    num_trees: int = 2,
    num_branches: int = 12,
    radius: float = 3.0,
    loops: int = 2,
    blur: float = 0.8,
    noise: float = 0.08,
    gaps: float = 0.1,
    gap_contrast: float = 0.15,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Make an image of bright vessel trees, and the label of the vessels.

    Each tree's trunk enters through the border; every further branch leads to an empty place, the emptiest of some
    drawn at random, from the vessel next to it, at an acute angle. Radii follow Murray's law: vessels taper from the
    root to the tips. A loop is an extra vessel (an anastomosis) from a tip to another branch of its tree. In the gaps
    a vessel fades in the image while the label stays whole; bright specks, uneven illumination and noise distract.

    Each tree is connected in the label (8 neighbors in 2D, 26 in 3D). Branches keep clear of each other, but in a
    crowd two trees may touch (then there are fewer components than trees), and the whole voxels of a fork may leave a
    pinhole in 3D. So `loops` is what was drawn; the label's Betti number 1 equals it in most images, not in all: where
    it matters, count it on the label (`betti_numbers`) rather than trust the setting.

    Args:
        shape: `(H, W)` or `(D, H, W)`, each axis at least 8.
        seed: equal seeds give equal images on one machine, for every number of threads.
        num_trees: number of trees, at least 1.
        num_branches: branches of a tree beside its trunk; growing ends earlier where the image is full.
        radius: radius of the roots in voxels, at least 1; tips are no thinner than 1.
        loops: extra anastomoses in the whole image; fewer where no free way is found.
        blur: standard deviation in voxels of the point spread in the image, not in the label.
        noise: standard deviation of the noise, where the image's range is 1.
        gaps: fraction of the vessels that fades in the image, 0 to 1.
        gap_contrast: the contrast left in the gaps, 0 (invisible) to 1 (no gap at all).

    Returns:
        `(image, label)` of the given shape: image float32 in [0, 1], label uint8 with vessel 1 and background 0.

    Raises:
        ValueError: if an argument is out of its range.

    Growing costs a few milliseconds a branch; the rest is linear in the number of voxels, about 0.7 microseconds on one
    thread and 130 bytes each.

    Examples:
        >>> image, label = synthetic_vessels((40, 48, 56), seed=0)
        >>> image.shape, label.dtype
        ((40, 48, 56), dtype('uint8'))
    """
    shape = checked_shape(shape)
    check_between("num_trees", num_trees, 1)
    check_between("num_branches", num_branches, 0)
    check_between("radius", radius, 1)
    check_between("loops", loops, 0)
    check_between("blur", blur, 0)
    check_between("noise", noise, 0)
    check_between("gaps", gaps, 0, 1)
    check_between("gap_contrast", gap_contrast, 0, 1)
    rng = np.random.default_rng(seed)
    lines = _grown(shape, num_trees, num_branches * num_trees, radius, rng)
    lines = _looped(lines, shape, loops, radius, rng)
    vessel = without_pinholes(_tubes(lines.points, _radii(lines, radius), shape))
    contrast = faded_contrast(vessel, gaps=gaps, gap_contrast=gap_contrast, gap_radius_vox=1.5 * radius, rng=rng)
    tissue = _tissue(shape, rng)
    scene = np.where(vessel, tissue + contrast * (0.8 - tissue), tissue)
    return photographed(scene, blur=blur, noise=noise, rng=rng), vessel.astype(np.uint8)


def _grown(
    shape: tuple[int, ...], num_trees: int, num_branches: int, radius: float, rng: np.random.Generator
) -> Centerlines:
    lines = Centerlines(np.empty((0, len(shape))), np.empty(0, np.int64), np.empty(0, np.int64))
    for tree in range(num_trees):
        trunks = [_free_part(_trunk(shape, rng), lines.points, radius) for _ in range(24 if tree else 1)]
        lines = _extended(lines, max(trunks, key=len), tree=tree)
    for _ in range(num_branches):
        targets = rng.uniform(0, np.array(shape) - 1.0, (12, len(shape)))
        distances = _distances(targets, lines.points)
        emptiest = int(distances.min(axis=1).argmax())
        if distances[emptiest].min() >= 4 * radius:
            lines = _branched(lines, int(distances[emptiest].argmin()), targets[emptiest], shape, radius, rng)
    return lines


def _branched(
    lines: Centerlines,
    nearest: int,
    target: FloatArray,
    shape: tuple[int, ...],
    radius: float,
    rng: np.random.Generator,
) -> Centerlines:
    """Add a branch to `target`: turning off upstream of the nearest node, or straight from it if that way is taken."""
    length = float(np.linalg.norm(target - lines.points[nearest]))
    for upstream_vox in (0.7 * length, 0.35 * length):
        start = _upstream(lines.parents, nearest, int(upstream_vox / _STEP_VOX))
        path = _curve(lines.points[start], target, shape, rng)
        if _is_free(path, lines.points, radius, both_ends_attached=False):
            return _extended(lines, path, attached_to=start)
    # The straight way from the nearest node crosses nothing: no node is nearer to the target.
    return _extended(lines, _resampled(np.stack([lines.points[nearest], target]))[1:], attached_to=nearest)


def _looped(
    lines: Centerlines, shape: tuple[int, ...], loops: int, radius: float, rng: np.random.Generator
) -> Centerlines:
    """Add vessels that lead from a tip to another branch of the same tree through free space."""
    tips = np.setdiff1d(np.arange(len(lines.parents)), lines.parents)
    drawn = 0
    for tip in rng.permutation(np.repeat(tips, 12)):
        if drawn == loops:
            break
        distance = _distances(lines.points[tip][None], lines.points)[0]
        ends = np.flatnonzero((lines.trees == lines.trees[tip]) & (distance > 6 * radius) & (distance < max(shape) / 2))
        if not len(ends):
            continue
        end = rng.choice(ends)
        path = _curve(lines.points[tip], lines.points[end], shape, rng)[:-1]
        if _is_free(path, lines.points, radius, both_ends_attached=True):
            lines = _extended(lines, path, attached_to=int(tip))
            drawn += 1
    return lines


def _is_free(path: FloatArray, points: FloatArray, radius: float, *, both_ends_attached: bool) -> bool:
    """Whether a path leaves what it is attached to for good, and keeps clear of everything else."""
    from_end_vox = _STEP_VOX * np.arange(1.0, len(path) + 1)
    if both_ends_attached:
        from_end_vox = np.minimum(from_end_vox, from_end_vox[::-1])
    from_end_vox, clearance = from_end_vox[::2], 2 * radius + 2  # every second node: a point a voxel is dense enough
    distance = np.minimum(_distances(path[::2], points).min(axis=1), clearance)
    receding = np.diff(distance) * np.sign(np.diff(from_end_vox)) > -0.1
    return bool(receding.all() and (distance >= np.minimum(0.5 * from_end_vox - 1, clearance)).all())


def _free_part(trunk: FloatArray, points: FloatArray, radius: float) -> FloatArray:
    """A trunk up to where it comes near another one; its first node at least."""
    taken = np.flatnonzero(_distances(trunk, points).min(axis=1, initial=np.inf) < 4 * radius)
    return trunk[: max(int(taken[0]), 1)] if len(taken) else trunk


def _extended(lines: Centerlines, path: FloatArray, *, attached_to: int | None = None, tree: int = 0) -> Centerlines:
    first = len(lines.points)
    parents = np.arange(first - 1, first + len(path) - 1)
    parents[0] = first if attached_to is None else attached_to
    trees = np.full(len(path), tree if attached_to is None else lines.trees[attached_to])
    return Centerlines(
        np.concatenate([lines.points, path]),
        np.concatenate([lines.parents, parents]),
        np.concatenate([lines.trees, trees]),
    )


def _upstream(parents: IndexArray, node: int, steps: int) -> int:
    for _ in range(steps):
        node = int(parents[node])
    return node


def _distances(points: FloatArray, others: FloatArray) -> FloatArray:
    squared = np.zeros((len(points), len(others)))
    for axis in range(points.shape[1]):
        squared += (points[:, axis, None] - others[:, axis]) ** 2
    return np.sqrt(squared)


def _trunk(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """A centerline from a random border point across most of the image."""
    extent = np.array(shape) - 1.0
    axis, far_side = int(rng.integers(len(shape))), bool(rng.integers(2))
    start, end = rng.uniform(0.15, 0.85, (2, len(shape))) * extent
    start[axis], end[axis] = 0, rng.uniform(0.6, 0.9) * extent[axis]
    if far_side:
        start[axis], end[axis] = extent[axis] - start[axis], extent[axis] - end[axis]
    return np.concatenate([start[None], _curve(start, end, shape, rng)])


def _curve(start: FloatArray, end: FloatArray, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """A winding way from `start` (left out) to `end`, in steps of half a voxel."""
    length = float(np.linalg.norm(end - start))
    along = np.linspace(0, 1, max(int(length), 2))[:, None]
    path = start + along * (end - start)
    for waves, amplitude in ((1, 0.08), (2, 0.05), (3, 0.03)):  # sines vanish at both ends
        path += length * amplitude * rng.standard_normal(len(shape)) * np.sin(np.pi * waves * along)
    return _resampled(np.clip(path, 0, np.array(shape) - 1.0))[1:]


def _resampled(path: FloatArray) -> FloatArray:
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
    position = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, position[-1], int(position[-1] / _STEP_VOX) + 2)
    return np.stack([np.interp(wanted, position, axis) for axis in path.T], axis=1)


def _radii(lines: Centerlines, radius: float) -> FloatArray:
    """Murray's law from the number of tips that a node feeds."""
    is_root = lines.parents == np.arange(len(lines.parents))
    tips = np.ones(len(lines.parents))
    tips[lines.parents[~is_root]] = 0  # a tree of one node is its own tip
    for node in np.flatnonzero(~is_root)[::-1]:  # children come after their parents
        tips[lines.parents[node]] += tips[node]
    tips_of_tree = tips[is_root][lines.trees]
    radii: FloatArray = np.maximum(radius * (tips / tips_of_tree) ** (1 / _MURRAY_EXPONENT), _NARROWEST_VOX)
    return radii


def _tubes(points: FloatArray, radii: FloatArray, shape: tuple[int, ...]) -> MaskArray:
    """The union of a ball around every node, each at least its center's voxel."""
    mask = np.zeros(shape, dtype=bool)
    center = np.rint(points).astype(np.int64)
    mask[tuple(center.T)] = True
    reach = int(np.ceil(radii.max()))
    for offset in product(range(-reach, reach + 1), repeat=len(shape)):
        voxel = center + np.array(offset)
        inside = ((voxel >= 0) & (voxel < shape)).all(axis=1)
        inside &= ((voxel - points) ** 2).sum(axis=1) <= radii**2
        mask[tuple(voxel[inside].T)] = True
    return mask


def _tissue(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Brightness between the vessels: texture, and bright specks that are none."""
    scene = 0.28 + 0.04 * smooth_noise(shape, 6.0, rng) + 0.03 * smooth_noise(shape, 1.5, rng)
    scene[blobs(shape, 1.4, 0.006, rng)] += 0.35
    return scene
