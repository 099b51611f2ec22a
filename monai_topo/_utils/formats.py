"""The version of what this package writes and reads again: folders of runs, training states, models.

Version 1 is that of files without a version. Whatever changes the meaning of a file increases the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["FORMAT_VERSION", "check_format", "format_stamp", "package_version"]

FORMAT_VERSION = 2


def package_version(package: str = "monai_topo") -> str:
    """Return the version of an installed package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def format_stamp() -> dict[str, Any]:
    """Return the format of what is written now, to be stored in it."""
    return {"version": FORMAT_VERSION, "monai_topo": package_version()}


def check_format(what: object, stamp: Mapping[str, Any] | None) -> None:
    """Check that a file or folder can be read: its version is that of this package, or an older one.

    Args:
        what: Name of the file, for the message.
        stamp: Stored `format_stamp`; None for files without one.

    Raises:
        ValueError: If it was written by a newer version.
    """
    found = 1 if stamp is None else stamp["version"]
    if found > FORMAT_VERSION:
        assert stamp is not None
        raise ValueError(
            f"Expected {what} to have a format of version {FORMAT_VERSION} or older, but got {found}; "
            f"use monai_topo {stamp['monai_topo']} or newer, which wrote it."
        )
