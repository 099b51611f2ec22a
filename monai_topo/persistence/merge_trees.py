"""Merge trees: the regions of components and holes, how they are nested, and images without some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.kernel import finite_array, kernel, region_settings
from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, pack_pairs

__all__ = ["MergeTree", "merge_tree", "merge_tree_of_array", "outermost_marked_ancestor", "simplify"]


@dataclass(frozen=True)
class MergeTree:
    """Components (dimension 0) or holes (dimension d-1) of a filtration, the voxels of each, and how they are nested.

    A component is a region that grows from its birth voxel until, at its death voxel, it meets an older component and
    becomes part of it. A hole is a region of the complement and grows in the opposite direction, from its death voxel
    to its birth voxel. The "extremum" is the voxel where a region begins to grow, the "saddle" the one where it joins
    another region.

    All tensors are int64 on the CPU. As the index of a pair, `P = len(tree.pairs)` denotes the essential region: the
    essential component, the frame, or the outside. It is one past the last index, so indexing fails: append an entry
    for it to the array that is indexed.

    Attributes:
        dim: 0, or d-1.
        pairs: Persistence pairs of that dimension, those of `persistence_pairs(..., dims=[dim])`.
        parent: `(P,)`, the pair whose region a region joins at its saddle, or `P`. Regions that join one another at
            equal values, on a plateau, all have the surviving one as their parent. A parent is at least as persistent
            as its children.
        region: `(N, *spatial)`, the pair whose region a voxel joined when it entered, or `P`.
        is_descending: Whether regions grow from high values to low ones: components of superlevel sets, holes of
            sublevel sets.
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
        """The voxel where each region begins, `(P,)`: birth of a component, death of a hole."""
        return self.pairs.birth if self.dim == 0 else self.pairs.death

    @property
    def saddle(self) -> Tensor:
        """The voxel where each region joins its parent, `(P,)`: death of a component, birth of a hole."""
        return self.pairs.death if self.dim == 0 else self.pairs.birth

    def saddle_values(self, images: Tensor) -> Tensor:
        """Gather the values at the saddles, `(P,)`, differentiable in the images of this tree, `(N, *spatial)`."""
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

    Among the voxels in the regions of a pair and its descendants, those with a value beyond that of the saddle (greater
    if the tree is descending) are exactly one connected component: the one that contains the extremum, just before the
    saddle. A voxel at which several regions meet belongs to the oldest. Components without persistence are part of the
    region that they join.

    Args:
        images: `(N, H, W)` or `(N, D, H, W)`, as for `persistence_pairs`.
        dim: 0 for components, or d-1 for holes (2D) or cavities (3D). Loops of a 3D image have no region.
        filtration: `"superlevel"` or `"sublevel"`.
        connectivity: Connectivity of the sub- or superlevel sets, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the
            complement has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground), see `persistence_pairs`.
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default; the result never
            depends on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        The tree, see `MergeTree`. Ties are broken as in `persistence_pairs`; a constant image has no pair.

    Raises:
        TypeError: If `images` is not a floating-point tensor.
        ValueError: If its shape, a value (NaN, infinite) or a setting is wrong.

    Cost: a radix sort of the voxels and union-find, nearly linear; 24 bytes per voxel for each image that is computed
    at the same time, and 8 for the result.

    Method: branch decomposition of the merge tree by the elder rule; Carr, Snoeyink, Axen, "Computing contour trees in
    all dimensions", 2003, section 4, for the sweep; Pascucci, Cole-McLaughlin, Scorzelli, "Multi-resolution computation
    and presentation of contour trees", 2004, for the branches.

    Example:
        >>> import torch
        >>> image = torch.tensor([[[0.9, 0.5, 0.2, 0.4, 0.7]]])
        >>> tree = merge_tree(image)
        >>> tree.pairs.values(image), tree.region  # one of two peaks has a pair; 1 is the essential region
        (tensor([[0.7000, 0.2000]]), tensor([[[1, 1, 1, 0, 0]]]))
    """
    check_images(images)
    check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
    if dim not in (0, images.ndim - 2):
        raise ValueError(
            f"Expected `dim` to be 0 or {images.ndim - 2} for {images.ndim - 1} spatial axes, but got {dim!r}: only "
            "components and their duals have regions."
        )
    num_threads = check_num_threads(num_threads)
    return merge_tree_of_array(finite_array(images), dim, filtration, connectivity, border, num_threads)


def merge_tree_of_array(
    images: NDArray[Any],
    dim: int,
    filtration: Filtration,
    connectivity: Connectivity,
    border: Border,
    num_threads: int,
) -> MergeTree:
    """Compute `merge_tree` of images that `finite_array` has checked and copied to the CPU."""
    of_holes = dim != 0
    image, birth, death, parent, region = kernel.merge_tree(
        images,
        **region_settings(filtration, connectivity, border, of_holes=of_holes),
        num_threads=num_threads,
    )
    pairs = pack_pairs((image, np.full_like(image, dim), birth, death), images, filtration, border)
    is_descending = (filtration == "superlevel") != of_holes
    return MergeTree(dim, pairs, torch.from_numpy(parent), torch.from_numpy(region).view(images.shape), is_descending)


def simplify(images: Tensor, tree: MergeTree, removed: Tensor) -> Tensor:
    """Remove components or holes from images by leveling each to the value of its saddle.

    In the dimension of the tree, the pairs of the result are the previous ones without the removed ones and their
    descendants, voxel for voxel except for ties. (A part of a peak cannot outlive the peak, and a threshold on
    persistence always removes the parts together with the whole.) At any threshold the super- or sublevel set of the
    result is that of the image without the connected components of removed features. In the other dimensions the
    features *in* a removed component lose the part of their life beyond its saddle, and no others change.

    Args:
        images: `(N, *spatial)`, the images of the tree.
        tree: Result of `merge_tree(images, ...)`.
        removed: `(P,)` bool, the pairs to remove.

    Returns:
        Images of the same shape, dtype and device. No voxel changes by more than the greatest removed persistence.
        Differentiable; leveled voxels pass their gradient to their saddle voxel. The input is not changed.

    Raises:
        ValueError: If `images` is not the batch of the tree or `removed` is not a mask of its pairs.

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
            f"Expected `removed` to be a bool mask of shape ({len(tree)},), one entry per pair, "
            f"but got {removed.dtype} of shape {tuple(removed.shape)}."
        )
    if images.shape != tree.region.shape:
        raise ValueError(
            f"Expected `images` of shape {tuple(tree.region.shape)}, the ones the tree was computed from, "
            f"but got shape {tuple(images.shape)}."
        )
    levels = tree.saddle_values(images)
    source = outermost_marked_ancestor(tree, removed)
    unlimited = levels.new_full((1,), torch.inf if tree.is_descending else -torch.inf)  # level of regions that stay
    levels = torch.cat((levels, unlimited))
    level = levels[source.to(images.device)[tree.region.to(images.device)]]
    return torch.minimum(images, level) if tree.is_descending else torch.maximum(images, level)


def outermost_marked_ancestor(tree: MergeTree, marked: Tensor) -> Tensor:
    """Find the outermost marked pair among each pair and its ancestors.

    Args:
        tree: Merge tree of P pairs.
        marked: `(P,)` bool.

    Returns:
        `(P + 1,)` int64: for every pair the index of the outermost marked one, or `P` if none is marked. The last entry
        belongs to the essential region and is `P`.
    """
    essential = len(tree)
    outermost = torch.cat((torch.where(marked.cpu(), torch.arange(essential), essential), torch.tensor([essential])))
    ancestor = torch.cat((tree.parent, torch.tensor([essential])))
    while bool((ancestor != essential).any()):  # each round reaches twice as far up
        outermost = torch.where(outermost[ancestor] != essential, outermost[ancestor], outermost)
        ancestor = ancestor[ancestor]
    return outermost
