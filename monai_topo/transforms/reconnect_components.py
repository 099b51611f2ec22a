"""Likelihood maps whose components are joined along their minimax paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.utils import convert_to_tensor

from monai_topo.persistence.reconnection import OUTCOMES, Joins, JoinSettings, join_components
from monai_topo.transforms._base import (
    ArrayTransform,
    Spacing,
    as_float,
    channel_first,
    check_affine,
    check_spacing,
    file_named,
    record_in_metadata,
    spacing_in_mm,
    with_metadata_of,
)
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = ["ReconnectComponents", "ReconnectComponentsD", "ReconnectComponentsDict", "ReconnectComponentsd"]


@dataclass(kw_only=True, eq=False)
class ReconnectComponents(JoinSettings, ArrayTransform):
    """Close the breaks of a likelihood map where the likelihood itself shows the way.

    Components of `likelihood > threshold` are joined along their minimax paths, the paths whose lowest likelihood is
    highest, with few voxels, and without closing a loop; see
    :py:func:`monai_topo.persistence.reconnection.reconnect_components` for what is exact, the cost and the source. The
    voxels of the paths are raised to the least number above the threshold, and nothing else changes: the threshold of
    the result is the joined mask.

    Args:
        threshold: Foreground is above it; at least 0 and less than 1.
        max_path_length: Longest path, in voxels between the two components or, if `spacing` is given, in mm from one
            component to the other; None: no limit.
        min_likelihood: Least likelihood on a path.
        min_component_size: Components smaller than this are not joined, in voxels or, if `spacing` is given, in mm^2
            (2D) or mm^3. A path may lead through them.
        max_component_size: Of two joined components at least one is no larger than this; None: no limit.
        allow_loops: Accept paths that also close a loop or a cavity on their way.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground, so components may be joined to the border).
        spacing: None for voxels; `"affine"` reads the voxel size from the metadata; numbers give it in millimeters, one
            per axis.

    Raises:
        ValueError: If a setting is not one of these; at the call, if the image is not channel first, not finite, not
            within [0, 1], or a mask of 0 and 1.

    Floating-point images keep their dtype, others become float32. The `meta["reconnections"]` of a MetaTensor lists
    what was joined or refused, as JSON text, with one entry per candidate: `{"channel", "components" (numbers in
    `label_components`; -1 is the frame), "outcome" (one of `OUTCOMES`), "at" (the saddle), "likelihood" (there),
    "voxels", "length"}`; the paths themselves are in the table of `reconnect_components`. Each channel is a separate
    image; leave out the channel of the background. Deterministic. A second call may join more, since the paths of the
    first one are then part of the components.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import ReconnectComponents
        >>> broken = np.array([[[0.9, 0.25, 0.4, 0.8, 0.125, 0.7]]])
        >>> (ReconnectComponents(min_likelihood=0.2)(broken) > 0.5).tolist()
        [[[True, True, True, True, False, True]]]
    """

    spacing: Spacing = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_spacing(self.spacing)

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the reconnected copy of a `(C, H, W)` or `(C, D, H, W)` likelihood, with the joins in its metadata."""
        check_affine(image, self.spacing)
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            array = as_float(channel_first(tensor, name="image", one_channel=False)).copy()
            spacing = None if self.spacing is None else spacing_in_mm(tensor, self.spacing)
            masks, joins = join_components(torch.from_numpy(array), self, spacing)
        raised = np.nextafter(array.dtype.type(self.threshold), array.dtype.type(1))
        np.maximum(array, raised, out=array, where=masks.numpy())
        return record_in_metadata(with_metadata_of(tensor, array), "reconnections", _entries(joins, array.shape[1:]))


def _entries(joins: Joins, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    columns = (joins.image, joins.labels, joins.outcome, joins.saddle, joins.likelihood, joins.num_voxels, joins.length)
    return [
        {
            "channel": channel,
            "components": labels,
            "outcome": OUTCOMES[outcome],
            "at": [int(at) for at in np.unravel_index(saddle, shape)],
            "likelihood": likelihood,
            "voxels": num_voxels,
            "length": length,
        }
        for channel, labels, outcome, saddle, likelihood, num_voxels, length in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


ReconnectComponentsd = ReconnectComponentsD = ReconnectComponentsDict = DictionaryTransform.of(ReconnectComponents)
