"""Topology-preserving segmentation for MONAI, in 2D and 3D.

Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss, metric or picture.
"""

from importlib.metadata import version

from monai_topo.losses import PersistenceLoss, TopologyAwareLoss, WarpingLoss
from monai_topo.metrics import BettiErrorMetric, compute_betti_error
from monai_topo.persistence import PersistencePairs, betti_numbers, persistence_pairs

__version__ = version("monai_topo")

__all__ = [
    "BettiErrorMetric",
    "PersistenceLoss",
    "PersistencePairs",
    "TopologyAwareLoss",
    "WarpingLoss",
    "betti_numbers",
    "compute_betti_error",
    "persistence_pairs",
]
