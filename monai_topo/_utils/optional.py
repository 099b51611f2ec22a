"""Packages that only parts of the library need, imported where they are used; one sentence says which one is absent."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, package: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: Its dotted name.
        package: The name under which pip knows the package.

    Raises:
        ImportError: When it is not installed; the sentence says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Expected {package} to be installed for this, but got none ({error}); pip install 'monai_topo[metrics]'."
        ) from error
