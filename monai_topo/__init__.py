"""Topology-preserving segmentation for MONAI, in 2D and 3D.

Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss, metric or picture.
"""

from importlib.metadata import version

from monai_topo.betti_matching import BettiMatching, betti_matching
from monai_topo.losses import BettiMatchingLoss, PersistenceLoss, TopologyAwareLoss
from monai_topo.metrics import BettiErrorMetric, EulerErrorMetric, compute_betti_error, compute_euler_error
from monai_topo.persistence import PersistencePairs, betti_numbers, persistence_pairs

__version__ = version("monai_topo")

__all__ = [
    "BettiErrorMetric",
    "BettiMatching",
    "BettiMatchingLoss",
    "EulerErrorMetric",
    "PersistenceLoss",
    "PersistencePairs",
    "TopologyAwareLoss",
    "betti_matching",
    "betti_numbers",
    "compute_betti_error",
    "compute_euler_error",
    "persistence_pairs",
]
