"""Resumable training: the complete state of a training run in one checkpoint file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.engines.evaluator import Evaluator
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.distributed import rank
from monai_topo._utils.io import atomic_write

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["ResumeHandler"]


class ResumeHandler:
    """Save the complete state of a training run after its epochs, and resume from it if it exists.

    The file is replaced atomically: a process killed at any moment leaves the last complete state, and a training run
    that starts with this file resumes there. With :py:class:`EpochSeedHandler` the result is the same as without the
    interruption. In a distributed run the process of rank 0 saves and all processes restore.

    Attach the handler to a trainer as its first handler: it restores before the others start, and saves after all of
    them have finished their part of an epoch (validation, learning rate).

    A file takes about three times the parameters of the network (AdamW has two moments of each).

    Args:
        path: Path of the file.
        objects: Mapping of names to network, optimizer, scheduler and handlers: everything that has `state_dict` and
            `load_state_dict`. None is skipped.
        validator: Evaluator whose best metric is saved too.
        interval: Number of epochs between two files; the last epoch is always saved.
        map_location: Device on which tensors are loaded, see `torch.load`.
        summary_writer: TensorBoard SummaryWriter whose steps are those of the training run. Events that a killed
            process wrote after the saved state are hidden, since they are written again.

    Raises:
        ValueError: If the file belongs to a training run with a different number of steps per epoch (at the start).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        objects: Mapping[str, Any],
        *,
        validator: Evaluator | None = None,
        interval: int = 1,
        map_location: Any = None,
        summary_writer: Any = None,
    ) -> None:
        self.path = Path(path)
        self.objects = {name: _unwrap(item) for name, item in objects.items() if item is not None}
        self.validator = validator
        self.interval = interval
        self.map_location = map_location
        self.summary_writer = summary_writer

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.started)

    def started(self, engine: Any) -> None:
        """Restore the state and add the saving, which thus comes after all other handlers of an epoch."""
        if self.path.is_file():
            self._restore(engine)
        if self.summary_writer is not None:
            _hide_later_steps(self.summary_writer, engine.state.iteration)
        if rank() == 0:
            for unfinished in self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}"):
                unfinished.unlink()
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Any) -> None:
        """Write the current state if it is due."""
        epoch = engine.state.epoch
        if epoch % self.interval and epoch != engine.state.max_epochs and not engine.should_terminate:
            return
        state = {
            "epoch": epoch,
            "epoch_length": engine.state.epoch_length,
            "objects": {name: item.state_dict() for name, item in self.objects.items()},
            "scaler": engine.scaler.state_dict() if getattr(engine, "scaler", None) else None,
        }
        if self.validator is not None:
            best = self.validator.state
            state["best"] = {"metric": float(best.best_metric), "epoch": int(best.best_metric_epoch)}
        with atomic_write(self.path) as unfinished:
            torch.save(state, unfinished)

    def _restore(self, engine: Any) -> None:
        state = torch.load(self.path, map_location=self.map_location, weights_only=True)
        if state["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"Expected {self.path} to have {engine.state.epoch_length} steps per epoch, but got "
                f"{state['epoch_length']}; resume with the data, batch size and number of processes of its first start."
            )
        for name, item in self.objects.items():
            item.load_state_dict(state["objects"][name])
        if self.validator is not None:
            self.validator.state.best_metric = state["best"]["metric"]
            self.validator.state.best_metric_epoch = state["best"]["epoch"]
        if state["scaler"] and getattr(engine, "scaler", None):
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * state["epoch_length"]


def _unwrap(item: Any) -> Any:
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return item.module if isinstance(item, parallel) else item


def _hide_later_steps(writer: Any, last_step: int) -> None:
    """Hide from TensorBoard what an earlier process wrote about later steps."""
    if len(list(Path(writer.log_dir).glob("events.*"))) > 1:
        writer.close()
        writer.purge_step = last_step + 1  # written to the header of the file that the next event opens
