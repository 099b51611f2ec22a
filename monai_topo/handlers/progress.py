"""Progress bars: one for a whole training run, one for a pass over images."""

from __future__ import annotations

import sys
from typing import Any

from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo.handlers.loss_components import LossComponentLogger, WeightedLoss

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")
tqdm, _ = optional_import("tqdm", name="tqdm")

__all__ = ["ImageProgress", "TrainingProgress"]


class _Progress:
    """A progress bar from one event of an engine to another, with a step per iteration."""

    begin, end = "STARTED", "COMPLETED"  # names, since ignite may be missing
    bar: Any = None

    def attach(self, engine: Any) -> None:
        """Attach to an engine."""
        engine.add_event_handler(Events[self.begin], self.started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events[self.end], self.completed)

    def started(self, engine: Any) -> None:
        """Draw the bar."""
        raise NotImplementedError

    def iteration_completed(self, engine: Any) -> None:
        """Advance by one step."""
        self.bar.update()

    def completed(self, engine: Any) -> None:
        """Leave the finished bar on the screen."""
        self.bar.close()


class TrainingProgress(_Progress):
    """Show one progress bar over all iterations of a training run, with the epoch and the parts of the loss.

    On a terminal it is redrawn in place; in a log file it adds at most one line per half minute.

    Args:
        loss: Loss of the trainer, a `monai_topo.losses.TopologyAwareLoss`.
    """

    def __init__(self, loss: WeightedLoss) -> None:
        self.components = LossComponentLogger(loss)

    def started(self, engine: Any) -> None:
        """Draw the bar; a resumed training run starts at its iteration."""
        state = engine.state
        total = state.max_epochs * state.epoch_length
        self.bar = _bar(total=total, initial=state.iteration, desc="training", unit="step")

    def iteration_completed(self, engine: Any) -> None:
        """Advance by one step."""
        parts = {name.removeprefix("loss/"): f"{value:.3g}" for name, value in self.components(None).items()}
        self.bar.set_postfix(epoch=f"{engine.state.epoch}/{engine.state.max_epochs}", **parts, refresh=False)
        self.bar.update()


class ImageProgress(_Progress):
    """Show a progress bar over the batches of an evaluator, for inference.

    Args:
        title: Text before the bar.
    """

    begin, end = "EPOCH_STARTED", "EPOCH_COMPLETED"

    def __init__(self, title: str = "inference") -> None:
        self.title = title

    def started(self, engine: Any) -> None:
        """Draw the bar."""
        self.bar = _bar(total=engine.state.epoch_length, desc=self.title, unit="image")


def _bar(**settings: Any) -> Any:
    """Make a bar that is redrawn in place on a terminal, and adds at most one line per half minute to a log file."""
    return tqdm(mininterval=0.5 if sys.stderr.isatty() else 30, dynamic_ncols=True, **settings)
