"""The squared distance between the persistence diagrams of likelihoods and of binary labels, patch by patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch

from monai_topo._utils.kernel import kernel
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.persistence.feature_matching import Matching
from monai_topo.persistence.patch_features import PatchBatch, PatchFeatures

__all__ = ["persistence_distance"]


def persistence_distance(
    batch: PatchBatch,
    *,
    matching: Matching,
    connectivity: Connectivity,
    border: Border,
    dims: Sequence[int] | None = None,
    min_persistence: float = 0.0,
    min_label_size: float = 0,
) -> PatchFeatures:
    r"""Compute the persistence pairs of patches and match them with the features of the labels.

    A patch costs $\sum_{matched} [(b - 1)^2 + d^2] + \sum_{unmatched} (b - d)^2 / 2 + m / 2$, where `m` is the number
    of label features without a partner.

    Args:
        batch: The patches.
        matching: By location as in :py:class:`monai_topo.PersistenceLoss`, or by value, see :py:func:`match_by_value`;
            by value the essential classes are matched with each other.
        connectivity: Connectivity of the foreground.
        border: Boundary condition.
        dims: Dimensions that count, all by default.
        min_persistence: Predicted features of at most this persistence are left out.
        min_label_size: With `"spatial"`, regions of the label with fewer voxels are ignored.

    Returns:
        The features with their matching and their cost.

    Raises:
        ValueError: If a patch has too many voxels, or a dimension does not exist.
    """
    arguments = batch.arguments(connectivity, border, dims)
    cost, *columns = kernel.persistence_distance(
        **arguments,
        min_persistence=float(min_persistence),
        matching=get_args(Matching).index(matching),
        min_label_size=float(min_label_size),
    )
    return PatchFeatures.of(torch.from_numpy(cost), columns, 1.0, arguments)
