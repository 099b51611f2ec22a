"""Losses: one term a class, one file a loss; `(B, C, *spatial)` input and target as in `monai.losses`."""

from monai_topo.losses.persistence_loss import PersistenceLoss
from monai_topo.losses.topology_aware_loss import TopologyAwareLoss
from monai_topo.losses.warping_loss import WarpingLoss

__all__ = ["PersistenceLoss", "TopologyAwareLoss", "WarpingLoss"]
