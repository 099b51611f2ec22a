"""Groups and meanings of a report's columns, read from `metric_guide.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from monai_topo.masks.components import feature_names
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY
from monai_topo.report.cases import error_column

__all__ = ["Column", "Group", "group_columns", "key_columns"]

_KEY = ("dice", "cldice", "topology_f1", "betti_matching_error", "betti_error", "diu", "voi", "adapted_rand_error")


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: Name in the CSV and JSON files.
        title: Heading on the page.
        better: Direction of better values, or "" if there is none.
        meaning: Explanation of the values.
    """

    name: str
    title: str
    better: Literal["lower", "higher", ""]
    meaning: str


class Group(NamedTuple):
    """Related columns."""

    title: str
    meaning: str
    columns: tuple[Column, ...]


def group_columns(names: Iterable[str]) -> list[Group]:
    """Group those columns that a table has, in the order of the guide."""
    present = set(names)
    features = feature_names(3 if "b2_label" in present else 2)
    groups = []
    for group in _read_guide():
        columns = [column for template in group.columns for column in _fill(template, features)]
        if kept := tuple(column for column in columns if column.name in present):
            groups.append(group._replace(columns=kept))
    return groups


def key_columns(groups: Sequence[Group]) -> list[Column]:
    """Select the most important columns: a protocol's, counts of errors that change the topology, one per family."""
    by_name = {column.name: column for group in groups for column in group.columns}
    of_protocol = [name for name in by_name if name.startswith("protocol_")]
    names = [*of_protocol, *_KEY[:4], *(error_column(kind) for kind in CHANGES_OF_TOPOLOGY), *_KEY[4:]]
    return [by_name[name] for name in names if name in by_name]


@cache
def _read_guide() -> list[Group]:
    guide = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return [Group(group["title"], group["meaning"], tuple(Column(*row) for row in group["columns"])) for group in guide]


def _fill(template: Column, features: Sequence[str]) -> list[Column]:
    """Make one column per dimension of a template with `{k}`, the dimension, and `{what}`, its features."""
    if "{k}" not in template.name:
        return [template]
    return [
        template._replace(
            name=template.name.format(k=k),
            title=template.title.format(what=what),
            meaning=template.meaning.format(what=what),
        )
        for k, what in enumerate(features)
    ]
