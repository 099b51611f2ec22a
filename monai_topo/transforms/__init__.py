"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""

from monai_topo.transforms import (
    critical,
    cropping,
    diagram_vectors,
    diagrams,
    errors,
    hygiene,
    instances,
    labels,
    padding,
    simplify,
    skeletons,
    vesselness,
)
from monai_topo.transforms.critical import *  # noqa: F403 - four names a transform: each file lists its own
from monai_topo.transforms.cropping import *  # noqa: F403
from monai_topo.transforms.diagram_vectors import *  # noqa: F403
from monai_topo.transforms.diagrams import *  # noqa: F403
from monai_topo.transforms.errors import *  # noqa: F403
from monai_topo.transforms.hygiene import *  # noqa: F403
from monai_topo.transforms.instances import *  # noqa: F403
from monai_topo.transforms.labels import *  # noqa: F403
from monai_topo.transforms.padding import *  # noqa: F403
from monai_topo.transforms.simplify import *  # noqa: F403
from monai_topo.transforms.skeletons import *  # noqa: F403
from monai_topo.transforms.vesselness import *  # noqa: F403

__all__: list[str] = []
__all__ += critical.__all__
__all__ += cropping.__all__
__all__ += diagram_vectors.__all__
__all__ += diagrams.__all__
__all__ += errors.__all__
__all__ += hygiene.__all__
__all__ += instances.__all__
__all__ += labels.__all__
__all__ += padding.__all__
__all__ += simplify.__all__
__all__ += skeletons.__all__
__all__ += vesselness.__all__
