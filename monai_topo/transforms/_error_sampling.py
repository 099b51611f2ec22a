"""Random topological errors of a mask: their places, their voxels, and the check of the Betti numbers they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Connectivity, Mask
from monai_topo.masks.components import betti_of_mask, components
from monai_topo.masks.skeletons import skeleton

ndimage, _ = optional_import("scipy.ndimage")

ErrorKind = Literal["break", "bridge", "hole", "fill", "speck"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("break", "bridge", "hole", "fill", "speck")
_MAX_ATTEMPTS = 12  # places per error at which Betti numbers are computed, before the error is omitted
_MAX_CANDIDATES = 20  # places drawn per attempt: at most places a bridge finds no opposite side

Voxels = NDArray[np.int64]


class TopologyError(NamedTuple):
    """One error: the `(n, d)` voxels that become foreground or background, and the change of the Betti numbers."""

    kind: str
    at: tuple[int, ...]
    voxels: Voxels
    adds: bool
    betti_change: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the error in a list of errors."""
        return {
            "error": self.kind,
            "at": list(self.at),
            "voxels": len(self.voxels),
            "betti_change": list(self.betti_change),
        }


class ErrorSettings(NamedTuple):
    """Settings of the random errors."""

    kinds: tuple[str, ...]
    radius_vox: tuple[float, float]
    reach_vox: float
    connectivity: Connectivity


def sample_errors(
    mask: Mask, number: int, settings: ErrorSettings, state: np.random.RandomState
) -> list[TopologyError]:
    """Draw errors for a mask one after another, each for the mask that the previous ones have changed.

    An error without a possible place (a hole in vessels one voxel wide) is omitted, so there may be fewer than
    `number`. Each changes one Betti number by one, and no other.
    """
    mask = mask.copy()
    errors = []
    for _ in range(number):
        kind = settings.kinds[state.randint(len(settings.kinds))]
        error = _draw_error(mask, kind, settings, state)
        if error is not None:
            mask[tuple(error.voxels.T)] = error.adds
            errors.append(error)
    return errors


def _draw_error(mask: Mask, kind: str, settings: ErrorSettings, state: np.random.RandomState) -> TopologyError | None:
    candidates = {"break": _Break, "bridge": _Bridge, "hole": _Hole, "fill": _Fill, "speck": _Speck}[kind](
        mask, settings
    )
    if not len(candidates.places):
        return None
    before = betti_of_mask(mask, settings.connectivity)
    for _ in range(_MAX_ATTEMPTS):
        voxels = _draw_voxels(candidates, settings, state)
        if voxels is None:
            return None
        changed = mask.copy()
        changed[tuple(voxels.T)] = candidates.adds
        change = tuple(np.subtract(betti_of_mask(changed, settings.connectivity), before).tolist())
        if change in candidates.wanted(mask.ndim):
            middle = voxels[np.linalg.norm(voxels - voxels.mean(axis=0), axis=1).argmin()]
            return TopologyError(kind, tuple(middle.tolist()), voxels, candidates.adds, change)
    return None


def _draw_voxels(candidates: _Candidates, settings: ErrorSettings, state: np.random.RandomState) -> Voxels | None:
    for _ in range(_MAX_CANDIDATES):
        place = candidates.places[state.randint(len(candidates.places))]
        voxels = candidates.voxels(place, state.uniform(*settings.radius_vox))
        if len(voxels):
            return voxels
    return None


class _Candidates:
    """Candidate places of one kind of error, and the voxels it would change there."""

    adds = False
    places: Voxels

    def __init__(self, mask: Mask, settings: ErrorSettings) -> None:
        self.mask = mask
        self.settings = settings
        self.prepare()

    def prepare(self) -> None:
        """Find the candidate places."""
        raise NotImplementedError

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        """Return the voxels to change at a place."""
        raise NotImplementedError

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        """Return the changes of Betti numbers that this kind of error may cause."""
        raise NotImplementedError


def _steps(ndim: int, *changes: tuple[int, int]) -> list[tuple[int, ...]]:
    return [tuple(step if dim == axis else 0 for axis in range(ndim)) for dim, step in changes]


