"""Synthetic vessels in 2D and 3D: tapering, branching trees with loops in noisy images, with complete labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_at_least
from monai_topo.data._imaging import (
    FloatArray,
    check_camera,
    check_image_shape,
    close_pinholes,
    draw_blobs,
    draw_contrast,
    photograph,
    smooth_noise,
)

__all__ = ["synthetic_vessels"]

IndexArray = NDArray[np.int64]

_STEP_VOX = 0.5  # after rounding at most one voxel further along each axis, so that a chain of nodes is connected
_NARROWEST_VOX = 1.0
_MURRAY_EXPONENT = 3.0  # C. D. Murray, The physiological principle of minimum work, PNAS 1926: r^3 is conserved


class Centerlines(NamedTuple):
    """Centerlines of all trees. A node's parent has a smaller index; a root is its own parent."""

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
    """Generate an image of bright vessel trees, and the label of the vessels.

    The trunk of each tree enters through the border. Every further branch leads from the nearest vessel, at an acute
    angle, to an empty place: the emptiest of several random ones. Radii follow Murray's law, so vessels taper from the
    root to the tips. A loop is an extra vessel (an anastomosis) from a tip to another branch of its tree. In gaps, a
    vessel fades in the image while the label stays complete; bright specks, uneven illumination and noise distract.

    Each tree is connected in the label (8 neighbors in 2D, 26 in 3D). Branches keep a distance from each other, but in
    a crowded image two trees may touch (then there are fewer components than trees), and a fork may leave a pinhole
    between whole voxels in 3D. `loops` is therefore the number that was drawn; the label's Betti number 1 equals it in
    most images, but not in all. Where it matters, count it on the label (`betti_numbers`).

    Args:
        shape: `(H, W)` or `(D, H, W)`, each axis at least 8.
        seed: Random seed. Equal seeds give equal images on one machine, for every number of threads.
        num_trees: Number of trees, at least 1.
        num_branches: Number of branches per tree in addition to its trunk; growth stops earlier if the image is full.
        radius: Radius of the roots in voxels, at least 1; tips have a radius of at least 1.
        loops: Number of extra anastomoses in the whole image; fewer if no free path is found.
        blur: Standard deviation of the point spread in the image (not in the label), in voxels.
        noise: Standard deviation of the noise; the image's range is 1.
        gaps: Fraction of the vessels that fades in the image, 0 to 1.
        gap_contrast: Remaining contrast in the gaps, from 0 (invisible) to 1 (no gap).

    Returns:
        `(image, label)` of the given shape: image float32 in [0, 1], label uint8 with vessel 1 and background 0.

    Raises:
        ValueError: If an argument is out of its range.

    Cost: Growth takes a few milliseconds per branch; the rest is linear in the number of voxels, about 0.7 microseconds
    per voxel on one thread and 130 bytes per voxel.

    Examples:
        >>> image, label = synthetic_vessels((40, 48, 56), seed=0)
        >>> image.shape, label.dtype
        ((40, 48, 56), dtype('uint8'))
    """
    shape = check_image_shape(shape)
    check_at_least("num_trees", num_trees, 1)
    check_at_least("num_branches", num_branches)
    check_at_least("radius", radius, 1)
    check_at_least("loops", loops)
    check_camera(blur=blur, noise=noise, gaps=gaps, gap_contrast=gap_contrast)
    rng = np.random.default_rng(seed)
    lines = _grow_trees(shape, num_trees, num_branches * num_trees, radius, rng)
    lines = _add_loops(lines, shape, loops, radius, rng)
    vessel = close_pinholes(_draw_tubes(lines.points, _radii(lines, radius), shape))
    contrast = draw_contrast(vessel, gaps=gaps, gap_contrast=gap_contrast, gap_radius_vox=1.5 * radius, rng=rng)
    tissue = _draw_tissue(shape, rng)
    scene = np.where(vessel, tissue + contrast * (0.8 - tissue), tissue)
    return photograph(scene, blur=blur, noise=noise, rng=rng), vessel.astype(np.uint8)


def _grow_trees(
    shape: tuple[int, ...], num_trees: int, num_branches: int, radius: float, rng: np.random.Generator
) -> Centerlines:
    lines = Centerlines(np.empty((0, len(shape))), np.empty(0, np.int64), np.empty(0, np.int64))
    for tree in range(num_trees):
        trunks = [_cut_free_part(_draw_trunk(shape, rng), lines.points, radius) for _ in range(24 if tree else 1)]
        lines = _append(lines, max(trunks, key=len), tree=tree)
    for _ in range(num_branches):
        targets = rng.uniform(0, np.array(shape) - 1.0, (12, len(shape)))
        distances = _distances(targets, lines.points)
        emptiest = int(distances.min(axis=1).argmax())
        if distances[emptiest].min() >= 4 * radius:
            lines = _add_branch(lines, int(distances[emptiest].argmin()), targets[emptiest], shape, radius, rng)
    return lines


