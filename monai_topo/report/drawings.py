"""Pictures of a page: embedded PNG images, with circles and numbers as SVG on top of them."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.masks.components import feature_names
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, StructureError
from monai_topo.visualize import ERROR_COLORS, draw_diagram, error_overlay, error_window, match_diagrams

__all__ = ["Scene", "draw_diagrams", "draw_error_views", "draw_error_windows", "encode_png"]

Picture = dict[str, Any]

_MAX_MARKS = 60  # circles in a picture; more would hide the errors
_MAX_WINDOWS = 8
_MAX_SVG_POINTS = 400  # points of the diagrams; with more, an SVG file is larger than a PNG
_CLAMP = 1e-3  # plateaus near 0 and 1 are cheap to compute, and the difference is not visible


class Scene(NamedTuple):
    """A case to draw; all arrays have the axes (z,) y, x of `label`.

    Attributes:
        prediction: Predicted mask.
        label: True mask.
        error_map: Array of :py:func:`monai_topo.masks.structure_errors.classify_errors`.
        errors: Errors of the map in the order of their numbers.
        inside: Field of view.
        spacing_mm: Voxel size, one number per axis.
        image: Segmented image, uint8 with a trailing axis of 1 or 3 channels, or None.
        first_number: Number of the first error.
    """

    prediction: Mask
    label: Mask
    error_map: NDArray[np.uint8]
    errors: Sequence[StructureError]
    inside: Mask
    spacing_mm: Sequence[float]
    image: NDArray[np.uint8] | None
    first_number: int = 1


def draw_error_views(scene: Scene) -> list[Picture]:
    """Draw the errors of an image, or of a volume projected along its shortest axis, or all axes if it is not thin.

    Returns:
        For each view: the title, the picture and the image as data URLs of PNG files (`""` without an image), width and
        height in units of the finest spacing, and marks with number, kind, color, position and radius in these units.
    """
    shape = scene.label.shape
    if len(shape) == 2:
        return [_draw_view(scene, None, num_views=1)]
    extents = [length * step for length, step in zip(shape, scene.spacing_mm, strict=True)]
    axes = [int(np.argmin(extents))]
    if min(extents) > max(extents) / 3:
        axes += [axis for axis in range(3) if axis not in axes]
    return [_draw_view(scene, axis, num_views=len(axes)) for axis in axes]


def _draw_view(scene: Scene, view_axis: int | None, *, num_views: int) -> Picture:
    picture = error_overlay(
        scene.prediction, scene.label, scene.error_map, inside=scene.inside, view_axis=view_axis or 0
    )
    finest = min(scene.spacing_mm)
    steps = [step / finest for axis, step in enumerate(scene.spacing_mm) if axis != view_axis]
    rows, columns = picture.shape[:2]
    height, width = rows * steps[0], columns * steps[1]
    font_size = width / (45 if num_views == 1 else 26)
    marks = _mark_errors(scene, view_axis, steps, min_radius=width / 90)
    return {
        "title": "" if view_axis is None else f"projected along {'zyx'[view_axis]}",
        "png": encode_png(picture),
        "image": "" if scene.image is None else _encode_image(scene.image, view_axis),
        "width": round(width, 2),
        "height": round(height, 2),
        "font_size": round(font_size, 2),
        "marks": [
            mark | {"text_x": round(x, 1), "text_y": round(y, 1)}
            for mark, (x, y) in zip(marks, _place_numbers(marks, width, height, font_size), strict=True)
        ],
    }


def _mark_errors(
    scene: Scene, view_axis: int | None, steps: Sequence[float], *, min_radius: float
) -> list[dict[str, Any]]:
    """Compute the circle around each error that changes the topology."""
    marks = []
    for number, error in enumerate(scene.errors[:_MAX_MARKS], start=scene.first_number):
        if error.kind not in CHANGES_OF_TOPOLOGY:
            continue
        low, high = (
            np.array([value for axis, value in enumerate(ends) if axis != view_axis]) * steps
            for ends in (error.start, error.stop)
        )
        y, x = (low + high) / 2
        radius = max(float((high - low).max()) / 2 + 2, min_radius)
        mark = {"number": number, "kind": error.name, "color": ERROR_COLORS[error.kind]}
        marks.append({**mark, "x": round(float(x), 1), "y": round(float(y), 1), "radius": round(radius, 1)})
    return marks


def _place_numbers(
    marks: Sequence[dict[str, Any]], width: float, height: float, font_size: float
) -> list[tuple[float, float]]:
    """Place the number of each mark next to its circle, inside the picture, and away from the previous numbers.

    Returns:
        The left end and the baseline of each number.
    """
    taken: list[tuple[float, float, float, float]] = []
    for mark in marks:
        wide, x, y, radius = 0.62 * font_size * len(str(mark["number"])), mark["x"], mark["y"], mark["radius"] + 1
        right, left, middle = x + radius, x - radius - wide, x - wide / 2
        corners = [
            (at, y + turn * radius - font_size / 2)
            for turn, ends in ((-0.5, (right, left)), (0.9, (right, left)), (-1.6, (middle,)), (1.6, (middle,)))
            for at in ends
        ]
        boxes = [
            (low_x, low_y, low_x + wide, low_y + font_size)
            for low_x, low_y in (
                (min(max(at, 0), width - wide), min(max(top, 0), height - font_size)) for at, top in corners
            )
        ]
        # The first of equally good ones.
        taken.append(min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken)))
    return [(box[0], box[3] - 0.2 * font_size) for box in taken]


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Compute the area that two boxes share."""
    wide, high = (min(one[end + 2], other[end + 2]) - max(one[end], other[end]) for end in (0, 1))
    return max(wide, 0) * max(high, 0)


