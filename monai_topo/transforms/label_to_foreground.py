"""Foreground masks from labels of any common convention."""

from __future__ import annotations

import numpy as np
from monai.config import DtypeLike
from monai.utils import get_equivalent_dtype

from monai_topo._utils.typing import Array
from monai_topo.data.labels import foreground_mask, parse_foreground
from monai_topo.transforms._base import ArrayTransform
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = ["LabelToForeground", "LabelToForegroundD", "LabelToForegroundDict", "LabelToForegroundd"]


class LabelToForeground(ArrayTransform):
    """Convert a label to a 0/1 mask of its foreground.

    :py:func:`monai_topo.data.foreground_mask` decides what is foreground; its conventions, empty cases and errors apply
    here too. Deterministic; the input is never modified. (MONAI's own `ForegroundMask` has another purpose: it
    thresholds images of tissue.)

    Args:
        foreground: `"nonzero"`, the value of the foreground (`0` for inverted labels), a threshold such as `">127"`, or
            `"boundary"` for instance ids.
        dtype: Dtype of the mask; float32 by default, as losses and metrics expect.

    Raises:
        TypeError: At the call, as in `foreground_mask`.
        ValueError: If `foreground` is impossible; at the call, if the label has more than one channel or does not
            follow the convention. The message names the file if the metadata has its name.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import LabelToForeground
        >>> LabelToForeground(foreground=0)(np.array([[[0, 255, 255], [0, 0, 255]]], dtype=np.uint8)).tolist()
        [[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]
    """

    one_channel = True

    def __init__(self, foreground: int | str = "nonzero", dtype: DtypeLike = np.float32) -> None:
        parse_foreground(foreground)
        self.foreground = foreground
        self.dtype = dtype

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the mask of a `(1, H, W)` or `(1, D, H, W)` label, of the same shape."""
        # A thin volume keeps its channel axis, so that it is not treated as a color image.
        flat = array.ndim == 3
        mask = foreground_mask(array[0], self.foreground)[None] if flat else foreground_mask(array, self.foreground)
        return mask.astype(get_equivalent_dtype(self.dtype, np.ndarray))


LabelToForegroundd = LabelToForegroundD = LabelToForegroundDict = DictionaryTransform.of(LabelToForeground)
