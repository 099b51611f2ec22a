"""The error that bundles and reports show to their users as one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UserError", "as_user_error", "causes", "describe_cause", "describe_error", "storage_error"]

_OF_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


class UserError(ValueError):
    """A setting, a file or a data set that cannot be used; the message is a complete sentence for the user."""


@contextmanager
def as_user_error(*kinds: type[Exception], prefix: str = "", rename: tuple[str, str] = ("", "")) -> Iterator[None]:
    """Turn errors raised within the block into a :py:class:`UserError` with the same sentence.

    Args:
        kinds: Exception types to convert; others pass through.
        prefix: Text before the sentence, such as the name of a file.
        rename: A text of the sentence and its replacement, such as an argument and the option that sets it.
    """
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        raise UserError(prefix + str(error).replace(*rename)) from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, the first cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def describe_error(error: BaseException) -> str:
    """Return the message of an error in one line: of a `UserError` its sentence alone."""
    if isinstance(error, UserError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else repr(error)


def describe_cause(error: BaseException) -> str:
    """Return the message of the first cause of an error in one line."""
    *_, first = causes(error)
    return describe_error(first)


def storage_error(error: BaseException) -> OSError | None:
    """Return the cause of an error if nothing can be written: the disk is full, protected or broken; otherwise None."""
    found = (cause for cause in causes(error) if isinstance(cause, OSError) and cause.errno in _OF_STORAGE)
    return next(found, None)
