"""When a training is validated, and the table of what came out."""

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

__all__ = ["ValidationHistory", "ValidationSchedule"]


class ValidationSchedule(ValidationHandler):
    """Validate every `interval` epochs, after the last one, and after further epochs that matter.

    MONAI's ValidationHandler knows the interval only: it would miss the end of a warm-up, and a training shorter than
    the interval would end without any model.

    Args:
        interval: number of epochs between validations.
        validator: the evaluator to run.
        also_after: further epochs, such as the last one of the warm-up.
    """

    def __init__(self, interval: int, validator: Evaluator | None = None, also_after: Sequence[int] = ()) -> None:
        super().__init__(interval=interval, validator=validator, epoch_level=True)
        self.also_after = frozenset(also_after)

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self.is_due), self)

    def is_due(self, engine: Any, epoch: int) -> bool:
        """Whether to validate after this epoch."""
        return epoch % self.interval == 0 or epoch in self.also_after or epoch == engine.state.max_epochs


class ValidationHistory:
    """Keep every validation as one row of a CSV file and, in a training, say it in one line on the screen.

    Columns: `epoch`, `topology_weight` (empty without a loss), then the evaluator's scalar metrics. The file is written
    anew, whole, after every validation.

    Args:
        path: of the CSV file.
        loss: the `TopologyAwareLoss` of the training, to note the weight in force.
    """

    def __init__(self, path: str | os.PathLike[str], loss: WeightedLoss | None = None) -> None:
        self.path = Path(path)
        self.loss = loss
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator, whose metrics are computed before its handlers are called; one process writes."""
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
        """Go on after these rows."""
        self.rows = [dict(row) for row in state["rows"]]


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else float(value)
