"""Losses: one term a class, one file a loss; `(B, C, *spatial)` input and target as in `monai.losses`."""

from monai_topo.losses.betti_matching_loss import BettiMatchingLoss
from monai_topo.losses.betti_prior_loss import BettiPriorLoss, adapt_to_prior
from monai_topo.losses.persistence_loss import PersistenceLoss
from monai_topo.losses.skeleton_recall_loss import SkeletonRecallLoss
from monai_topo.losses.topology_aware_loss import TopologyAwareLoss
from monai_topo.losses.warping_loss import WarpingLoss

__all__ = [
    "BettiMatchingLoss",
    "BettiPriorLoss",
    "PersistenceLoss",
    "SkeletonRecallLoss",
    "TopologyAwareLoss",
    "WarpingLoss",
    "adapt_to_prior",
]
