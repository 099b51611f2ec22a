"""The command `labels`: labels looked at before a network is trained on them."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import feature_names
from monai_topo.masks.label_check import check_label
from monai_topo.report.conventions import Convention, convention_of, values_of
from monai_topo.report.files import find_files
from monai_topo.report.jobs import Failure, map_cases
from monai_topo.report.label_advice import advice_on, command_line
from monai_topo.report.label_drawings import LABEL_MARKS, draw_label
from monai_topo.report.metric_guide import Column
from monai_topo.report.pages import write_page
from monai_topo.report.reading import read_label
from monai_topo.report.strips import strip_of
from monai_topo.report.tables import summary_of, write_csv, write_json

__all__ = ["report_labels"]

Row = dict[str, Any]


@dataclass(frozen=True)
class LabelSettings:
    """Everything beside its file that a label's numbers hang on; the command's options of the same names."""

    label_foreground: str
    connectivity: Connectivity
    border: Border
    min_component: float
    min_hole: float
    spacing_mm: tuple[float, ...] | None


def report_labels(options: argparse.Namespace) -> int:
    """Write page, CSV and JSON; return the exit status, see `python -m monai_topo --help`."""
    if options.worst < 0:
        raise UserError(f"Expected --worst to be at least 0, but got {options.worst}.")
    found = find_files(
        options.labels, pattern=options.label_files, key=options.label_key, section=options.section, all_sections=True
    )
    paths = list(dict.fromkeys(one.path for one in found))
    left_out: list[str] = []
    convention, readable = Convention(options.label_foreground, "As given by --label-foreground."), paths
    if options.label_foreground == "auto":
        values = _done(values_of, paths, options.jobs, "looking", left_out)
        if not values:
            raise UserError("\n  ".join(["Expected one label that can be read, but got none.", *left_out]))
        convention, readable = convention_of(list(values.values())), list(values)
    settings = LabelSettings(
        label_foreground=convention.rule,
        connectivity=options.connectivity,
        border=options.border,
        min_component=options.min_component,
        min_hole=options.min_hole,
        spacing_mm=None if options.spacing_mm is None else tuple(options.spacing_mm),
    )
    checked = _done(partial(checked_label, settings=settings), readable, options.jobs, "checking", left_out)
    if not checked:
        raise UserError("\n  ".join(["Expected one label that can be checked, but got none.", *left_out]))
    names = dict(zip(checked, _short_names(list(checked)), strict=True))
    rows = {path: {"case": names[path], **row} for path, row in checked.items()}
    order = sorted(rows, key=lambda path: _accidents(rows[path]), reverse=True)
    picture = partial(draw_label, **{k: v for k, v in asdict(settings).items() if k != "spacing_mm"})
    pictures = _done(picture, order[: options.worst], options.jobs, "drawing", left_out)
    _write(options, settings, convention, {path: rows[path] for path in order}, pictures, left_out)
    print(f"{len(rows)} labels looked at: {options.out} (and CSV, JSON). Foreground: {convention.rule!r}.")
    for sentence in left_out:
        print(f"  left out: {sentence}")
    return 1 if left_out else 0


def checked_label(path: Path, settings: LabelSettings) -> Row:
    """Check one label file; a row of the table."""
    label, spacing = read_label(path, settings.spacing_mm)
    try:
        row = check_label(
            label[None] if label.ndim == 3 else label,
            settings.label_foreground,
            min_component=settings.min_component,
            min_hole=settings.min_hole,
            connectivity=settings.connectivity,
            border=settings.border,
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {str(error).replace('`foreground`', '--label-foreground')}") from error
    sizes = {
        "size": " x ".join(map(str, label.shape[::-1])),
        "spacing_mm": " x ".join(f"{s:.3g}" for s in spacing[::-1]),
    }
    return {"file": str(path), **sizes, **row}


def _done(
    work: Callable[[Path], Any], paths: Sequence[Path], jobs: int, title: str, left_out: list[str]
) -> dict[Path, Any]:
    done = {}
    for index, result in map_cases(work, paths, jobs=jobs, title=title):
        if isinstance(result, Failure):
            left_out.append(result.sentence)
        else:
            done[paths[index]] = result
    return {path: done[path] for path in paths if path in done}


def _short_names(paths: Sequence[Path]) -> list[str]:
    """File names, with as many folders as tell them apart."""
    parts = 1
    while max(Counter(path.parts[-parts:] for path in paths).values()) > 1:
        parts += 1
    return ["/".join(path.parts[-parts:]) for path in paths]


def _accidents(row: Mapping[str, Any]) -> tuple[float, float]:
    return row["specks"] + row["pinholes"], row["b0_susceptibility"]


def _write(
    options: argparse.Namespace,
    settings: LabelSettings,
    convention: Convention,
    rows: Mapping[Path, Row],
    pictures: Mapping[Path, Any],
    left_out: Sequence[str],
) -> None:
    table = list(rows.values())
    shapes = [[int(length) for length in row["size"].split(" x ")] for row in table]
    dims = sorted({len(shape) for shape in shapes})
    advice = {
        ndim: advice_on(
            [row for row, shape in zip(table, shapes, strict=True) if len(shape) == ndim],
            convention,
            [shape for shape in shapes if len(shape) == ndim],
        )
        for ndim in dims
    }
    columns = _columns(dims[-1])
    content = {
        "monai_topo": version("monai_topo"),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "labels": options.labels,
        "settings": asdict(settings),
        "convention": convention._asdict(),
        "checked": len(table),
        "left_out": list(left_out),
        "advice": {f"{ndim}D": [one._asdict() for one in some] for ndim, some in advice.items()},
        "summary": {one.name: found._asdict() for one in columns if (found := summary_of(table, one.name))},
        "cases": table,
    }
    write_csv(options.out.with_suffix(".csv"), table)
    write_json(options.out.with_suffix(".json"), content)
    write_page(
        options.out,
        "labels.html",
        content=content,
        rows=table,
        columns=columns,
        strips={one.name: strip_of(table, one.name) for one in columns},
        advice=advice,
        commands={ndim: command_line(some, ndim) for ndim, some in advice.items()},
        drawn=[
            {"row": row, "number": number, **pictures[path]}
            for number, (path, row) in enumerate(rows.items(), start=1)
            if path in pictures
        ],
        legend=[{"name": name, "color": color} for name, color in LABEL_MARKS.items()],
    )


def _columns(ndim: int) -> list[Column]:
    fixed = [
        Column("foreground_fraction", "foreground", "", "share of the voxels"),
        Column("specks", "specks", "lower", "components smaller than --min-component"),
        Column("pinholes", "pinholes", "lower", "holes (in 3D cavities) smaller than --min-hole"),
        Column("border_components", "components at the border", "", "components that touch the border of the image"),
        Column("voxels_changed", "voxels to repair", "lower", "voxels of specks and pinholes"),
    ]
    of_dims = []
    for k, what in enumerate(feature_names(ndim)):
        of_dims += [
            Column(f"b{k}_full", f"{what}, full", "", f"{what} with full connectivity"),
            Column(f"b{k}_face", f"{what}, face", "", f"{what} with face connectivity"),
            Column(
                f"b{k}_susceptibility",
                f"{what}, difference",
                "lower",
                "by how much the two differ: what hangs on the connectivity",
            ),
            Column(f"b{k}_cleaned", f"{what}, cleaned", "", f"{what} without specks and pinholes"),
        ]
    return [*fixed, *of_dims]
