"""Topology-preserving segmentation for MONAI, in 2D and 3D.

Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss, metric or picture.
"""

from importlib.metadata import version

from monai_topo.case_report import topology_report
from monai_topo.label_check import check_label
from monai_topo.losses import PersistenceLoss, TopologyAwareLoss
from monai_topo.metrics import (
    AdaptedRandMetric,
    BettiErrorMetric,
    ClDiceMetric,
    ComponentDetectionMetric,
    DiagramDistanceMetric,
    DIUMetric,
    EulerErrorMetric,
    SkeletonRecallMetric,
    VariationOfInformationMetric,
    compute_adapted_rand,
    compute_betti_error,
    compute_cldice,
    compute_component_detection,
    compute_diagram_distance,
    compute_diu,
    compute_euler_error,
    compute_skeleton_recall,
    compute_variation_of_information,
)
from monai_topo.persistence import PersistencePairs, betti_numbers, persistence_pairs
from monai_topo.volumes import chunked_betti_error, chunked_betti_numbers

__version__ = version("monai_topo")

__all__ = [
    "AdaptedRandMetric",
    "BettiErrorMetric",
    "ClDiceMetric",
    "ComponentDetectionMetric",
    "DIUMetric",
    "DiagramDistanceMetric",
    "EulerErrorMetric",
    "PersistenceLoss",
    "PersistencePairs",
    "SkeletonRecallMetric",
    "TopologyAwareLoss",
    "VariationOfInformationMetric",
    "betti_numbers",
    "check_label",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "compute_adapted_rand",
    "compute_betti_error",
    "compute_cldice",
    "compute_component_detection",
    "compute_diagram_distance",
    "compute_diu",
    "compute_euler_error",
    "compute_skeleton_recall",
    "compute_variation_of_information",
    "persistence_pairs",
    "topology_report",
]
