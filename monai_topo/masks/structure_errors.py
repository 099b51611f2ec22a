"""Errors of a prediction by location: breaks, bridges, missing and spurious ends, components and holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.optional import require
from monai_topo._utils.typing import DUAL, Border, Connectivity, Mask
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.masks.components import components
from monai_topo.masks.skeletons import skeleton

__all__ = [
    "CHANGES_OF_TOPOLOGY",
    "STRUCTURE_ERRORS",
    "StructureError",
    "classify_errors",
    "dilate_mask",
    "list_errors",
    "skeleton_errors",
]

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

#: The kinds that change the topology, in the order in which they are listed; ends, which do not, follow.
CHANGES_OF_TOPOLOGY = (2, 5, 1, 4, 7, 8)

_REFLECTED_VOX = 8  # by which a mask is continued beyond the border of the image
_NEARBY_VOX = 3  # a line of the label is not broken if the prediction joins its two sides within this distance


class StructureError(NamedTuple):
    """One error of `classify_errors`.

    Attributes:
        kind: Key of `STRUCTURE_ERRORS`.
        at: Voxel of the error nearest to its center.
        voxels: Number of marked voxels: of the skeleton for a line, all for a component or hole.
        start: Least index along each axis.
        stop: Greatest index along each axis, plus one.
    """

    kind: int
    at: tuple[int, ...]
    voxels: int
    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the kind."""
        return STRUCTURE_ERRORS[self.kind]


def skeleton_errors(prediction: Mask, label: Mask) -> tuple[Mask, Mask]:
    """Find the lines that one mask has and the other lacks.

    Args:
        prediction: `(H, W)` or `(D, H, W)` bool.
        label: Bool of the same shape.

    Returns:
        `missing`, the label's skeleton outside the prediction, and `spurious`, the prediction's skeleton outside the
        label and its neighbors, as bool masks. So a boundary shifted by one voxel, which changes no topology, appears
        in neither mask, while a break of one voxel does. Empty masks have empty skeletons.
    """
    missing, _ = _split_skeleton(label, prediction)
    spurious, _ = _split_skeleton(prediction, dilate_mask(label, by_vox=1))
    return missing, spurious


def classify_errors(
    prediction: Mask, label: Mask, *, connectivity: Connectivity = "full", border: Border = "open"
) -> Labels:
    """Mark the structures that one mask has and the other lacks, each with the number of its kind.

    Args:
        prediction: `(H, W)` or `(D, H, W)` bool.
        label: Bool of the same shape.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside, so background that the border cuts is not a hole) or
            `"foreground"` (everything outside is foreground, so it is one).

    Returns:
        uint8 of the same shape, 0 where the structures agree, otherwise a key of `STRUCTURE_ERRORS`:

        - 1, missing component: a whole component of the label that the prediction does not touch. 4, spurious
          component: a whole component of the prediction that does not touch the label.
        - 2, break: a piece of the label's skeleton outside the prediction, between two places where the skeleton is
          inside and which the prediction does not join within three voxels of the piece, as a parallel line would. 5,
          bridge: the same with the prediction's skeleton and the label.
        - 3, missing end: a piece of the label's skeleton that leads nowhere, which does not change the topology. 6,
          spurious end: the same with the prediction's skeleton.
        - 7, missing hole: a hole of the label (a component of the background; in 3D a cavity) that the prediction
          fills. 8, spurious hole: a hole of the prediction inside the label's foreground.

        Where marks overlap, the greater number is kept.

    Errors are judged by location, not by matching of persistence: a prediction that runs parallel to the label at a
    distance of more than one voxel is both missing and spurious. Needs scikit-image and scipy.

    Cost: linear in the voxels of the box around both masks, which is cropped first: two skeletons take most of it.
    """
    kinds = np.zeros(label.shape, dtype=np.uint8)
    # So wide that only background is reflected at a face of the box that is none of the image.
    box = foreground_box(prediction | label, margin_vox=_REFLECTED_VOX + 1)
    kinds[box] = _classify_errors(prediction[box], label[box], connectivity, border)
    return kinds


def _classify_errors(prediction: Mask, label: Mask, connectivity: Connectivity, border: Border) -> Labels:
    kinds = np.zeros(label.shape, dtype=np.uint8)
    near_label = dilate_mask(label, by_vox=1)
    for first, (one, other, wide) in ((1, (label, prediction, prediction)), (4, (prediction, label, near_label))):
        lines, present = _split_skeleton(one, wide)
        breaks, ends = _breaks_and_ends(lines, present, wide, connectivity)
        kinds[ends] = first + 2
        kinds[breaks] = first + 1
        kinds[_untouched_components(one, other, connectivity)] = first
    for number, mask, other in ((7, label, prediction), (8, prediction, label)):
        no_hole = ~other
        if border == "open":
            no_hole |= ~_inner_voxels(other.shape)  # background that reaches the border of the image
        kinds[_untouched_components(~mask, no_hole, DUAL[connectivity])] = number
    return kinds


