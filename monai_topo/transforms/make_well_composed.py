"""Labels on which both connectivities agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.utils import convert_to_tensor

from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo._utils.validation import check_topology_settings
from monai_topo.masks.well_composed import make_well_composed
from monai_topo.transforms._base import (
    ArrayTransform,
    channel_first,
    file_named,
    record_in_metadata,
    with_metadata_of,
)
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = ["MakeWellComposed", "MakeWellComposedD", "MakeWellComposedDict", "MakeWellComposedd"]


class MakeWellComposed(ArrayTransform):
    """Flip few voxels of a label so that full and face connectivity give the same topology.

    The pixels of a thin vessel touch at corners: one component with full connectivity, many with face connectivity.
    Where labels are well-composed, the choice of connectivity no longer matters for them. See
    :py:func:`monai_topo.masks.well_composed.make_well_composed` for the method, its guarantee and how few voxels it
    flips.

    Args:
        connectivity: Connectivity that the foreground of the given label has, `"full"` (8 in 2D, 26 in 3D) or `"face"`
            (4, 6): whether a contact at a corner or an edge is a connection, which is widened, or is not, and becomes a
            gap.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).

    Raises:
        ValueError: If a setting is not one of these; at the call, if the label is not channel first, or a channel has
            more than one value other than 0.

    The result has the dtype of the label; new foreground gets its value. The `meta["well_composed"]` of a MetaTensor
    lists numbers of voxels as JSON text, `{"channel", "added", "removed"}`. Each channel is a separate mask, so classes
    that touch at corners may overlap afterwards. Deterministic; a second call changes nothing.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import MakeWellComposed
        >>> MakeWellComposed()(np.array([[[7, 7, 0, 0], [0, 0, 7, 7]]])).tolist()
        [[[7, 7, 7, 0], [0, 0, 7, 7]]]
    """

    def __init__(self, *, connectivity: Connectivity = "full", border: Border = "open") -> None:
        check_topology_settings(connectivity=connectivity, border=border)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return a well-composed copy of a `(C, H, W)` or `(C, D, H, W)` label, with what changed in its metadata."""
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            array = channel_first(tensor, one_channel=False)
            values = [_foreground_value(channel) for channel in array]
            masks = torch.from_numpy(array != 0)
            repaired = make_well_composed(masks, connectivity=self.connectivity, border=self.border)
        result = array.copy()
        entries = []
        for number, (channel, value) in enumerate(zip(result, values, strict=True)):
            added, removed = (repaired & ~masks)[number].numpy(), (masks & ~repaired)[number].numpy()
            channel[added], channel[removed] = value, 0
            entries.append({"channel": number, "added": int(added.sum()), "removed": int(removed.sum())})
        return record_in_metadata(with_metadata_of(tensor, result), "well_composed", entries)


def _foreground_value(label: Array) -> Any:
    values = np.unique(label[label != 0])
    if len(values) > 1:
        raise ValueError(
            f"Expected one value other than 0 in each channel, but got {', '.join(f'{x:g}' for x in values[:4])}: "
            "make a mask first, for example with LabelToForeground, or one channel per class."
        )
    return values[0] if len(values) else label.dtype.type(1)


MakeWellComposedd = MakeWellComposedD = MakeWellComposedDict = DictionaryTransform.of(MakeWellComposed)
