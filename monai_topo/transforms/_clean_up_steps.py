"""The steps of a clean-up on one image; of several clean-ups, what they have in common is computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.packed_masks import pack_mask, unpack_mask
from monai_topo._utils.typing import DUAL, Array, Border, Connectivity, Mask
from monai_topo.masks.small_features import Regions, components_with_sizes, holes_with_sizes
from monai_topo.persistence.joining import JoinLimits, JoinRow, find_candidates, join_candidates
from monai_topo.persistence.merge_trees import MergeTree, merge_tree
from monai_topo.persistence.reconnection import JoinSettings, is_mask
from monai_topo.transforms.persistence_simplify import PersistenceSimplify

__all__ = ["CleanUpSteps", "Keep"]

Keep = Literal["largest", "most_persistent"]
Voxels = NDArray[np.int64]
Result = TypeVar("Result")

_SMALL_IMAGE_VOX = 2**20


class CleanUpSteps:
    """Steps of :py:class:`monai_topo.transforms.CleanUp` on one channel.

    A result is kept until the same step is asked for another one. So clean-ups that begin alike share their first
    steps if they are computed one after another.

    Args:
        likelihood: `(H, W)` or `(D, H, W)` float, a checked likelihood or mask; not modified.
        threshold: Foreground is above it.
        connectivity: Connectivity of the foreground.
        border: Boundary condition.
        spacing: Millimeters per voxel along each axis; None for sizes and lengths in voxels.
        least_likelihood: The least `min_likelihood` of all reconnections to come. Joins are computed down to it once,
            and those of a greater one are the first of them.
        num_simplified: Number of simplified likelihoods to keep, the last ones that were used.
    """

    def __init__(
        self,
        likelihood: Array,
        *,
        threshold: float,
        connectivity: Connectivity,
        border: Border,
        spacing: tuple[float, ...] | None,
        least_likelihood: float = 1.0,
        num_simplified: int = 1,
    ) -> None:
        self.likelihood = np.ascontiguousarray(likelihood)
        self.threshold, self.spacing, self.least_likelihood = threshold, spacing, least_likelihood
        self.border: Border = border
        self._topology: dict[str, Any] = {"connectivity": connectivity, "border": border}
        self._voxel_size = 1.0 if spacing is None else float(np.prod(spacing))
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        self._num_simplified = num_simplified
        self._simplified_images: dict[float, Array] = {}  # by persistence, the last used one last
        # Of all calls, as they take little memory.
        self._masks: dict[float, bytes] = {}  # by persistence
        self._paths: dict[Hashable, tuple[Voxels, Array]] = {}

    def mask(
        self,
        *,
        min_persistence: float,
        max_simplified_size: float | None = None,
        reconnect: Mapping[str, Any] | None,
        min_component_size: float,
        min_hole_size: float,
        num_components: int | None,
        keep: Keep,
    ) -> Mask:
        """Return the cleaned mask; the arguments are those of the transform."""
        paths = None if reconnect is None else tuple(sorted(reconnect.items()))
        begin: tuple[Hashable, ...] = (min_persistence, max_simplified_size, paths)
        mask = self._last("joined", begin, lambda: self._joined(min_persistence, max_simplified_size, reconnect))
        if min_component_size > 0:
            components = self._last("components", begin, lambda: components_with_sizes(mask, **self._topology))
            mask = mask & ~components.smaller_than(min_component_size / self._voxel_size)
        if min_hole_size > 0:
            begin = (*begin, min_component_size)
            holes = self._last("holes", begin, lambda: holes_with_sizes(mask, **self._topology))
            mask = mask | holes.smaller_than(min_hole_size / self._voxel_size)
        if num_components is None:
            return mask
        return self._most(mask, num_components, keep, min_persistence)

    def largest_change(self, min_persistence: float) -> float:
        """Return the size of the largest component or hole that is removed for its persistence."""
        regions = self._changed_regions(self._thresholded(min_persistence))
        return self._voxel_size * max(int(sizes[1:].max(initial=0)) for _, sizes in regions)

    def release(self) -> None:
        """Drop what takes memory per voxel, except simplified likelihoods and, on small images, what is expensive."""
        expensive = ("tree", "candidates") if self.likelihood.size <= _SMALL_IMAGE_VOX else ()
        self._kept = {step: result for step, result in self._kept.items() if step in expensive}

    def _last(self, step: str, settings: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the result of a step, and compute it unless the last call was for the same settings."""
        if step not in self._kept or self._kept[step][0] != settings:
            self._kept[step] = settings, compute()
        result: Result = self._kept[step][1]
        return result

    def _simplified(self, min_persistence: float) -> Array:
        if not min_persistence > 0:
            return self.likelihood
        images = self._simplified_images
        image = images.pop(min_persistence, None)
        if image is None:
            image = self._simplify(min_persistence)
            if len(images) >= self._num_simplified:
                del images[next(iter(images))]
        images[min_persistence] = image
        return image

    def _simplify(self, min_persistence: float) -> Array:
        transform = PersistenceSimplify(min_persistence=min_persistence, **self._topology)
        image = torch.from_numpy(self.likelihood)[None]
        first_tree = self._last("tree", None, lambda: self._tree(image))
        dims = transform.dims_of(self.likelihood[None])
        return np.asarray(transform.simplify_image(image, dims, first_tree)[0])

    def _tree(self, image: torch.Tensor) -> MergeTree:
        return merge_tree(image, **self._topology)

    def _thresholded(self, min_persistence: float) -> Mask:
        if not min_persistence > 0:
            return np.asarray(self.likelihood > self.threshold)
        if min_persistence not in self._masks:
            self._masks[min_persistence] = pack_mask(self._simplified(min_persistence) > self.threshold)
        return unpack_mask(self._masks[min_persistence], self.likelihood.shape)

    def _changed_regions(self, simplified: Mask) -> tuple[Regions, Regions]:
        """Return the components that simplification removed from the mask, and the holes that it filled."""
        mask = self.likelihood > self.threshold
        connectivity = self._topology["connectivity"]
        return (
            components_with_sizes(mask & ~simplified, connectivity=connectivity, border="open"),
            components_with_sizes(simplified & ~mask, connectivity=DUAL[connectivity], border="open"),
        )

    def _limited(self, simplified: Mask, max_size: float | None) -> Mask:
        """Undo the simplification of what is larger than a size."""
        if max_size is None:
            return simplified
        removed, filled = self._changed_regions(simplified)
        limit_vox = max_size / self._voxel_size
        return (simplified | removed.larger_than(limit_vox)) & ~filled.larger_than(limit_vox)

    def _joined(
        self, min_persistence: float, max_simplified_size: float | None, reconnect: Mapping[str, Any] | None
    ) -> Mask:
        mask = self._limited(self._thresholded(min_persistence), max_simplified_size)
        if reconnect is None:
            return mask
        least = reconnect.get("min_likelihood", 0.0)
        down_to = min(least, self.least_likelihood)
        settings = {**reconnect, "min_likelihood": down_to}
        limits = JoinSettings(threshold=self.threshold, **self._topology, **settings).to_limits(mask.ndim, self.spacing)
        key = min_persistence, limits
        if key not in self._paths:
            self._paths[key] = self._join(min_persistence, limits)
        voxels, likelihood = self._paths[key]
        # Saddles are taken from the highest likelihood to the lowest, so a greater limit only ends earlier.
        mask.flat[voxels[likelihood >= likelihood.dtype.type(least)]] = True
        return mask

    def _join(self, min_persistence: float, limits: JoinLimits) -> tuple[Voxels, Array]:
        """Return the voxels of all paths, each with the least likelihood of its path."""
        image = self._simplified(min_persistence)
        rows: list[JoinRow] = []
        # What simplification leaves may be 0 and 1 only; then no voxel between the components has any likelihood.
        if not is_mask(image):
            begin = min_persistence, limits.min_likelihood, limits.min_component_vox
            candidates = self._last("candidates", begin, lambda: find_candidates(image, limits))
            rows = join_candidates(0, image, candidates, limits)[1]
        voxels = np.concatenate([np.zeros(0, dtype=np.int64), *(row.path for row in rows)])
        likelihood = np.repeat([row.likelihood for row in rows], [len(row.path) for row in rows])
        return voxels, likelihood.astype(image.dtype)

    def _most(self, mask: Mask, number: int, keep: Keep, min_persistence: float) -> Mask:
        """Keep some of the components of a mask."""
        ids, sizes = components_with_sizes(mask, **self._topology)
        persistence = np.zeros(len(sizes))
        if keep == "most_persistent" and len(sizes) > number + 1:
            images = torch.from_numpy(self._simplified(min_persistence))[None]
            tree = self._last("tree of image", min_persistence, lambda: self._tree(images))
            values = tree.pairs.values(images).double().numpy()
            np.maximum.at(persistence, ids.flat[tree.extremum.numpy()], values[:, 0] - values[:, 1])
            if self.border == "open":
                persistence[ids.flat[int(tree.pairs.essential[0])]] = np.inf
        is_dropped = np.zeros(len(sizes), dtype=bool)
        is_dropped[np.lexsort((-sizes[1:], -persistence[1:]))[number:] + 1] = True
        kept: Mask = mask & ~is_dropped[ids]
        return kept
