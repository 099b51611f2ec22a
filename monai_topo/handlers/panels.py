"""Panels of the pictures of a validation: image, label, and a prediction with colored structure errors."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.io import atomic_write
from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo.masks.structure_errors import classify_errors
from monai_topo.visualize import ERROR_COLORS, draw_mask, error_overlay, rescale_intensity

Figure, _ = optional_import("matplotlib.figure", name="Figure")
FigureCanvasAgg, _ = optional_import("matplotlib.backends.backend_agg", name="FigureCanvasAgg")
Patch, _ = optional_import("matplotlib.patches", name="Patch")

__all__ = ["error_panel", "image_panel", "legend_panel", "mask_panel", "save_panels"]

Panel = NDArray[np.uint8]

_WIDEN_VOX = 2
_TITLE_WIDTH = 45  # letters that fit above a panel


def error_panel(
    prediction: Mask, label: Mask, *, connectivity: Connectivity = "full", border: Border = "open"
) -> Panel:
    """Draw a prediction in gray, and its structure errors in the colors of the legend.

    Args:
        prediction: `(W, H)`, or a volume with three axes in the order of MONAI's readers, x first.
        label: Label of the same shape.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).

    Returns:
        `(H, W, 3)`. Volumes are projected along their shortest axis. Marks of lines are widened by two voxels, to make
        them visible.
    """
    errors = classify_errors(prediction, label, connectivity=connectivity, border=border)
    axis = _shortest_axis(prediction)
    return _to_picture(error_overlay(prediction, label, errors, view_axis=axis, widen_vox=_WIDEN_VOX))


def mask_panel(mask: Mask) -> Panel:
    """Draw a mask in gray, `(H, W, 3)`."""
    return _to_picture(draw_mask(mask, [], view_axis=_shortest_axis(mask)))


def image_panel(image: NDArray[Any]) -> Panel:
    """Draw a channel-first image, rescaled from its 1st to 99th percentile; three channels are RGB."""
    channels = image if len(image) == 3 else image[:1]
    shown = rescale_intensity(channels)
    planes = [channel if channel.ndim == 2 else channel.max(axis=_shortest_axis(channel)) for channel in shown]
    return _to_picture(np.stack(planes if len(planes) == 3 else planes * 3, axis=2))


def legend_panel(spatial_dims: int) -> Panel:
    """Draw the legend of the colors, for panels that are shown one by one."""
    figure = Figure(figsize=(7.5, 1.6), dpi=110)
    canvas = FigureCanvasAgg(figure)
    _draw_legend(figure, spatial_dims, loc="center")
    canvas.draw()
    panel: Panel = np.array(canvas.buffer_rgba())[..., :3]
    return panel


def save_panels(path: Path, rows: list[list[tuple[str, Panel]]], spatial_dims: int) -> None:
    """Write rows of titled panels, and the legend below them, to a PNG file, atomically."""
    height, width = rows[0][0][1].shape[:2]
    panel_width = 3.4
    size = (panel_width * len(rows[0]), (panel_width * height / width + 0.65) * len(rows) + 1.0)
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, panels in zip(axes, rows, strict=True):
        for axis, (title, panel) in zip(row, panels, strict=True):
            axis.imshow(panel, interpolation="nearest")
            axis.set_title("\n".join(fill(line, _TITLE_WIDTH) for line in title.splitlines()), fontsize=9)
            axis.set_axis_off()
    _draw_legend(figure, spatial_dims, loc="outside lower center")
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished)


def _draw_legend(figure: Any, spatial_dims: int, loc: str) -> None:
    hole = "hole" if spatial_dims == 2 else "cavity"
    names = {
        1: "missing component",
        2: "break: parts a component or opens a loop",
        3: "missing end: no change of topology",
        7: f"missing {hole}",
        4: "spurious component",
        5: "bridge: joins components or closes a loop",
        6: "spurious end: no change of topology",
        8: f"spurious {hole}",
    }
    handles = [Patch(facecolor=ERROR_COLORS[number], label=name) for number, name in names.items()]
    figure.legend(handles=handles, fontsize=8, frameon=False, loc=loc, ncols=2)


def _shortest_axis(volume: NDArray[Any]) -> int:
    return int(np.argmin(volume.shape))


def _to_picture(picture: Panel) -> Panel:
    """Transpose to y before x, the order of pictures."""
    return picture.transpose(1, 0, 2)
