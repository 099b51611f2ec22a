"""The error that bundles and reports show to their users as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UserError", "as_user_error"]


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
