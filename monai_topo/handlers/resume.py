"""Resumable training: the complete state of a training run in one checkpoint file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.engines.evaluator import Evaluator
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.checkpoints import (
    DamagedFileError,
    check_intact,
    load_checkpoint,
    previous_version,
    save_checkpoint,
)
from monai_topo._utils.distributed import broadcast_from_rank0, gather, rank
from monai_topo._utils.formats import check_format, format_stamp
from monai_topo._utils.networks import describe_mismatch
from monai_topo._utils.random_state import random_state, set_random_state
from monai_topo._utils.stop_signal import StopSignal

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["ResumeHandler"]

_logger = logging.getLogger(__name__)


class ResumeHandler:
    """Save the complete state of a training run after its epochs, and resume from it if it exists.

    The file is replaced atomically: a process killed at any moment leaves the last complete state, and a training run
    that starts with this file resumes there. With :py:class:`EpochSeedHandler` the result is the same as without the
    interruption. In a distributed run the process of rank 0 saves and all processes restore.

    The file has a checksum, and the one before is kept next to it (`checkpoint.previous.pt` for `checkpoint.pt`). If
    the file is damaged or missing, a warning says so, and the training run resumes from the one before.

    Attach the handler to a trainer as its first handler: it restores before the others start, and saves after all of
    them have finished their part of an epoch (validation, learning rate).

    A file takes about three times the parameters of the network (AdamW has two moments of each); with the one before,
    and the next one while it is written, that is nine times.

    Args:
        path: Path of the file.
        objects: Mapping of names to network, optimizer, scheduler and handlers: everything that has `state_dict` and
            `load_state_dict`. None is skipped.
        validator: Evaluator whose best metric is saved too.
        interval: Number of epochs between two files; the last epoch is always saved.
        map_location: Device on which tensors are loaded, see `torch.load`.
        summary_writer: TensorBoard SummaryWriter whose steps are those of the training run. Events that a killed
            process wrote after the saved state are hidden, since they are written again.
        stop: `StopSignal` at which the training run stops after the current step, in the middle of an epoch too, and
            the state is saved. The resumed training run loads the batches of this epoch again up to that step, without
            training on them. With gradient accumulation it is the next step of the optimizer; during a validation, the
            end of the validation.

    Raises:
        ValueError: At the start, if the file was written by a newer version, or belongs to a training run with another
            number of steps per epoch, other objects, or a network of another shape; if the file and the one before are
            damaged.
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
        stop: StopSignal | None = None,
    ) -> None:
        self.path = Path(path)
        self.objects = {name: _unwrap(item) for name, item in objects.items() if item is not None}
        self.validator = validator
        self.interval = interval
        self.map_location = map_location
        self.summary_writer = summary_writer
        self.stop = stop

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.started)

    def started(self, engine: Any) -> None:
        """Restore the state and add the saving, which thus comes after all other handlers of an epoch."""
        if (file := _file_to_load(self.path)) is not None:
            self._restore(engine, file)
        if self.summary_writer is not None:
            _hide_later_steps(self.summary_writer, engine.state.iteration)
        if rank() == 0:
            for unfinished in self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}"):
                unfinished.unlink()
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        if self.stop is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)

    def epoch_completed(self, engine: Any) -> None:
        """Write the current state if it is due, and stop the training run on request."""
        epoch, last = engine.state.epoch, engine.state.max_epochs
        stop = self.stop is not None and self.stop.is_requested()
        if epoch % self.interval == 0 or epoch == last or engine.should_terminate or stop:
            self.save(engine)
        if stop and epoch != last:
            engine.terminate()

    def iteration_completed(self, engine: Any) -> None:
        """Stop the training run in the middle of an epoch on request, and write its state."""
        assert self.stop is not None
        if not self.stop.is_requested():
            return
        step, steps = engine.state.iteration % engine.state.epoch_length, getattr(engine, "accumulation_steps", 1)
        if step == 0 or step % steps:  # the end of the epoch, with its handlers; or gradients that are not complete
            return
        self.save(engine, random=gather(random_state()))
        engine.terminate()

    def save(self, engine: Any, random: list[dict[str, Any]] | None = None) -> None:
        """Write the current state, in the process of rank 0.

        Args:
            engine: Trainer.
            random: In the middle of an epoch, the states of the random number generators of all processes.
        """
        if rank() > 0:
            return
        state = {
            "format": format_stamp(),
            "epoch": engine.state.epoch - (random is not None),
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "objects": {name: item.state_dict() for name, item in self.objects.items()},
            "scaler": engine.scaler.state_dict() if getattr(engine, "scaler", None) else None,
            "random": random,
        }
        if self.validator is not None:
            best = self.validator.state
            state["best"] = {"metric": float(best.best_metric), "epoch": int(best.best_metric_epoch)}
        save_checkpoint(state, self.path)
        if self.summary_writer is not None:
            self.summary_writer.flush()

    def _restore(self, engine: Any, file: Path) -> None:
        state = load_checkpoint(file, self.map_location)
        if not isinstance(state, dict) or "epoch_length" not in state:
            raise ValueError(f"Expected {file} to be the state of a training run, but got another file.")
        check_format(file, state.get("format"))
        if state["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"Expected {file} to have {engine.state.epoch_length} steps per epoch, but got "
                f"{state['epoch_length']}; resume with the data, batch size and number of processes of its first start."
            )
        for name, item in self.objects.items():
            _load(item, state["objects"], name, file)
        if self.validator is not None:
            self.validator.state.best_metric = state["best"]["metric"]
            self.validator.state.best_metric_epoch = state["best"]["epoch"]
        if state["scaler"] and getattr(engine, "scaler", None):
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state.get("iteration", state["epoch"] * state["epoch_length"])
        if random := state.get("random"):
            engine.state.dataloader = _FromStep(
                engine.state.dataloader,
                engine.state.iteration % engine.state.epoch_length,
                lambda: set_random_state(random[rank()]),
            )


