"""Repair of labels: specks are removed and pinholes filled, or only listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.utils import convert_to_tensor, optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Array, Border, Connectivity, Mask
from monai_topo._utils.validation import check_at_least, check_choice, check_topology_settings
from monai_topo.masks.components import components
from monai_topo.transforms._base import (
    ArrayTransform,
    Spacing,
    channel_first,
    check_spacing,
    file_named,
    record_in_metadata,
    spacing_in_mm,
    with_metadata_of,
)
from monai_topo.transforms._dictionary import DictionaryTransform

ndimage, _ = optional_import("scipy.ndimage")

__all__ = ["RepairLabel", "RepairLabelD", "RepairLabelDict", "RepairLabeld"]

Action = Literal["repair", "detect"]
Ids = NDArray[np.int32]


class RepairLabel(ArrayTransform):
    """Remove specks and fill pinholes below a size limit, or only list them.

    A speck is a small component of one value of the label. A pinhole is a small hole: in 2D a component of the
    background that does not reach the border, in 3D a cavity. Specks are removed first, so the size of a hole includes
    the specks in it. A pinhole gets the most frequent value of its face neighbors, the lowest one in a tie. Nothing
    else changes, and a second repair changes nothing. Such annotation artifacts dominate Betti numbers (Berger, Lux et
    al., "Pitfalls of topology-aware image segmentation", arXiv 2412.14619).

    MONAI's `RemoveSmallObjects` removes specks only. MONAI's `FillHoles` fills every hole of any size, and modifies its
    input. Neither gives holes the connectivity that is dual to that of the components.

    Args:
        min_component: Components smaller than this are specks. In voxels, or in mm^2 (2D) or mm^3 if `spacing` is
            given; 0 keeps all.
        min_hole: Holes smaller than this are pinholes; 0 keeps all.
        connectivity: Connectivity of each value of the label, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); holes
            have the dual one.
        border: Boundary condition: `"open"` (nothing lies outside): background that reaches the border is not a hole;
            or `"foreground"` (everything outside is foreground): a component that reaches the border is not a speck,
            and background that reaches it is a hole.
        action: `"repair"`, or `"detect"`, which does not change the label.
        spacing: None for sizes in voxels; `"affine"` reads the voxel size from the metadata; numbers give it in
            millimeters, one per axis.

    Raises:
        ValueError: If a setting is not one of these, or the array is not channel first.

    The result has the dtype of the label. The `meta["label_defects"]` of a MetaTensor lists the specks and pinholes, as
    JSON text (lists of unequal length cannot be collated), with one entry per defect: `{"defect": "speck" | "pinhole",
    "channel", "value" (of the speck, or given to the hole), "size" (in the unit of the limits), "at" (its first
    voxel)}`. Each channel is repaired separately. Needs scipy; a few passes per value of the label. Deterministic.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import RepairLabel
        >>> label = np.array([[[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 1]]])
        >>> RepairLabel(min_component=2, min_hole=2)(label).tolist()
        [[[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]]
    """

    def __init__(
        self,
        *,
        min_component: float = 0,
        min_hole: float = 0,
        connectivity: Connectivity = "full",
        border: Border = "open",
        action: Action = "repair",
        spacing: Spacing = None,
    ) -> None:
        check_topology_settings(connectivity=connectivity, border=border)
        check_choice("action", action, get_args(Action))
        self.min_component = check_at_least("min_component", min_component)
        self.min_hole = check_at_least("min_hole", min_hole)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.action: Action = action
        self.spacing = check_spacing(spacing)

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return a repaired copy of a `(C, H, W)` or `(C, D, H, W)` label, with the list of defects in its metadata."""
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            array = channel_first(tensor, one_channel=False)
            voxel_size = float(np.prod(spacing_in_mm(tensor, self.spacing)))
        repaired = array.copy()
        defects: list[dict[str, Any]] = []
        for number, channel in enumerate(repaired):
            for defect in [*self._remove_specks(channel, voxel_size), *self._fill_pinholes(channel, voxel_size)]:
                defects.append({"channel": number, **defect})
        result = repaired if self.action == "repair" else array.copy()
        return record_in_metadata(with_metadata_of(tensor, result), "label_defects", defects)

    def _remove_specks(self, label: Array, voxel_size: float) -> Iterator[dict[str, Any]]:
        """Remove the specks of one channel, in place, and list them."""
        for value in np.unique(label[label != 0]):
            ids, _ = components(label == value, self.connectivity)
            limit = self.min_component / voxel_size
            for speck in _small_components(ids, limit, keep_at_border=self.border == "foreground"):
                label[speck.box][speck.mask] = 0
                yield {"defect": "speck", "value": value.item(), **speck.to_dict(voxel_size)}

    def _fill_pinholes(self, label: Array, voxel_size: float) -> Iterator[dict[str, Any]]:
        """Fill the pinholes of one channel, in place, and list them."""
        ids, _ = components(label == 0, DUAL[self.connectivity])
        limit = self.min_hole / voxel_size
        for hole in _small_components(ids, limit, keep_at_border=self.border == "open"):
            around = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in hole.box)
            neighbors = ndimage.binary_dilation(ids[around] == hole.number) & (ids[around] == 0)
            if neighbors.any():  # background without any foreground is not a hole
                values, counts = np.unique(label[around][neighbors], return_counts=True)
                label[hole.box][hole.mask] = values[counts.argmax()]
                yield {"defect": "pinhole", "value": values[counts.argmax()].item(), **hole.to_dict(voxel_size)}


class _Component(NamedTuple):
    number: int
    box: tuple[slice, ...]
    mask: Mask  # inside the box

    def to_dict(self, voxel_size: float) -> dict[str, Any]:
        first = np.argwhere(self.mask)[0] + [side.start for side in self.box]
        return {"size": float(np.count_nonzero(self.mask) * voxel_size), "at": first.tolist()}


def _small_components(ids: Ids, limit_vox: float, *, keep_at_border: bool) -> Iterator[_Component]:
    """Yield the components with fewer voxels than a limit; `keep_at_border` skips those that reach the border."""
    sizes = np.bincount(ids.ravel())
    small = sizes < limit_vox * (1 - 1e-9)  # a component of exactly this size stays, despite rounding
    small[0] = False
    if keep_at_border:
        inner = (slice(1, -1),) * ids.ndim
        rim = ids.copy()
        rim[inner] = 0
        small[np.unique(rim)] = False
    boxes = ndimage.find_objects(ids) if small.any() else []
    for number in np.flatnonzero(small).tolist():
        box = boxes[number - 1]
        yield _Component(number, box, ids[box] == number)


RepairLabeld = RepairLabelD = RepairLabelDict = DictionaryTransform.of(RepairLabel)
