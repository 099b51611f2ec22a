"""Import optional packages where they are used; a sentence names the one that is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, package: str, extra: str = "metrics") -> Any:
    """Import a module of an optional package.

    Args:
        module: Dotted name of the module.
        package: Name of the package for pip.
        extra: Extra of monai_topo that installs it.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Expected {package} to be installed for this, but got none ({error}); pip install 'monai_topo[{extra}]'."
        ) from error
