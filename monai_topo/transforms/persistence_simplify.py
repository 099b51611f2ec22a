"""Likelihood maps without their least persistent components and holes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_at_least, check_topology_settings
from monai_topo.persistence.merge_trees import MergeTree, merge_tree, simplify
from monai_topo.transforms._base import ArrayTransform, floats
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = ["PersistenceSimplify", "PersistenceSimplifyD", "PersistenceSimplifyDict", "PersistenceSimplifyd"]


class PersistenceSimplify(ArrayTransform):
    """Level components and holes that do not persist, and change nothing else.

    A peak that is no more persistent than `min_persistence` is cut down to the saddle where it meets a higher one, a
    hole is filled up to the saddle over which it would spill: at every threshold the mask of the result is that of the
    image without those components and holes. In each dimension the diagram of the result is the old one without the
    removed pairs; removing in one dimension can only shorten a life in the other, of what lies inside the removed. No
    voxel moves by more than the greatest removed persistence. This answers the "isolated points" that the original
    authors of the persistence loss tell users to clean by hand, and with a known Betti number it enforces it.

    Components (dimension 0) and holes (d-1: loops in 2D, cavities in 3D) can be removed so. Loops in 3D cannot: a
    tunnel is no region that could be leveled, and to remove one exactly and change nothing else is NP-hard in general
    (Attali, Bauer, Devillers, Glisse, Lieutier, "Homological reconstruction and simplification in R^3", 2015): asking
    for it is refused.

    Args:
        min_persistence: what is more persistent stays; 0 changes nothing.
        num_components: keep only that many components of each channel, the most persistent ones, the one that never
            ends counted (with `border="foreground"` that one is the frame and not counted).
        num_holes: keep only that many holes.
        dims: dimensions to simplify; None is 0 and d-1.
        filtration: `"superlevel"` for a likelihood of the foreground, `"sublevel"` for dark structures.
        connectivity: of the foreground, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`: outside the image everything is foreground.

    Raises:
        ValueError: if a setting is none of these; at the call for loops in 3D, or an image that is not channel first or
            not finite.

    Float images keep their dtype, others become float32. Each channel by itself. Of equally persistent features the
    older one stays. Deterministic, idempotent; nearly linear, see :py:func:`monai_topo.persistence.merge_trees.merge_tree`.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceSimplify
        >>> peaks = np.array([[[0.9, 0.2, 0.4, 0.1, 0.8]]])
        >>> PersistenceSimplify(min_persistence=0.3)(peaks).tolist()
        [[[0.9, 0.2, 0.2, 0.1, 0.8]]]
    """

    def __init__(
        self,
        *,
        min_persistence: float = 0.0,
        num_components: int | None = None,
        num_holes: int | None = None,
        dims: Sequence[int] | None = None,
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
    ) -> None:
        self.min_persistence = check_at_least("min_persistence", min_persistence)
        for name, number in (("num_components", num_components), ("num_holes", num_holes)):
            if number is not None:
                check_at_least(name, number)
        check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
        self.num_components = num_components
        self.num_holes = num_holes
        self.dims = None if dims is None else tuple(dims)
        self.filtration: Filtration = filtration
        self.connectivity: Connectivity = connectivity
        self.border: Border = border

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the simplified image."""
        dims = self._dims(array.ndim - 1)
        return np.stack(
            [self._simplified(torch.from_numpy(channel)[None], dims)[0].numpy() for channel in floats(array)]
        )

    def _dims(self, spatial_dims: int) -> tuple[int, ...]:
        dims = (0, spatial_dims - 1) if self.dims is None else self.dims
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

    def _simplified(self, image: Tensor, dims: tuple[int, ...]) -> Tensor:
        # Again, until nothing changes: what lies inside a removed hole has lost a part of its persistence.
        while True:
            before = image
            for dim in dims:
                tree = merge_tree(
                    image, dim=dim, filtration=self.filtration, connectivity=self.connectivity, border=self.border
                )
                image = simplify(image, tree, self._removed(image, tree))
            if torch.equal(image, before):
                return image

    def _removed(self, image: Tensor, tree: MergeTree) -> Tensor:
        values = tree.pairs.values(image).double()
        persistence = (values[:, 0] - values[:, 1]).abs()
        removed = persistence <= self.min_persistence
        number = self.num_components if tree.dim == 0 else self.num_holes
        if number is not None:
            essential = int(tree.dim == 0 and self.border == "open")  # the component that has no pair counts too
            ranks = self._most_persistent_first(values, persistence, tree)
            removed[ranks[max(number - essential, 0) :]] = True
        return removed

    def _most_persistent_first(self, values: Tensor, persistence: Tensor, tree: MergeTree) -> Tensor:
        """Order of the pairs in which no region comes before the one it joins."""
        extremum = values[:, 0 if tree.dim == 0 else 1].numpy()
        older = -extremum if tree.is_descending else extremum
        first = tree.extremum.numpy() if tree.dim == 0 else -tree.extremum.numpy()
        return torch.from_numpy(np.lexsort((first, older, -persistence.numpy())))


PersistenceSimplifyd = PersistenceSimplifyD = PersistenceSimplifyDict = DictionaryTransform.of(PersistenceSimplify)