class _FromStep:
    """Batches without the first ones of the first pass, after which a function is called."""

    def __init__(self, batches: Any, step: int, then: Callable[[], None]) -> None:
        self.batches = batches
        self.step = step
        self.then = then

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        batches: Iterator[Any] = iter(self.batches)
        skipped, self.step = self.step, 0
        for _ in range(skipped):
            next(batches)
        if skipped:
            self.then()
        return batches


def _file_to_load(path: Path) -> Path | None:
    """Choose, in the process of rank 0 for all, between a state and the one before, which then takes its place."""
    found: Path | DamagedFileError | None = None
    if rank() == 0:
        try:
            found = _intact_file(path)
        except DamagedFileError as error:
            found = error
    found = broadcast_from_rank0(found)
    if isinstance(found, DamagedFileError):
        raise found
    return found


def _intact_file(path: Path) -> Path | None:
    previous = previous_version(path)
    if not path.exists() and not previous.exists():
        return None
    try:
        if not path.exists():
            raise DamagedFileError(f"Expected {path} to exist.")
        check_intact(path)
    except DamagedFileError as error:
        if not previous.exists():
            raise DamagedFileError(f"{error} There is no state before it: start a new training run.") from error
        check_intact(previous)
        _logger.warning("%s The state before it, %s, is taken.", error, previous.name)
        os.replace(previous, path)
    return path


def _load(item: Any, states: Mapping[str, Any], name: str, file: Path) -> None:
    if name not in states:
        raise ValueError(
            f"Expected {file} to hold the state of {name!r}, but got {sorted(states)} only; it is of another training "
            "run or version: start a new one."
        )
    if isinstance(item, torch.nn.Module) and (mismatch := describe_mismatch(item, states[name])):
        raise ValueError(f"Expected {file} to fit the {name}, but {mismatch.sentence}; start with its own settings.")
    item.load_state_dict(states[name])


def _unwrap(item: Any) -> Any:
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return item.module if isinstance(item, parallel) else item


def _hide_later_steps(writer: Any, last_step: int) -> None:
    """Hide from TensorBoard what an earlier process wrote about later steps."""
    if len(list(Path(writer.log_dir).glob("events.*"))) > 1:
        writer.close()
        writer.purge_step = last_step + 1  # written to the header of the file that the next event opens
