"""The Betti matching error of likelihoods and binary labels, patch by patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_topo._utils.kernel import kernel
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.persistence.essential import essential_dim
from monai_topo.persistence.patch_features import PatchBatch, PatchFeatures

__all__ = ["betti_distance"]


def betti_distance(
    batch: PatchBatch, *, connectivity: Connectivity, border: Border, dims: Sequence[int] | None = None
) -> PatchFeatures:
    r"""Compute the persistence pairs of patches and match them with those of the labels by `betti_matching`.

    A patch costs $\sum_{matched} 2 [(b - 1)^2 + d^2] + \sum_{unmatched} (b - d)^2 + m$, where `m` is the number of
    label features without a partner, and twice the squared difference of the essential classes.

    Args:
        batch: The patches.
        connectivity: Connectivity of the foreground.
        border: Boundary condition.
        dims: Dimensions that count, all by default.

    Returns:
        The features with their matching and their cost.

    Raises:
        ValueError: If a patch has too many voxels, or a dimension does not exist.
    """
    arguments = batch.arguments(connectivity, border, dims)
    error, of_essential, *columns = kernel.betti_distance(**arguments)
    spatial_dims = batch.images.ndim - 1
    cost = torch.from_numpy(error).view(-1, spatial_dims).sum(1)
    if arguments["dims"] >> essential_dim(border, spatial_dims) & 1:
        cost += torch.from_numpy(of_essential)
    return PatchFeatures.of(cost, columns, 2.0, arguments)
