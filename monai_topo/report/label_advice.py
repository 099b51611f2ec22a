"""What to set in a bundle for labels that were looked at, with the reason for each setting."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai_topo.masks.components import feature_names
from monai_topo.report.conventions import Convention

__all__ = ["Advice", "advice_on", "command_line"]

_BUNDLES = {2: "membrane_2d_segmentation", 3: "vessel_3d_segmentation"}
_HARDLY = 0.05  # share of the features; where connectivities differ by less, the default stays
_SMALLEST = {2: (64, 64), 3: (32, 32, 16)}  # the bundles' topology_patch_size, x first


class Advice(NamedTuple):
    """A setting of the bundle, its value as it is given on a command line, and why; no setting: a remark."""

    setting: str
    value: str
    why: str


def advice_on(
    rows: Sequence[Mapping[str, Any]], convention: Convention, shapes: Sequence[Sequence[int]]
) -> list[Advice]:
    """Say what to set.

    Args:
        rows: of `check_label`, one a label, all of 2D or all of 3D images.
        convention: that they follow.
        shapes: of the labels, x first.
    """
    ndim = len(shapes[0])
    advice = [
        Advice("label_foreground", convention.rule, f"{convention.found} {convention.doubt}".strip()),
        _on_connectivity(rows, ndim),
        _on_border(rows),
    ]
    smallest = tuple(min(shape[axis] for shape in shapes) for axis in range(ndim))
    if any(length < wanted for length, wanted in zip(smallest, _SMALLEST[ndim], strict=True)):
        patch = [min(length, wanted) for length, wanted in zip(smallest, _SMALLEST[ndim], strict=True)]
        advice.append(
            Advice(
                "topology_patch_size",
                str(patch).replace(" ", ""),
                f"The smallest label is {smallest} voxels (x first).",
            )
        )
    return [*advice, *_on_repair(rows)]


def command_line(advice: Sequence[Advice], ndim: int) -> str:
    """The training with these settings."""
    settings = [f"--{one.setting} {shlex.quote(one.value)}" for one in advice if one.setting]
    config = f"bundles/{_BUNDLES[ndim]}"
    return " \\\n    ".join(
        [
            f"python -m monai.bundle run --config_file {config}/configs/train.json",
            f"--bundle_root {config} --dataset_dir FOLDER",
            " ".join(settings),
        ]
    )


def _on_connectivity(rows: Sequence[Mapping[str, Any]], ndim: int) -> Advice:
    features = {choice: [_mean(rows, f"b{k}_{choice}") for k in range(ndim)] for choice in ("full", "face")}
    told = {
        choice: ", ".join(f"{count:.3g} {name}" for count, name in zip(counts, feature_names(ndim), strict=True))
        for choice, counts in features.items()
    }
    if told["full"] == told["face"]:
        return Advice("connectivity", "full", f"A label has {told['full']} (mean) with either.")
    full, face = (sum(features[choice]) for choice in ("full", "face"))
    counted = f"A label has {told['full']} (mean) with full connectivity, {told['face']} with face connectivity."
    if abs(full - face) <= _HARDLY * max(full, face):
        return Advice("connectivity", "full", f"{counted} It hardly matters here.")
    return Advice(
        "connectivity",
        "full" if full < face else "face",
        f"{counted} The one with fewer features has fewer accidents; if you know which diagonals are meant to touch, "
        "that decides.",
    )


def _on_border(rows: Sequence[Mapping[str, Any]]) -> Advice:
    components = sum(row["b0_full" if row["connectivity"] == "full" else "b0_face"] for row in rows)
    cut = sum(row["border_components"] for row in rows)
    share = f"{cut} of {components} components touch the border of their image."
    if not cut:
        return Advice(
            "border",
            "foreground",
            f"{share} Patches of a training cut structures all the same; whole images can be counted with 'open'.",
        )
    return Advice(
        "border",
        "foreground",
        f"{share} With 'open', each of them ends there; patches of a training cut many more. 'foreground' closes what "
        "is cut, so that a cut is no feature.",
    )


def _on_repair(rows: Sequence[Mapping[str, Any]]) -> list[Advice]:
    specks, pinholes = (sum(row[name] for row in rows) for name in ("specks", "pinholes"))
    if not specks and not pinholes:
        return []
    labels = sum(bool(row["specks"] or row["pinholes"]) for row in rows)
    changed, voxels = sum(row["voxels_changed"] for row in rows), len(rows)
    return [
        Advice(
            "",
            "",
            f"{labels} of {voxels} labels have specks or pinholes: {specks} specks and {pinholes} pinholes, {changed} "
            "voxels in all. Each counts as much as the largest structure. Look at them below; if nobody meant them, "
            "clean the labels once by monai_topo.transforms.RepairLabel, and say so with the results.",
        )
    ]


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(sum(row[name] for row in rows) / len(rows))
