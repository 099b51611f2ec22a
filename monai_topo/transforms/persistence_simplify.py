"""Likelihood maps simplified by persistence: components and holes of low persistence are removed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.typing import Array
from monai_topo._utils.validation import check_at_least
from monai_topo.persistence.merge_trees import MergeTree, merge_tree, simplify
from monai_topo.persistence.pairs import PersistencePairs
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms._persistence_base import PersistenceTransform

__all__ = ["PersistenceSimplify", "PersistenceSimplifyD", "PersistenceSimplifyDict", "PersistenceSimplifyd"]


@dataclass(kw_only=True, eq=False)
class PersistenceSimplify(PersistenceTransform):
    """Remove components and holes of low persistence, and change nothing else.

    A peak whose persistence is at most `min_persistence` is lowered to the saddle at which it meets a higher peak; a
    hole is filled up to the saddle at which it would overflow. At every threshold, the mask of the result is the mask
    of the image without these components and holes. In each dimension, the diagram of the result is the original one
    without the removed pairs; removal in one dimension can only reduce the persistence of features of the other
    dimension inside the removed ones. No voxel changes by more than the greatest removed persistence. This replaces the
    manual removal of "isolated points" that the original authors of the persistence loss recommend; a known Betti
    number can be enforced.

    Components (dimension 0) and holes (dimension d-1: loops in 2D, cavities in 3D) can be removed in this way. Loops in
    3D cannot: a tunnel is not a region whose values could be leveled, and removing it exactly without any other change
    is NP-hard in general (Attali, Bauer, Devillers, Glisse, Lieutier, "Homological reconstruction and simplification in
    R^3", 2015). Dimension 1 in 3D is therefore refused.

    Args:
        min_persistence: Features with a greater persistence stay; 0 changes nothing.
        num_components: Number of components to keep in each channel, the most persistent ones, including the essential
            component (with `border="foreground"` that one is the frame and does not count). None: no limit.
        num_holes: Number of holes to keep; None: no limit.
        dims: Dimensions to simplify; None: 0 and d-1.

    Raises:
        ValueError: If a setting is not one of these; at the call, for loops in 3D, or if the image is not channel first
            or not finite.

    Floating-point images keep their dtype, others become float32. Each channel is simplified separately. Of equally
    persistent features the older one stays. Deterministic, idempotent, nearly linear; see
    :py:func:`monai_topo.persistence.merge_trees.merge_tree`.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceSimplify
        >>> peaks = np.array([[[0.9, 0.2, 0.4, 0.1, 0.8]]])
        >>> PersistenceSimplify(min_persistence=0.3)(peaks).tolist()
        [[[0.9, 0.2, 0.2, 0.1, 0.8]]]
    """

    min_persistence: float = 0.0
    num_components: int | None = None
    num_holes: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("min_persistence", self.min_persistence)
        for name, number in (("num_components", self.num_components), ("num_holes", self.num_holes)):
            if number is not None:
                check_at_least(name, number)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the simplified image."""
        dims = self.dims_of(array)
        return np.stack([self.simplify_image(image[None], dims)[0].numpy() for image in self.images_of(array)])

    def dims_of(self, array: Array) -> tuple[int, ...]:
        """Return the dimensions to simplify for a channel-first array."""
        spatial_dims = array.ndim - 1
        dims = (0, spatial_dims - 1) if self.dims is None else tuple(self.dims)
        if 1 in dims and spatial_dims == 3:
            raise ValueError(
                "Expected `dims` to hold 0 and 2 for a 3D image, but got 1: loops in 3D cannot be removed exactly; "
                "work slice by slice, or fill the cavities only."
            )
        if not set(dims) <= {0, spatial_dims - 1}:
            raise ValueError(
                f"Expected `dims` to hold 0 or {spatial_dims - 1} for a {spatial_dims}D image, but got {dims}."
            )
        return dims

    def simplify_image(self, image: Tensor, dims: tuple[int, ...], first_tree: MergeTree | None = None) -> Tensor:
        """Simplify one image, `(1, *spatial)`; `first_tree` is the merge tree of the image in the first dimension."""
        # In turn until no dimension has anything to remove: features inside a removed hole have lost a part of their
        # persistence, and so have holes inside a removed component. What has stayed keeps its critical voxels, at
        # which the simplified image shows whether that is so: no tree is computed only to find nothing to remove.
        stayed: dict[int, tuple[PersistencePairs, Tensor]] = {}
        for dim in cycle(dims):
            if dim in stayed and not self._too_weak(image, *stayed[dim]).any():
                break
            if first_tree is None:
                tree = merge_tree(
                    image, dim=dim, filtration=self.filtration, connectivity=self.connectivity, border=self.border
                )
            else:
                tree, first_tree = first_tree, None
            removed = self._pairs_to_remove(image, tree)
            stayed[dim] = tree.pairs, ~removed
            image = simplify(image, tree, removed)
        return image

    def _too_weak(self, image: Tensor, pairs: PersistencePairs, stayed: Tensor) -> Tensor:
        values = pairs.values(image).double()
        return stayed & ((values[:, 0] - values[:, 1]).abs() <= self.min_persistence)

    def _pairs_to_remove(self, image: Tensor, tree: MergeTree) -> Tensor:
        values = tree.pairs.values(image).double()
        persistence = (values[:, 0] - values[:, 1]).abs()
        removed = persistence <= self.min_persistence
        number = self.num_components if tree.dim == 0 else self.num_holes
        if number is not None:
            essential = int(tree.dim == 0 and self.border == "open")  # it has no pair, but counts
            ranks = self._most_persistent_first(values, persistence, tree)
            removed[ranks[max(number - essential, 0) :]] = True
        return removed

    def _most_persistent_first(self, values: Tensor, persistence: Tensor, tree: MergeTree) -> Tensor:
        """Return an order of the pairs in which no region comes before the one it joins."""
        extremum = values[:, 0 if tree.dim == 0 else 1].numpy()
        older = -extremum if tree.is_descending else extremum
        first = tree.extremum.numpy() if tree.dim == 0 else -tree.extremum.numpy()
        return torch.from_numpy(np.lexsort((first, older, -persistence.numpy())))


PersistenceSimplifyd = PersistenceSimplifyD = PersistenceSimplifyDict = DictionaryTransform.of(PersistenceSimplify)
