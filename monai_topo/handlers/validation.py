"""Validation during a training run: when it is due, the table of its results, and when to stop training."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.engines.evaluator import Evaluator
from monai.handlers.validation_handler import ValidationHandler
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.distributed import rank
from monai_topo._utils.io import atomic_write
from monai_topo.handlers.loss_components import WeightedLoss

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")
tqdm, _ = optional_import("tqdm", name="tqdm")

__all__ = ["ValidationEarlyStop", "ValidationHistory", "ValidationSchedule"]


class ValidationSchedule(ValidationHandler):
    """Validate every `interval` epochs, after the last epoch, and after further epochs.

    MONAI's ValidationHandler has the interval only: it would miss the end of a warm-up, and a training run shorter than
    the interval would end without any model.

    Args:
        interval: Number of epochs between validations.
        validator: Evaluator to run.
        also_after: Further epochs, such as the last epoch of the warm-up.
    """

    def __init__(self, interval: int, validator: Evaluator | None = None, also_after: Sequence[int] = ()) -> None:
        super().__init__(interval=interval, validator=validator, epoch_level=True)
        self.also_after = frozenset(also_after)

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self.is_due), self)

    def is_due(self, engine: Any, epoch: int) -> bool:
        """Return whether to validate after this epoch."""
        return epoch % self.interval == 0 or epoch in self.also_after or epoch == engine.state.max_epochs


class ValidationHistory:
    """Write every validation as one row of a CSV file and, with a loss, print it in one line.

    Columns: `epoch`, `topology_weight` (empty without a loss), then the evaluator's scalar metrics. The file is
    replaced atomically after every validation.

    Args:
        path: Path of the CSV file.
        loss: `TopologyAwareLoss` of the training run, to record its current weight.
    """

    def __init__(self, path: str | os.PathLike[str], loss: WeightedLoss | None = None) -> None:
        self.path = Path(path)
        self.loss = loss
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator, whose metrics are computed before its handlers are called; rank 0 writes."""
        if rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Add a row."""
        weight = "" if self.loss is None else self.loss.weight
        self.rows.append({"epoch": engine.state.epoch, "topology_weight": weight, **engine.state.metrics})
        with atomic_write(self.path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)
        if self.loss is not None:
            metrics = ", ".join(
                f"{name.removeprefix('val_')} {value:.3g}" for name, value in engine.state.metrics.items()
            )
            tqdm.write(f"epoch {engine.state.epoch}: {metrics}")

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, in plain numbers."""
        return {"rows": [{name: _plain(value) for name, value in row.items()} for row in self.rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after these rows."""
        self.rows = [dict(row) for row in state["rows"]]


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else float(value)


class ValidationEarlyStop:
    """Stop training when the best validation was `patience` epochs ago.

    MONAI's EarlyStopHandler is attached to the validator and needs the trainer, a circular reference that a bundle's
    configuration cannot express; it counts validations rather than epochs, and loses its count when a training run is
    resumed. This handler is attached to the trainer and reads the validator's best epoch, so it has no state. Attach it
    after the validation.

    Args:
        validator: Evaluator of the training run, with a key metric.
        patience: Number of epochs without a better key metric; None never stops.
        not_before: First epoch from which the epochs are counted: the end of a warm-up, since a best validation before
            it does not predict what follows.
    """

    def __init__(self, validator: Evaluator, patience: int | None, not_before: int = 0) -> None:
        self.validator = validator
        self.patience = patience
        self.not_before = not_before

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Stop the trainer if the patience is exhausted."""
        if self.patience is None:
            return
        last_progress = max(self.validator.state.best_metric_epoch, self.not_before)
        if engine.state.epoch - last_progress >= self.patience:
            engine.logger.info("No better validation in %d epochs: the training ends.", self.patience)
            engine.terminate()
