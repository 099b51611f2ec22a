"""How the commands of `python -m monai_topo` end: with an exit status, and a sentence instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from monai_topo._utils.errors import UserError

__all__ = ["exit_status"]


def exit_status(command: Callable[[], int], *, interrupted: str) -> int:
    """Run a command and return its exit status: 2 after an error of the user, 130 after an interruption.

    Args:
        command: Function that does the work and returns the status.
        interrupted: What is left after an interruption, as a sentence.
    """
    try:
        return int(command())
    except (UserError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        return 130
