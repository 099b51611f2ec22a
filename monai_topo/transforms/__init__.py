"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""

from monai_topo.transforms import hygiene, instances, labels, padding, skeletons
from monai_topo.transforms.hygiene import *  # noqa: F403 - four names a transform: each file lists its own
from monai_topo.transforms.instances import *  # noqa: F403
from monai_topo.transforms.labels import *  # noqa: F403
from monai_topo.transforms.padding import *  # noqa: F403
from monai_topo.transforms.skeletons import *  # noqa: F403

__all__: list[str] = []
__all__ += hygiene.__all__
__all__ += instances.__all__
__all__ += labels.__all__
__all__ += padding.__all__
__all__ += skeletons.__all__