class _Break(_Candidates):
    def prepare(self) -> None:
        self.places = np.argwhere(skeleton(self.mask))
        self.depth = ndimage.distance_transform_edt(np.pad(self.mask, 1))[(slice(1, -1),) * self.mask.ndim]

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        ball = _ball(self.mask.shape, place, self.depth[tuple(place)] + radius)
        inside = np.zeros(self.mask.shape, dtype=bool)
        inside[tuple(ball.T)] = self.mask[tuple(ball.T)]
        # Only the connected part of the foreground at the place: a neighboring branch in the ball is not cut.
        low, high = ball.min(axis=0), ball.max(axis=0) + 1
        box = tuple(map(slice, low, high))
        pieces, _ = components(inside[box], "full")
        return np.asarray(np.argwhere(pieces == pieces[tuple(place - low)]) + low)

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        return _steps(ndim, (0, 1), (1, -1))


class _Bridge(_Candidates):
    adds = True

    def prepare(self) -> None:
        if not self.mask.any():
            self.places = np.zeros((0, self.mask.ndim), dtype=np.int64)
            return
        distance, self.nearest = ndimage.distance_transform_edt(~self.mask, return_indices=True)
        self.places = np.argwhere((distance > 0) & (distance <= self.settings.reach_vox / 2))

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        # From the nearest foreground through the place to the nearest foreground on the opposite side.
        start = self.nearest[(slice(None), *place)]
        ball = _ball(self.mask.shape, place, self.settings.reach_vox - float(np.linalg.norm(place - start)))
        ahead: Voxels = ball[self.mask[tuple(ball.T)] & ((ball - place) @ (start - place) < 0)]
        if not len(ahead):
            return ahead
        end = ahead[np.linalg.norm(ahead - place, axis=1).argmin()]
        line = np.unique(np.concatenate([_line(start, place), _line(place, end)]), axis=0)
        line = line[~self.mask[tuple(line.T)]]
        tube = np.unique(np.concatenate([_ball(self.mask.shape, voxel, radius - 0.5) for voxel in line]), axis=0)
        return np.asarray(tube[~self.mask[tuple(tube.T)]])

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        return _steps(ndim, (0, -1), (1, 1))


class _Hole(_Candidates):
    def prepare(self) -> None:
        self.depth = ndimage.distance_transform_edt(np.pad(self.mask, 1))[(slice(1, -1),) * self.mask.ndim]
        self.places = np.argwhere(self.depth > 1.9)

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        return _ball(self.mask.shape, place, min(radius, self.depth[tuple(place)] - 1.5))

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        return _steps(ndim, (ndim - 1, 1))


class _Fill(_Candidates):
    adds = True

    def prepare(self) -> None:
        self.ids, _ = components(~self.mask, DUAL[self.settings.connectivity])
        self.boxes = ndimage.find_objects(self.ids)
        within = [
            number
            for number, box in enumerate(self.boxes)
            if all(
                side.start > 0 and side.stop < extent and side.stop - side.start <= self.settings.reach_vox
                for side, extent in zip(box, self.mask.shape, strict=True)
            )
        ]
        self.places = np.array(within, dtype=np.int64)

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        box = self.boxes[int(place)]
        return np.asarray(np.argwhere(self.ids[box] == int(place) + 1) + [side.start for side in box])

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        return _steps(ndim, (ndim - 1, -1))


class _Speck(_Candidates):
    adds = True

    def prepare(self) -> None:
        self.distance = np.full(self.mask.shape, np.inf)
        if self.mask.any():
            self.distance = ndimage.distance_transform_edt(~self.mask)
        self.places = np.argwhere(self.distance > self.settings.radius_vox[0] + 1.9)

    def voxels(self, place: Voxels, radius: float) -> Voxels:
        return _ball(self.mask.shape, place, min(radius, self.distance[tuple(place)] - 1.9) - 0.5)

    def wanted(self, ndim: int) -> list[tuple[int, ...]]:
        return _steps(ndim, (0, 1))


def _line(start: Voxels, end: Voxels) -> Voxels:
    share = np.linspace(0, 1, 2 * int(np.abs(end - start).max()) + 1)[:, None]
    return np.asarray(np.round(start + share * (end - start)).astype(np.int64))


def _ball(shape: Sequence[int], center: Voxels, radius: float) -> Voxels:
    """Return the voxels of a shape within a radius of a center, at least the center itself."""
    reach = int(max(radius, 0))
    axes = [np.arange(max(c - reach, 0), min(c + reach + 1, extent)) for c, extent in zip(center, shape, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return np.asarray(grid[np.linalg.norm(grid - center, axis=1) <= max(radius, 0)])
