"""Pictures of likely artifacts in a label: specks, pinholes, and parts attached only by a corner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo.masks.components import components
from monai_topo.report.drawings import encode_png
from monai_topo.report.reading import read_label, to_mask
from monai_topo.transforms.label_repair import RepairLabel
from monai_topo.visualize import draw_mask

__all__ = ["LABEL_MARKS", "draw_label"]

LABEL_MARKS = {"speck": "#56d4f4", "pinhole": "#e86fb0", "attached only by a corner or edge": "#f0b400"}


def draw_label(
    path: Path,
    *,
    label_foreground: int | str,
    connectivity: Connectivity,
    border: Border,
    min_component: float,
    min_hole: float,
) -> dict[str, Any]:
    """Draw a label (volumes: along the shortest axis) with specks, pinholes and what face connectivity cuts off."""
    label, spacing = read_label(path)
    mask = to_mask(label, path, label_foreground)
    repair = RepairLabel(
        min_component=min_component, min_hole=min_hole, connectivity=connectivity, border=border, action="repair"
    )
    repaired = np.asarray(repair(mask[None].astype(np.uint8)))[0] > 0
    axis = int(np.argmin([length * step for length, step in zip(label.shape, spacing, strict=True)]))
    specks, pinholes, cut_off = zip(
        (mask & ~repaired, repaired & ~mask, _cut_off(mask)), LABEL_MARKS.values(), strict=True
    )
    picture = draw_mask(mask, [cut_off, specks, pinholes], view_axis=axis)  # small marks last, on top
    down, across = (step / min(spacing) for i, step in enumerate(spacing) if label.ndim == 2 or i != axis)
    view = {
        "title": f"projected along {'zyx'[axis]}" if label.ndim == 3 else "",
        "png": encode_png(picture),
        "width": round(picture.shape[1] * across, 2),
        "height": round(picture.shape[0] * down, 2),
        "marks": [],
    }
    return {"view": view}


def _cut_off(mask: Mask) -> Mask:
    """Select what face connectivity cuts off: all but the largest part of each component under full connectivity."""
    parts, _ = components(mask, "face")
    wholes, _ = components(mask, "full")
    sizes = np.bincount(parts.ravel())
    whole_of = np.zeros(len(sizes), dtype=np.int64)
    whole_of[parts.ravel()] = wholes.ravel()
    largest_first = np.lexsort((-sizes[1:], whole_of[1:])) + 1
    _, first = np.unique(whole_of[largest_first], return_index=True)
    kept = np.zeros(len(sizes), dtype=bool)
    kept[largest_first[first]] = True
    cut_off: Mask = mask & ~kept[parts]
    return cut_off
