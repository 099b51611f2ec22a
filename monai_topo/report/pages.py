"""Pages from templates: one file with its style, its script and its pictures inside."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from monai_topo._utils.io import atomic_write
from monai_topo.report.tables import shown

__all__ = ["write_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write the page, whole."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "sortable": _sortable}
    page = environment.get_template(template).render(**content)
    with atomic_write(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def _sortable(value: Any) -> str:
    """A cell's value for the script that sorts: nothing for NaN, which comes last either way."""
    return "" if isinstance(value, float) and math.isnan(value) else str(value)
