"""Base of the losses that match features of likelihood and label: the cost of a matched feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from monai_topo._utils.validation import check_choice
from monai_topo.losses._log_odds import LogOdds
from monai_topo.losses._persistence_base import PersistenceBasedLoss
from monai_topo.persistence.essential import EssentialClass

Penalty = Literal["squared", "cross_entropy"]

#: Likelihood below which the cross-entropy of a given likelihood continues along its tangent.
LEAST_LIKELIHOOD = 1e-6


@dataclass(eq=False, repr=False, kw_only=True)
class MatchedFeatureLoss(PersistenceBasedLoss):
    """Base of losses on matched features.

    A subclass implements `per_image(images, labels, log_odds)`, and takes the cost of matched births and deaths from
    `matched_cost`.

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

    def per_image(self, images: Tensor, labels: Tensor, log_odds: LogOdds | None = None) -> Tensor:
        """Compute the loss of every image, `(N,)`; without log-odds a cross-entropy takes the likelihoods."""
        raise NotImplementedError

    def matched_cost(
        self, values: Tensor, targets: Tensor, image: Tensor, voxels: Tensor, log_odds: LogOdds | None
    ) -> Tensor:
        """Compute the cost of matched features: squared distance, or half the cross-entropy.

        Args:
            values: Births and deaths, `(K, 2)`.
            targets: Births and deaths of their partners, `(K, 2)` or `(2,)`.
            image: Image of each feature, `(K,)`, on the CPU.
            voxels: Critical voxels, `(K, 2)`, on the CPU; -1 for an end without a voxel.
            log_odds: Where to read log-odds; None reads likelihoods only.

        Returns:
            `(K,)`.
        """
        targets = targets.to(values).expand_as(values)
        if self.penalty == "squared":
            return ((values - targets) ** 2).sum(1)
        cost = _likelihood_cross_entropy(values, targets)
        if log_odds is not None:
            logits, likelihood = log_odds.at(image.repeat_interleave(2), voxels.clamp(min=0).flatten())
            # Where the map has another value than the network gave, a constant was put.
            is_free = (voxels >= 0).to(values.device) & (likelihood.view_as(values) == values.detach())
            of_logits = binary_cross_entropy_with_logits(logits.view_as(values), targets, reduction="none")
            cost = torch.where(is_free, of_logits, cost)
        return cost.sum(1) / 2

    def _log_odds(self, output: Tensor, likelihood: Tensor) -> LogOdds | None:
        reads_logits = self.sigmoid or (self.softmax and output.shape[1] > 1)
        if self.penalty == "squared" or not reads_logits:
            return None
        logits = output if output.dtype == torch.float64 else output.float()
        return LogOdds(logits, likelihood, self.softmax, torch.arange(likelihood.shape[1]))


def essential_voxels(essential: EssentialClass) -> Tensor:
    """Return the critical voxels of birth and death, `(N, 2)`; -1 at the end that has a value by convention."""
    nowhere = torch.full_like(essential.voxel, -1)
    ends = (essential.voxel, nowhere) if essential.dim == 0 else (nowhere, essential.voxel)
    return torch.stack(ends, dim=1)


def _likelihood_cross_entropy(likelihood: Tensor, target: Tensor) -> Tensor:
    """Return `-log p` where the target is 1 and `-log(1 - p)` where it is 0, finite and convex down to `p = 0`."""
    likelihood = likelihood.clamp(0, 1)  # a softmax may exceed 1 by a rounding error
    likelihood = target * likelihood + (1 - target) * (1 - likelihood)
    clamped = likelihood.clamp(min=LEAST_LIKELIHOOD)
    return (clamped - likelihood) / LEAST_LIKELIHOOD - clamped.log()
