"""The command `report`: predictions measured against labels, and told on one page."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, STRUCTURE_ERRORS
from monai_topo.report.cases import CaseSettings, draw_case, error_column, files_of, measure_case
from monai_topo.report.files import Case, Found, find_files, paired
from monai_topo.report.jobs import Failure, FinishedCases, map_cases
from monai_topo.report.metric_guide import Column, Group, columns_of, key_columns
from monai_topo.report.pages import write_page
from monai_topo.report.strips import strip_of
from monai_topo.report.tables import summary_of, write_csv, write_json
from monai_topo.visualize import ERROR_COLORS, OUTSIDE_COLOR

__all__ = ["report_predictions"]

Result = Mapping[str, Any]


def report_predictions(options: argparse.Namespace) -> int:
    """Write page, CSV and JSON; return the exit status, see `python -m monai_topo --help`."""
    settings = _settings(options)
    cases, alone = _cases(options)
    results, failures = _measured(cases, settings, options)
    left_out = [*failures.values(), *alone]
    if not results:
        raise UserError("\n  ".join(["Expected one case that can be measured, but got none.", *left_out]))
    rows = [result["row"] for result in results.values()]
    groups = columns_of(rows[0] if len(rows) == 1 else {name for row in rows for name in row})
    order = _worst_first(list(results), results, groups, options.worst_by)
    pictures = _drawn(order[: options.worst], results, settings, options.jobs)
    content = _content(options, settings, results, order, groups, left_out)
    write_csv(options.out.with_suffix(".csv"), [results[case]["row"] for case in order])
    write_json(options.out.with_suffix(".json"), content)
    write_page(options.out, "cases.html", **_page(content, results, order, groups, pictures))
    _finished(cases, settings, options).remove()
    print(_last_words(options.out, len(rows), left_out))
    return 1 if left_out else 0


def _settings(options: argparse.Namespace) -> CaseSettings:
    if not 0 <= options.threshold < 1:
        raise UserError(f"Expected --threshold to be at least 0 and below 1, but got {options.threshold:g}.")
    if not 0 <= options.tolerance_mm < math.inf:
        raise UserError(f"Expected --tolerance-mm to be finite and at least 0, but got {options.tolerance_mm:g}.")
    if options.worst < 0:
        raise UserError(f"Expected --worst to be at least 0, but got {options.worst}.")
    if options.likelihood_max is not None and not 0 < options.likelihood_max < math.inf:
        raise UserError(f"Expected --likelihood-max to be positive, but got {options.likelihood_max:g}.")
    names = CaseSettings.__dataclass_fields__.keys() - {"spacing_mm"}
    spacing = None if options.spacing_mm is None else tuple(options.spacing_mm)
    return CaseSettings(spacing_mm=spacing, **{name: getattr(options, name) for name in names})


def _cases(options: argparse.Namespace) -> tuple[list[Case], list[str]]:
    def found(source: str, pattern: str | None, key: str) -> list[Found]:
        return find_files(source, pattern=pattern, key=key, section=options.section, all_sections=False)

    beside: dict[str, list[Found]] = {}
    for kind in ("mask", "image"):
        source, pattern, key = (getattr(options, f"{kind}{end}") for end in ("s", "_files", "_key"))
        if source is not None:
            beside[f"{kind}s"] = found(source, pattern, key or kind)
        elif pattern is not None or key is not None:
            raise UserError(f"Expected --{kind}s along with --{kind}-files or --{kind}-key, but got none.")
    predictions = found(options.predictions, options.prediction_files, options.prediction_key)
    labels = found(options.labels, options.label_files, options.label_key)
    cases, alone = paired(predictions, labels, **beside)
    if options.images and (without := [case.name for case in cases if case.image is None]):
        print(f"{len(without)} of {len(cases)} cases have no image to show: {', '.join(without)}.", file=sys.stderr)
    return cases, alone


def _finished(cases: Sequence[Case], settings: CaseSettings, options: argparse.Namespace) -> FinishedCases:
    return FinishedCases(options.out, {**asdict(settings), "version": version("monai_topo")})


def _measured(
    cases: Sequence[Case], settings: CaseSettings, options: argparse.Namespace
) -> tuple[dict[Case, Result], dict[Case, str]]:
    """Results and failures, in the order of the cases."""
    finished = _finished(cases, settings, options)
    results: dict[Case, Result] = {}
    failures: dict[Case, str] = {}
    for case in cases:
        result = finished.get(files_of(case))
        if result is not None:
            results[case] = result
    if results:
        print(f"{len(results)} cases of a run that did not end are taken up from {finished.path}.")
    todo = [case for case in cases if case not in results]
    for index, result in map_cases(
        partial(measure_case, settings=settings), todo, jobs=options.jobs, title="measuring"
    ):
        if isinstance(result, Failure):
            failures[todo[index]] = result.sentence
        else:
            results[todo[index]] = result
            finished.add(files_of(todo[index]), result)
    return {case: results[case] for case in cases if case in results}, failures


def _drawn(
    cases: Sequence[Case], results: Mapping[Case, Result], settings: CaseSettings, jobs: int
) -> dict[Case, dict[str, Any]]:
    pictures = {}
    items = [(case, results[case]) for case in cases]
    for index, picture in map_cases(partial(draw_case, settings=settings), items, jobs=jobs, title="drawing"):
        pictures[cases[index]] = {"failure": picture.sentence} if isinstance(picture, Failure) else picture
    return pictures


def _worst_first(
    cases: Sequence[Case], results: Mapping[Case, Result], groups: Sequence[Group], worst_by: str
) -> list[Case]:
    """Cases by a column, the worst first; NaN, "not applicable", last. Ties go by clDice, then by their order."""
    by_name = {column.name: column for group in groups for column in group.columns if column.better}
    if worst_by not in by_name:
        raise UserError(
            f"Expected --worst-by to be a column of which one way is better, but got {worst_by!r}; "
            f"choose from {', '.join(by_name)}."
        )
    sign = -1 if by_name[worst_by].better == "lower" else 1

    def key(case: Case) -> tuple[bool, float, float]:
        row = results[case]["row"]
        value, second = row.get(worst_by, math.nan), row["cldice"]
        return math.isnan(value), 0 if math.isnan(value) else sign * value, 1 if math.isnan(second) else second

    return sorted(cases, key=key)


def _content(
    options: argparse.Namespace,
    settings: CaseSettings,
    results: Mapping[Case, Result],
    order: Sequence[Case],
    groups: Sequence[Group],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """What the JSON file holds, and the page shows."""
    rows = [result["row"] for result in results.values()]
    names = [column.name for group in groups for column in group.columns]
    return {
        "monai_topo": version("monai_topo"),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "predictions": options.predictions,
        "labels": options.labels,
        "masks": options.masks,
        "images": options.images,
        "settings": asdict(settings),
        "worst_by": options.worst_by,
        "measured": len(rows),
        "left_out": list(left_out),
        "summary": {name: found._asdict() for name in names if (found := summary_of(rows, name))},
        "cases": [
            {
                "prediction_file": str(case.prediction),
                "label_file": str(case.label),
                "mask_file": None if case.mask is None else str(case.mask),
                "image_file": None if case.image is None else str(case.image),
                **results[case]["row"],
                "errors": results[case]["errors"],
            }
            for case in order
        ],
    }


def _page(
    content: Mapping[str, Any],
    results: Mapping[Case, Result],
    order: Sequence[Case],
    groups: Sequence[Group],
    pictures: Mapping[Case, dict[str, Any]],
) -> dict[str, Any]:
    rows = [results[case]["row"] for case in order]
    key = key_columns(groups)
    drawn = [
        {"row": row, "number": number, "numbers": _first_numbers(row, key), "errors": results[case]["errors"]}
        | pictures[case]
        for number, (case, row) in enumerate(zip(order, rows, strict=True), start=1)
        if case in pictures
    ]
    totals = [
        {"name": error_column(kind).replace("_", " "), "color": ERROR_COLORS[kind], "count": count}
        for kind in CHANGES_OF_TOPOLOGY
        if (count := int(sum(row[error_column(kind)] for row in rows))) or kind in (2, 5)
    ]
    return {
        "content": content,
        "rows": rows,
        "groups": groups,
        "columns": [*key, *(column for group in groups for column in group.columns if column not in key)],
        "num_key": len(key),
        "worst_by": next(c.title for group in groups for c in group.columns if c.name == content["worst_by"]),
        "worst": {column.name: _worst(rows, column) for group in groups for column in group.columns},
        "strips": {column.name: strip_of(rows, column.name) for group in groups for column in group.columns},
        "totals": totals,
        "drawn": drawn,
        "legend": [
            *({"name": STRUCTURE_ERRORS[kind], "color": ERROR_COLORS[kind]} for kind in (1, 2, 7, 4, 5, 8, 3, 6)),
            *([{"name": "outside of the mask", "color": OUTSIDE_COLOR}] if content["masks"] else []),
        ],
        "colors": {STRUCTURE_ERRORS[kind]: color for kind, color in ERROR_COLORS.items()},
        "errors_in_words": _errors_in_words(rows),
    }


def _first_numbers(row: Mapping[str, Any], key: Sequence[Column]) -> list[tuple[str, float]]:
    """The numbers under a case's name, without the counts that are 0."""
    counts = {error_column(kind) for kind in STRUCTURE_ERRORS}
    return [
        (column.title, row[column.name])
        for column in key
        if column.name in row and (row[column.name] != 0 or column.name not in counts)
    ]


def _worst(rows: Sequence[Mapping[str, Any]], column: Column) -> str:
    """The case whose value is worst; none if all are equally good."""
    found = [(row[column.name], row["case"]) for row in rows if not math.isnan(row.get(column.name, math.nan))]
    values = [value for value, _ in found]
    if not column.better or not values or min(values) == max(values):
        return ""
    extreme = max(values) if column.better == "lower" else min(values)
    return str(next(case for value, case in found if value == extreme))


def _errors_in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    whole = sum(all(row[error_column(kind)] == 0 for kind in CHANGES_OF_TOPOLOGY) for row in rows)
    if whole == len(rows):
        return "No case has an error that changes the topology."
    return f"{len(rows) - whole} of {len(rows)} cases have errors that change the topology."


def _last_words(page: Path, measured: int, left_out: Sequence[str]) -> str:
    files = f"{page} (and {page.with_suffix('.csv').name}, {page.with_suffix('.json').name})"
    if not left_out:
        return f"{measured} cases measured: {files}."
    named = "\n  ".join(left_out)
    return f"{measured} cases measured, {len(left_out)} left out: {files}.\n  {named}"
