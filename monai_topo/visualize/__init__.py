"""Pictures of topological errors and of persistence diagrams."""

from monai_topo.visualize.diagrams import MatchedDiagram, draw_diagram, match_diagrams
from monai_topo.visualize.overlays import (
    ERROR_COLORS,
    OUTSIDE_COLOR,
    draw_errors,
    draw_mask,
    error_overlay,
    error_window,
    rescale_intensity,
)

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
