"""Base of the transforms that compute persistent homology: their shared settings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.docstrings import complete_args
from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, persistence_pairs
from monai_topo.transforms._base import ArrayTransform, as_float


@dataclass(kw_only=True, eq=False)
class PersistenceTransform(ArrayTransform):
    """Base of the transforms of images through their persistence; each channel is a separate image.

    A subclass is a keyword-only dataclass whose fields are its settings. Its docstring describes only its own
    arguments; the descriptions of the others are copied from here.

    Args:
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"` for dark structures.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        dims: Homology dimensions, in the order of the result; None: all.
    """

    filtration: Filtration = "superlevel"
    connectivity: Connectivity = "full"
    border: Border = "open"
    dims: Sequence[int] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = [*inspect.get_annotations(cls), *(field.name for field in fields(cls))]
        cls.__doc__ = complete_args(cls.__doc__, names, *(base.__doc__ for base in cls.__mro__))

    def __post_init__(self) -> None:
        check_topology_settings(connectivity=self.connectivity, border=self.border, filtration=self.filtration)
        self.dims = None if self.dims is None else tuple(self.dims)

    def images_of(self, array: Array) -> Tensor:
        """Convert a channel-first array to a batch of floating-point images, one per channel."""
        return torch.from_numpy(np.ascontiguousarray(as_float(array)))

    def dims_of(self, array: Array) -> tuple[int, ...]:
        """Return the dimensions to compute for a channel-first array."""
        return tuple(range(array.ndim - 1) if self.dims is None else self.dims)

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
