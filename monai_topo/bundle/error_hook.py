"""How a bundle's process ends after an error or a signal: with one sentence as the last line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

from monai.utils import optional_import

from monai_topo._utils.distributed import rank
from monai_topo._utils.errors import UserError, causes, storage_error
from monai_topo._utils.stop_signal import STOPPED

tqdm, _ = optional_import("tqdm", name="tqdm")

__all__ = ["install_error_hook"]

_GO_ON = (
    "What is finished is kept. To continue, pass --resume with the folder of the training run, or repeat the command."
)


def install_error_hook() -> None:
    """Print the cause of an uncaught error as the last line of this process's output, and end at SIGTERM in order.

    MONAI's bundle runner wraps an error once per configuration item it passes through, so that the cause is printed
    first, hundreds of lines up. With the hook installed, a :py:class:`monai_topo.bundle.UserError` is printed as its
    sentence alone, and so is an error of the file system, such as a full disk; any other error as the usual traceback
    followed by its cause, and Ctrl-C as one line. Exceptions that are caught in Python do not change.

    At SIGTERM, which schedulers send before they kill a process, the process ends with exit status 75, after which it
    can be started again. (A training run stops after its current step, see :py:class:`monai_topo.handlers.StopSignal`.)
    """
    sys.excepthook = _print_with_cause_last
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # The signal may interrupt a print, which must not be entered twice.
    os.write(2, f"\n{signal.Signals(number).name}: {_GO_ON}\n".encode())
    sys.exit(STOPPED)


def _print_with_cause_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    for bar in list(getattr(tqdm, "_instances", ())):  # an unfinished progress bar would be drawn once more at the end
        bar.close()
    chain = list(causes(error))
    if any(isinstance(link, KeyboardInterrupt) for link in chain):
        print(f"\nInterrupted. {_GO_ON}", file=sys.stderr)
        return
    process = f" (process {rank()})" if rank() else ""
    for link in chain:
        if isinstance(link, UserError):
            print(f"Error{process}: {link}", file=sys.stderr)
            return
    if (storage := storage_error(error)) is not None:
        print(f"Error{process}: {storage}. Free some space, or allow writing there. {_GO_ON}", file=sys.stderr)
        return
    sys.__excepthook__(kind, error, trace)
    if len(chain) > 1:
        print(f"\nCause: {type(chain[-1]).__name__}: {chain[-1]}", file=sys.stderr)
