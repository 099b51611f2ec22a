"""Which predicted features belong to true ones: pure functions on persistence values, no dense cost matrix.

Coordinates: superlevel filtration of a likelihood, so a feature is born at a high value `b` and dies at a lower `d`.
All features of a binary label are the same point, birth 1 and death 0, so a matching only has to say *which* predicted
features are matched, not with which true one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Matching", "match_to_binary"]

Matching = Literal["wasserstein", "rank"]


def match_to_binary(values: Tensor, group: Tensor, num_true: Tensor, *, matching: Matching) -> Tensor:
    """Choose the predicted features that are matched with the true features of a binary label.

    Args:
        values: `(P, 2)` birth and death values in [0, 1].
        group: `(P,)` int64, the diagram (an image and a dimension) that a feature belongs to.
        num_true: `(G,)` int64, the number of true features of each diagram.
        matching: `"wasserstein"`: the matching of the least squared cost, where a feature may also go to the diagonal.
            Matching a point rather than sending it to the diagonal changes the cost by `(s - 1)^2 / 2 - t`, with
            `t = b - d` and `s = b + d`, so the features of the largest `t - (s - 1)^2 / 2` are matched, as long as this
            is positive. Exact, in O(P log P). `"rank"`: the most persistent features are matched, however weak, as the
            code of Hu et al. (NeurIPS 2019) does.

    Returns:
        `(P,)` bool. Features of equal key are taken in their given order.
    """
    birth, death = values.unbind(1)
    persistence = birth - death
    key = persistence if matching == "rank" else persistence - (birth + death - 1) ** 2 / 2
    best_first = torch.argsort(key, descending=True, stable=True)
    by_group = best_first[torch.argsort(group[best_first], stable=True)]
    sizes = torch.bincount(group, minlength=len(num_true))
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(group)
    rank[by_group] = torch.arange(len(group), device=group.device) - starts[group[by_group]]
    matched = rank < num_true[group]
    return matched if matching == "rank" else matched & (key > 0)
