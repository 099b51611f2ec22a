"""The regions that features of dimension 0 and d-1 stand for, how they are nested, and images without some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import finite_array, kernel, region_settings
from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, packed_pairs

__all__ = ["MergeTree", "merge_tree", "simplify"]


@dataclass(frozen=True)
class MergeTree:
    """Components (dimension 0) or holes (dimension d-1) of a filtration, the voxels of each, and how they are nested.

    A component is a region that grows from its birth voxel until at its death voxel it meets an older one and becomes
    part of it. A hole is a region of the complement and grows the other way round, from its death voxel until its birth
    voxel. "Extremum" is where a region begins to grow, "saddle" where it ends.

    All tensors are int64 on the CPU. `P = len(tree.pairs)` stands, wherever an index of a pair is due, for what never
    ends: the essential component, the frame, or what lies outside. It is one past the last index, so indexing refuses
    it: append an entry for it to what is to be indexed.

    Attributes:
        dim: 0, or d-1.
        pairs: the persistence pairs of that dimension, those of `persistence_pairs(..., dims=[dim])`.
        parent: `(P,)`, the pair whose region a region joins at its saddle, or `P`. Regions that join one another at
            equal values, on a plateau, all get as parent the one that goes on. A parent is more persistent than its
            children, or as persistent.
        region: `(N, *spatial)`, the pair whose region a voxel joined when it entered, or `P`.
        is_descending: whether regions grow from high values down (components of superlevel sets, holes of sublevel sets).
    """

    dim: int
    pairs: PersistencePairs
    parent: Tensor
    region: Tensor
    is_descending: bool

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def extremum(self) -> Tensor:
        """`(P,)`, the voxel where each region begins: birth of a component, death of a hole."""
        return self.pairs.birth if self.dim == 0 else self.pairs.death

    @property
    def saddle(self) -> Tensor:
        """`(P,)`, the voxel where each region joins its parent: death of a component, birth of a hole."""
        return self.pairs.death if self.dim == 0 else self.pairs.birth

    def saddle_values(self, images: Tensor) -> Tensor:
        """`(P,)`, values at the saddles, differentiable in `images`, the `(N, *spatial)` images of this tree."""
        return self.pairs.values(images)[:, 1 if self.dim == 0 else 0]


def merge_tree(
    images: Tensor,
    *,
    dim: int = 0,
    filtration: Filtration = "superlevel",
    connectivity: Connectivity = "full",
    border: Border = "open",
    num_threads: int | None = None,
) -> MergeTree:
    """Find the region of every component or hole of a filtration.

    Of the voxels that a pair and its descendants own, those with a value beyond the saddle's (greater, if regions grow
    down) are exactly a connected component: the one that holds the extremum, as it is just before the saddle. A voxel
    at which several regions meet belongs to the oldest. Components of no persistence are part of what they joined.

    Args:
        images: `(N, H, W)` or `(N, D, H, W)`, as for `persistence_pairs`.
        dim: 0, components; or the number of spatial axes less one, holes (2D) or cavities (3D). Loops of a 3D image
            have no region.
        filtration: `"superlevel"` or `"sublevel"`.
        connectivity: of the features that the filtration adds, `"full"` or `"face"`; holes have the other one.
        border: `"open"` or `"foreground"`, as for `persistence_pairs`.
        num_threads: images computed at the same time, `torch.get_num_threads()` by default; the result never depends
            on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        The tree; see `MergeTree`. Ties are broken as in `persistence_pairs`; a constant image has no pair.

    Raises:
        TypeError: if `images` is no floating tensor.
        ValueError: if its shape, a value (NaN, infinite) or a setting is not one of the above.

    Cost: a radix sort of the voxels and union-find, nearly linear; 24 bytes a voxel for each image in work and 8 for
    the result.

    Method: branch decomposition of the merge tree by the elder rule; Carr, Snoeyink, Axen, "Computing contour trees in
    all dimensions", 2003, section 4, for the sweep; Pascucci, Cole-McLaughlin, Scorzelli, "Multi-resolution computation
    and presentation of contour trees", 2004, for the branches.

    Example:
        >>> import torch
        >>> image = torch.tensor([[[0.9, 0.5, 0.2, 0.4, 0.7]]])
        >>> tree = merge_tree(image)
        >>> tree.pairs.values(image), tree.region  # one peak of two ends; 1 is the other, which never ends
        (tensor([[0.7000, 0.2000]]), tensor([[[1, 1, 1, 0, 0]]]))
    """
    check_images(images)
    check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
    if dim not in (0, images.ndim - 2):
        raise ValueError(
            f"Expected `dim` to be 0 or {images.ndim - 2} for {images.ndim - 1} spatial axes, but got {dim!r}: only "
            "components and what is their dual have regions."
        )
    array = finite_array(images)
    of_holes = dim != 0
    image, birth, death, parent, region = kernel.merge_tree(
        array,
        **region_settings(filtration, connectivity, border, of_holes=of_holes),
        num_threads=check_num_threads(num_threads),
    )
    pairs = packed_pairs((image, np.full_like(image, dim), birth, death), array, filtration, border)
    is_descending = (filtration == "superlevel") != of_holes
    return MergeTree(dim, pairs, torch.from_numpy(parent), torch.from_numpy(region).view(images.shape), is_descending)


def simplify(images: Tensor, tree: MergeTree, removed: Tensor) -> Tensor:
    """Images without some of their components or holes: each is leveled to the value of its saddle.

    The pairs of the tree's dimension are those that were there less the removed ones and their descendants, voxel for
    voxel but for ties. (A part of a peak cannot outlive the peak; a threshold of persistence removes no part later than
    the whole.) At any threshold the super- or sublevel set of the result is that of the image without the connected
    components of removed features; in the other dimensions the features *in* a removed component lose the part of
    their life beyond its saddle, and no others change.

    Args:
        images: `(N, *spatial)`, the images of the tree.
        tree: of `merge_tree(images, ...)`.
        removed: `(P,)` bool, the pairs to remove.

    Returns:
        Images of the same shape, dtype and device, nowhere farther from the old ones than the greatest removed
        persistence. Differentiable; what is leveled passes its gradient to its saddle voxel. The input is not changed.

    Raises:
        ValueError: if `images` is not the batch of the tree or `removed` is no mask of its pairs.

    Cost: linear in the voxels, plus the pairs times the logarithm of the depth of the tree.

    Example:
        >>> import torch
        >>> image = torch.tensor([[[0.9, 0.5, 0.2, 0.4, 0.7]]])
        >>> tree = merge_tree(image)
        >>> simplify(image, tree, tree.pairs.values(image).diff(dim=1)[:, 0].abs() < 0.6)
        tensor([[[0.9000, 0.5000, 0.2000, 0.2000, 0.2000]]])
    """
    if removed.dtype != torch.bool or removed.shape != (len(tree),):
        raise ValueError(
            f"Expected `removed` to be a bool mask of shape ({len(tree)},), one entry a pair, "
            f"but got {removed.dtype} of shape {tuple(removed.shape)}."
        )
    if images.shape != tree.region.shape:
        raise ValueError(
            f"Expected `images` of shape {tuple(tree.region.shape)}, the ones the tree was computed from, "
            f"but got shape {tuple(images.shape)}."
        )
    levels = tree.saddle_values(images)
    source = outermost_marked_ancestor(tree, removed)
    beyond_all = levels.new_full((1,), float("inf"))  # of what stays
    levels = torch.cat((levels, beyond_all if tree.is_descending else -beyond_all))
    level = levels[source.to(images.device)[tree.region.to(images.device)]]
    return torch.minimum(images, level) if tree.is_descending else torch.maximum(images, level)


def outermost_marked_ancestor(tree: MergeTree, marked: Tensor) -> Tensor:
    """The outermost_marked_ancestor marked pair among each pair and its ancestors.

    Args:
        tree: a merge tree of P pairs.
        marked: `(P,)` bool.

    Returns:
        `(P + 1,)` int64: for every pair the index of that pair, or `P`; the last entry, `P`, is of what never ends.
    """
    last = len(tree)
    found = torch.cat((torch.where(marked.cpu(), torch.arange(last), last), torch.tensor([last])))
    ancestor = torch.cat((tree.parent, torch.tensor([last])))
    while bool((ancestor != last).any()):  # each round looks twice as far up
        found = torch.where(found[ancestor] != last, found[ancestor], found)
        ancestor = ancestor[ancestor]
    return found
