"""Match predicted features with features of a binary label, by value or by location, without a dense cost matrix.

A feature of the superlevel filtration of a likelihood is born at a high value `b` and dies at a lower value `d`. All
features of a binary label are the same point, birth 1 and death 0, so a matching only has to determine *which*
predicted features are matched, and not with which feature of the label.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from monai_topo._utils.kernel import dims_mask, kernel, mask_settings
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_masks

__all__ = ["MatchResult", "Matching", "PredictedFeatures", "match_by_location", "match_by_value", "top_k_per_group"]

Matching = Literal["wasserstein", "rank", "spatial"]


@dataclass(frozen=True)
class PredictedFeatures:
    """Predicted features of a batch of images, all on the CPU.

    Attributes:
        image: `(P,)` int64, the image of each feature.
        dim: `(P,)` int64, its dimension.
        birth: `(P,)` int64, its birth voxel, a flat C-order index into the image.
        death: `(P,)` int64, its death voxel.
        values: `(P, 2)`, birth and death values in [0, 1].
    """

    image: Tensor
    dim: Tensor
    birth: Tensor
    death: Tensor
    values: Tensor

    def persistence(self) -> Tensor:
        """Return birth minus death value, `(P,)`."""
        return self.values[:, 0] - self.values[:, 1]

    def select(self, index: Tensor) -> PredictedFeatures:
        """Return some of the features."""
        columns = (self.image, self.dim, self.birth, self.death, self.values)
        return PredictedFeatures(*(column[index] for column in columns))


@dataclass(frozen=True)
class MatchResult:
    """Result of a matching.

    Attributes:
        matched: `(P,)` bool, predicted features that are matched with a feature of the label.
        ignored: `(P,)` bool, predicted features that are excluded from the loss.
        missing: `(N,)` int64, the number of label features of each image that are not matched.
    """

    matched: Tensor
    ignored: Tensor
    missing: Tensor


def match_by_value(
    values: Tensor, group: Tensor, num_true: Tensor, *, matching: Literal["wasserstein", "rank"]
) -> Tensor:
    """Choose the predicted features that are matched with the features of a binary label, by value alone.

    Args:
        values: `(P, 2)` birth and death values in [0, 1].
        group: `(P,)` int64, the diagram (an image and a dimension) of each predicted feature.
        num_true: `(G,)` int64, the number of label features of each diagram.
        matching: `"wasserstein"`: the matching of least squared cost, in which a feature may also go to the diagonal.
            Matching a point instead of sending it to the diagonal changes the cost by `(s - 1)^2 / 2 - t`, with
            `t = b - d` and `s = b + d`. So the features with the largest `t - (s - 1)^2 / 2` are matched, as long as
            this is positive. Exact, in O(P log P). `"rank"`: the most persistent features are matched, however weak
            they are, as in the code of Hu et al. (NeurIPS 2019).

    Returns:
        `(P,)` bool. Of features with equal keys the first ones are matched.
    """
    matched = kernel.match_by_value(
        values.detach().contiguous().numpy(), group.numpy(), num_true.numpy(), by_rank=matching == "rank"
    )
    return torch.from_numpy(matched).bool()


def match_by_location(
    features: PredictedFeatures,
    labels: Tensor,
    *,
    greatest: Tensor,
    dims: Iterable[int],
    connectivity: Connectivity,
    border: Border,
    min_label_size: int = 0,
) -> MatchResult:
    """Match predicted features with the features of binary labels in which they lie.

    A predicted component (dimension 0) belongs to the label's component that contains its birth voxel, that is its
    peak. A predicted hole (dimension d-1) belongs to the label's hole that contains its death voxel, that is its
    deepest point. Of the features that belong to one feature of the label the most persistent one is matched, and the
    first one of equal ones. The others, and features that belong to none, are not matched.

    A loop in 3D (dimension 1) fills no region, so it needs another rule. It belongs to the label's component that
    contains its birth voxel, where its ring closes, provided that its death voxel, where its inside closes, is
    background. Each component takes as many loops as it has itself, the most persistent ones. So a ring with a weak
    spot stays with its vessel. Three kinds of loops are not matched: a ring that a false bridge closes (it is born
    outside the label), a pinhole that runs through a vessel (it dies inside the label), and a loop of a vessel that has
    none. Within one
    component with several loops the rule is blind: a surplus loop along true vessels can take the place of a missing
    one. Three other rules were considered and rejected: the component alone (pinholes win over weak rings), all
    components of an image together (loops then jump between vessels), and the pair of a component and a hole of the
    label (loops are linked with the background, which is mostly one component).

    On large plateaus of the greatest value `persistence_pairs` may report a birth voxel of a loop in another component.
    Loops that are born at that value and are not matched with their own component take a place that is still free in
    any component of their image.

    Args:
        features: Predicted features; those whose dimension is not in `dims` are ignored.
        labels: `(N, *spatial)` labels, 0 and 1, on any device.
        greatest: `(N,)`, the greatest value of each image.
        dims: Dimensions that count.
        connectivity: Connectivity of the foreground, the one of the features.
        border: Boundary condition, the one of the features.
        min_label_size: Components and holes of the label with fewer voxels are ignored: they do not count as missing,
            and the predicted features that belong to them are ignored too. In 3D the loops of such a component are
            ignored with it.

    Returns:
        The matching.

    Cost: linear in the voxels, and a sort of the features.
    """
    columns = kernel.match_by_location(
        features.image.numpy(),
        features.dim.numpy(),
        features.birth.numpy(),
        features.death.numpy(),
        features.values.contiguous().numpy(),
        greatest.detach().cpu().to(features.values.dtype).numpy(),
        check_masks(labels, connectivity, border),
        dims=dims_mask(list(dims), labels.ndim - 1),
        **mask_settings(connectivity, border),
        min_size=float(min_label_size),
        num_threads=torch.get_num_threads(),
    )
    matched, ignored, missing = (torch.from_numpy(column) for column in columns)
    return MatchResult(matched.bool(), ignored.bool(), missing)


def top_k_per_group(key: Tensor, group: Tensor, number: Tensor) -> Tensor:
    """Choose the `number` greatest keys of every group, the first ones of equal keys; `(P,)` bool."""
    best_first = torch.argsort(key, descending=True, stable=True)
    by_group = best_first[torch.argsort(group[best_first], stable=True)]
    sizes = torch.bincount(group, minlength=len(number))
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(group)
    rank[by_group] = torch.arange(len(group), device=group.device) - starts[group[by_group]]
    return rank < number[group]
