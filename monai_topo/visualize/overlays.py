"""Masks in grays with topological errors in colors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, StructureError, dilate_mask

__all__ = [
    "ERROR_COLORS",
    "OUTSIDE_COLOR",
    "draw_errors",
    "draw_mask",
    "error_overlay",
    "error_window",
    "rescale_intensity",
]

Labels = NDArray[np.uint8]
Picture = NDArray[np.uint8]

#: Color of each of `STRUCTURE_ERRORS`: warm for missing, cool for spurious structures. After Okabe and Ito, so that
#: color-blind readers can distinguish them; ends, which do not change the topology, are paler.
ERROR_COLORS = {
    1: "#d55e00",
    2: "#f0b400",
    3: "#c9b56f",
    4: "#2d8fd5",
    5: "#56d4f4",
    6: "#a5c8dc",
    7: "#cc79a7",
    8: "#00b386",
}
#: Color of voxels outside a field of view, slightly lighter than the background.
OUTSIDE_COLOR = "#34373d"
# Background, only the label, only the prediction, both.
_GRAYS = np.array([[26, 28, 32], [128, 116, 104], [100, 112, 128], [188, 190, 194]], dtype=np.uint8)
_PAINTING_ORDER = (3, 6, 1, 4, 7, 8, 5, 2)  # small errors last, on top
_HOLES = (7, 8)


def error_overlay(
    prediction: Mask,
    label: Mask,
    errors: Labels,
    *,
    inside: Mask | None = None,
    view_axis: int = 0,
    widen_vox: int = 1,
) -> Picture:
    """Draw prediction and label in grays and the errors between them in colors.

    Args:
        prediction: `(H, W)` or `(D, H, W)` bool.
        label: Bool array of the same shape.
        errors: Array of the same shape from :py:func:`monai_topo.masks.structure_errors.classify_errors`.
        inside: Bool array of the same shape: the field of view, outside which both masks are empty; None for
            everything.
        view_axis: Axis along which volumes are projected by their maximum (both masks before one mask before none).
        widen_vox: Number of voxels by which marks are widened for visibility; holes keep their size.

    Returns:
        `(rows, columns, 3)` uint8, the first remaining axis as rows. For the colors see `ERROR_COLORS`; light gray is
        both masks, blue-gray the prediction alone, brown-gray the label alone.
    """
    box = foreground_box(prediction | label | (errors > 0), margin_vox=0)
    shown = tuple(side for axis, side in enumerate(box) if label.ndim == 2 or axis != view_axis)
    shape = tuple(length for axis, length in enumerate(label.shape) if label.ndim == 2 or axis != view_axis)
    both = np.zeros(shape, dtype=np.uint8)
    both[shown] = _project(label[box].astype(np.uint8) + 2 * prediction[box].astype(np.uint8), view_axis)
    picture: Picture = _GRAYS[both]
    if inside is not None:
        _paint(picture, ~_project(inside, view_axis), OUTSIDE_COLOR, 0)
    for kind in _PAINTING_ORDER:
        marks = np.zeros(shape, dtype=bool)
        marks[shown] = _project(errors[box] == kind, view_axis)
        _paint(picture, marks, ERROR_COLORS[kind], 0 if kind in _HOLES else widen_vox)
    return picture


def draw_mask(mask: Mask, marks: Sequence[tuple[Mask, str]], *, view_axis: int = 0, widen_vox: int = 1) -> Picture:
    """Draw a mask in gray, and marks inside or outside it in colors.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        marks: Masks of the same shape with their colors as `"#rrggbb"`; the last one is on top.
        view_axis: Axis along which volumes are projected by their maximum.
        widen_vox: Number of voxels by which marks are widened for visibility.

    Returns:
        `(rows, columns, 3)` uint8.
    """
    picture: Picture = _GRAYS[3 * _project(mask.astype(np.uint8), view_axis)]
    for mark, color in marks:
        _paint(picture, _project(mark, view_axis), color, widen_vox)
    return picture


def rescale_intensity(image: NDArray[Any]) -> Picture:
    """Rescale an image to uint8 for display: black at the 1st percentile of all values, white at the 99th.

    Args:
        image: Array of any shape, not empty; values that are not finite count as 0.

    Returns:
        uint8 array of the same shape; 0 everywhere if all values are equal.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    low, high = np.percentile(values, (1, 99))
    rescaled: Picture = np.rint(255 * np.clip((values - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
    return rescaled


def error_window(error: StructureError, shape: Sequence[int], *, margin_vox: int = 12) -> tuple[slice, ...]:
    """Compute the window around an error; in volumes, within a slice through its middle across the shortest axis.

    Args:
        error: Error from :py:func:`monai_topo.masks.structure_errors.list_errors`.
        shape: Shape of the image, `(H, W)` or `(D, H, W)`.
        margin_vox: Margin on each side of the error. The window is at least four margins wide; near the border of the
            image it is shifted inwards.

    Returns:
        One slice per axis; in volumes the slice of the shortest axis has length 1.
    """
    across = int(np.argmin(shape)) if len(shape) == 3 else None
    window = []
    for axis, (at, start, stop, length) in enumerate(zip(error.at, error.start, error.stop, shape, strict=True)):
        if axis == across:
            window.append(slice(at, at + 1))
            continue
        width = min(max(stop - start + 2 * margin_vox, 4 * margin_vox), length)
        low = min(max((start + stop - width) // 2, 0), length - width)
        window.append(slice(low, low + width))
    return tuple(window)


def draw_errors(axes: Any, picture: Picture, errors: Sequence[StructureError], *, view_axis: int | None = None) -> None:
    """Draw an overlay on matplotlib axes, with a number next to each error that changes the topology.

    Args:
        axes: `matplotlib.axes.Axes`.
        picture: Picture from :py:func:`error_overlay`.
        errors: Errors in the order of their numbers, from 1.
        view_axis: Axis along which a volume was projected; None for images.
    """
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    for number, error in enumerate(errors, start=1):
        if error.kind in CHANGES_OF_TOPOLOGY:
            row, column = (index for axis, index in enumerate(error.at) if axis != view_axis)
            axes.annotate(
                str(number),
                (column, row),
                xytext=(7, 7),
                textcoords="offset points",
                color="white",
                fontsize=8,
                bbox={"boxstyle": "round,pad=0.2", "color": ERROR_COLORS[error.kind]},
                arrowprops={"arrowstyle": "-", "color": ERROR_COLORS[error.kind]},
            )


def _paint(picture: Picture, marks: Mask, color: str, widen_vox: int) -> None:
    if marks.any():
        picture[dilate_mask(marks, by_vox=widen_vox) if widen_vox else marks] = list(bytes.fromhex(color[1:]))


def _project(volume: NDArray[Any], view_axis: int) -> NDArray[Any]:
    return volume if volume.ndim == 2 else volume.max(axis=view_axis)
