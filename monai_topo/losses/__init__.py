"""Losses: one term per class, one file per loss; `(B, C, *spatial)` input and target as in `monai.losses`."""

from monai_topo.losses._base import LikelihoodLoss
from monai_topo.losses._matched_features import MatchedFeatureLoss
from monai_topo.losses._persistence_base import PersistenceBasedLoss
from monai_topo.losses.betti_matching import BettiMatchingLoss
from monai_topo.losses.betti_prior import BettiPriorLoss, adapt_to_prior
from monai_topo.losses.cldice import ClDiceLoss
from monai_topo.losses.gradient_ratio import GradientRatio
from monai_topo.losses.neighbor_penalty import SCNPLoss
from monai_topo.losses.persistence import PersistenceLoss
from monai_topo.losses.skeleton_recall import SkeletonRecallLoss
from monai_topo.losses.topology_aware import TopologyAwareLoss
from monai_topo.losses.warping import WarpingLoss

__all__ = [
    "BettiMatchingLoss",
    "BettiPriorLoss",
    "ClDiceLoss",
    "GradientRatio",
    "LikelihoodLoss",
    "MatchedFeatureLoss",
    "PersistenceBasedLoss",
    "PersistenceLoss",
    "SCNPLoss",
    "SkeletonRecallLoss",
    "TopologyAwareLoss",
    "WarpingLoss",
    "adapt_to_prior",
]
