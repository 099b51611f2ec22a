"""Recommend settings of a bundle for checked labels, with the reason for each setting."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai_topo.masks.components import feature_names
from monai_topo.report.conventions import Convention
from monai_topo.report.tables import format_extent

__all__ = ["Advice", "format_command", "recommend_settings"]

Row = Mapping[str, Any]

_BUNDLES = {2: "membrane_2d_segmentation", 3: "vessel_3d_segmentation"}
_MIN_DIFFERENCE = 0.05  # fraction of the features; if connectivities differ by less, the default is kept
_PATCH_SIZE = {2: (64, 64), 3: (32, 32, 16)}  # the bundles' topology_patch_size, x first


class Advice(NamedTuple):
    """A setting of the bundle, its value on the command line, and the reason; a remark if `setting` is empty."""

    setting: str
    value: str
    why: str


def recommend_settings(rows: Sequence[Row], convention: Convention, shapes: Sequence[Sequence[int]]) -> list[Advice]:
    """Recommend settings for labels that are all 2D or all 3D.

    Args:
        rows: Results of `check_label`, one per label.
        convention: Convention of the labels.
        shapes: Shapes of the labels, x first.
    """
    ndim = len(shapes[0])
    advice = [
        Advice("label_foreground", convention.rule, f"{convention.found} {convention.doubt}".strip()),
        _recommend_connectivity(rows, ndim),
        _recommend_border(rows),
    ]
    smallest = tuple(map(min, zip(*shapes, strict=True)))
    patch = tuple(map(min, smallest, _PATCH_SIZE[ndim]))
    if patch != _PATCH_SIZE[ndim]:
        why = f"The smallest extents of the labels are {format_extent(smallest)} voxels (x first)."
        advice.append(Advice("topology_patch_size", str(list(patch)).replace(" ", ""), why))
    return [*advice, *_recommend_repair(rows)]


def format_command(advice: Sequence[Advice], ndim: int) -> str:
    """Format the command of a training run with these settings."""
    settings = [f"--{one.setting} {shlex.quote(one.value)}" for one in advice if one.setting]
    bundle = f"bundles/{_BUNDLES[ndim]}"
    return " \\\n    ".join(
        [
            f"python -m monai.bundle run --config_file {bundle}/configs/train.json",
            f"--bundle_root {bundle} --dataset_dir FOLDER",
            " ".join(settings),
        ]
    )


def _recommend_connectivity(rows: Sequence[Row], ndim: int) -> Advice:
    means = {choice: [_mean(rows, f"b{k}_{choice}") for k in range(ndim)] for choice in ("full", "face")}
    texts = {
        choice: ", ".join(f"{count:.3g} {name}" for count, name in zip(counts, feature_names(ndim), strict=True))
        for choice, counts in means.items()
    }
    if texts["full"] == texts["face"]:
        return Advice("connectivity", "full", f"A label has {texts['full']} on average with either connectivity.")
    full, face = (sum(means[choice]) for choice in ("full", "face"))
    why = f"A label has {texts['full']} on average with full connectivity, {texts['face']} with face connectivity. "
    why += "The transform MakeWellComposed makes both agree."
    if abs(full - face) <= _MIN_DIFFERENCE * max(full, face):
        return Advice("connectivity", "full", f"{why} The difference is small.")
    return Advice(
        "connectivity",
        "full" if full < face else "face",
        f"{why} The one with fewer features usually has fewer artifacts. If you know whether diagonal neighbors are "
        "connected in your labels, decide by that.",
    )


def _recommend_border(rows: Sequence[Row]) -> Advice:
    components = sum(row["b0_full" if row["connectivity"] == "full" else "b0_face"] for row in rows)
    cut = sum(row["border_components"] for row in rows)
    why = f"{cut} of {components} components touch the border of their image."
    if cut:
        why += (
            " With 'open', each of them ends there, and training patches cut many more. 'foreground' closes what is "
            "cut, so that a cut is not a feature."
        )
    else:
        why += " Training patches cut structures nevertheless; for metrics of whole images, 'open' is suitable."
    return Advice("border", "foreground", why)


def _recommend_repair(rows: Sequence[Row]) -> list[Advice]:
    specks, pinholes, voxels = (sum(row[name] for row in rows) for name in ("specks", "pinholes", "voxels_changed"))
    if not specks and not pinholes:
        return []
    labels = sum(bool(row["specks"] or row["pinholes"]) for row in rows)
    why = (
        f"{labels} of {len(rows)} labels have specks or pinholes: {specks} specks and {pinholes} pinholes, {voxels} "
        "voxels in total. Each counts as much as the largest structure. Inspect them below; if they are artifacts, "
        "repair the labels once by monai_topo.transforms.RepairLabel, and report this with the results."
    )
    return [Advice("", "", why)]


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(sum(row[name] for row in rows) / len(rows))
