"""The joins of one image: candidates from its merge tree, tried one after another within limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo.masks.components import label_components
from monai_topo.persistence.merge_trees import merge_tree
from monai_topo.persistence.minimax_paths import Path, PathFinder

__all__ = ["OUTCOMES", "Candidates", "JoinLimits", "JoinRow", "find_candidates", "join_candidates"]

#: What became of a candidate: joined by a path; joined because it touches the path of another row; or refused, because
#: the path is too long, both components are too large, or every path that was tried closes a loop or a cavity.
OUTCOMES = ("joined", "touched", "too_long", "too_large", "closes_loop")

_MAX_DETOURS = 16  # voxels that a path avoids, one after another, because they would close a loop

Ids = NDArray[np.int32]
Voxels = NDArray[np.int64]
Chosen = NDArray[np.bool_]


class JoinLimits(NamedTuple):
    """What `reconnect_components` allows, in voxels but for `max_length`."""

    threshold: float
    connectivity: Connectivity
    border: Border
    min_likelihood: float
    max_voxels: float
    max_length: float
    min_component_vox: float
    max_component_vox: float
    allow_loops: bool
    steps: tuple[float, ...]


class Candidates(NamedTuple):
    """Components of one image, and what may be joined; the limits on paths and the greatest size do not matter here.

    Attributes:
        ids: Components as numbered by `label_components`.
        sizes: `(K + 1,)`, voxels of each component.
        is_small: `(K + 1,)`, whether it is below the least size.
        saddles: For each candidate a component, the one that it meets, and the saddle; saddles from high to low.
    """

    ids: Ids
    sizes: NDArray[np.int64]
    is_small: Chosen
    saddles: list[tuple[int, int, int]]


class JoinRow(NamedTuple):
    """One row of `Joins`; voxels in C order."""

    image: int
    labels: tuple[int, ...]
    saddle: int
    likelihood: float
    outcome: int
    length: float = 0.0
    path: Voxels = np.zeros(0, dtype=np.int64)


def find_candidates(image: Array, limits: JoinLimits) -> Candidates:
    """Find the components of an image and the saddles at which they meet."""
    mask = torch.from_numpy(image > limits.threshold)[None]
    ids = label_components(mask, connectivity=limits.connectivity, border=limits.border)[0].numpy()
    sizes = np.bincount(np.maximum(ids, 0).ravel())
    is_small = sizes < limits.min_component_vox
    return Candidates(
        ids, sizes, is_small, list(_saddles(image, np.where(is_small[np.maximum(ids, 0)], 0, ids), limits))
    )


def join_candidates(number: int, image: Array, found: Candidates, limits: JoinLimits) -> tuple[Chosen, list[JoinRow]]:
    """Try all candidates of an image, and return the joined mask and the rows of the table."""
    if not found.saddles:
        return np.asarray(image > limits.threshold), []
    work = ImageReconnection(number, image, found, limits)
    rows = [row for saddle in found.saddles for row in work.join(*saddle)]
    return work.mask(), rows


def _saddles(image: Array, ids: Ids, limits: JoinLimits) -> Iterator[tuple[int, int, int]]:
    threshold, outside = limits.threshold, limits.border == "foreground"
    if len(np.unique(ids[ids > 0])) < 2 - outside:
        return
    # All that no saddle depends on becomes a plateau: the components, and what is too faint.
    faint = image < limits.min_likelihood
    levels = np.where(faint, image.dtype.type(limits.min_likelihood - 1), image.clip(max=threshold))
    levels[ids != 0] = threshold + 1
    tree = merge_tree(torch.from_numpy(levels)[None], connectivity=limits.connectivity, border=limits.border)
    levels, ids = levels.ravel(), ids.ravel()
    extremum, saddle = tree.extremum.numpy(), tree.saddle.numpy()
    own = np.where(levels[extremum] > threshold, ids[extremum], 0)
    # The essential class is the frame, or the one component that has no pair.
    essential = -1 if outside else np.setdiff1d(ids[ids > 0], own)[0]
    parent = np.append(own, essential)[tree.parent.numpy()]
    chosen = np.flatnonzero((own > 0) & (levels[saddle] >= limits.min_likelihood))
    for pair in chosen[np.argsort(-levels[saddle[chosen]], kind="stable")]:
        yield int(own[pair]), int(parent[pair]), int(saddle[pair])


class ImageReconnection:
    """One image, padded by what lies outside, and which of its components meet and are joined by now."""

    def __init__(self, number: int, image: Array, found: Candidates, limits: JoinLimits) -> None:
        self.number, self.limits = number, limits
        ids, sizes = found.ids, found.sizes
        self.frame = len(sizes)  # the frame of foreground is the component after the last one
        outside = limits.border == "foreground"
        values = np.pad(image, 1, constant_values=np.inf if outside else -np.inf)
        self.ids = np.pad(np.where(ids < 0, self.frame, ids).astype(np.int32), 1, constant_values=outside * self.frame)
        self.paths = PathFinder(values, self.ids, limits.connectivity, limits.steps)
        self.sizes = np.append(sizes, np.iinfo(np.int64).max)
        self.is_end = ~np.append(found.is_small, False)
        self.is_end[0] = False
        # Components that meet at a saddle so far, joined or refused; and those that are one in the result.
        self.meet = np.arange(self.frame + 1)
        self.joined = np.arange(self.frame + 1)

    def mask(self) -> Chosen:
        """Return the foreground, paths included."""
        return np.asarray(self.ids[(slice(1, -1),) * self.ids.ndim] > 0)

    def join(self, component: int, other: int, saddle: int) -> list[JoinRow]:
        """Try one candidate: join, or refuse, and keep a row of it, unless a tie has joined it before."""
        labels = (component, other if other > 0 else self.frame)
        center = np.array(np.unravel_index(saddle, [extent - 2 for extent in self.ids.shape])) + 1
        least = float(self.paths.values[tuple(center)])
        outcome, path, touched, labels = self._try(labels, center, least)
        self.meet[self.meet == self.meet[labels[1]]] = self.meet[labels[0]]
        if outcome is None:
            return []
        row = JoinRow(self.number, self._names(*labels), saddle, least, OUTCOMES.index(outcome))
        if path is None:
            return [row]
        rows = [row._replace(length=self.paths.length(path), path=self._unpadded(path.voxels))]
        known = {self.joined[labels[0]], self.joined[labels[1]]}
        for label in touched:
            if self.joined[label] not in known:
                known.add(self.joined[label])
                also = self._names(labels[0], label)
                rows.append(row._replace(labels=also, outcome=OUTCOMES.index("touched")))
        self.joined[np.isin(self.joined, list(known))] = self.joined[labels[0]]
        self.ids.flat[path.voxels[self.ids.flat[path.voxels] == 0]] = labels[0]
        return rows

    def _unpadded(self, voxels: Voxels) -> Voxels:
        inner = np.array(np.unravel_index(voxels, self.ids.shape)) - 1
        return np.asarray(np.ravel_multi_index(tuple(inner), [extent - 2 for extent in self.ids.shape]))

    def _try(
        self, labels: tuple[int, int], center: Voxels, least: float
    ) -> tuple[str | None, Path | None, list[int], tuple[int, int]]:
        """Find a path that every limit allows: the outcome, the path, what it touches, and what it joins."""
        avoided: list[int] = []
        seeds = self.is_end & (self.meet == self.meet[labels[0]])
        while len(avoided) <= _MAX_DETOURS:
            path = self.paths.shortest(
                seeds,
                self.is_end & ~seeds,
                center=center,
                least=least,
                most_voxels=self.limits.max_voxels,
                avoided=avoided,
            )
            if path is None:
                return "closes_loop" if avoided else "too_long", None, [], labels
            labels = (int(self.ids.flat[path.ends[0]]), int(self.ids.flat[path.ends[1]]))
            if self.joined[labels[0]] == self.joined[labels[1]]:
                return None, None, [], labels
            if min(self.sizes[list(labels)]) > self.limits.max_component_vox:
                return "too_large", None, [], labels
            if self.paths.length(path) > self.limits.max_length:
                return "too_long", None, [], labels
            loop, touched = self.paths.added(path, self.joined)
            if loop is None or self.limits.allow_loops:
                return "joined", path, touched, labels
            avoided.append(loop)
        return "closes_loop", None, [], labels

    def _names(self, *labels: int) -> tuple[int, ...]:
        return tuple(-1 if label == self.frame else label for label in labels)
