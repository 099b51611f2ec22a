"""Where a prediction's structures differ from the label's: missing and spurious lines, components and holes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Border, Connectivity
from monai_topo.masks.components import components
from monai_topo.masks.skeletons import skeleton

ndimage, _ = optional_import("scipy.ndimage")

__all__ = [
    "CHANGES_OF_TOPOLOGY",
    "STRUCTURE_ERRORS",
    "StructureError",
    "classify_errors",
    "dilate_mask",
    "list_errors",
    "skeleton_errors",
]

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

#: The values of `classify_errors`.
STRUCTURE_ERRORS = {
    1: "missing component",
    2: "break",
    3: "missing end",
    4: "spurious component",
    5: "bridge",
    6: "spurious end",
    7: "missing hole",
    8: "spurious hole",
}

#: Those of them that change the topology, in the order in which they are listed; ends, which do not, follow.
CHANGES_OF_TOPOLOGY = (2, 5, 1, 4, 7, 8)

NEARBY = 3  # voxels: a line that leaves its place by no more has not gone


class StructureError(NamedTuple):
    """One error of `classify_errors`.

    Attributes:
        kind: one of `STRUCTURE_ERRORS`.
        at: its voxel nearest to its middle.
        voxels: how many are marked: of lines the skeleton's, of components and holes all.
        start: least index along each axis.
        stop: greatest index along each axis, plus one.
    """

    kind: int
    at: tuple[int, ...]
    voxels: int
    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def name(self) -> str:
        """The kind in words."""
        return STRUCTURE_ERRORS[self.kind]


def skeleton_errors(prediction: Mask, label: Mask) -> tuple[Mask, Mask]:
    """Find the structures that one mask has and the other lacks.

    Args:
        prediction: `(H, W)` or `(D, H, W)` bool.
        label: bool of the same shape.

    Returns:
        `missing`, the label's skeleton outside the prediction, and `spurious`, the prediction's skeleton outside the
        label and its neighbors, as bool masks. So a rim that is a voxel too thick or too thin, which changes no
        topology, shows in neither, while a break of one voxel shows. Empty masks have empty skeletons.
    """
    missing, _ = _missing(label, prediction)
    spurious, _ = _missing(prediction, dilate_mask(label, by_vox=1))
    return missing, spurious


def classify_errors(
    prediction: Mask, label: Mask, *, connectivity: Connectivity = "full", border: Border = "open"
) -> Labels:
    """Draw the structures that one mask has and the other lacks, each with the number of its kind.

    Args:
        prediction: `(H, W)` or `(D, H, W)` bool.
        label: bool of the same shape.
        connectivity: of the foreground, `"full"` or `"face"`; holes have the other one.
        border: `"open"`: what of the background the border cuts is no hole; `"foreground"`: it is one.

    Returns:
        uint8 of the same shape, 0 where nothing differs in structure; else, see `STRUCTURE_ERRORS`:

        - 1, a component of the label that the prediction does not touch, whole; 4 the other way round.
        - 2, a break: a piece of the label's skeleton outside the prediction, between two places where it is inside
          and which the prediction does not join within three voxels of it, as a line beside it does; 5, a bridge, the
          other way round.
        - 3, a missing end: a piece that ends nowhere; no change of topology. 6 the other way round.
        - 7, a hole of the label (a component of the background; in 3D a cavity) that the prediction fills; 8 a hole of
          the prediction inside the label's foreground.

        Where marks fall together, the greater number is seen.

    Judged by place, not by matching of persistence: a prediction that runs beside the label by more than a voxel is
    both missing and spurious. Needs scikit-image and scipy.
    """
    drawn = np.zeros(label.shape, dtype=np.uint8)
    near_label = dilate_mask(label, by_vox=1)
    for first, (one, other, wide) in ((1, (label, prediction, prediction)), (4, (prediction, label, near_label))):
        lines, present = _missing(one, wide)
        tears, ends = _tears_and_ends(lines, present, wide, connectivity)
        drawn[ends] = first + 2
        drawn[tears] = first + 1
        drawn[_apart(one, other, connectivity)] = first
    for number, one, other in ((7, ~label, ~prediction), (8, ~prediction, ~label)):
        holes = _apart(one, other, DUAL[connectivity])
        drawn[holes & ~_open(one, DUAL[connectivity]) if border == "open" else holes] = number
    return drawn


def list_errors(drawn: Labels) -> list[StructureError]:
    """List the errors that `classify_errors` has drawn, one entry a connected piece (8, 26) of one kind.

    Args:
        drawn: `(H, W)` or `(D, H, W)`, the values of `STRUCTURE_ERRORS` and 0.

    Returns:
        Kinds in the order of `CHANGES_OF_TOPOLOGY`, then ends; within a kind the largest first, ties in C order.
    """
    found = []
    for kind in (*CHANGES_OF_TOPOLOGY, *(STRUCTURE_ERRORS.keys() - CHANGES_OF_TOPOLOGY)):
        pieces, _ = components(drawn == kind, "full")
        of_kind = []
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            voxels = np.argwhere(pieces[box] == number)
            middle = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
            start, stop = tuple(side.start for side in box), tuple(side.stop for side in box)
            at = tuple(int(index + first) for index, first in zip(middle, start, strict=True))
            of_kind.append(StructureError(kind, at, len(voxels), start, stop))
        found += sorted(of_kind, key=lambda error: -error.voxels)
    return found


def _missing(one: Mask, other: Mask) -> tuple[Mask, Mask]:
    """Skeleton of one mask outside the other, and inside."""
    lines = _skeleton(one)
    return lines & ~other, lines & other


def _skeleton(mask: Mask) -> Mask:
    # Beyond the border structures go on as if mirrored: skeletons fork at their ends, and that of a line along the
    # border stays inside.
    margin = 8
    lines: Mask = skeleton(np.pad(mask, margin, mode="reflect"))
    return lines[(slice(margin, -margin),) * mask.ndim]


def _tears_and_ends(lines: Mask, present: Mask, other: Mask, connectivity: Connectivity) -> tuple[Mask, Mask]:
    """Pieces of a missing line between places that the other mask does not join nearby, and others with a loose end."""
    full = np.ones((3,) * lines.ndim, dtype=bool)
    pieces, count = ndimage.label(lines, full)
    tears, ends = np.zeros((2, count + 1), dtype=bool)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        around = tuple(slice(max(side.start - NEARBY - 1, 0), side.stop + NEARBY + 1) for side in box)
        piece, there = pieces[around] == number, other[around]
        beside = dilate_mask(piece, by_vox=1) & present[around]
        joined, _ = components(there & dilate_mask(piece, by_vox=NEARBY), connectivity)
        tears[number] = len(np.unique(joined[beside])) > 1
        is_loose = ndimage.label(beside, full)[1] < 2 or bool((piece & ~dilate_mask(there, by_vox=NEARBY)).any())
        ends[number] = is_loose and not tears[number]
    return tears[pieces], ends[pieces]


def _apart(one: Mask, other: Mask, connectivity: Connectivity) -> Mask:
    """Components of one mask that do not meet the other."""
    ids, count = components(one, connectivity)
    met = np.zeros(count + 1, dtype=bool)
    met[ids[other]] = True
    met[0] = True
    return np.asarray(~met[ids])


def _open(mask: Mask, connectivity: Connectivity) -> Mask:
    """Components that the border cuts."""
    ids, count = components(mask, connectivity)
    cut = np.zeros(count + 1, dtype=bool)
    rim = np.ones(mask.shape, dtype=bool)
    rim[(slice(1, -1),) * mask.ndim] = False
    cut[ids[rim]] = True
    cut[0] = False
    return np.asarray(cut[ids])


def dilate_mask(mask: Mask, *, by_vox: int) -> Mask:
    """Dilate a mask by a box."""
    wide: Mask = ndimage.binary_dilation(mask, np.ones((3,) * mask.ndim, dtype=bool), iterations=by_vox)
    return wide
