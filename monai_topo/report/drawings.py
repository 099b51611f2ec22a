"""The pictures of a page: PNG files within, and over them circles and numbers that stay sharp at any size."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import feature_names
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, StructureError
from monai_topo.visualize import ERROR_COLORS, draw_diagram, error_overlay, error_window, match_diagrams

__all__ = ["as_png", "diagrams_picture", "error_views", "error_windows"]

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Scan = NDArray[np.uint8]  # what was segmented, with an axis of 1 or 3 channels behind

_MARKS = 60  # circles in a picture; more hide what they mark
_WINDOWS = 8
_MOST_DRAWN_SHARP = 400  # points of a diagram; more make an SVG file larger than a PNG
_CLAMP = 1e-3  # plateaus near 0 and 1 cost little, and no eye sees the difference


def error_views(
    prediction: Mask,
    label: Mask,
    drawn: Labels,
    errors: Sequence[StructureError],
    spacing_mm: Sequence[float],
    inside: Mask,
    image: Scan | None = None,
) -> list[dict[str, Any]]:
    """Draw the errors of an image, or of a volume along the axes it is not too thin to be looked at across.

    Returns:
        For each view its title, PNG as a data address, the same of the image ("" without one), width and height in
        units of the finest spacing, and marks with number, kind, color, place and radius in the same units.
    """
    if label.ndim == 2:
        return [_view("", prediction, label, drawn, errors, None, spacing_mm, inside, image, num_views=1)]
    extents = [length * step for length, step in zip(label.shape, spacing_mm, strict=True)]
    axes = [int(np.argmin(extents))]
    if min(extents) > max(extents) / 3:
        axes += [axis for axis in range(3) if axis not in axes]
    titles = [f"projected along {'zyx'[axis]}" for axis in axes]
    return [
        _view(title, prediction, label, drawn, errors, axis, spacing_mm, inside, image, num_views=len(axes))
        for title, axis in zip(titles, axes, strict=True)
    ]


def _view(
    title: str,
    prediction: Mask,
    label: Mask,
    drawn: Labels,
    errors: Sequence[StructureError],
    view_axis: int | None,
    spacing_mm: Sequence[float],
    inside: Mask,
    image: Scan | None,
    *,
    num_views: int,
) -> dict[str, Any]:
    picture = error_overlay(prediction, label, drawn, inside=inside, view_axis=view_axis or 0)
    down, across = (
        step / min(spacing_mm) for axis, step in enumerate(spacing_mm) if label.ndim == 2 or axis != view_axis
    )
    marks = []
    for number, error in enumerate(errors[:_MARKS], start=1):
        if error.kind not in CHANGES_OF_TOPOLOGY:
            continue
        low, high = (
            np.array([value for axis, value in enumerate(ends) if axis != view_axis]) * (down, across)
            for ends in (error.start, error.stop)
        )
        y, x = (low + high) / 2
        radius = max(float((high - low).max()) / 2 + 2, picture.shape[1] * across / 90)
        mark = {"number": number, "kind": error.name, "color": ERROR_COLORS[error.kind]}
        marks.append({**mark, "x": round(float(x), 1), "y": round(float(y), 1), "radius": round(radius, 1)})
    rows, columns = picture.shape[:2]
    width, height = columns * across, rows * down
    font_size = width / (45 if num_views == 1 else 26)
    return {
        "title": title,
        "png": as_png(picture),
        "image": "" if image is None else _image_png(image, view_axis),
        "width": round(width, 2),
        "height": round(height, 2),
        "font_size": round(font_size, 2),
        "marks": [
            mark | {"text_x": round(x, 1), "text_y": round(y, 1)}
            for mark, (x, y) in zip(marks, _places_of_numbers(marks, width, height, font_size), strict=True)
        ],
    }


def _places_of_numbers(
    marks: Sequence[dict[str, Any]], width: float, height: float, font_size: float
) -> list[tuple[float, float]]:
    """Left end and foot of the number of each mark: beside its circle, within the picture, off the numbers before."""
    taken: list[tuple[float, float, float, float]] = []
    for mark in marks:
        wide, x, y, radius = 0.62 * font_size * len(str(mark["number"])), mark["x"], mark["y"], mark["radius"] + 1
        right, left, middle = x + radius, x - radius - wide, x - wide / 2
        places = [
            (at, y + turn * radius - font_size / 2)
            for turn, ends in ((-0.5, (right, left)), (0.9, (right, left)), (-1.6, (middle,)), (1.6, (middle,)))
            for at in ends
        ]
        boxes = [
            (low_x, low_y, low_x + wide, low_y + font_size)
            for low_x, low_y in (
                (min(max(at, 0), width - wide), min(max(top, 0), height - font_size)) for at, top in places
            )
        ]
        taken.append(min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken)))  # the first of the best
    return [(box[0], box[3] - 0.2 * font_size) for box in taken]


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes share."""
    wide, high = (min(one[end + 2], other[end + 2]) - max(one[end], other[end]) for end in (0, 1))
    return max(wide, 0) * max(high, 0)


