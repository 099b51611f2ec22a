"""Base of the losses that match features of likelihood and label: the cost of a matched feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from monai_topo._utils.patches import Slices
from monai_topo._utils.validation import check_choice
from monai_topo.losses._log_odds import LogOdds
from monai_topo.losses._persistence_base import PersistenceBasedLoss
from monai_topo.persistence.patch_features import PatchBatch, PatchFeatures, patch_costs

Penalty = Literal["squared", "cross_entropy"]

#: Likelihood below which the cross-entropy of a given likelihood continues along its tangent.
LEAST_LIKELIHOOD = 1e-6


@dataclass(eq=False, repr=False, kw_only=True)
class MatchedFeatureLoss(PersistenceBasedLoss):
    """Base of losses on matched features.

    A subclass implements `matched_features(batch)`, which calls the kernel.

    Args:
        penalty: Cost of the birth and the death of a matched feature: `"squared"` distance to their targets, or
            `"cross_entropy"`. Through a sigmoid the squared distance has almost no gradient left where the likelihood
            is wrong and certain (at 0.001 a thousandth of it), the cross-entropy has all of it. With `sigmoid` and
            `softmax` the cross-entropy is computed from the logits at the critical voxels, finite and with the right
            gradient however large they are. With `other_act` and for given likelihoods it is computed from the
            likelihood, and below 1e-6 it continues along its tangent. It is normalized so that at a likelihood of 0.5
            both penalties have the same gradient in the logit: half the cross-entropy takes the place of a squared
            distance. Unmatched features keep their squared persistence, whose gradient vanishes on the diagonal. Ends
            without a voxel (the conventional end of an essential class) and ends on voxels that `saturation`,
            `support` or `ignore_index` set to 0 or 1 are constants. They have no gradient, and a death at 0 or a birth
            at 1 costs nothing.

    The remaining arguments are those of `PersistenceBasedLoss`.
    """

    penalty: Penalty = "squared"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("penalty", self.penalty, get_args(Penalty))

    def matched_features(self, batch: PatchBatch) -> PatchFeatures:
        """Compute the features of all patches, and match them with those of the labels."""
        raise NotImplementedError

    def per_patch(
        self, images: Tensor, labels: Tensor, patches: Sequence[Slices], log_odds: LogOdds | None = None
    ) -> Tensor:
        """Compute the loss of every patch of `(N, *spatial)` likelihoods and labels, those of an image in turn."""
        if self.penalty == "squared":
            batch = PatchBatch(images, labels, patches, self.support, self.saturation, self.num_threads)
            return patch_costs(images, self.matched_features(batch))
        images = self._with_plateaus(images, labels)
        batch = PatchBatch(images, labels, patches, num_threads=self.num_threads, matched_cost=False)
        features = self.matched_features(batch)
        matched = (features.matched & ~features.ignored).nonzero()[:, 0]
        cost = _cross_entropy(images, features, matched, self.targets(batch, features)[matched], log_odds)
        patch = features.patch[matched].to(images.device)
        return patch_costs(images, features).index_add(0, patch, features.scale / 2 * cost)

    def targets(self, batch: PatchBatch, features: PatchFeatures) -> Tensor:
        """Return birth and death of the label feature that each feature is matched with, `(P, 2)`, on the CPU."""
        return torch.tensor([1.0, 0.0]).expand(len(features.dim), 2)

    def _log_odds(self, output: Tensor, likelihood: Tensor) -> LogOdds | None:
        reads_logits = self.sigmoid or (self.softmax and output.shape[1] > 1)
        if self.penalty == "squared" or not reads_logits:
            return None
        logits = output if output.dtype == torch.float64 else output.float()
        return LogOdds(logits, likelihood, self.softmax, torch.arange(likelihood.shape[1]))


def _cross_entropy(
    images: Tensor, features: PatchFeatures, matched: Tensor, targets: Tensor, log_odds: LogOdds | None
) -> Tensor:
    """Compute the cross-entropy of birth and death of matched features, `(K,)`."""
    voxels, targets = features.voxels[matched].to(images.device), targets.to(images)
    values = images.flatten()[voxels]
    # One end of an essential class is no voxel, but a value by convention, and that of its partner is the same.
    has_voxel = ~features.fixed[matched].to(images.device)
    cost = _likelihood_cross_entropy(values, targets)
    if log_odds is not None:
        logits, likelihood = (read.view_as(values) for read in log_odds.at(voxels.flatten()))
        # Where the map has another value than the network gave, a constant was put.
        of_logits = binary_cross_entropy_with_logits(logits, targets, reduction="none")
        cost = torch.where(likelihood == values.detach(), of_logits, cost)
    return cost.masked_fill(~has_voxel, 0).sum(1)


def _likelihood_cross_entropy(likelihood: Tensor, target: Tensor) -> Tensor:
    """Return `-log p` where the target is 1 and `-log(1 - p)` where it is 0, finite and convex down to `p = 0`."""
    likelihood = likelihood.clamp(0, 1)  # a softmax may exceed 1 by a rounding error
    likelihood = target * likelihood + (1 - target) * (1 - likelihood)
    clamped = likelihood.clamp(min=LEAST_LIKELIHOOD)
    return (clamped - likelihood) / LEAST_LIKELIHOOD - clamped.log()
