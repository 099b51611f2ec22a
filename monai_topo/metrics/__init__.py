"""Metrics that count topology: a `compute_*` function and a `*Metric` class each, and `topology_report` for all."""

from monai_topo.metrics.adapted_rand import AdaptedRand, AdaptedRandMetric, compute_adapted_rand
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.metrics.betti_error import BettiErrorMetric, compute_betti_error
from monai_topo.metrics.betti_matching import BettiMatchingMetric, BettiMatchingScores, compute_betti_matching
from monai_topo.metrics.branch_detection import BranchDetection, BranchDetectionMetric, compute_branch_detection
from monai_topo.metrics.cldice import ClDice, ClDiceMetric, compute_cldice
from monai_topo.metrics.component_detection import (
    ComponentDetection,
    ComponentDetectionMetric,
    compute_component_detection,
)
from monai_topo.metrics.diagram_distance import DiagramDistanceMetric, compute_diagram_distance
from monai_topo.metrics.diu import DIUMetric, compute_diu
from monai_topo.metrics.euler_error import EulerErrorMetric, compute_euler_error
from monai_topo.metrics.invalid_neighbors import InvalidNeighborsMetric, compute_invalid_neighbors
from monai_topo.metrics.protocols import PROTOCOLS, EvaluationProtocol, protocol_metrics
from monai_topo.metrics.run_length import ExpectedRunLength, ExpectedRunLengthMetric, compute_expected_run_length
from monai_topo.metrics.skeleton_recall import SkeletonRecallMetric, compute_skeleton_recall
from monai_topo.metrics.variation_of_information import (
    VariationOfInformation,
    VariationOfInformationMetric,
    compute_variation_of_information,
)

# The root package re-exports this list. It has to be a literal, since mypy reads no other `__all__`.
__all__ = [
    "PROTOCOLS",
    "AdaptedRand",
    "AdaptedRandMetric",
    "BettiErrorMetric",
    "BettiMatchingMetric",
    "BettiMatchingScores",
    "BranchDetection",
    "BranchDetectionMetric",
    "ClDice",
    "ClDiceMetric",
    "ComponentDetection",
    "ComponentDetectionMetric",
    "DIUMetric",
    "DiagramDistanceMetric",
    "EulerErrorMetric",
    "EvaluationProtocol",
    "ExpectedRunLength",
    "ExpectedRunLengthMetric",
    "InvalidNeighborsMetric",
    "SkeletonRecallMetric",
    "VariationOfInformation",
    "VariationOfInformationMetric",
    "compute_adapted_rand",
    "compute_betti_error",
    "compute_betti_matching",
    "compute_branch_detection",
    "compute_cldice",
    "compute_component_detection",
    "compute_diagram_distance",
    "compute_diu",
    "compute_euler_error",
    "compute_expected_run_length",
    "compute_invalid_neighbors",
    "compute_skeleton_recall",
    "compute_variation_of_information",
    "protocol_metrics",
    "topology_report",
]
