"""Binary masks: Betti numbers, components, skeletons, simple points, and the errors of a segmentation."""

from monai_topo.masks.chunked import chunked_betti_error, chunked_betti_numbers
from monai_topo.masks.homotopy import critical_by_warping, simple_points
from monai_topo.masks.label_check import check_label
from monai_topo.masks.structure_errors import classified_errors, listed_errors

__all__ = [
    "check_label",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "classified_errors",
    "critical_by_warping",
    "listed_errors",
    "simple_points",
]
