"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""
# ruff: noqa: F403, I001 - each module lists its own names, four per transform; here the modules come in reading order

from monai_topo.transforms.label_to_foreground import *
from monai_topo.transforms.label_repair import *
from monai_topo.transforms.make_well_composed import *
from monai_topo.transforms.instances import *
from monai_topo.transforms.skeletons import *
from monai_topo.transforms.persistence_simplify import *
from monai_topo.transforms.reconnect_components import *
from monai_topo.transforms.clean_up import *
from monai_topo.transforms.diagrams import *
from monai_topo.transforms.diagram_vectors import *
from monai_topo.transforms.critical_voxel_map import *
from monai_topo.transforms.topology_error_map import *
from monai_topo.transforms.vesselness import *
from monai_topo.transforms.rand_topology_error import *
from monai_topo.transforms.rand_crop_by_topology import *
from monai_topo.transforms.relative_pad import *

__all__ = [name for name in list(vars()) if name[0].isupper()]
