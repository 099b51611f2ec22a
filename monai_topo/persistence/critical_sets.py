"""Critical sets: the voxels that must change for a birth or death value to change."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.kernel import finite_array, kernel, region_settings
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.merge_trees import merge_tree_of_array
from monai_topo.persistence.pairs import PersistencePairs

__all__ = ["critical_set_loss", "critical_set_targets"]


def critical_set_targets(
    images: Tensor,
    pairs: PersistencePairs,
    targets: Tensor,
    *,
    connectivity: Connectivity = "full",
    border: Border = "open",
    num_threads: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Find how far voxels must rise or fall for births and deaths of a superlevel filtration to reach targets.

    In addition to the critical voxel itself, these voxels change:

    - A peak falls to a target above its saddle (birth in dimension 0): its whole region above the target. A hole is
      filled up to a target below its saddle (death in dimension d-1): its whole region below the target.
    - A saddle that joins two components rises (death in dimension 0): the highest path from the peak to the older peak.
      A saddle that closes a loop rises (birth in dimension 1): a way around the loop.
    - A saddle that closes off a hole falls (birth in dimension d-1): the lowest path out of the hole. A saddle that
      fills a loop falls (death in dimension d-2): a way around the part that separates its two sides, in 2D a moat.

    In 2D these are all cases. In 3D four cases would need a surface, and only their critical voxel changes: to separate
    two components, to cut a false loop or to fill it, and to close a cavity. For one target at a time, regions and
    paths between components or out of holes are exact: with these voxels at the target, and no others changed, the
    feature has the target as its birth or death. A way around is one of several possible ones.

    Args:
        images: `(N, *spatial)`, the images of the pairs.
        pairs: Result of `persistence_pairs(images, filtration="superlevel", ...)`.
        targets: `(P, 2)`, targets of birth and death.
        connectivity: Connectivity of the pairs.
        border: Boundary condition of the pairs.
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default.

    Returns:
        Two tensors like `images`, detached: the values that voxels must rise to (nowhere less than `images`) and must
        fall to (nowhere greater). If critical sets overlap, the target farthest from the image counts.

    Raises:
        TypeError: If `images` is not a floating-point tensor.
        ValueError: If `images` does not belong to the pairs, or its shape, a value or a setting is wrong.

    Cost: two merge trees and two spanning trees of peaks, and the lengths of the paths.

    Source: the critical sets of Nigmetov, Morozov, "Topological Optimization with Big Steps", 2022 (arXiv 2203.16748),
    section 3, there by reduced boundary matrices, here by merge trees and for dimensions 0 and d-1 only.
    """
    check_images(images)
    check_topology_settings(connectivity=connectivity, border=border)
    num_threads = check_num_threads(num_threads)
    array = finite_array(images)
    values = torch.from_numpy(array)
    birth, death = pairs.values(values).unbind(1)
    targets = targets.to(values)
    last_dim = images.ndim - 2
    regions = partial(_region_levels, array, pairs, connectivity=connectivity, border=border, num_threads=num_threads)
    paths = partial(
        _path_levels, array, pairs, targets, connectivity=connectivity, border=border, num_threads=num_threads
    )
    raise_to, lower_to = values.clone(), values.clone()

    critical = (pairs.image * pairs.num_voxels)[:, None] + torch.stack((pairs.birth, pairs.death), 1)
    raise_to.view(-1).scatter_reduce_(0, critical.flatten(), targets.flatten(), "amax")
    lower_to.view(-1).scatter_reduce_(0, critical.flatten(), targets.flatten(), "amin")

    peaks = (pairs.dim == 0) & (targets[:, 0] < birth)
    if peaks.any():
        lower_to = torch.minimum(lower_to, regions(peaks, targets[peaks, 0], 0))
    pits = (pairs.dim == last_dim) & (targets[:, 1] > death)
    if pits.any():
        raise_to = torch.maximum(raise_to, regions(pits, targets[pits, 1], last_dim))

    saddle_index = torch.stack((pairs.dim, pairs.dim + 1), 1)  # of birth and death: 0 is a peak, d a pit
    current = torch.stack((birth, death), 1)
    raised = (saddle_index == 1) & (targets > current)
    if raised.any():
        raise_to = torch.maximum(raise_to, paths(raised, of_holes=False))
    lowered = (saddle_index == last_dim) & (targets < current)
    if lowered.any():
        lower_to = torch.minimum(lower_to, paths(lowered, of_holes=True))
    return raise_to.to(images), lower_to.to(images)


def critical_set_loss(images: Tensor, raise_to: Tensor, lower_to: Tensor) -> Tensor:
    """Compute the squared distance of every voxel to the value it must rise or fall to, summed per image, `(N,)`."""
    cost = (raise_to - images).clamp(min=0) ** 2 + (images - lower_to).clamp(min=0) ** 2
    return cost.flatten(1).sum(1)


def _region_levels(
    images: NDArray[Any],
    pairs: PersistencePairs,
    chosen: Tensor,
    targets: Tensor,
    dim: int,
    *,
    connectivity: Connectivity,
    border: Border,
    num_threads: int,
) -> Tensor:
    """Return the farthest target of the chosen regions that contain a voxel, `(N, *spatial)`; infinite without one."""
    tree = merge_tree_of_array(images, dim, "superlevel", connectivity, border, num_threads)
    extremum = (pairs.birth if dim == 0 else pairs.death)[chosen] + pairs.image[chosen] * pairs.num_voxels
    keys, order = torch.sort(tree.extremum + tree.pairs.image * pairs.num_voxels)
    sign = 1 if tree.is_descending else -1
    level = torch.full((len(tree) + 1,), torch.inf, dtype=targets.dtype)
    level[order[torch.searchsorted(keys, extremum)]] = sign * targets
    ancestor = torch.cat((tree.parent, torch.tensor([len(tree)])))
    while bool((ancestor != len(tree)).any()):  # each round reaches twice as far up
        level = torch.minimum(level, level[ancestor])
        ancestor = ancestor[ancestor]
    return sign * level[tree.region]


def _path_levels(
    images: NDArray[Any],
    pairs: PersistencePairs,
    targets: Tensor,
    chosen: Tensor,
    *,
    of_holes: bool,
    connectivity: Connectivity,
    border: Border,
    num_threads: int,
) -> Tensor:
    """Return the images with the paths through the chosen births and deaths, `(P, 2)` bool, set to their targets."""
    pair = chosen.nonzero()[:, 0]
    lifted = kernel.lift_paths(
        images,
        image=pairs.image[pair].contiguous().numpy(),
        saddle=torch.stack((pairs.birth, pairs.death), 1)[chosen].contiguous().numpy(),
        level=finite_array(targets[chosen]),
        **region_settings("superlevel", connectivity, border, of_holes=of_holes),
        num_threads=num_threads,
    )
    return torch.from_numpy(lifted).view(images.shape)
