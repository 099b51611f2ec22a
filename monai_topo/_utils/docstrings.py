"""Docstrings that share the descriptions of their arguments: each argument is described once, in one source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

_ARGS = re.compile(r"\n\nArgs:\n(.*?)(?=\n\n\S|\Z)", re.DOTALL)
_LATER_SECTION = re.compile(r"\n\n(?:Returns|Raises|Example):\n")
_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)


def described_args(doc: str | None) -> dict[str, str]:
    """Return the descriptions of the arguments in the `Args:` section of a Google-style docstring, by name."""
    section = _ARGS.search(inspect.cleandoc(doc or ""))
    return dict(_ARGUMENT.findall(section[1])) if section else {}


def complete_args(doc: str | None, names: Iterable[str], *sources: str | None) -> str | None:
    """Complete the `Args:` section of a docstring.

    Args:
        doc: Docstring of a class that describes only its own arguments, or none.
        names: Names of all arguments, in the order of the signature.
        sources: Docstrings that describe the remaining arguments; the first one that describes an argument counts.

    Returns:
        The docstring with all arguments described; None without a docstring, as under `python -OO`.
    """
    if doc is None:
        return None
    descriptions: dict[str, str] = {}
    for source in (doc, *sources):
        descriptions = described_args(source) | descriptions
    entries = "\n".join(f"    {name}: {descriptions[name]}" for name in names if name in descriptions)
    doc = _ARGS.sub("", inspect.cleandoc(doc))
    later = _LATER_SECTION.search(doc)
    place = later.start() if later else len(doc)
    return f"{doc[:place]}\n\nArgs:\n{entries}{doc[place:]}"
