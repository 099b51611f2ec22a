"""How a bundle says what is wrong: one sentence, at the end, where it is read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType

from monai_topo._utils.distributed import rank

__all__ = ["UserError", "install_error_hook"]


class UserError(ValueError):
    """A setting or a data set that a bundle cannot work with; the message is a sentence for its user."""


def install_error_hook() -> None:
    """Make uncaught errors of this process end with their cause in one line.

    MONAI's bundle runner wraps an error once for every item of the configuration that it passes, so that the cause
    stands first, hundreds of lines up. From now on a :py:class:`UserError` is printed as its sentence alone, and
    any other error as the usual traceback, followed by its cause; Ctrl-C is answered in one line. Calls within Python
    meet the exceptions as ever.
    """
    sys.excepthook = _print_with_cause_last


def _print_with_cause_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    chain = list(_chain(error))
    if any(isinstance(link, KeyboardInterrupt) for link in chain):
        print("\nInterrupted. What was finished is kept; --resume with the run's folder goes on.", file=sys.stderr)
        return
    for link in chain:
        if isinstance(link, UserError):
            print(f"Error{f' (process {rank()})' if rank() else ''}: {link}", file=sys.stderr)
            return
    sys.__excepthook__(kind, error, trace)
    if len(chain) > 1:
        print(f"\nCause: {type(chain[-1]).__name__}: {chain[-1]}", file=sys.stderr)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the first cause last."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
