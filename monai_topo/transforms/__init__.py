"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""

from monai_topo.transforms import (
    critical_voxels,
    diagram_vectors,
    diagrams,
    instances,
    label_repair,
    label_to_foreground,
    persistence_simplify,
    rand_crop_by_topology,
    rand_topology_error,
    relative_pad,
    skeletons,
    vesselness,
)
from monai_topo.transforms.critical_voxels import *  # noqa: F403 - four names a transform: each file lists its own
from monai_topo.transforms.diagram_vectors import *  # noqa: F403
from monai_topo.transforms.diagrams import *  # noqa: F403
from monai_topo.transforms.instances import *  # noqa: F403
from monai_topo.transforms.label_repair import *  # noqa: F403
from monai_topo.transforms.label_to_foreground import *  # noqa: F403
from monai_topo.transforms.persistence_simplify import *  # noqa: F403
from monai_topo.transforms.rand_crop_by_topology import *  # noqa: F403
from monai_topo.transforms.rand_topology_error import *  # noqa: F403
from monai_topo.transforms.relative_pad import *  # noqa: F403
from monai_topo.transforms.skeletons import *  # noqa: F403
from monai_topo.transforms.vesselness import *  # noqa: F403

__all__: list[str] = []
__all__ += critical_voxels.__all__
__all__ += rand_crop_by_topology.__all__
__all__ += diagram_vectors.__all__
__all__ += diagrams.__all__
__all__ += rand_topology_error.__all__
__all__ += label_repair.__all__
__all__ += instances.__all__
__all__ += label_to_foreground.__all__
__all__ += relative_pad.__all__
__all__ += persistence_simplify.__all__
__all__ += skeletons.__all__
__all__ += vesselness.__all__
