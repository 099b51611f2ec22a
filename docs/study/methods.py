"""The compared methods: the pixel loss alone, and with one topology loss in addition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from sets import Case, StudySet
from torch import Tensor

from monai_topo.losses import BettiMatchingLoss, PersistenceLoss, SkeletonRecallLoss, WarpingLoss
from monai_topo.persistence import persistence_pairs

WEIGHTS, SMALL_WEIGHTS = (0.1, 0.3, 1.0), (0.003, 0.01, 0.03)
BASE = "CE + Dice"


@dataclass(frozen=True)
class Method:
    """A topology loss, or None, with the weights to try; `loss` makes it with the settings of a data set."""

    loss: Callable[[StudySet], Callable[[Tensor, Tensor], Tensor]] | None
    target: str = "label"
    weights: tuple[float, ...] = WEIGHTS  # to choose from; a loss that pulls many voxels needs smaller ones
    weight_of: str | None = None  # the method whose chosen weight is used
    from_start: bool = False  # whether the term is also used in the first half


def _persistence(
    kind: type[PersistenceLoss] = PersistenceLoss, **settings: Any
) -> Callable[[StudySet], Callable[[Tensor, Tensor], Tensor]]:
    def loss(study_set: StudySet) -> Callable[[Tensor, Tensor], Tensor]:
        common = {"connectivity": study_set.connectivity, "border": study_set.border, "patch_size": study_set.patch}
        return kind(**{"sigmoid": True, **common, **settings})

    return loss


def _both(study_set: StudySet) -> Callable[[Tensor, Tensor], Tensor]:
    """Combine both losses with the weights that were chosen for each alone on the first data set."""
    cldice, persistence = SoftclDiceLoss(sigmoid=True), _persistence(matching="spatial")(study_set)
    return lambda logits, label: cldice(logits, label) + 0.3 * persistence(logits, label)


METHODS = {
    BASE: Method(None),
    "soft clDice": Method(lambda _: SoftclDiceLoss(sigmoid=True)),
    "skeleton recall": Method(lambda _: SkeletonRecallLoss(sigmoid=True), target="skeleton"),
    "persistence, wasserstein": Method(_persistence(matching="wasserstein")),
    "persistence, rank": Method(_persistence(matching="rank")),
    "persistence, spatial": Method(_persistence(matching="spatial")),
    "Betti matching": Method(
        lambda s: BettiMatchingLoss(sigmoid=True, connectivity=s.connectivity, border=s.border, patch_size=s.patch)
    ),
    "soft clDice + persistence, spatial": Method(_both, weights=(1.0,)),
}
COMPARED = tuple(METHODS)

# Losses that pull whole structures: each voxel has the force of a critical voxel, so the weights are smaller.
METHODS |= {
    "spatial, along structures": Method(_persistence(matching="spatial", gradient="structure"), weights=SMALL_WEIGHTS),
    "spatial, along structures towards the label": Method(
        _persistence(matching="spatial", gradient="structure_towards_label"), weights=SMALL_WEIGHTS
    ),
    "warping": Method(lambda s: WarpingLoss(sigmoid=True, connectivity=s.connectivity), weights=(0.0003, 0.001, 0.003)),
}

# Ablations: the spatial loss with one setting changed, at the weight chosen for the unchanged loss.
VARIANTS = {
    "spatial, open border": {"border": "open"},
    "spatial, components only": {"dims": [0]},
    "spatial, loops only": {"dims": [1]},
    "spatial, min_persistence 0.1": {"min_persistence": 0.1},
    "spatial, half patches": {"patch_size": 32},
    "spatial, double patches": {"patch_size": 128},
}
METHODS |= {
    name: Method(_persistence(matching="spatial", **changed), weight_of="persistence, spatial")
    for name, changed in VARIANTS.items()
}


class PerFeature(PersistenceLoss):
    """Take the mean over the features of a patch instead of their sum."""

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of every patch, `(N,)`."""
        pairs = persistence_pairs(images.detach(), connectivity=self.connectivity, border=self.border)
        return super().per_image(images, labels) / (1 + pairs.image.bincount(minlength=len(images)))


def _steeper(factor: float) -> Method:
    """Change the slope of the sigmoid: a steep one saturates values far from 0.5, the critical voxels stay the same."""
    likelihood = _persistence(
        matching="spatial", sigmoid=False, other_act=lambda logits: torch.sigmoid(factor * logits)
    )
    return Method(likelihood, weights=(0.3, 1.0) if factor < 1 else WEIGHTS)


METHODS |= {
    "spatial, from the start": Method(
        _persistence(matching="spatial"), weight_of="persistence, spatial", from_start=True
    ),
    "spatial, mean over features": Method(_persistence(PerFeature, matching="spatial"), weights=(1.0, 3.0, 10.0)),
    "spatial, softened": _steeper(1 / 3),
    "spatial, sharpened": _steeper(3),
}


def total_loss(method: Method, weight: float, study_set: StudySet) -> Callable[[Tensor, Case], Tensor]:
    """Return the loss of a batch: `base + weight * topology`."""
    base = DiceCELoss(sigmoid=True)
    topology = method.loss(study_set) if method.loss else None

    def total(logits: Tensor, batch: Case) -> Tensor:
        value = base(logits, batch["label"])
        return value if topology is None else value + weight * topology(logits, batch[method.target])

    return total