def _add_branch(
    lines: Centerlines,
    nearest: int,
    target: FloatArray,
    shape: tuple[int, ...],
    radius: float,
    rng: np.random.Generator,
) -> Centerlines:
    """Add a branch to `target` that starts upstream of the nearest node, or at that node if this path is blocked."""
    length = float(np.linalg.norm(target - lines.points[nearest]))
    for upstream_vox in (0.7 * length, 0.35 * length):
        start = _upstream(lines.parents, nearest, int(upstream_vox / _STEP_VOX))
        path = _draw_curve(lines.points[start], target, shape, rng)
        if _is_free(path, lines.points, radius, both_ends_attached=False):
            return _append(lines, path, attached_to=start)
    # The straight line from the nearest node crosses nothing, since no node is nearer to the target.
    return _append(lines, _resample(np.stack([lines.points[nearest], target]))[1:], attached_to=nearest)


def _add_loops(
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
        path = _draw_curve(lines.points[tip], lines.points[end], shape, rng)[:-1]
        if _is_free(path, lines.points, radius, both_ends_attached=True):
            lines = _append(lines, path, attached_to=int(tip))
            drawn += 1
    return lines


def _is_free(path: FloatArray, points: FloatArray, radius: float, *, both_ends_attached: bool) -> bool:
    """Check that a path moves away from the vessel it is attached to, and keeps a distance from everything else."""
    from_end_vox = _STEP_VOX * np.arange(1.0, len(path) + 1)
    if both_ends_attached:
        from_end_vox = np.minimum(from_end_vox, from_end_vox[::-1])
    from_end_vox, clearance = (
        from_end_vox[::2],
        2 * radius + 2,
    )  # every second node: one point per voxel is dense enough
    distance = np.minimum(_distances(path[::2], points).min(axis=1), clearance)
    receding = np.diff(distance) * np.sign(np.diff(from_end_vox)) > -0.1
    return bool(receding.all() and (distance >= np.minimum(0.5 * from_end_vox - 1, clearance)).all())


def _cut_free_part(trunk: FloatArray, points: FloatArray, radius: float) -> FloatArray:
    """Cut a trunk off where it comes near another vessel; keep at least its first node."""
    taken = np.flatnonzero(_distances(trunk, points).min(axis=1, initial=np.inf) < 4 * radius)
    return trunk[: max(int(taken[0]), 1)] if len(taken) else trunk


def _append(lines: Centerlines, path: FloatArray, *, attached_to: int | None = None, tree: int = 0) -> Centerlines:
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


def _draw_trunk(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw a centerline from a random border point across most of the image."""
    extent = np.array(shape) - 1.0
    axis, far_side = int(rng.integers(len(shape))), bool(rng.integers(2))
    start, end = rng.uniform(0.15, 0.85, (2, len(shape))) * extent
    start[axis], end[axis] = 0, rng.uniform(0.6, 0.9) * extent[axis]
    if far_side:
        start[axis], end[axis] = extent[axis] - start[axis], extent[axis] - end[axis]
    return np.concatenate([start[None], _draw_curve(start, end, shape, rng)])


def _draw_curve(start: FloatArray, end: FloatArray, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw a winding path from `start` (excluded) to `end`, in steps of half a voxel."""
    length = float(np.linalg.norm(end - start))
    along = np.linspace(0, 1, max(int(length), 2))[:, None]
    path = start + along * (end - start)
    for waves, amplitude in ((1, 0.08), (2, 0.05), (3, 0.03)):  # sines vanish at both ends
        path += length * amplitude * rng.standard_normal(len(shape)) * np.sin(np.pi * waves * along)
    return _resample(np.clip(path, 0, np.array(shape) - 1.0))[1:]


def _resample(path: FloatArray) -> FloatArray:
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
    position = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, position[-1], int(position[-1] / _STEP_VOX) + 2)
    return np.stack([np.interp(wanted, position, axis) for axis in path.T], axis=1)


def _radii(lines: Centerlines, radius: float) -> FloatArray:
    """Compute radii by Murray's law from the number of tips that a node feeds."""
    is_root = lines.parents == np.arange(len(lines.parents))
    tips = np.ones(len(lines.parents))
    tips[lines.parents[~is_root]] = 0  # a tree of one node is its own tip
    for node in np.flatnonzero(~is_root)[::-1]:  # children come after their parents
        tips[lines.parents[node]] += tips[node]
    tips_of_tree = tips[is_root][lines.trees]
    radii: FloatArray = np.maximum(radius * (tips / tips_of_tree) ** (1 / _MURRAY_EXPONENT), _NARROWEST_VOX)
    return radii


def _draw_tubes(points: FloatArray, radii: FloatArray, shape: tuple[int, ...]) -> Mask:
    """Draw the union of the balls around all nodes, each of at least one voxel."""
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


def _draw_tissue(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw the brightness between the vessels: texture, and bright specks that are not vessels."""
    scene = 0.28 + 0.04 * smooth_noise(shape, 6.0, rng) + 0.03 * smooth_noise(shape, 1.5, rng)
    scene[draw_blobs(shape, 1.4, 0.006, rng)] += 0.35
    return scene
