"""Pictures of what in a label is likely to be an accident: specks, pinholes, parts that hang on by a corner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import components
from monai_topo.report.drawings import as_png
from monai_topo.report.reading import mask_of, read_label
from monai_topo.transforms.label_repair import RepairLabel
from monai_topo.visualize import draw_mask

__all__ = ["LABEL_MARKS", "draw_label"]

Mask = NDArray[np.bool_]

LABEL_MARKS = {"speck": "#56d4f4", "pinhole": "#e86fb0", "hangs on by a corner or edge": "#f0b400"}


def draw_label(
    path: Path,
    *,
    label_foreground: int | str,
    connectivity: Connectivity,
    border: Border,
    min_component: float,
    min_hole: float,
) -> dict[str, Any]:
    """Draw a label, a volume along its shortest axis, with specks, pinholes and what face connectivity cuts off."""
    label, spacing = read_label(path)
    mask = mask_of(label, path, label_foreground)
    repair = RepairLabel(
        min_component=min_component, min_hole=min_hole, connectivity=connectivity, border=border, action="repair"
    )
    repaired = np.asarray(repair(mask[None].astype(np.uint8)))[0] > 0
    axis = int(np.argmin([length * step for length, step in zip(label.shape, spacing, strict=True)]))
    marks = (mask & ~repaired, repaired & ~mask, _cut_off(mask))
    names = list(LABEL_MARKS)
    order = (2, 0, 1)  # what is small comes last, on top
    picture = draw_mask(mask, [(marks[i], LABEL_MARKS[names[i]]) for i in order], view_axis=axis)
    down, across = (step / min(spacing) for i, step in enumerate(spacing) if label.ndim == 2 or i != axis)
    view = {
        "title": f"projected along {'zyx'[axis]}" if label.ndim == 3 else "",
        "png": as_png(picture),
        "width": round(picture.shape[1] * across, 2),
        "height": round(picture.shape[0] * down, 2),
        "marks": [],
    }
    return {"view": view}


def _cut_off(mask: Mask) -> Mask:
    """What face connectivity cuts off: of each component under full connectivity all but its largest part."""
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
