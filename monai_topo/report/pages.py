"""Write HTML pages from templates: one file that contains its style, script and pictures."""

from __future__ import annotations

import datetime
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_topo._utils.io import atomic_write
from monai_topo.report.tables import format_extent, format_value, row_title

__all__ = ["page_version", "write_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def page_version() -> dict[str, str]:
    """Return the version of the library and the present time, for the page and its JSON file."""
    now = datetime.datetime.now().astimezone()
    return {"monai_topo": version("monai_topo"), "date": now.isoformat(timespec="seconds")}


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write the page atomically."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_value,
        "extent": format_extent,
        "sortable": _sort_key,
        "title_of": row_title,
    }
    page = environment.get_template(template).render(**content)
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _sort_key(value: Any) -> str:
    """Format a cell's value for the sorting script: empty for NaN, which comes last in both directions."""
    return "" if isinstance(value, float) and math.isnan(value) else str(value)
