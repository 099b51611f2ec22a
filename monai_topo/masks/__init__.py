"""Binary masks: Betti numbers, components, skeletons, simple points, and the errors of a segmentation."""

from monai_topo.masks.chunked import (
    ChunkError,
    chunked_betti_error,
    chunked_betti_numbers,
    chunked_component_sizes,
    chunked_euler_characteristic,
)
from monai_topo.masks.chunked_removal import chunked_remove_small
from monai_topo.masks.components import betti_numbers, label_components
from monai_topo.masks.homotopy import homotopy_warping_errors, simple_points
from monai_topo.masks.label_check import check_label
from monai_topo.masks.skeletons import skeleton, tubed_skeleton
from monai_topo.masks.structure_errors import (
    STRUCTURE_ERRORS,
    StructureError,
    classify_errors,
    list_errors,
)
from monai_topo.masks.well_composed import critical_voxels, make_well_composed

__all__ = [
    "STRUCTURE_ERRORS",
    "ChunkError",
    "StructureError",
    "betti_numbers",
    "check_label",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "chunked_component_sizes",
    "chunked_euler_characteristic",
    "chunked_remove_small",
    "classify_errors",
    "critical_voxels",
    "homotopy_warping_errors",
    "label_components",
    "list_errors",
    "make_well_composed",
    "simple_points",
    "skeleton",
    "tubed_skeleton",
]
