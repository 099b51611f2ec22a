"""Which predicted features belong to true ones: pure functions on persistence values, no dense cost matrix.

Coordinates: superlevel filtration of a likelihood, so a feature is born at a high value `b` and dies at a lower `d`.
All features of a binary label are the same point, birth 1 and death 0, so a matching only has to say *which* predicted
features are matched, not with which true one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from monai_topo.persistence.label_regions import Places, true_places
from monai_topo.persistence.pairs import Border, Connectivity

__all__ = ["Features", "Matched", "Matching", "best_of_each", "match_to_binary", "match_to_places"]

Matching = Literal["wasserstein", "rank", "spatial"]


@dataclass(frozen=True)
class Features:
    """Predicted features of a batch of images, all on the CPU.

    Attributes:
        image: `(P,)` int64, the image of each feature.
        dim: `(P,)` int64, its dimension.
        birth: `(P,)` int64, its critical voxels, flat C-order indices into the image.
        death: `(P,)` int64.
        values: `(P, 2)`, birth and death values in [0, 1].
    """

    image: Tensor
    dim: Tensor
    birth: Tensor
    death: Tensor
    values: Tensor

    def persistence(self) -> Tensor:
        """Birth less death value, `(P,)`."""
        return self.values[:, 0] - self.values[:, 1]

    def columns(self) -> tuple[Tensor, ...]:
        """All attributes in order."""
        return self.image, self.dim, self.birth, self.death, self.values


@dataclass(frozen=True)
class Matched:
    """What a matching says.

    Attributes:
        matched: `(P,)` bool, features with a true partner.
        left_alone: `(P,)` bool, features that neither have a partner nor lack one: nothing is asked of them.
        missing: `(N,)` int64, the number of true features of each image without a partner.
    """

    matched: Tensor
    left_alone: Tensor
    missing: Tensor


def match_to_binary(
    values: Tensor, group: Tensor, num_true: Tensor, *, matching: Literal["wasserstein", "rank"]
) -> Tensor:
    """Choose the predicted features that are matched with the true features of a binary label, by value alone.

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
    matched = best_of_each(key, group, num_true)
    return matched if matching == "rank" else matched & (key > 0)


def match_to_places(
    features: Features,
    labels: Tensor,
    *,
    greatest: Tensor,
    dims: Iterable[int],
    connectivity: Connectivity,
    border: Border,
    min_label_size: int = 0,
) -> Matched:
    """Match predicted features with the true features of binary labels that they lie in or on.

    A component (dimension 0) belongs to the true component that holds its birth voxel, its peak. A hole (dimension d-1)
    belongs to the true hole that holds its death voxel, its deepest. Of the features that belong to one true feature
    the most persistent is matched, of equal ones the first; the rest, and features that belong to none, are not.

    A loop in 3D (dimension 1) fills no region, so it needs another rule. It belongs to the true component that holds
    its birth voxel, where its ring closes, provided that its death voxel, where its inside closes, is background; and
    each component takes as many loops, the most persistent ones, as it has itself. So a ring with a weak spot stays
    with its vessel, a ring that a false bridge closes (born outside the label) has no partner, nor has a pinhole that
    runs through a vessel (dying inside the label), nor a loop of a vessel that has none. Within one component of
    several loops it is blind: a surplus loop along true vessels can take the place of a missing one. Considered and
    not taken: the component alone (pinholes win over weak rings), all components of an image together (loops then jump
    between vessels), and the pair of a component and a hole of the label (loops are linked with the background, which
    is mostly one component).

    On large plateaus of the greatest value `persistence_pairs` may name a birth voxel of a loop in another component:
    loops born at that value that find no room get what room their image has left.

    Args:
        features: the predicted features; those of dimensions not in `dims` are left alone.
        labels: `(N, *spatial)` labels, 0 and 1, on any device.
        greatest: `(N,)`, the greatest value of each image.
        dims: dimensions that count.
        connectivity: of the foreground; that of the features.
        border: what lies outside; that of the features.
        min_label_size: true components and holes of fewer voxels are left alone: neither missed, nor is anything asked
            of the predicted features that belong to them. In 3D the loops of such a component go with it.

    Returns:
        The matching.

    Cost: linear in the voxels, and a sort of the features.
    """
    matched = torch.zeros_like(features.image, dtype=torch.bool)
    left_alone = torch.ones_like(matched)
    missing = torch.zeros(len(labels), dtype=torch.int64)
    for dim in dims:
        places = true_places(labels, dim, connectivity=connectivity, border=border, min_size=min_label_size)
        here = (features.dim == dim).nonzero()[:, 0]
        some = Features(*(column[here] for column in features.columns()))
        if 0 < dim < labels.ndim - 2:
            taken = _match_loops(some, places, labels.flatten(1).cpu(), greatest)
            place = places.at(some.image, some.birth)
        else:
            place = places.at(some.image, some.birth if dim == 0 else some.death)
            taken = best_of_each(some.persistence(), place, places.room.clamp(min=0))
        matched[here], left_alone[here] = taken, places.room[place] < 0
        missing += places.per_image() - torch.bincount(some.image[taken], minlength=len(labels))
    return Matched(matched, left_alone, missing)


def _match_loops(loops: Features, places: Places, labels: Tensor, greatest: Tensor) -> Tensor:
    outside = labels[loops.image, loops.death] == 0
    nowhere = places.first[loops.image] + 1  # the image's background, which has no room
    place = torch.where(outside, places.at(loops.image, loops.birth), nowhere)
    taken = best_of_each(loops.persistence(), place, places.room.clamp(min=0))
    born_on_top = loops.values[:, 0] == greatest[loops.image]
    late = (born_on_top & outside & ~taken & (places.room[place] >= 0)).nonzero()[:, 0]
    left = places.per_image() - torch.bincount(loops.image[taken], minlength=len(labels))
    taken[late] = best_of_each(loops.persistence()[late], loops.image[late], left)
    return taken


def best_of_each(key: Tensor, group: Tensor, number: Tensor) -> Tensor:
    """Choose in every group the given number of the greatest keys, the first ones of equal keys; `(P,)` bool."""
    best_first = torch.argsort(key, descending=True, stable=True)
    by_group = best_first[torch.argsort(group[best_first], stable=True)]
    sizes = torch.bincount(group, minlength=len(number))
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(group)
    rank[by_group] = torch.arange(len(group), device=group.device) - starts[group[by_group]]
    return rank < number[group]
