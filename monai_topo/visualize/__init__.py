"""Pictures of topological errors and of persistence diagrams, for reports, TensorBoard and the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, StructureError, dilate_mask
from monai_topo.persistence.induced_matching import betti_matching

__all__ = [
    "ERROR_COLORS",
    "OUTSIDE_COLOR",
    "MatchedDiagram",
    "draw_diagram",
    "draw_errors",
    "draw_mask",
    "error_overlay",
    "error_window",
    "match_diagrams",
    "rescale_intensity",
]

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Picture = NDArray[np.uint8]
Points = NDArray[np.float64]

#: Color of each of `STRUCTURE_ERRORS`: what is missing warm, what is spurious cool. After Okabe and Ito, told apart by
#: color-blind readers too; ends, which change no topology, are paler.
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
#: Color of what lies outside of a field of view, a shade from the background.
OUTSIDE_COLOR = "#34373d"
# Background, only the label, only the prediction, both.
_GRAYS = np.array([[26, 28, 32], [128, 116, 104], [100, 112, 128], [188, 190, 194]], dtype=np.uint8)
_PAINTED = (3, 6, 1, 4, 7, 8, 5, 2)  # what is small comes last, on top


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
        label: bool of the same shape.
        errors: of the same shape, from :py:func:`monai_topo.masks.structure_errors.classify_errors`.
        inside: bool of the same shape, the field of view outside of which both masks are empty; None: everything.
        view_axis: of volumes: the axis along which the greatest value is taken (both masks before one, one before
            none).
        widen_vox: how far the marks are widened, to be seen; holes stay as they are.

    Returns:
        `(rows, columns, 3)` uint8, the first axis that is left as rows. See `ERROR_COLORS`; light gray is both masks,
        blue-gray the prediction alone, brown-gray the label alone.
    """
    both = label.astype(np.uint8) + 2 * prediction.astype(np.uint8)
    picture: Picture = _GRAYS[_projected(both, view_axis)]
    if inside is not None:
        _paint(picture, ~_projected(inside, view_axis), OUTSIDE_COLOR, 0)
    for kind in _PAINTED:
        is_hole = kind in (7, 8)
        _paint(picture, _projected(errors == kind, view_axis), ERROR_COLORS[kind], 0 if is_hole else widen_vox)
    return picture


def draw_mask(mask: Mask, marks: Sequence[tuple[Mask, str]], *, view_axis: int = 0, widen_vox: int = 1) -> Picture:
    """Draw a mask in gray and parts of it, or of what is round it, in colors.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        marks: masks of the same shape and their colors as `"#rrggbb"`; the last one is on top.
        view_axis: of volumes: the axis along which the greatest value is taken.
        widen_vox: how far the marks are widened, to be seen.

    Returns:
        `(rows, columns, 3)` uint8.
    """
    picture: Picture = _GRAYS[3 * _projected(mask.astype(np.uint8), view_axis)]
    for mark, color in marks:
        _paint(picture, _projected(mark, view_axis), color, widen_vox)
    return picture


