"""The rules that match predicted features with features of a binary label, and the match by value alone.

A feature of the superlevel filtration of a likelihood is born at a high value `b` and dies at a lower value `d`. All
features of a binary label are the same point, birth 1 and death 0, so a matching only has to determine *which*
predicted features are matched, and not with which feature of the label.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from monai_topo._utils.kernel import kernel

__all__ = ["Matching", "match_by_value", "top_k_per_group"]

Matching = Literal["wasserstein", "rank", "spatial"]


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


def top_k_per_group(key: Tensor, group: Tensor, number: Tensor) -> Tensor:
    """Choose the `number` greatest keys of every group, the first ones of equal keys; `(P,)` bool."""
    best_first = torch.argsort(key, descending=True, stable=True)
    by_group = best_first[torch.argsort(group[best_first], stable=True)]
    sizes = torch.bincount(group, minlength=len(number))
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(group)
    rank[by_group] = torch.arange(len(group), device=group.device) - starts[group[by_group]]
    return rank < number[group]
