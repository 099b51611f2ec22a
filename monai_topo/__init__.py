"""Topology-preserving segmentation for MONAI, in 2D and 3D.

Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss, metric or picture.
"""

from importlib.metadata import version

# The map of the package, layer by layer.
# isort: off
from monai_topo.persistence.pairs import PersistencePairs, persistence_pairs
from monai_topo.masks.components import betti_numbers, label_components
from monai_topo.persistence.induced_matching import BettiMatching, betti_matching
from monai_topo.losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    PersistenceLoss,
    SkeletonRecallLoss,
    TopologyAwareLoss,
    WarpingLoss,
    adapt_to_prior,
)
from monai_topo.metrics import (
    AdaptedRandMetric,
    BettiErrorMetric,
    BettiMatchingMetric,
    ClDiceMetric,
    ComponentDetectionMetric,
    DiagramDistanceMetric,
    DIUMetric,
    EulerErrorMetric,
    SkeletonRecallMetric,
    VariationOfInformationMetric,
    compute_adapted_rand,
    compute_betti_error,
    compute_betti_matching,
    compute_cldice,
    compute_component_detection,
    compute_diagram_distance,
    compute_diu,
    compute_euler_error,
    compute_skeleton_recall,
    compute_variation_of_information,
)
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.cleanup import CleanUpChoice, choose_cleanup
from monai_topo.masks.label_check import check_label
from monai_topo.masks.chunked import chunked_betti_error, chunked_betti_numbers
# isort: on

__version__ = version("monai_topo")

__all__ = [
    "AdaptedRandMetric",
    "BettiErrorMetric",
    "BettiMatching",
    "BettiMatchingLoss",
    "BettiMatchingMetric",
    "BettiPriorLoss",
    "ClDiceMetric",
    "CleanUpChoice",
    "ComponentDetectionMetric",
    "DIUMetric",
    "DiagramDistanceMetric",
    "EulerErrorMetric",
    "PersistenceLoss",
    "PersistencePairs",
    "SkeletonRecallLoss",
    "SkeletonRecallMetric",
    "TopologyAwareLoss",
    "VariationOfInformationMetric",
    "WarpingLoss",
    "adapt_to_prior",
    "betti_matching",
    "betti_numbers",
    "check_label",
    "choose_cleanup",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "compute_adapted_rand",
    "compute_betti_error",
    "compute_betti_matching",
    "compute_cldice",
    "compute_component_detection",
    "compute_diagram_distance",
    "compute_diu",
    "compute_euler_error",
    "compute_skeleton_recall",
    "compute_variation_of_information",
    "label_components",
    "persistence_pairs",
    "topology_report",
]
