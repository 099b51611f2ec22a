"""What each column of a report means, which way is better, and what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from monai_topo.masks.components import feature_names
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, STRUCTURE_ERRORS
from monai_topo.report.cases import error_column

__all__ = ["Column", "Group", "columns_of", "key_columns"]

Better = Literal["lower", "higher", ""]


class Column(NamedTuple):
    """A column: its name in the files, its title on the page, and what it says."""

    name: str
    title: str
    better: Better
    meaning: str


class Group(NamedTuple):
    """Columns that belong together."""

    title: str
    meaning: str
    columns: tuple[Column, ...]


# Group: title, meaning, and (name, title, better, meaning); {k} stands for the dimensions, {what} for their features.
_Entry = tuple[str, str, Better, str]
_GROUPS: tuple[tuple[str, str, tuple[_Entry, ...]], ...] = (
    (
        "Betti numbers",
        "Components, holes and cavities, counted; blind to where they are.",
        (
            ("b{k}_pred", "{what}, prediction", "", "number of {what} of the prediction"),
            ("b{k}_label", "{what}, label", "", "number of {what} of the label"),
            ("betti_error_{k}", "Betti error, {what}", "lower", "{what} too many or too few"),
            ("betti_error", "Betti error", "lower", "features too many or too few, all dimensions added up"),
            ("euler_error", "Euler characteristic error", "lower", "difference of the Euler characteristics"),
        ),
    ),
    (
        "MatchResult by place",
        "Betti matching: a feature of the prediction and one of the label are matched if they become one and the same "
        "in the union of both masks. DIU: features of the intersection of both masks that are gone in their union, and "
        "features of the union that were not in the intersection.",
        (
            ("betti_matching_error_{k}", "Betti matching error, {what}", "lower", "unmatched {what}"),
            ("betti_matching_error", "Betti matching error", "lower", "unmatched features of all dimensions"),
            ("topology_f1_{k}", "topology F1, {what}", "higher", "2 matched / (2 matched + spurious + missing)"),
            ("topology_f1", "topology F1", "higher", "2 matched / (2 matched + spurious + missing) features"),
            ("topology_matched_{k}", "matched {what}", "", "{what} of both"),
            (
                "topology_spurious_{k}",
                "unmatched {what}, prediction",
                "lower",
                "spurious: {what} of the prediction alone",
            ),
            ("topology_missing_{k}", "unmatched {what}, label", "lower", "{what} of the label alone"),
            ("topology_matched", "matched features", "", "features of both"),
            (
                "topology_spurious",
                "unmatched features, prediction",
                "lower",
                "spurious: features of the prediction alone",
            ),
            ("topology_missing", "unmatched features, label", "lower", "features of the label alone"),
            ("diu_{k}", "DIU, {what}", "lower", "{what} that intersection and union of both do not share"),
            ("diu", "DIU", "lower", "discrepancy between intersection and union, all dimensions"),
        ),
    ),
    (
        "Centerlines",
        "Skeletons of one mask inside the other.",
        (
            ("cldice", "clDice", "higher", "harmonic mean of topology precision and sensitivity"),
            ("topology_precision", "topology precision", "higher", "share of the prediction's skeleton in the label"),
            ("topology_sensitivity", "topology sensitivity", "higher", "share of the label's skeleton predicted"),
            ("skeleton_recall", "skeleton recall", "higher", "share of the label's tubed skeleton predicted"),
        ),
    ),
    (
        "Instances",
        "Components as objects: split, merged, found.",
        (
            ("voi_split", "VOI, split", "lower", "variation of information, bits: true objects split"),
            ("voi_merge", "VOI, merge", "lower", "variation of information, bits: true objects merged"),
            ("voi", "VOI", "lower", "variation of information, bits: split and merged objects"),
            ("adapted_rand_error", "adapted Rand error", "lower", "1 - F-score over pairs of voxels"),
            ("adapted_rand_precision", "Rand precision", "higher", "low where objects are merged"),
            ("adapted_rand_recall", "Rand recall", "higher", "low where objects are split"),
            ("true_positives", "objects found", "", "components matched one to one"),
            ("false_positives", "false objects", "lower", "predicted components without a true one"),
            ("false_negatives", "objects missed", "lower", "true components without a predicted one"),
            ("component_precision", "object precision", "higher", "found / predicted"),
            ("component_recall", "object recall", "higher", "found / true"),
            ("component_f1", "object F1", "higher", "harmonic mean of object precision and recall"),
        ),
    ),
    (
        "Voxels",
        "Overlap, which hardly sees any of the above.",
        (
            ("dice", "Dice", "higher", "overlap"),
            ("voxel_precision", "voxel precision", "higher", "share of the prediction in the label"),
            ("voxel_recall", "voxel recall", "higher", "share of the label predicted"),
        ),
    ),
    (
        "Persistence diagrams",
        "Distance between the diagrams of likelihood and label, before any threshold. Masks have them too, but there "
        "they only count.",
        (
            ("bottleneck_{k}", "bottleneck, {what}", "lower", "bottleneck distance of the diagrams"),
            ("wasserstein_{k}", "Wasserstein, {what}", "lower", "2-Wasserstein distance of the diagrams"),
        ),
    ),
)
_MEANING_OF_ERRORS = {
    1: "components of the label that the prediction does not touch",
    2: "gaps of the prediction in a line of the label that it does not bridge nearby",
    3: "ends of the label's structures that the prediction lacks; no change of topology",
    4: "components of the prediction that do not touch the label",
    5: "false connections",
    6: "false ends of structures; no change of topology",
    7: "holes of the label that the prediction fills; those that a break opens count as breaks",
    8: "holes of the prediction within the label's foreground",
}
_KEY = ("dice", "cldice", "topology_f1", "betti_matching_error", "betti_error", "diu", "voi", "adapted_rand_error")


def columns_of(names: Iterable[str]) -> list[Group]:
    """The groups of those columns that a table has, in the guide's order."""
    present = set(names)
    ndim = 3 if "b2_label" in present else 2
    groups = [_error_group()]
    for title, meaning, entries in _GROUPS:
        columns = [column for entry in entries for column in _columns(entry, ndim)]
        groups.append(Group(title, meaning, tuple(columns)))
    kept = [
        group._replace(columns=tuple(column for column in group.columns if column.name in present)) for group in groups
    ]
    return [group for group in kept if group.columns]


def key_columns(groups: Sequence[Group]) -> list[Column]:
    """The few columns that are looked at first: counts of the errors that change the topology, and one a family."""
    by_name = {column.name: column for group in groups for column in group.columns}
    names = [*_KEY[:4], *(error_column(kind) for kind in CHANGES_OF_TOPOLOGY), *_KEY[4:]]
    return [by_name[name] for name in names if name in by_name]


def _error_group() -> Group:
    order = (*CHANGES_OF_TOPOLOGY, *(STRUCTURE_ERRORS.keys() - CHANGES_OF_TOPOLOGY))
    columns = []
    for kind in order:
        name = error_column(kind)
        columns.append(Column(name, name.replace("_", " "), "lower", _MEANING_OF_ERRORS[kind]))
    return Group("Errors seen", "Pieces of structures that one mask has and the other lacks.", tuple(columns))


def _columns(entry: _Entry, ndim: int) -> list[Column]:
    name, title, better, meaning = entry
    if "{k}" not in name:
        return [Column(name, title, better, meaning)]
    return [
        Column(name.format(k=k), title.format(what=what), better, meaning.format(what=what))
        for k, what in enumerate(feature_names(ndim))
    ]
