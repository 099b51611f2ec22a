"""Ignite handlers for MONAI's engines; importable without ignite, as MONAI's own are."""

from monai_topo.handlers.betti_error import BettiErrorHandler
from monai_topo.handlers.checkpoint import WholeCheckpointSaver
from monai_topo.handlers.loss_components import LossComponents
from monai_topo.handlers.metrics import (
    AdaptedRandHandler,
    BettiMatchingHandler,
    ClDiceHandler,
    ComponentDetectionHandler,
    DiagramDistanceHandler,
    DIUHandler,
    EulerErrorHandler,
    SkeletonRecallHandler,
    VariationOfInformationHandler,
)
from monai_topo.handlers.metrics_saver import WholeMetricsSaver
from monai_topo.handlers.pictures import PredictionPictures
from monai_topo.handlers.progress import ImageProgress, TrainingProgress
from monai_topo.handlers.stopping import StopWithoutImprovement
from monai_topo.handlers.training_state import EpochSeed, TrainingState
from monai_topo.handlers.validation import ValidationHistory, ValidationSchedule

__all__ = [
    "AdaptedRandHandler",
    "BettiErrorHandler",
    "BettiMatchingHandler",
    "ClDiceHandler",
    "ComponentDetectionHandler",
    "DIUHandler",
    "DiagramDistanceHandler",
    "EpochSeed",
    "EulerErrorHandler",
    "ImageProgress",
    "LossComponents",
    "PredictionPictures",
    "SkeletonRecallHandler",
    "StopWithoutImprovement",
    "TrainingProgress",
    "TrainingState",
    "ValidationHistory",
    "ValidationSchedule",
    "VariationOfInformationHandler",
    "WholeCheckpointSaver",
    "WholeMetricsSaver",
]
