"""The command `labels`: check labels before a network is trained on them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import feature_names
from monai_topo.masks.label_check import check_label
from monai_topo.report.conventions import Convention, count_values, guess_convention
from monai_topo.report.files import find_files
from monai_topo.report.jobs import Failure, map_cases
from monai_topo.report.label_advice import Advice, format_command, recommend_settings
from monai_topo.report.label_drawings import LABEL_MARKS, draw_label
from monai_topo.report.metric_guide import Column
from monai_topo.report.pages import page_version, write_page
from monai_topo.report.reading import read_label
from monai_topo.report.strips import make_strip
from monai_topo.report.tables import summarize, write_csv, write_json

__all__ = ["report_labels"]

Row = dict[str, Any]


@dataclass(frozen=True)
class LabelSettings:
    """Settings that the numbers of a label depend on; they are the command's options of the same names."""

    label_foreground: str
    connectivity: Connectivity
    border: Border
    min_component: float
    min_hole: float
    spacing_mm: tuple[float, ...] | None


def report_labels(options: argparse.Namespace) -> int:
    """Write the page, CSV and JSON, and return the exit status (see `python -m monai_topo --help`)."""
    if options.worst < 0:
        raise UserError(f"Expected --worst to be at least 0, but got {options.worst}.")
    files = find_files(
        options.labels,
        pattern=options.label_files,
        key=options.label_key,
        section=options.section,
        all_sections=True,
        allow_outside=options.allow_outside,
    )
    paths = list(dict.fromkeys(file.path for file in files))
    left_out: list[str] = []
    convention, readable = Convention(options.label_foreground, "Set by --label-foreground."), paths
    if options.label_foreground == "auto":
        values = _map_paths(count_values, paths, options.jobs, "reading", left_out)
        if not values:
            raise UserError("\n  ".join(["Expected one label that can be read, but got none.", *left_out]))
        convention, readable = guess_convention(list(values.values())), list(values)
    settings = LabelSettings(
        label_foreground=convention.rule,
        connectivity=options.connectivity,
        border=options.border,
        min_component=options.min_component,
        min_hole=options.min_hole,
        spacing_mm=None if options.spacing_mm is None else tuple(options.spacing_mm),
    )
    checked = _map_paths(partial(measure_label, settings=settings), readable, options.jobs, "checking", left_out)
    if not checked:
        raise UserError("\n  ".join(["Expected one label that can be checked, but got none.", *left_out]))
    names = dict(zip(checked, _short_names(list(checked)), strict=True))
    order = sorted(checked, key=lambda path: _count_accidents(checked[path]), reverse=True)
    rows = {path: {"case": names[path], **checked[path]} for path in order}
    draw = partial(draw_label, **{k: v for k, v in asdict(settings).items() if k != "spacing_mm"})
    pictures = _map_paths(draw, order[: options.worst], options.jobs, "drawing", left_out)
    _write_files(options, settings, convention, rows, pictures, left_out)
    print(f"{len(rows)} labels checked: {options.out} (and CSV, JSON). Foreground: {convention.rule!r}.")
    for sentence in left_out:
        print(f"  left out: {sentence}")
    return 1 if left_out else 0


def measure_label(path: Path, settings: LabelSettings) -> Row:
    """Check one label file, and return its row of the table."""
    label, spacing = read_label(path, settings.spacing_mm)
    with as_user_error(TypeError, ValueError, prefix=f"{path}: ", rename=("`foreground`", "--label-foreground")):
        row = check_label(
            label[None] if label.ndim == 3 else label,
            settings.label_foreground,
            min_component=settings.min_component,
            min_hole=settings.min_hole,
            connectivity=settings.connectivity,
            border=settings.border,
        )
    return {"file": str(path), "size": label.shape[::-1], "spacing_mm": spacing[::-1], **row}


def _map_paths(
    work: Callable[[Path], Any], paths: Sequence[Path], jobs: int, title: str, left_out: list[str]
) -> dict[Path, Any]:
    """Collect the result of each file in the order of the files; append failures to `left_out`."""
    results = {}
    for index, result in map_cases(work, paths, jobs=jobs, title=title):
        if isinstance(result, Failure):
            left_out.append(result.sentence)
        else:
            results[paths[index]] = result
    return {path: results[path] for path in paths if path in results}


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Shorten paths to the file name and as many folders as distinguish them."""
    parts = 1
    while max(Counter(path.parts[-parts:] for path in paths).values()) > 1:
        parts += 1
    return ["/".join(path.parts[-parts:]) for path in paths]


def _count_accidents(row: Row) -> tuple[float, float]:
    return row["specks"] + row["pinholes"], row["b0_susceptibility"]


def _write_files(
    options: argparse.Namespace,
    settings: LabelSettings,
    convention: Convention,
    rows: Mapping[Path, Row],
    pictures: Mapping[Path, Any],
    left_out: Sequence[str],
) -> None:
    table = list(rows.values())
    advice = _recommend_by_dims(table, convention)
    columns = _make_columns(max(advice))
    content = {
        **page_version(),
        "labels": options.labels,
        "settings": asdict(settings),
        "convention": convention._asdict(),
        "checked": len(table),
        "left_out": list(left_out),
        "advice": {f"{ndim}D": [one._asdict() for one in some] for ndim, some in advice.items()},
        "summary": {one.name: summary._asdict() for one in columns if (summary := summarize(table, one.name))},
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
        strips={column.name: make_strip(table, column.name) for column in columns},
        advice=advice,
        commands={ndim: format_command(some, ndim) for ndim, some in advice.items()},
        drawn=[
            {"row": row, "number": number, **pictures[path]}
            for number, (path, row) in enumerate(rows.items(), start=1)
            if path in pictures
        ],
        legend=[{"name": name, "color": color} for name, color in LABEL_MARKS.items()],
    )


def _recommend_by_dims(rows: Sequence[Row], convention: Convention) -> dict[int, list[Advice]]:
    """Recommend settings for the 2D labels and for the 3D labels, if there are any."""
    advice = {}
    for ndim in (2, 3):
        if some := [row for row in rows if len(row["size"]) == ndim]:
            advice[ndim] = recommend_settings(some, convention, [row["size"] for row in some])
    return advice


def _make_columns(ndim: int) -> list[Column]:
    columns = [
        Column("foreground_fraction", "foreground", "", "fraction of the voxels"),
        Column("specks", "specks", "lower", "components smaller than --min-component"),
        Column("pinholes", "pinholes", "lower", "holes (in 3D cavities) smaller than --min-hole"),
        Column("border_components", "components at the border", "", "components that touch the border of the image"),
        Column("voxels_changed", "voxels to repair", "lower", "voxels of specks and pinholes"),
    ]
    for k, what in enumerate(feature_names(ndim)):
        difference = "absolute difference of the two numbers: how much depends on the connectivity"
        columns += [
            Column(f"b{k}_full", f"{what}, full", "", f"{what} with full connectivity"),
            Column(f"b{k}_face", f"{what}, face", "", f"{what} with face connectivity"),
            Column(f"b{k}_susceptibility", f"{what}, difference", "lower", difference),
            Column(f"b{k}_cleaned", f"{what}, cleaned", "", f"{what} without specks and pinholes"),
        ]
    return columns
