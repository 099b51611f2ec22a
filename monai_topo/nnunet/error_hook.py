"""How nnU-Net's commands end after a refusal of ours: with the sentence alone."""

from __future__ import annotations

import sys
from functools import cache, partial
from types import TracebackType
from typing import Any

from monai_topo._utils.errors import UserError

__all__ = ["install_error_hook"]


@cache
def install_error_hook() -> None:
    """Print an uncaught :py:class:`UserError` as one sentence; the earlier hook of the process gets all other errors.

    nnU-Net imports the file of the trainers once per search, so a second call changes nothing.
    """
    sys.excepthook = partial(_print_sentence, sys.excepthook)


def _print_sentence(earlier: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, UserError):
        print(f"Error: {error}", file=sys.stderr)
    else:
        earlier(kind, error, trace)