def error_windows(
    prediction: Mask,
    label: Mask,
    drawn: Labels,
    errors: Sequence[StructureError],
    inside: Mask,
    image: Scan | None = None,
) -> list[dict[str, Any]]:
    """Draw the largest errors of each kind that changes the topology closely, of a volume the slice through each."""
    windows = []
    for number in _largest_of_each_kind(errors):
        error = errors[number - 1]
        window = error_window(error, label.shape)
        across = next((axis for axis, side in enumerate(window) if side.stop - side.start == 1), 0)
        masks = prediction[window], label[window], drawn[window]
        picture = error_overlay(*masks, inside=inside[window], view_axis=across, widen_vox=0)
        plane = f", {'zyx'[across]} = {error.at[across]}" if label.ndim == 3 else ""
        windows.append(
            {"number": number, "kind": error.name, "plane": plane, "color": ERROR_COLORS[error.kind]}
            | {"png": as_png(picture), "width": picture.shape[1], "height": picture.shape[0]}
            | {"image": "" if image is None else _image_png(image[window], across if label.ndim == 3 else None)}
        )
    return windows


def _largest_of_each_kind(errors: Sequence[StructureError]) -> list[int]:
    """Numbers of the errors that are seen closely: the largest of each kind, then the second of each, and so on."""
    seen: Counter[int] = Counter()
    turns = []
    for number, error in enumerate(errors, start=1):
        if error.kind in CHANGES_OF_TOPOLOGY:
            turns.append((seen[error.kind], number))
            seen[error.kind] += 1
    return sorted(number for _, number in sorted(turns)[:_WINDOWS])


def as_png(picture: NDArray[np.uint8]) -> str:
    """A picture as the address of a PNG file within the page; it has few colors, so a palette makes it small."""
    from PIL import Image

    return _address(Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE, colors=64))


def _image_png(image: Scan, view_axis: int | None) -> str:
    """The same of what was segmented: all its gray values, or as many colors as a palette has."""
    from PIL import Image

    flat = image if view_axis is None else image.max(axis=view_axis)
    if flat.shape[2] == 1:
        return _address(Image.fromarray(flat[..., 0]))
    return _address(Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE, colors=256))


def _address(picture: Any) -> str:
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def diagrams_picture(
    likelihood: Tensor, label: Tensor, *, threshold: float, connectivity: Connectivity, border: Border
) -> str:
    """Draw the persistence diagrams of a likelihood, matched with its label, side by side."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    diagrams = match_diagrams(likelihood.clamp(_CLAMP, 1 - _CLAMP), label, connectivity=connectivity, border=border)
    figure = Figure(figsize=(3.6 * len(diagrams), 3.8), layout="constrained")
    panels = figure.subplots(1, len(diagrams), squeeze=False)[0]
    for axes, diagram, name in zip(panels, diagrams, feature_names(likelihood.ndim), strict=True):
        draw_diagram(axes, diagram, title=name, threshold=threshold)
    file = io.BytesIO()
    if sum(len(points) for diagram in diagrams for points in diagram) > _MOST_DRAWN_SHARP:
        figure.savefig(file, format="png", dpi=130)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    with rc_context({"svg.hashsalt": "monai_topo"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
