"""Synthetic cell membranes in 2D and 3D: images like electron micrographs, with labels that are closed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_at_least
from monai_topo.data._imaging import (
    FloatArray,
    check_camera,
    check_image_shape,
    close_pinholes,
    dilate_by_ball,
    draw_blobs,
    draw_contrast,
    inner_rim,
    photograph,
    smooth_noise,
)

__all__ = ["synthetic_membranes"]


def synthetic_membranes(
    shape: Sequence[int],
    *,
    seed: int,
    cell_size: float = 28.0,
    membrane_width: float = 3.0,
    blur: float = 1.0,
    noise: float = 0.07,
    gaps: float = 0.1,
    gap_contrast: float = 0.15,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Generate an image of packed cells with dark membranes, and the label of the membranes.

    The cells are a power diagram (a nearest-seed mosaic of cells of different sizes) of jittered seed points in
    smoothly warped coordinates, so that the walls are curved. The image shows dark membranes between brighter, textured
    cells, with organelles (dark blobs and rings inside the cells) as distractors. In gaps, the membrane fades in the
    image while the label stays complete: only the topology indicates where the membrane runs.

    The label is closed: no path of background voxels leads from one cell into another, whether over faces, edges or
    corners. Membranes end at the image border, and no membrane runs along it. A cell thinner than the membrane consists
    of wall only; a cell with a neck that thin is split into several.

    Args:
        shape: `(H, W)` or `(D, H, W)`, each axis at least 8.
        seed: Random seed. Equal seeds give equal images on one machine, for every number of threads.
        cell_size: Mean distance between cell centers in voxels, at least 4.
        membrane_width: Approximate width of the label's walls in voxels, at least 1 (walls consist of whole voxels).
        blur: Standard deviation of the point spread in the image (not in the label), in voxels.
        noise: Standard deviation of the noise; the image's range is 1.
        gaps: Fraction of the membrane that fades in the image, 0 to 1.
        gap_contrast: Remaining contrast in the gaps, from 0 (invisible) to 1 (no gap).

    Returns:
        `(image, label)` of the given shape: image float32 in [0, 1], label uint8 with membrane 1 and cell 0. If the
        cells are much larger than the image, the label can be empty.

    Raises:
        ValueError: If an argument is out of its range.

    Cost: Time and memory grow linearly with the number of voxels: about 1 microsecond per voxel in 2D and 2 to 3 in
    3D on one thread, and 120 bytes per voxel.

    Examples:
        >>> image, label = synthetic_membranes((96, 128), seed=0)
        >>> image.shape, label.dtype
        ((96, 128), dtype('uint8'))
    """
    shape = check_image_shape(shape)
    check_at_least("cell_size", cell_size, 4)
    check_at_least("membrane_width", membrane_width, 1)
    check_camera(blur=blur, noise=noise, gaps=gaps, gap_contrast=gap_contrast)
    rng = np.random.default_rng(seed)
    cells = _cell_mosaic(shape, cell_size, rng)
    membrane = _walls(cells, membrane_width)
    contrast = draw_contrast(
        membrane, gaps=gaps, gap_contrast=gap_contrast, gap_radius_vox=1.5 * membrane_width, rng=rng
    )
    cytoplasm = _cytoplasm(cells, dilate_by_ball(membrane, 2.0), cell_size, rng)
    scene = np.where(membrane, cytoplasm + contrast * (0.2 - cytoplasm), cytoplasm)
    return photograph(scene, blur=blur, noise=noise, rng=rng), membrane.astype(np.uint8)


def _cell_mosaic(shape: tuple[int, ...], cell_size: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign every voxel to the cell of its nearest seed, by squared distance minus the seed's weight."""
    # One seed per grid box, so that only the 3^d boxes around a voxel have to be searched for the nearest seed.
    position = _warped_coordinates(shape, cell_size, rng) / cell_size
    box = np.floor(position).astype(np.int64)
    first_box = box.min(axis=tuple(range(1, box.ndim)), keepdims=True) - 1
    box -= first_box
    position -= first_box
    boxes = tuple(int(axis.max()) + 2 for axis in box)
    seeds = np.indices(boxes) + rng.uniform(0.12, 0.88, (len(shape), *boxes))
    seeds, weights = seeds.reshape(len(shape), -1), rng.uniform(0, 0.35, boxes).ravel()

    nearest = np.zeros(shape, dtype=np.int64)
    smallest = np.full(shape, np.inf)
    for step in product((-1, 0, 1), repeat=len(shape)):
        candidate = np.ravel_multi_index([axis + by for axis, by in zip(box, step, strict=True)], boxes)
        distance = -weights[candidate]
        for axis in range(len(shape)):
            distance += (position[axis] - seeds[axis][candidate]) ** 2
        closer = distance < smallest
        nearest[closer] = candidate[closer]
        np.minimum(smallest, distance, out=smallest)
    return nearest


def _warped_coordinates(shape: tuple[int, ...], cell_size: float, rng: np.random.Generator) -> FloatArray:
    coordinates = np.indices(shape, dtype=np.float64)
    for axis in coordinates:
        for scale_vox, strain in ((0.3 * cell_size, 0.25), (1.5 * cell_size, 0.25)):
            # Scaled by slope, not amplitude: a steeper field folds space and splits cells, above all in 3D.
            scale_vox = min(scale_vox, max(shape) / 4)
            axis += strain * scale_vox * smooth_noise(shape, scale_vox, rng)
    return coordinates


def _walls(cells: NDArray[np.int64], width: float) -> Mask:
    """Select voxels with a smaller id among their 3^d - 1 neighbors, and thicken them to `width`."""
    # Of two neighbors with different ids, the one with the larger id is wall: closed under every connectivity, and one
    # voxel thick, whereas a boundary from both sides would be two voxels thick.
    smallest = cells
    for axis in range(cells.ndim):
        padded = np.pad(smallest, [(1, 1) if other == axis else (0, 0) for other in range(cells.ndim)], mode="edge")
        ends = np.moveaxis(padded, axis, 0)
        smallest = np.moveaxis(np.minimum(np.minimum(ends[:-2], ends[1:-1]), ends[2:]), 0, axis)
    return close_pinholes(dilate_by_ball(smallest < cells, (width - 1) / 2))


def _cytoplasm(cells: NDArray[np.int64], near_membrane: Mask, cell_size: float, rng: np.random.Generator) -> FloatArray:
    """Draw the brightness inside the cells: one shade per cell, texture, and organelles away from the membranes."""
    shape = cells.shape
    scene = 0.66 + rng.normal(0, 0.035, int(cells.max()) + 1)[cells]
    scene += 0.035 * smooth_noise(shape, 1.5, rng) + 0.025 * smooth_noise(shape, 5.0, rng)
    mitochondria = draw_blobs(shape, cell_size / 7, 0.06, rng) & ~near_membrane
    scene[mitochondria] = 0.45 + 0.07 * smooth_noise(shape, 0.8, rng)[mitochondria]
    scene[inner_rim(mitochondria)] = 0.2
    vesicles = draw_blobs(shape, 1.7, 0.03, rng) & ~near_membrane
    scene[vesicles] -= 0.12
    scene[inner_rim(vesicles)] = 0.3
    return scene
