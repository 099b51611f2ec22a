"""Transforms on arrays and, with the suffixes `d`, `D` and `Dict`, on dictionaries of arrays."""

from monai_topo.transforms.labels import (
    LabelToForeground,
    LabelToForegroundD,
    LabelToForegroundd,
    LabelToForegroundDict,
)

__all__ = ["LabelToForeground", "LabelToForegroundD", "LabelToForegroundDict", "LabelToForegroundd"]
