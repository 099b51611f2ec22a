"""What the commands of `monai-topo` share: their parsers, and how they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from monai_topo._utils.errors import UserError, storage_error
from monai_topo._utils.optional import require

__all__ = ["add_command", "guard"]


def add_command(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command without options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def guard(
    module: str, function: str, interrupted: str, *, packages: Mapping[str, str] | None = None, extra: str = ""
) -> Callable[[argparse.Namespace], int]:
    """Wrap a command, imported when it is chosen, so that errors of the user end with one sentence and status 2.

    Args:
        module: Module of the command.
        function: Its function, from the parsed options to the exit status.
        interrupted: Sentence for a user who stops it by Ctrl-C.
        packages: Optional packages that it needs: their names for pip by a module of each.
        extra: Extra of monai_topo that installs them.
    """

    def run(options: argparse.Namespace) -> int:
        try:
            for needed, package in (packages or {}).items():
                require(needed, package, extra)
            return int(getattr(import_module(module), function)(options))
        except (UserError, OSError, ImportError) as error:
            storage = None if isinstance(error, UserError) else storage_error(error)
            hint = "" if storage is None else ". Free some space, or allow writing there, and repeat the command."
            print(f"Error: {error}{hint}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"\nInterrupted. {interrupted}", file=sys.stderr)
            return 130

    return run
