"""Stop a training run at a signal of a scheduler, after the current step, so that its state can be written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist

from monai_topo._utils.distributed import world_size

__all__ = ["STOPPED", "StopSignal"]

#: Exit status of a process that stopped at a signal and can go on: EX_TEMPFAIL of sysexits.h, "try again later".
STOPPED = 75


class StopSignal:
    """Note a signal instead of being ended by it; a context manager around a training run.

    With `ResumeHandler(..., stop=...)` the training run ends after the current step, and its state is written, from
    which it goes on with the same result as without the interruption. A second signal acts as it would without this.

    Args:
        signals: Names of the signals. Schedulers send SIGTERM when a job is cancelled, preempted or at its time limit
            (SLURM: `--signal=TERM@120` sends it two minutes before the limit), some are set up to send SIGUSR1.

    Attributes:
        received: Name of the signal, or None.

    Example:
        >>> import os, signal
        >>> with StopSignal() as stop:
        ...     os.kill(os.getpid(), signal.SIGTERM)
        >>> stop.received
        'SIGTERM'
    """

    def __init__(self, signals: Sequence[str] = ("SIGTERM",)) -> None:
        self.signals = tuple(signals)
        self.received: str | None = None
        self._previous: dict[int, Any] = {}
        self._group: Any = None

    def __enter__(self) -> StopSignal:
        """Begin to note the signals; outside of the main thread, where Python has no signals, nothing happens."""
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in self.signals if hasattr(signal, name)):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore what the signals did before."""
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, self._previous.get(number, signal.SIG_DFL))
            os.kill(os.getpid(), number)
            return
        self.received = signal.Signals(number).name
        # The signal may interrupt a print, which must not be entered twice.
        os.write(2, f"\n{self.received}: stopping after the current step.\n".encode())

    def is_requested(self) -> bool:
        """Return whether this process or, in a distributed run, any process has received a signal.

        All processes of a distributed run have to call it.
        """
        if world_size() > 1:
            self._group = self._group or dist.new_group(backend="gloo")
            flag = torch.tensor(int(self.received is not None))
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self._group)
            if flag.item() and self.received is None:
                self.received = "a signal to another process"
        return self.received is not None
