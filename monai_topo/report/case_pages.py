"""The command `report`: compare predictions with labels on one page."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.finished import FinishedCases
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, STRUCTURE_ERRORS
from monai_topo.metrics.protocols import describe_protocol
from monai_topo.report.case_sources import find_cases
from monai_topo.report.cases import (
    CaseSettings,
    MeasuredCase,
    draw_case,
    error_column,
    measure_case,
    measured_files,
    part_of,
)
from monai_topo.report.cleaned import check_cleanup, read_cleanup
from monai_topo.report.comparison import compare_annotators, compare_metrics, count_fates
from monai_topo.report.exports import ErrorExport
from monai_topo.report.files import Case
from monai_topo.report.intervals import INTERVALS, add_intervals
from monai_topo.report.jobs import Failure, map_cases
from monai_topo.report.memory import memory_per_case
from monai_topo.report.metric_guide import Column, Group, group_columns, key_columns
from monai_topo.report.orientation import describe_better_fit
from monai_topo.report.pages import page_version, write_page
from monai_topo.report.strips import make_strip
from monai_topo.report.tables import row_title, summarize_all, summarize_parts, write_csv, write_json
from monai_topo.visualize import ERROR_COLORS, OUTSIDE_COLOR

__all__ = ["report_predictions"]

Result = Mapping[str, Any]
Row = Mapping[str, Any]

_LEGEND_ORDER = (1, 2, 7, 4, 5, 8, 3, 6)  # missing, spurious, ends
_ALWAYS_COUNTED = (2, 5)  # breaks and bridges appear in the totals even if there are none


def report_predictions(options: argparse.Namespace) -> int:
    """Write the page, CSV and JSON, and return the exit status (see `python -m monai_topo --help`)."""
    settings = _read_settings(options)
    cases, alone = find_cases(options)
    if options.images and (without := [case.name for case in cases if case.image is None]):
        print(f"{len(without)} of {len(cases)} cases have no image: {', '.join(without)}.", file=sys.stderr)
    if options.second_labels and (without := [case.name for case in cases if case.second_label is None]):
        print(f"{len(without)} of {len(cases)} cases have no second label: {', '.join(without)}.", file=sys.stderr)
    if settings.cleanup is not None:
        check_cleanup(settings.cleanup, cases, settings.spacing_mm)
    export = None if options.export is None else ErrorExport(options.export, cases)
    store = FinishedCases(options.out, {**asdict(settings), "version": version("monai_topo")})
    results, failures = _measure_cases(cases, settings, store, options)
    left_out = [*failures.values(), *alone]
    if not results:
        raise UserError("\n  ".join(["Expected one case that can be measured, but got none.", *left_out]))
    groups = group_columns(name for result in results.values() for name in result["row"])
    order = _sort_cases(results, groups, options.worst_by)
    pictures = _draw_cases(order[: options.worst], results, settings, options)
    rows = [results[case]["row"] for case in order]
    content = _json_content(options, settings, {case: results[case] for case in order}, groups, left_out)
    exported = ""
    not_exported: list[str] = []
    if export is not None:
        exported, not_exported = export.write(
            {case: results[case] for case in order}, settings.spacing_mm, jobs=options.jobs
        )
    write_csv(options.out.with_suffix(".csv"), rows)
    write_json(options.out.with_suffix(".json"), content)
    drawn = [
        {
            "row": row,
            "number": number,
            "errors": results[case]["errors"],
            "cleaned_errors": results[case].get("cleaned_errors", []),
            **pictures[case],
        }
        for number, (case, row) in enumerate(zip(order, rows, strict=True), start=1)
        if case in pictures
    ]
    write_page(options.out, "cases.html", **_page_content(content, rows, groups, drawn))
    if not failures:
        store.remove()
    print(_describe_run(options.out, len(rows), left_out))
    if failures:
        print("Mend the cause and repeat the command: only the cases that failed are measured again.")
    if export is not None:
        print("\n  ".join([exported, *not_exported]))
    for warning in content["warnings"]:
        print(f"Warning: {warning}")
    return 1 if left_out or not_exported else 0


def _read_settings(options: argparse.Namespace) -> CaseSettings:
    if not 0 <= options.threshold < 1:
        raise UserError(f"Expected --threshold to be at least 0 and below 1, but got {options.threshold:g}.")
    if not 0 <= options.tolerance_mm < math.inf:
        raise UserError(f"Expected --tolerance-mm to be finite and at least 0, but got {options.tolerance_mm:g}.")
    if options.worst < 0:
        raise UserError(f"Expected --worst to be at least 0, but got {options.worst}.")
    if options.likelihood_max is not None and not 0 < options.likelihood_max < math.inf:
        raise UserError(f"Expected --likelihood-max to be positive, but got {options.likelihood_max:g}.")
    if options.protocol is not None:
        with as_user_error(ValueError, rename=("`protocol`", "--protocol")):
            describe_protocol(options.protocol, connectivity=options.connectivity, border=options.border)
    names = CaseSettings.__dataclass_fields__.keys() - {"label_foreground", "spacing_mm", "cleanup"}
    spacing = None if options.spacing_mm is None else tuple(options.spacing_mm)
    cleanup = None if options.cleanup is None else read_cleanup(options.cleanup, options.connectivity)
    return CaseSettings(
        label_foreground=options.label_foreground or "nonzero",
        spacing_mm=spacing,
        cleanup=cleanup,
        **{name: getattr(options, name) for name in names},
    )


def _measure_cases(
    cases: Sequence[Case], settings: CaseSettings, store: FinishedCases, options: argparse.Namespace
) -> tuple[dict[Case, Result], dict[Case, str]]:
    """Measure all cases; return results and failures, in the order of the cases."""
    stored = ((case, store.get(measured_files(case), part_of(case))) for case in cases)
    results: dict[Case, Result] = {case: result for case, result in stored if result is not None}
    failures: dict[Case, str] = {}
    if results:
        print(f"{len(results)} finished cases of an earlier run are reused from {store.path}.")
    todo = [case for case in cases if case not in results]
    memory = memory_per_case(options.max_memory, max(1, min(options.jobs, len(todo))))
    work = partial(measure_case, settings=settings, memory=memory)
    for index, result in map_cases(work, todo, jobs=options.jobs, title="measuring", time_limit=options.time_limit):
        if isinstance(result, Failure):
            failures[todo[index]] = result.sentence
        else:
            results[todo[index]] = result
            store.add(measured_files(todo[index]), result, part_of(todo[index]))
    return {case: results[case] for case in cases if case in results}, failures


def _draw_cases(
    cases: Sequence[Case], results: Mapping[Case, Result], settings: CaseSettings, options: argparse.Namespace
) -> dict[Case, dict[str, Any]]:
    pictures = {}
    items = [MeasuredCase(case.label, case, results[case]) for case in cases]
    work = partial(draw_case, settings=settings)
    for index, picture in map_cases(work, items, jobs=options.jobs, title="drawing", time_limit=options.time_limit):
        pictures[cases[index]] = {"failure": picture.sentence} if isinstance(picture, Failure) else picture
    return pictures


def _sort_cases(results: Mapping[Case, Result], groups: Sequence[Group], worst_by: str) -> list[Case]:
    """Sort cases by a column, worst first and NaN ("not applicable") last; ties by clDice, then by their order."""
    by_name = {column.name: column for group in groups for column in group.columns if column.better}
    if worst_by not in by_name:
        raise UserError(
            f"Expected --worst-by to be a column with better and worse values, but got {worst_by!r}; "
            f"choose from {', '.join(by_name)}."
        )
    sign = -1 if by_name[worst_by].better == "lower" else 1

    def key(case: Case) -> tuple[bool, float, float]:
        row = results[case]["row"]
        value, second = row.get(worst_by, math.nan), row["cldice"]
        return math.isnan(value), 0 if math.isnan(value) else sign * value, 1 if math.isnan(second) else second

    return sorted(results, key=key)


def _json_content(
    options: argparse.Namespace,
    settings: CaseSettings,
    results: Mapping[Case, Result],
    groups: Sequence[Group],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """Collect the content of the JSON file, which the page shows too."""
    rows = [result["row"] for result in results.values()]
    classes = list(dict.fromkeys(row["class"] for row in rows if "class" in row))
    names = [column.name for group in groups for column in group.columns]
    cleaned = [result for result in results.values() if "cleaned_errors" in result]
    return {
        **page_version(),
        "predictions": options.predictions,
        "labels": options.labels,
        "masks": options.masks,
        "images": options.images,
        "second_labels": options.second_labels,
        "classes": classes,
        "probabilities": options.probabilities,
        "settings": asdict(settings) | ({"label_foreground": None, "prediction_foreground": None} if classes else {}),
        "cleanup": options.cleanup,
        "protocol": None if settings.protocol is None else describe_protocol(settings.protocol, **settings.topology()),
        "worst_by": options.worst_by,
        "measured": len(rows),
        "left_out": list(left_out),
        "warnings": _find_warnings(results.values(), settings),
        "intervals": INTERVALS,
        "summary": add_intervals(summarize_all(rows, names), rows),
        **summarize_parts(rows, names),
        **(
            {"cleaned": {"errors": count_fates(cleaned), "metrics": compare_metrics(rows, key_columns(groups))}}
            if cleaned
            else {}
        ),
        **({"human": compare_annotators(rows, key_columns(groups))} if options.second_labels else {}),
        "cases": [
            {
                "prediction_file": str(case.prediction),
                "label_file": str(case.label),
                "mask_file": None if case.mask is None else str(case.mask),
                "image_file": None if case.image is None else str(case.image),
                "second_label_file": None if case.second_label is None else str(case.second_label),
                **result["row"],
                **{name: result[name] for name in ("errors", "cleaned_errors") if name in result},
            }
            for case, result in results.items()
        ],
    }


def _find_warnings(results: Iterable[Result], settings: CaseSettings) -> list[str]:
    """Collect the sentences at the top of the page."""
    warnings = []
    if fit := describe_better_fit([result["fits"] for result in results]):
        warnings.append(fit)
    if settings.cleanup is not None and settings.cleanup["border"] != settings.border:
        warnings.append(
            f"The clean-up has border {settings.cleanup['border']}, the metrics have border {settings.border}: set "
            f"--border {settings.cleanup['border']} to measure as it was chosen."
        )
    return warnings


def _page_content(
    content: Mapping[str, Any], rows: Sequence[Row], groups: Sequence[Group], drawn: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    key = key_columns(groups)
    columns = {column.name: column for group in groups for column in group.columns}
    totals = {kind: int(sum(row[error_column(kind)] for row in rows)) for kind in CHANGES_OF_TOPOLOGY}
    return {
        "content": content,
        "rows": rows,
        "has_folds": any("fold" in row for row in rows),
        "groups": groups,
        "columns": [*key, *(column for column in columns.values() if column not in key)],
        "num_key": len(key),
        "worst_by": columns[content["worst_by"]].title,
        "worst": {name: _find_worst(rows, column) for name, column in columns.items()},
        "strips": {name: make_strip(rows, name) for name in columns},
        "human_strips": {column.name: make_strip(rows, column.name, f"human_{column.name}") for column in key},
        "totals": [
            {"name": error_column(kind).replace("_", " "), "color": ERROR_COLORS[kind], "count": count}
            for kind, count in totals.items()
            if count or kind in _ALWAYS_COUNTED
        ],
        "drawn": [case | {"numbers": _select_numbers(case["row"], key)} for case in drawn],
        "legend": [
            *({"name": STRUCTURE_ERRORS[kind], "color": ERROR_COLORS[kind]} for kind in _LEGEND_ORDER),
            *([{"name": "outside the mask", "color": OUTSIDE_COLOR}] if content["masks"] else []),
        ],
        "colors": {STRUCTURE_ERRORS[kind]: color for kind, color in ERROR_COLORS.items()},
        "num_wrong": sum(any(row[error_column(kind)] for kind in CHANGES_OF_TOPOLOGY) for row in rows),
    }


def _select_numbers(row: Row, key: Sequence[Column]) -> list[tuple[str, float]]:
    """Select the numbers below a case's name, without the counts that are 0."""
    counts = {error_column(kind) for kind in STRUCTURE_ERRORS}
    return [
        (column.title, row[column.name])
        for column in key
        if column.name in row and (row[column.name] != 0 or column.name not in counts)
    ]


def _find_worst(rows: Sequence[Row], column: Column) -> str:
    """Find the case with the worst value; none if all are equally good."""
    cases = [(row[column.name], row_title(row)) for row in rows if not math.isnan(row.get(column.name, math.nan))]
    values = [value for value, _ in cases]
    if not column.better or not values or min(values) == max(values):
        return ""
    extreme = max(values) if column.better == "lower" else min(values)
    return str(next(case for value, case in cases if value == extreme))


def _describe_run(page: Path, measured: int, left_out: Sequence[str]) -> str:
    files = f"{page} (and {page.with_suffix('.csv').name}, {page.with_suffix('.json').name})"
    if not left_out:
        return f"{measured} cases measured: {files}."
    reasons = "\n  ".join(left_out)
    return f"{measured} cases measured, {len(left_out)} left out: {files}.\n  {reasons}"
