"""Training ends where validation has stopped getting better."""

from __future__ import annotations

from typing import Any

from monai.engines.evaluator import Evaluator
from monai.utils import IgniteInfo, min_version, optional_import

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["ValidationEarlyStop"]


class ValidationEarlyStop:
    """End a training when the best validation lies `patience` epochs back.

    MONAI's EarlyStopHandler hangs on the validator and needs the trainer, which a bundle's configuration cannot give it
    without a circle; it counts validations rather than epochs, and forgets its count when a training is resumed. This
    one hangs on the trainer and looks at the validator's best epoch, so it has no state. Attach it after the
    validation.

    Args:
        validator: the evaluator of the training, with a key metric.
        patience: number of epochs without a better key metric; None never stops.
        not_before: the epochs count from here on at the earliest: the end of a warm-up, before which a best validation
            says nothing about what follows.
    """

    def __init__(self, validator: Evaluator, patience: int | None, not_before: int = 0) -> None:
        self.validator = validator
        self.patience = patience
        self.not_before = not_before

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Stop the trainer if it is time."""
        if self.patience is None:
            return
        last_progress = max(self.validator.state.best_metric_epoch, self.not_before)
        if engine.state.epoch - last_progress >= self.patience:
            engine.logger.info("No better validation in %d epochs: the training ends.", self.patience)
            engine.terminate()
