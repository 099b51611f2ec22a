"""A training that goes on after a kill: its whole state in one file, and random numbers that belong to the epoch."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.utils import set_rnd
from monai.engines.evaluator import Evaluator
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.distributed import rank
from monai_topo._utils.io import atomic_write

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["EpochSeedHandler", "ResumeHandler"]


class ResumeHandler:
    """Save everything that a training is made of after its epochs, and begin with it where there is one.

    The file appears whole or not at all, so that a process killed at any moment leaves the last complete state, and a
    training that starts on it goes on from there. With :py:class:`EpochSeedHandler` it comes to the same as if it had never
    stopped. Of several processes the first one saves and all restore.

    Attach it to a trainer as its first handler: it restores before the others start, and saves after they all have
    finished their part of an epoch (validation, learning rate).

    Args:
        path: of the file.
        objects: name -> network, optimizer, scheduler, handlers: all that has `state_dict` and `load_state_dict`.
            None is passed over.
        validator: the evaluator whose best metric is kept too.
        interval: number of epochs between two files; after the last epoch there always is one.
        map_location: device that tensors are read to, see `torch.load`.
        summary_writer: a TensorBoard SummaryWriter whose steps are those of the training. What a killed process wrote
            beyond the state is hidden, as it is written again.

    Raises:
        ValueError: at the start, if the file is of a training with another number of steps an epoch.

    A file takes about three times the network's parameters (AdamW has two moments of each).
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
        self.objects = {name: _unwrapped(item) for name, item in objects.items() if item is not None}
        self.validator = validator
        self.interval = interval
        self.map_location = map_location
        self.summary_writer = summary_writer

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.started)

    def started(self, engine: Any) -> None:
        """Restore, and from now on save; added here, the saving comes after what all other handlers do."""
        if self.path.is_file():
            self._restore(engine)
        if self.summary_writer is not None:
            _hide_later_steps(self.summary_writer, engine.state.iteration)
        if rank() == 0:
            for unfinished in self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}"):
                unfinished.unlink()
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Any) -> None:
        """Write the state as it is now, if it is due."""
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
                f"Expected {self.path} to be of a training with {engine.state.epoch_length} steps an epoch, but got "
                f"{state['epoch_length']}; resume with the data, batch size and number of processes that it began with."
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


class EpochSeedHandler:
    """Draw each epoch's random numbers from the seed, the epoch and the process alone.

    So an epoch that is done again after a kill comes out the same, whatever was drawn before. Seeds Python, numpy,
    torch and the random transforms of a data set; with workers these are seeded from torch by MONAI's DataLoader.

    Args:
        seed: the training's seed, at least 0; None leaves everything as it is.
        dataset: the training's data set.
    """

    def __init__(self, seed: int | None, dataset: Any) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Seed everything for this epoch."""
        if self.seed is None:
            return
        drawn = np.random.SeedSequence((self.seed, engine.state.epoch, rank())).generate_state(1)
        seed = int(drawn[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - what others draw from
        torch.manual_seed(seed)
        set_rnd(self.dataset, seed)


def _unwrapped(item: Any) -> Any:
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return item.module if isinstance(item, parallel) else item


def _hide_later_steps(writer: Any, last_step: int) -> None:
    """Have TensorBoard forget what an earlier process wrote of later steps."""
    if len(list(Path(writer.log_dir).glob("events.*"))) > 1:
        writer.close()
        writer.purge_step = last_step + 1  # said at the head of the file that the next event opens
