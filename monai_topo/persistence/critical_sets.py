"""The voxels that have to change for a critical value to move: regions of features and paths through saddles."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from monai_topo._utils.kernel import finite_array, kernel, region_settings
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_num_threads
from monai_topo.persistence.merge_trees import merge_tree
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
    """Find how far each voxel must rise or fall for births and deaths of a superlevel filtration to reach targets.

    Which voxels, beside the critical one itself:

    - a peak is to fall to a target above its saddle (birth in dimension 0): all of its region above the target; a hole
      is to be filled to a target below its saddle (death in dimension d-1): all of its region below the target;
    - a saddle that joins two components (death in dimension 0) is to rise: the highest path from peak to older peak;
      one that closes a loop (birth in dimension 1): a way around it;
    - a saddle that closes off a hole (birth in dimension d-1) is to fall: the lowest path out of the hole; one that
      fills a loop (death in dimension d-2): a way around what keeps the two sides apart, in 2D a moat.

    In 2D that is all. In 3D four cases would need a surface and get their critical voxel only: to part two components,
    to cut a false loop or to fill it, and to close a cavity. One target at a time, regions and paths between components
    or out of holes are exact: with these voxels at the target, and no others changed, the feature has the target as
    its birth or death. A way around is one of many that do.

    Args:
        images: `(N, *spatial)`, the images of the pairs.
        pairs: of `persistence_pairs(images, filtration="superlevel", ...)`.
        targets: `(P, 2)`, of birth and death.
        connectivity: as it was for the pairs.
        border: as it was for the pairs.
        num_threads: images worked on at the same time, `torch.get_num_threads()` by default.

    Returns:
        Two tensors like `images`, detached, the values that voxels are to rise to (nowhere less than `images`) and to
        fall to (nowhere greater). Where structures overlap the farthest target holds.

    Cost: two merge trees and two spanning trees of peaks, and the lengths of the paths.

    Source: the critical sets of Nigmetov, Morozov, "Topological Optimization with Big Steps", 2022 (arXiv 2203.16748),
    section 3, there by reduced boundary matrices, here by merge trees and for dimensions 0 and d-1 only.
    """
    values = images.detach()
    birth, death = pairs.values(values).unbind(1)
    targets = targets.to(values)
    last_dim = images.ndim - 2
    regions = partial(_region_levels, values, pairs, connectivity=connectivity, border=border, num_threads=num_threads)
    paths = partial(_path_levels, values, pairs, connectivity=connectivity, border=border, num_threads=num_threads)
    rise, fall = values.clone(), values.clone()

    at = (pairs.image * pairs.num_voxels)[:, None] + torch.stack((pairs.birth, pairs.death), 1)
    flat = (at.flatten().to(values.device), targets.flatten())
    rise.view(-1).scatter_reduce_(0, *flat, "amax")
    fall.view(-1).scatter_reduce_(0, *flat, "amin")

    peaks = (pairs.dim == 0) & (targets[:, 0] < birth).cpu()
    if peaks.any():
        fall = torch.minimum(fall, regions(peaks, targets[:, 0], 0))
    pits = (pairs.dim == last_dim) & (targets[:, 1] > death).cpu()
    if pits.any():
        rise = torch.maximum(rise, regions(pits, targets[:, 1], last_dim))

    ends = torch.stack((pairs.dim, pairs.dim + 1), 1)  # the index of the saddle that each end is
    current = torch.stack((birth, death), 1)
    raised = (ends == 1) & (targets > current).cpu()
    lowered = (ends == last_dim) & (targets < current).cpu()
    if raised.any():
        rise = torch.maximum(rise, paths(raised, targets, False))
    if lowered.any():
        fall = torch.minimum(fall, paths(lowered, targets, True))
    return rise, fall


def critical_set_loss(images: Tensor, rise: Tensor, fall: Tensor) -> Tensor:
    """Squared distance of every voxel to what it is to rise or to fall to, summed over each image, `(N,)`."""
    cost = (rise - images).clamp(min=0) ** 2 + (images - fall).clamp(min=0) ** 2
    return cost.flatten(1).sum(1)


def _region_levels(
    images: Tensor,
    pairs: PersistencePairs,
    chosen: Tensor,
    targets: Tensor,
    dim: int,
    *,
    connectivity: Connectivity,
    border: Border,
    num_threads: int | None,
) -> Tensor:
    """The farthest target of the chosen regions that a voxel is in."""
    tree = merge_tree(images, dim=dim, connectivity=connectivity, border=border, num_threads=num_threads)
    extremum = (pairs.birth if dim == 0 else pairs.death)[chosen] + pairs.image[chosen] * pairs.num_voxels
    keys, order = torch.sort(tree.extremum + tree.pairs.image * pairs.num_voxels)
    sign = 1 if tree.is_descending else -1
    level = torch.full((len(tree) + 1,), torch.inf, dtype=targets.dtype)
    level[order[torch.searchsorted(keys, extremum)]] = sign * targets.cpu()[chosen]
    ancestor = torch.cat((tree.parent, torch.tensor([len(tree)])))
    while bool((ancestor != len(tree)).any()):  # each round looks twice as far up
        level = torch.minimum(level, level[ancestor])
        ancestor = ancestor[ancestor]
    return sign * level[tree.region].to(images.device)


def _path_levels(
    images: Tensor,
    pairs: PersistencePairs,
    chosen: Tensor,
    targets: Tensor,
    of_holes: bool,
    *,
    connectivity: Connectivity,
    border: Border,
    num_threads: int | None,
) -> Tensor:
    """The images with the paths through the chosen ends at their targets."""
    array = finite_array(images)
    pair = chosen.nonzero()[:, 0]
    saddle = torch.stack((pairs.birth, pairs.death), 1)[chosen]
    lifted = kernel.lift_paths(
        array,
        image=pairs.image[pair].contiguous().numpy(),
        saddle=saddle.contiguous().numpy(),
        level=finite_array(targets.cpu()[chosen]),
        **region_settings("superlevel", connectivity, border, of_holes=of_holes),
        num_threads=check_num_threads(num_threads),
    )
    return torch.from_numpy(lifted).view(images.shape).to(images)