def list_errors(kinds: Labels) -> list[StructureError]:
    """List the errors of `classify_errors`, one entry per connected piece (8, 26) of one kind.

    Args:
        kinds: `(H, W)` or `(D, H, W)`, keys of `STRUCTURE_ERRORS` and 0.

    Returns:
        Kinds in the order of `CHANGES_OF_TOPOLOGY`, then ends; within a kind the largest first, ties in C order.
    """
    errors = []
    marked = foreground_box(kinds > 0, margin_vox=0)
    cropped = kinds[marked]
    for kind in (*CHANGES_OF_TOPOLOGY, *(STRUCTURE_ERRORS.keys() - CHANGES_OF_TOPOLOGY)):
        of_kind = _list_pieces(cropped == kind, kind, [side.start for side in marked])
        errors += sorted(of_kind, key=lambda error: -error.voxels)
    return errors


def _list_pieces(mask: Mask, kind: int, origin: Sequence[int]) -> list[StructureError]:
    """List the components of a mask, the first voxel of which lies at `origin`, as errors of one kind."""
    pieces, _ = components(mask, "full")
    errors = []
    for number, box in enumerate(_find_objects(pieces), start=1):
        voxels = np.argwhere(pieces[box] == number)
        middle = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
        start, stop, at = (
            tuple(int(index + first) for index, first in zip(place, origin, strict=True))
            for place in (
                [side.start for side in box],
                [side.stop for side in box],
                [index + side.start for index, side in zip(middle, box, strict=True)],
            )
        )
        errors.append(StructureError(kind, at, len(voxels), start, stop))
    return errors


def dilate_mask(mask: Mask, *, by_vox: int) -> Mask:
    """Dilate a mask by a box that reaches `by_vox` voxels in all directions."""
    # One axis after another: a third of the time of a dilation by the box in 3D.
    dilated: Mask = require("scipy.ndimage", "scipy").maximum_filter(mask, 2 * by_vox + 1, mode="constant")
    return dilated


def _split_skeleton(one: Mask, other: Mask) -> tuple[Mask, Mask]:
    """Return the skeleton of one mask outside the other, and inside."""
    # The mask is continued by reflection: a skeleton ends about half a width before its structure does, so 8 voxels
    # suffice for a width of 18. And the skeleton of a line along the border stays in the image.
    margin = _REFLECTED_VOX
    padded: Mask = skeleton(np.pad(one, margin, mode="reflect"))
    lines = padded[(slice(margin, -margin),) * one.ndim]
    return lines & ~other, lines & other


def _breaks_and_ends(lines: Mask, present: Mask, other: Mask, connectivity: Connectivity) -> tuple[Mask, Mask]:
    """Divide the missing lines into pieces whose two sides the other mask does not join nearby, and loose ends."""
    pieces, count = components(lines, "full")
    breaks, ends = np.zeros((2, count + 1), dtype=bool)
    for number, box in enumerate(_find_objects(pieces), start=1):
        window = tuple(slice(max(side.start - _NEARBY_VOX - 1, 0), side.stop + _NEARBY_VOX + 1) for side in box)
        piece, nearby_other = pieces[window] == number, other[window]
        contacts = dilate_mask(piece, by_vox=1) & present[window]
        joined, _ = components(nearby_other & dilate_mask(piece, by_vox=_NEARBY_VOX), connectivity)
        breaks[number] = len(np.unique(joined[contacts])) > 1
        leaves_other = bool((piece & ~dilate_mask(nearby_other, by_vox=_NEARBY_VOX)).any())
        ends[number] = not breaks[number] and (components(contacts, "full")[1] < 2 or leaves_other)
    return breaks[pieces], ends[pieces]


def _find_objects(pieces: NDArray[np.int32]) -> list[tuple[slice, ...]]:
    """Return the bounding box of every component."""
    boxes: list[tuple[slice, ...]] = require("scipy.ndimage", "scipy").find_objects(pieces)
    return boxes


def _untouched_components(one: Mask, other: Mask, connectivity: Connectivity) -> Mask:
    """Return the components of one mask that do not intersect the other."""
    ids, count = components(one, connectivity)
    untouched = np.ones(count + 1, dtype=bool)
    untouched[ids[other]] = False
    untouched[0] = False
    return np.asarray(untouched[ids])


def _inner_voxels(shape: Sequence[int]) -> Mask:
    """Return all voxels of an image except for those at its border."""
    inside = np.zeros(shape, dtype=bool)
    inside[(slice(1, -1),) * len(shape)] = True
    return inside
