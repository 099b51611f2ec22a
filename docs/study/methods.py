"""The compared methods: the pixel loss alone, and with one topology term in addition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monai.losses import DiceCELoss
from sets import Case, StudySet
from torch import Tensor, nn

from monai_topo.losses import (
    BettiMatchingLoss,
    ClDiceLoss,
    PersistenceLoss,
    SCNPLoss,
    SkeletonRecallLoss,
)

BASE = "CE + Dice"
SMALL, MIDDLE, LARGE = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), (0.1, 0.3, 1, 3, 10, 30)


@dataclass(frozen=True)
class Method:
    """A topology term, or None, with the six weights to begin the search with.

    Attributes:
        term: Makes the loss with the settings of a data set.
        weights: Weights to choose from. While the best one is at the edge, the search goes on beyond it.
        target: What the loss compares the output with, the label or its tubed skeleton.
        beside: Another method whose term is added with a fixed weight.
    """

    term: Callable[[StudySet], nn.Module] | None
    weights: tuple[float, ...] = MIDDLE
    target: str = "label"
    beside: tuple[str, float] | None = None


def _of_pairs(kind: type[nn.Module], **settings: Any) -> Callable[[StudySet], nn.Module]:
    def term(study_set: StudySet) -> nn.Module:
        common = {"connectivity": study_set.connectivity, "border": study_set.border, "patch_size": study_set.patch}
        return kind(**{"sigmoid": True, **common, **settings})

    return term


def _persistence(**settings: Any) -> Callable[[StudySet], nn.Module]:
    return _of_pairs(PersistenceLoss, matching="spatial", **settings)


def _betti_matching(**settings: Any) -> Callable[[StudySet], nn.Module]:
    return _of_pairs(BettiMatchingLoss, **settings)


METHODS = {
    BASE: Method(None),
    "soft clDice": Method(lambda _: ClDiceLoss(sigmoid=True, skeleton="soft"), LARGE),
    "clDice, exact skeletons": Method(lambda _: ClDiceLoss(sigmoid=True, skeleton="hard"), LARGE),
    "skeleton recall": Method(lambda _: SkeletonRecallLoss(sigmoid=True), LARGE, target="skeleton"),
    "SCNP": Method(lambda _: SCNPLoss(DiceCELoss(sigmoid=True)), LARGE),
    "persistence": Method(_persistence()),
    "persistence, support": Method(_persistence(support=0.2)),
    "persistence, support, cross-entropy": Method(_persistence(support=0.2, penalty="cross_entropy"), SMALL),
    "Betti matching": Method(_betti_matching()),
    "Betti matching, support": Method(_betti_matching(support=0.2)),
    "Betti matching, support, cross-entropy": Method(_betti_matching(support=0.2, penalty="cross_entropy"), SMALL),
}

# One setting changed, or two terms combined.
METHODS |= {
    "persistence, support, loops only": Method(_persistence(support=0.2, dims=[1])),
    "Betti matching, loops only": Method(_betti_matching(dims=[1])),
    "Betti matching, support, loops only": Method(_betti_matching(support=0.2, dims=[1])),
    "persistence, support, whole crops": Method(_persistence(support=0.2, patch_size=None)),
    "Betti matching, support, whole crops": Method(_betti_matching(support=0.2, patch_size=None)),
    # Of the 4 patches of a crop, drawn anew in each step: what cheaper steps cost in accuracy.
    "persistence, support, half of the patches": Method(_persistence(support=0.2, num_patches=2)),
    "persistence, support, a quarter of the patches": Method(_persistence(support=0.2, num_patches=1)),
    "persistence, support, open border": Method(_persistence(support=0.2, border="open")),
    "persistence, support, cross-entropy, whole crops": Method(
        _persistence(support=0.2, penalty="cross_entropy", patch_size=None), SMALL
    ),
    # The likelihoods of each class where they are worst within a neighborhood: the features that a small change breaks.
    "persistence, support, SCNP": Method(lambda s: SCNPLoss(_persistence(support=0.2)(s))),
    "Betti matching, support, SCNP": Method(lambda s: SCNPLoss(_betti_matching(support=0.2)(s))),
    "persistence, support + soft clDice": Method(_persistence(support=0.2), beside=("soft clDice", 1.0)),
    "persistence, support + skeleton recall": Method(_persistence(support=0.2), beside=("skeleton recall", 1.0)),
    "persistence, support + SCNP": Method(_persistence(support=0.2), beside=("SCNP", 1.0)),
}


COMPARED = (
    "soft clDice",
    "skeleton recall",
    "SCNP",
    "persistence, support",
    "persistence, support, SCNP",
    "Betti matching, support",
)


class StudyLoss(nn.Module):
    """The loss of a batch, `base + weight * term`."""

    def __init__(self, method: Method, weight: float, study_set: StudySet) -> None:
        super().__init__()
        self.base, terms = DiceCELoss(sigmoid=True), [(method, weight)]
        if method.beside:
            name, fixed = method.beside
            terms.append((METHODS[name], fixed))
        self.terms = nn.ModuleList(other.term(study_set) for other, _ in terms if other.term)
        self.weights_and_targets = [(weight, other.target) for other, weight in terms if other.term]

    def forward(self, logits: Tensor, batch: Case) -> Tensor:
        """Compute the loss of logits `(B, 1, *spatial)`."""
        value: Tensor = self.base(logits, batch["label"])
        for term, (weight, target) in zip(self.terms, self.weights_and_targets, strict=True):
            value = value + weight * term(logits, batch[target])
        return value
