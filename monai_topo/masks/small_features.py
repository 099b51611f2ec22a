"""Masks without their small components or holes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Border, Connectivity, Mask
from monai_topo.masks.components import label_components

__all__ = ["Regions", "components_with_sizes", "holes_with_sizes"]

_OTHER_BORDER: dict[Border, Border] = {"open": "foreground", "foreground": "open"}


class Regions(NamedTuple):
    """Components or holes of one mask, for any number of size limits.

    Attributes:
        ids: int32 of the shape of the mask: 0 for all that is not a region, 1, 2, ... for the regions.
        sizes: `(R + 1,)`, voxels of each region; the first entry counts what is not a region.
    """

    ids: NDArray[np.int32]
    sizes: NDArray[np.int64]

    def smaller_than(self, limit_vox: float) -> Mask:
        """Return the voxels of the regions with fewer voxels than a limit."""
        # A region of exactly the limit is not smaller, despite rounding of mm.
        return self._voxels(self.sizes < limit_vox * (1 - 1e-9))

    def larger_than(self, limit_vox: float) -> Mask:
        """Return the voxels of the regions with more voxels than a limit."""
        return self._voxels(self.sizes > limit_vox * (1 + 1e-9))

    def _voxels(self, is_chosen: Mask) -> Mask:
        is_chosen[0] = False
        voxels: Mask = is_chosen[self.ids]
        return voxels


def components_with_sizes(mask: Mask, *, connectivity: Connectivity, border: Border) -> Regions:
    """Find the components of one mask, `(H, W)` or `(D, H, W)`; what is connected with the frame is not among them."""
    masks = torch.from_numpy(np.ascontiguousarray(mask))[None]
    ids = np.maximum(label_components(masks, connectivity=connectivity, border=border)[0].numpy(), 0)
    return Regions(ids, np.bincount(ids.ravel()))


def holes_with_sizes(mask: Mask, *, connectivity: Connectivity, border: Border) -> Regions:
    """Find the holes (2D) or cavities (3D) of one mask, whose connectivity is the dual one.

    With an open border, background that reaches the border of the image is not a hole. Background without any
    foreground is not a hole either.
    """
    found = components_with_sizes(~mask, connectivity=DUAL[connectivity], border=_OTHER_BORDER[border])
    return found if mask.any() else Regions(np.zeros_like(found.ids), np.array([mask.size]))
