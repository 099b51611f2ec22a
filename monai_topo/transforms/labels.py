"""Labels of any common convention into foreground masks, as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import DtypeLike, KeysCollection, NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms.transform import MapTransform, Transform
from monai.utils import ImageMetaKey, TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_topo.data.labels import foreground_mask

__all__ = ["LabelToForeground", "LabelToForegroundD", "LabelToForegroundDict", "LabelToForegroundd"]


class LabelToForeground(Transform):
    """Make a 0/1 mask of the foreground from a label.

    What counts as foreground is decided by :py:func:`monai_topo.data.foreground_mask`, whose conventions, empty cases
    and errors hold here too. Deterministic; the input is never changed. (MONAI's own `ForegroundMask` is something
    else: it thresholds pictures of tissue.)

    Args:
        foreground: `"nonzero"`, the foreground's value (`0` for inverted labels), a threshold such as `">127"`, or
            `"boundary"` for instance ids.
        dtype: dtype of the mask, float32 by default, as losses and metrics want it.

    Raises:
        TypeError: at the call, as `foreground_mask` does.
        ValueError: at once for an impossible `foreground`; at the call for a label that has more than one channel or
            does not follow the convention. The file is named if the metadata knows it.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import LabelToForeground
        >>> LabelToForeground(foreground=0)(np.array([[[0, 255, 255], [0, 0, 255]]], dtype=np.uint8)).tolist()
        [[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it

    def __init__(self, foreground: int | str = "nonzero", dtype: DtypeLike = np.float32) -> None:
        # One voxel through the door: an impossible convention stops here, not at the first case.
        foreground_mask(np.zeros((1, 1), dtype=bool), foreground)
        self.foreground = foreground
        self.dtype = dtype

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Take a `(1, H, W)` or `(1, D, H, W)` label to its mask of the same shape, a MetaTensor while MONAI tracks."""
        tensor = convert_to_tensor(label, track_meta=get_track_meta())
        try:
            mask = _channel_first_mask(tensor, self.foreground)
        except (TypeError, ValueError) as error:
            file = getattr(tensor, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ)
            raise type(error)(f"{file}: {error}" if file else str(error)) from error
        converted: NdarrayOrTensor = convert_to_dst_type(mask, tensor, dtype=self.dtype)[0]
        return converted


class LabelToForegroundd(MapTransform):
    """Dictionary twin of :py:class:`LabelToForeground`.

    Args:
        keys: keys of the labels.
        foreground: see :py:class:`LabelToForeground`.
        dtype: dtype of the masks.
        allow_missing_keys: whether a key that a case lacks is passed over.
    """

    backend = LabelToForeground.backend

    def __init__(
        self,
        keys: KeysCollection,
        foreground: int | str = "nonzero",
        dtype: DtypeLike = np.float32,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.to_foreground = LabelToForeground(foreground, dtype)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the masks in place of the labels; the given dictionary stays as it is."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self.to_foreground(case[key])
        return case


def _channel_first_mask(label: torch.Tensor, foreground: int | str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if label.ndim not in (3, 4) or label.shape[0] != 1:
        raise ValueError(
            "Expected `label` to be channel first with one channel, (1, H, W) or (1, D, H, W), "
            f"but got shape {tuple(label.shape)}; keep one channel, or put EnsureChannelFirst before."
        )
    array = label.detach().cpu().numpy()
    # A thin volume keeps its channel axis, so that it is not taken for a picture in colours.
    return foreground_mask(array[0], foreground)[None] if array.ndim == 3 else foreground_mask(array, foreground)


LabelToForegroundD = LabelToForegroundDict = LabelToForegroundd
