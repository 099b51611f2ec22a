"""Base of the transforms that compute persistent homology: their shared settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, persistence_pairs
from monai_topo.transforms._base import ArrayTransform, as_float


class PersistenceTransform(ArrayTransform):
    """Base of the transforms of images through their persistence; each channel is an image of its own.

    Args:
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"` for dark structures.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        dims: Homology dimensions, in the order of the result; None: all.
    """

    def __init__(
        self,
        *,
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
        self.filtration: Filtration = filtration
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.dims = None if dims is None else tuple(dims)

    def images_of(self, array: Array) -> Tensor:
        """Convert a channel-first array to a batch of floating-point images, one per channel."""
        return torch.from_numpy(np.ascontiguousarray(as_float(array)))

    def dims_of(self, array: Array) -> tuple[int, ...]:
        """Return the dimensions to compute for a channel-first array."""
        return tuple(range(array.ndim - 1)) if self.dims is None else self.dims

    def pairs_of(self, images: Tensor, *, min_persistence: float = 0.0) -> PersistencePairs:
        """Return the persistence pairs of a batch of images."""
        return persistence_pairs(
            images,
            filtration=self.filtration,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            min_persistence=min_persistence,
        )