def draw_error_windows(scene: Scene) -> list[Picture]:
    """Draw close-ups of the largest errors of each kind that changes the topology; in volumes, a slice through each."""
    windows = []
    is_volume = scene.label.ndim == 3
    for number in _largest_of_each_kind(scene.errors):
        error = scene.errors[number - 1]
        window = error_window(error, scene.label.shape)
        across = next((axis for axis, side in enumerate(window) if side.stop - side.start == 1), 0)
        picture = error_overlay(
            scene.prediction[window],
            scene.label[window],
            scene.error_map[window],
            inside=scene.inside[window],
            view_axis=across,
            widen_vox=0,
        )
        image = "" if scene.image is None else _encode_image(scene.image[window], across if is_volume else None)
        windows.append(
            {
                "number": number,
                "kind": error.name,
                "plane": f", {'zyx'[across]} = {error.at[across]}" if is_volume else "",
                "color": ERROR_COLORS[error.kind],
                "png": encode_png(picture),
                "width": picture.shape[1],
                "height": picture.shape[0],
                "image": image,
            }
        )
    return windows


def _largest_of_each_kind(errors: Sequence[StructureError]) -> list[int]:
    """Select the errors with a close-up: the largest of each kind, then the second largest of each, and so on."""
    seen: Counter[int] = Counter()
    turns = []
    for number, error in enumerate(errors, start=1):
        if error.kind in CHANGES_OF_TOPOLOGY:
            turns.append((seen[error.kind], number))
            seen[error.kind] += 1
    return sorted(number for _, number in sorted(turns)[:_MAX_WINDOWS])


def encode_png(picture: NDArray[np.uint8]) -> str:
    """Encode a picture as the data URL of a PNG file; it has few colors, so that a palette makes it small."""
    from PIL import Image

    return _save_png(Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE, colors=64))


def _encode_image(image: NDArray[np.uint8], view_axis: int | None) -> str:
    """Encode a segmented image with all its gray values, or with as many colors as a palette has."""
    from PIL import Image

    flat = image if view_axis is None else image.max(axis=view_axis)
    if flat.shape[2] == 1:
        return _save_png(Image.fromarray(flat[..., 0]))
    return _save_png(Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE, colors=256))


def _save_png(picture: Any) -> str:
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return _data_url("image/png", file)


def _data_url(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64," + base64.b64encode(file.getvalue()).decode()


def draw_diagrams(
    likelihood: Tensor, label: Tensor, *, threshold: float, connectivity: Connectivity, border: Border
) -> str:
    """Draw the persistence diagrams of a likelihood, matched with its label, side by side, as a data URL."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    box = foreground_box(
        ((likelihood > _CLAMP) | (label > 0)).numpy(), margin_vox=2
    )  # two, for the order of equal values
    shown = likelihood[box].clamp(_CLAMP, 1 - _CLAMP)
    diagrams = match_diagrams(shown, label[box], connectivity=connectivity, border=border)
    figure = Figure(figsize=(3.6 * len(diagrams), 3.8), layout="constrained")
    panels = figure.subplots(1, len(diagrams), squeeze=False)[0]
    for axes, diagram, name in zip(panels, diagrams, feature_names(likelihood.ndim), strict=True):
        draw_diagram(axes, diagram, title=name, threshold=threshold)
    file = io.BytesIO()
    if sum(len(points) for diagram in diagrams for points in diagram) > _MAX_SVG_POINTS:
        figure.savefig(file, format="png", dpi=130)
        return _data_url("image/png", file)
    with rc_context({"svg.hashsalt": "monai_topo"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _data_url("image/svg+xml", file)
