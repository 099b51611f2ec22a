"""Label hygiene: specks removed and pinholes filled, or only counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.utils import convert_to_tensor, optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import Array, Border, Connectivity, Mask
from monai_topo._utils.validation import check_at_least, check_choice
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

Action = Literal["repair", "report"]
Ids = NDArray[np.int32]


class RepairLabel(ArrayTransform):
    """Remove specks and fill pinholes that are too small to be meant; or only report them.

    A speck is a component of one value of the label, a pinhole a hole (in 2D a component of the background that does
    not reach the border, in 3D a cavity). Specks go first, so a hole's size includes the specks in it. A pinhole gets
    the commonest value among its face neighbors, the lowest one of a tie. Nothing else changes, and a second repair
    changes nothing. Annotation artefacts of this kind dominate Betti numbers (Berger, Lux et al., "Pitfalls of
    topology-aware image segmentation", arXiv 2412.14619).

    MONAI's `RemoveSmallObjects` knows specks only; its `FillHoles` fills every hole, whatever its size, and changes its
    input; neither takes the dual connectivity of what the other one looks at.

    Args:
        min_component: components smaller than this are specks. In voxels, or in mm^2 (2D) or mm^3 if `spacing` is
            given; 0 keeps all.
        min_hole: holes smaller than this are pinholes; 0 keeps all.
        connectivity: of the label's values, `"full"` (8, 26) or `"face"` (4, 6); holes have the other one.
        border: `"open"`: what the border cuts is background, no hole. `"foreground"`: outside it everything is
            foreground: components that touch it are no specks, and what it cuts is a hole.
        action: `"repair"`, or `"report"`, which changes nothing.
        spacing: None for sizes in voxels; `"affine"` takes the size of a voxel from the metadata, numbers give it in
            millimeters, one an axis.

    Raises:
        ValueError: if a setting is none of these, or the array is not channel first.

    The result has the label's dtype. A MetaTensor's `meta["label_repairs"]` says what was found: JSON text (lists of
    unequal length could not be collated), one entry a defect: `{"defect": "speck" | "pinhole", "channel", "value" (of
    the speck, or given to the hole), "size" (in the unit of the limits), "at" (its first voxel)}`. Each channel by
    itself. Needs scipy; a few passes over the label for each of its values. Deterministic.

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
        self.min_component = check_at_least("min_component", min_component)
        self.min_hole = check_at_least("min_hole", min_hole)
        check_choice("connectivity", connectivity, get_args(Connectivity))
        check_choice("border", border, get_args(Border))
        check_choice("action", action, get_args(Action))
        self.connectivity = connectivity
        self.border = border
        self.action = action
        self.spacing = check_spacing(spacing)

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Take a `(C, H, W)` or `(C, D, H, W)` label to its repaired copy, with the report in its metadata."""
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            array = channel_first(tensor, one_channel=False)
            voxel_size = float(np.prod(spacing_in_mm(tensor, self.spacing)))
        repaired = array.copy()
        found: list[dict[str, Any]] = []
        for number, channel in enumerate(repaired):
            for defect in [*self._removed(channel, voxel_size), *self._filled(channel, voxel_size)]:
                found.append({"channel": number, **defect})
        kept = repaired if self.action == "repair" else array.copy()
        return record_in_metadata(with_metadata_of(tensor, kept), "label_repairs", found)

    def _removed(self, label: Array, voxel_size: float) -> Iterator[dict[str, Any]]:
        """Remove the specks of one channel, in place, and tell them."""
        for value in np.unique(label[label != 0]):
            ids = _components(label == value, full=self.connectivity == "full")
            for speck in _small(ids, self.min_component / voxel_size, whole=self.border == "foreground"):
                label[speck.box][speck.mask] = 0
                yield {"defect": "speck", "value": value.item(), **speck.told(voxel_size)}

    def _filled(self, label: Array, voxel_size: float) -> Iterator[dict[str, Any]]:
        """Fill the pinholes of one channel, in place, and tell them."""
        ids = _components(label == 0, full=self.connectivity == "face")
        for hole in _small(ids, self.min_hole / voxel_size, whole=self.border == "open"):
            around = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in hole.box)
            beside = ndimage.binary_dilation(ids[around] == hole.number) & (ids[around] == 0)
            if beside.any():  # an image of background alone is no hole in anything
                values, counts = np.unique(label[around][beside], return_counts=True)
                label[hole.box][hole.mask] = values[counts.argmax()]
                yield {"defect": "pinhole", "value": values[counts.argmax()].item(), **hole.told(voxel_size)}


class _Component(NamedTuple):
    number: int
    box: tuple[slice, ...]
    mask: Mask  # inside the box

    def told(self, voxel_size: float) -> dict[str, Any]:
        first = np.argwhere(self.mask)[0] + [side.start for side in self.box]
        return {"size": float(np.count_nonzero(self.mask) * voxel_size), "at": first.tolist()}


def _small(ids: Ids, below_vox: float, *, whole: bool) -> Iterator[_Component]:
    """Components of fewer voxels than a limit; `whole` passes over those that the border cuts."""
    sizes = np.bincount(ids.ravel())
    small = sizes < below_vox * (1 - 1e-9)  # a size at exactly the limit stays, whatever the rounding of mm
    small[0] = False
    if whole:
        inner = (slice(1, -1),) * ids.ndim
        rim = ids.copy()
        rim[inner] = 0
        small[np.unique(rim)] = False
    boxes = ndimage.find_objects(ids) if small.any() else []
    for number in np.flatnonzero(small).tolist():
        box = boxes[number - 1]
        yield _Component(number, box, ids[box] == number)


def _components(mask: Mask, *, full: bool) -> Ids:
    ids: Ids = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim if full else 1))[0]
    return ids


RepairLabeld = RepairLabelD = RepairLabelDict = DictionaryTransform.of(RepairLabel)
