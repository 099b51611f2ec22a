"""How a bundle's process ends after an error: with one sentence as the last line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType

from monai_topo._utils.distributed import rank
from monai_topo._utils.errors import UserError

__all__ = ["install_error_hook"]


def install_error_hook() -> None:
    """Print the cause of an uncaught error as the last line of this process's output.

    MONAI's bundle runner wraps an error once per configuration item it passes through, so that the cause is printed
    first, hundreds of lines up. With the hook installed, a :py:class:`monai_topo.bundle.UserError` is printed as its
    sentence alone, any other error as the usual traceback followed by its cause, and Ctrl-C as one line. Exceptions
    that are caught in Python do not change.
    """
    sys.excepthook = _print_with_cause_last


def _print_with_cause_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    chain = list(_causes(error))
    if any(isinstance(link, KeyboardInterrupt) for link in chain):
        print(
            "\nInterrupted. Finished epochs are kept; to continue, pass --resume with the run's folder.",
            file=sys.stderr,
        )
        return
    for link in chain:
        if isinstance(link, UserError):
            print(f"Error{f' (process {rank()})' if rank() else ''}: {link}", file=sys.stderr)
            return
    sys.__excepthook__(kind, error, trace)
    if len(chain) > 1:
        print(f"\nCause: {type(chain[-1]).__name__}: {chain[-1]}", file=sys.stderr)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, the first cause last."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
