"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""

from monai_topo.transforms import labels, skeletons
from monai_topo.transforms.labels import *  # noqa: F403 - four names a transform, listed once, by each file's __all__
from monai_topo.transforms.skeletons import *  # noqa: F403

__all__: list[str] = []
__all__ += labels.__all__
__all__ += skeletons.__all__
