"""Ignite handlers for MONAI's engines; importable without ignite, as MONAI's own are."""

from monai_topo.handlers.betti_error import BettiErrorHandler
from monai_topo.handlers.checkpoint import WholeCheckpointSaver
from monai_topo.handlers.loss_components import LossComponents
from monai_topo.handlers.metrics import (
    AdaptedRandHandler,
    ClDiceHandler,
    ComponentDetectionHandler,
    DiagramDistanceHandler,
    DIUHandler,
    EulerErrorHandler,
    SkeletonRecallHandler,
    VariationOfInformationHandler,
)
from monai_topo.handlers.pictures import PredictionPictures
from monai_topo.handlers.progress import ImageProgress, TrainingProgress
from monai_topo.handlers.validation import ValidationHistory, ValidationSchedule

__all__ = [
    "AdaptedRandHandler",
    "BettiErrorHandler",
    "ClDiceHandler",
    "ComponentDetectionHandler",
    "DIUHandler",
    "DiagramDistanceHandler",
    "EulerErrorHandler",
    "ImageProgress",
    "LossComponents",
    "PredictionPictures",
    "SkeletonRecallHandler",
    "TrainingProgress",
    "ValidationHistory",
    "ValidationSchedule",
    "VariationOfInformationHandler",
    "WholeCheckpointSaver",
]
