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
    """Base of the transforms of images through their persistence; each channel is a separate image.

    The settings are those of `PersistenceDiagram`.
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
