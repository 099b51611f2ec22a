"""A training run that stops at a signal of a scheduler, with an exit status that says "go on"."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import rank
from monai_topo._utils.stop_signal import STOPPED, StopSignal
from monai_topo.bundle.run_folder import relative_path

__all__ = ["run_training"]


def run_training(trainer: Any, stop: StopSignal, run_dir: str) -> None:
    """Run a trainer to its end, or until a signal; then end the process with status 75.

    Args:
        trainer: Trainer with a `monai_topo.handlers.ResumeHandler` that has the same `stop`.
        stop: Signals to stop at, SIGTERM by default.
        run_dir: Folder of the run, for the message.

    Raises:
        SystemExit: If the training run has stopped at a signal.
    """
    try:
        with stop:
            trainer.run()
    except Exception:
        # A scheduler that signals all processes of a job ends the workers of the data loader too.
        if stop.received is None:
            raise
    if stop.received is None:
        return
    if rank() == 0:
        print(
            f"{stop.received}: the training run has stopped, its state is saved. To continue, repeat the command with "
            f"--resume {shlex.quote(relative_path(Path(run_dir)))} (exit status {STOPPED}).",
            file=sys.stderr,
        )
    sys.exit(STOPPED)
