"""Ignite handlers for MONAI's engines; importable without ignite, as MONAI's own are."""

from monai_topo.handlers.betti_error import BettiErrorHandler
from monai_topo.handlers.checkpoint import AtomicCheckpointSaver
from monai_topo.handlers.loss_components import LossComponentLogger
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
from monai_topo.handlers.metrics_saver import AtomicMetricsSaver
from monai_topo.handlers.pictures import PredictionPictures
from monai_topo.handlers.progress import ImageProgress, TrainingProgress
from monai_topo.handlers.stopping import ValidationEarlyStop
from monai_topo.handlers.training_state import EpochSeedHandler, ResumeHandler
from monai_topo.handlers.validation import ValidationHistory, ValidationSchedule

__all__ = [
    "AdaptedRandHandler",
    "AtomicCheckpointSaver",
    "AtomicMetricsSaver",
    "BettiErrorHandler",
    "BettiMatchingHandler",
    "ClDiceHandler",
    "ComponentDetectionHandler",
    "DIUHandler",
    "DiagramDistanceHandler",
    "EpochSeedHandler",
    "EulerErrorHandler",
    "ImageProgress",
    "LossComponentLogger",
    "PredictionPictures",
    "ResumeHandler",
    "SkeletonRecallHandler",
    "TrainingProgress",
    "ValidationEarlyStop",
    "ValidationHistory",
    "ValidationSchedule",
    "VariationOfInformationHandler",
]