def rescale_intensity(image: NDArray[Any]) -> Picture:
    """Gray values or colors to be looked at: from black at the 1st percentile of all values to white at the 99th.

    Args:
        image: of any shape, not empty; values that are not finite count as 0.

    Returns:
        uint8 of the same shape; 0 everywhere if all values are equal.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    low, high = np.percentile(values, (1, 99))
    shown: Picture = np.rint(255 * np.clip((values - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
    return shown


def error_window(error: StructureError, shape: Sequence[int], *, margin_vox: int = 12) -> tuple[slice, ...]:
    """The part of an image in which one error is seen: in volumes a slice through its middle, across the shortest axis.

    Args:
        error: from :py:func:`monai_topo.masks.structure_errors.list_errors`.
        shape: of the image, `(H, W)` or `(D, H, W)`.
        margin_vox: how much is seen on each side of it; the window is at least four times as wide. Near the border of
            the image it moves inwards.

    Returns:
        One slice an axis; for volumes the one of the shortest axis has length 1.
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
    """Draw an overlay on matplotlib axes, with the number of each error that changes the topology beside it.

    Args:
        axes: `matplotlib.axes.Axes`.
        picture: of :py:func:`error_overlay`.
        errors: the errors in the order of their numbers, from 1.
        view_axis: of volumes: the axis that the picture was projected along; None for images.
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


class MatchedDiagram(NamedTuple):
    """The features of one dimension of a likelihood map, and which of them the label has at the same place.

    Attributes:
        matched: `(M, 2)` float64, birth and death of predicted features that are matched with one of the label.
        spurious: `(S, 2)`, of predicted features that are not.
        missing: `(L, 2)`, of the label's features that are not; of a mask all (1, 0).
    """

    matched: Points
    spurious: Points
    missing: Points


def match_diagrams(
    likelihood: Tensor, label: Tensor, *, connectivity: Connectivity = "full", border: Border = "open"
) -> list[MatchedDiagram]:
    """Match the persistence diagram of a likelihood map with that of its label, by place.

    Args:
        likelihood: `(H, W)` or `(D, H, W)`, floating.
        label: of the same shape, mask or likelihood.
        connectivity: of the foreground, as everywhere.
        border: what lies outside the image, as everywhere.

    Returns:
        One diagram a dimension, 0 to d-1. The component that never ends is left out: it is always there.

    MatchResult as :py:func:`monai_topo.betti_matching` does, where the cost is told.
    """
    images, labels = likelihood[None], label[None].to(likelihood)
    matching = betti_matching(images, labels, connectivity=connectivity, border=border)
    of_pred = matching.prediction.values(images).double().numpy()
    of_label = matching.label.values(labels).double().numpy()
    dim, label_dim = matching.prediction.dim, matching.label.dim
    spurious, missing = matching.unmatched_prediction(), matching.unmatched_label()
    return [
        MatchedDiagram(
            of_pred[(~spurious & (dim == k)).numpy()],
            of_pred[(spurious & (dim == k)).numpy()],
            of_label[(missing & (label_dim == k)).numpy()],
        )
        for k in range(likelihood.ndim)
    ]


def draw_diagram(
    axes: Any, diagram: MatchedDiagram, *, title: str, threshold: float | None = None, min_persistence: float = 0.01
) -> None:
    """Draw a diagram on matplotlib axes: birth to the right, death upwards, the perfect feature at bottom right.

    Args:
        axes: `matplotlib.axes.Axes`.
        diagram: of :py:func:`match_diagrams`.
        title: above it.
        threshold: of the mask; features within the dotted corner, born above it and dead below, are the mask's own.
        min_persistence: predicted features that live no longer are noise and left out; the title tells how many.
    """
    axes.fill_between([0, 1], [0, 1], 1, color="#f1f2f4", linewidth=0)
    axes.plot([0, 1], [0, 1], color="#9aa0a8", linewidth=0.8)
    if threshold is not None:
        axes.plot([threshold, threshold, 1], [0, threshold, threshold], ":", color="#9aa0a8", linewidth=1)
    hidden = 0
    for points, name, style in (
        (diagram.spurious, "spurious", {"marker": "x", "color": "#0072b2", "markersize": 5}),
        (diagram.matched, "matched", {"marker": "o", "color": "#6b7178", "markersize": 5, "markeredgewidth": 0}),
    ):
        lasting = points[:, 0] - points[:, 1] > min_persistence
        hidden += int(np.count_nonzero(~lasting))
        birth, death = points[lasting].T
        _plot_points(axes, birth, death, label=f"{lasting.sum()} {name}", alpha=0.75, **style)
    birth, death = diagram.missing.T
    square = {"marker": "s", "color": "#d55e00", "markerfacecolor": "none", "markersize": 9}
    _plot_points(axes, birth, death, label=f"{len(birth)} missing", **square)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="birth", ylabel="death", aspect="equal")
    left_out = f"\n{hidden} below {min_persistence:g} left out" if hidden else ""
    axes.set_title(title + left_out, fontsize=9)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _plot_points(axes: Any, birth: Points, death: Points, **style: Any) -> None:
    # Points at the corner are to be seen whole; but without points an unclipped line spoils matplotlib's layout.
    axes.plot(birth, death, linestyle="", clip_on=not len(birth), **style)


def _paint(picture: Picture, marks: Mask, color: str, widen_vox: int) -> None:
    if marks.any():
        picture[dilate_mask(marks, by_vox=widen_vox) if widen_vox else marks] = _rgb(color)


def _projected(volume: NDArray[Any], view_axis: int) -> NDArray[Any]:
    return volume if volume.ndim == 2 else volume.max(axis=view_axis)


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
