"""The shortest path from one set of components to the others within a superlevel set, and the loops that it closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Connectivity
from monai_topo.masks.neighborhoods import adjacent_components, neighborhood_offsets, topological_numbers

__all__ = ["Path", "PathFinder"]

_FIRST_REACH = 4  # half the side of the box in which a path is sought first
_FREE, _SEED, _GOAL, _VISITED = 1, 2, 3, 4

Ids = NDArray[np.int32]
Voxels = NDArray[np.int64]
Chosen = NDArray[np.bool_]


class Path(NamedTuple):
    """Voxels between two components and one voxel of either at their ends, as indices into the padded image."""

    voxels: Voxels
    ends: tuple[int, int]


class PathFinder:
    """Search for paths in one image.

    Args:
        values: The image, padded by one voxel of -inf, or of inf if foreground lies outside.
        ids: Components of the padded image, 0 for background; `add` writes paths to it.
        connectivity: Connectivity of the foreground.
        steps: Voxel spacing along each axis.
    """

    def __init__(self, values: NDArray[Any], ids: Ids, connectivity: Connectivity, steps: tuple[float, ...]) -> None:
        self.values, self.ids, self.connectivity = values, ids, connectivity
        self.steps = np.array(steps)
        around = np.indices((3,) * ids.ndim).reshape(ids.ndim, -1) - 1
        moved = np.abs(around).sum(0)
        order = np.argsort(np.linalg.norm(around * self.steps[:, None], axis=0), kind="stable")  # short steps first
        is_neighbor = (moved > 0) & ((moved == 1) | (connectivity == "full"))
        self.neighbors = order[is_neighbor[order]]

    def shortest(
        self,
        seeds: Chosen,
        goals: Chosen,
        *,
        center: NDArray[np.int64],
        least: float,
        most_voxels: float,
        avoided: Sequence[int],
    ) -> Path | None:
        """Find a path with fewest voxels from one set of components to another one.

        Args:
            seeds: `(K + 1,)`, is a component one where the path may begin.
            goals: `(K + 1,)`, is it one where the path may end.
            center: Voxel of the padded image. Of the paths through it, none is shorter.
            least: Lowest value on the path.
            most_voxels: Longest path between the components.
            avoided: Voxels of the padded image that the path does not enter.

        Returns:
            The path, or None if there is none of that length.
        """
        farthest = max(1, min(most_voxels, max(self.ids.shape)))
        reach: float = _FIRST_REACH
        while True:
            reach = min(reach, farthest)
            path = self._within(seeds, goals, center, int(reach), least, avoided)
            # A path through the center with n voxels stays within n voxels of it, so a box of that size has seen all.
            if (path is not None and len(path.voxels) <= reach) or reach >= farthest:
                return path if path is not None and len(path.voxels) <= most_voxels else None
            reach = 2 * reach if path is None else len(path.voxels)

    def _within(
        self, seeds: Chosen, goals: Chosen, center: Voxels, reach: int, least: float, avoided: Sequence[int]
    ) -> Path | None:
        """Find a shortest path whose voxels lie in a box around the center; its ends may lie one voxel outside."""
        low = np.maximum(center - reach - 1, 0)
        high = np.minimum(center + reach + 2, self.ids.shape)
        box = tuple(map(slice, low, high))
        ids = self.ids[box]
        state = np.zeros(high - low + 2, dtype=np.int8)  # in a ring that no path enters
        inner = state[(slice(1, -1),) * ids.ndim]
        inner[self.values[box] >= least] = _FREE
        for axis in range(ids.ndim):
            sides = [0] * bool(center[axis] - reach > low[axis]) + [-1] * bool(center[axis] + reach + 1 < high[axis])
            inner[(slice(None),) * axis + (sides,)] = 0
        inner[seeds[ids]] = _SEED
        inner[goals[ids]] = _GOAL
        for voxel in avoided:
            at = np.array(np.unravel_index(voxel, self.ids.shape)) - low
            if ((at >= 0) & (at < high - low)).all():
                inner[tuple(at)] = 0
        found = self._flood(state, lambda at: self._padded(at, state.shape, low))
        if found is None:
            return None
        voxels = self._padded(np.array(found), state.shape, low)
        return Path(voxels[1:-1], (int(voxels[0]), int(voxels[-1])))

    def _padded(self, at: Voxels, shape: tuple[int, ...], low: Voxels) -> Voxels:
        coordinates = np.array(np.unravel_index(at, shape)) + (low - 1)[:, None]
        return np.asarray(np.ravel_multi_index(tuple(coordinates), self.ids.shape))

    def _flood(self, states: NDArray[np.int8], padded: Any) -> list[int] | None:
        """Search breadth first, and go back from the goal, at each step to the voxel with the highest value."""
        state = states.ravel()
        steps = neighborhood_offsets(states.shape)[self.neighbors]
        fronts = [np.flatnonzero(state == _SEED)]
        while True:
            around = fronts[-1][:, None] + steps
            states_around = state[around]
            is_last = states_around == _GOAL
            if is_last.any():
                break
            front = np.unique(around[states_around == _FREE])
            if not len(front):
                return None
            state[front] = _VISITED
            fronts.append(front)
        rows = is_last.any(1).nonzero()[0]
        row = rows[self.values.flat[padded(fronts[-1][rows])].argmax() if len(fronts) > 1 else 0]
        way = [int(around[row][is_last[row]][0]), int(fronts[-1][row])]
        for front in reversed(fronts[:-1]):
            before = way[-1] + steps
            before = before[np.isin(before, front)]
            at = 0 if front is fronts[0] else self.values.flat[padded(before)].argmax()
            way.append(int(before[at]))
        return way[::-1]

    def length(self, path: Path) -> float:
        """Return the Euclidean length of a path from component to component."""
        voxels = np.unravel_index([path.ends[0], *path.voxels, path.ends[1]], self.ids.shape)
        return float(np.linalg.norm(np.diff(voxels, axis=1) * self.steps[:, None], axis=0).sum())

    def added(self, path: Path, joined: NDArray[np.int64]) -> tuple[int | None, list[int]]:
        """Add the voxels of a path one after another, and see what each one changes.

        A voxel that touches one component at two places closes a loop; in 3D one that parts the background around it
        closes a cavity or a tunnel.

        Args:
            path: The path; its first voxel touches the component of its first end.
            joined: `(K + 1,)`, equal for components that are one by now.

        Returns:
            The first voxel that closes a loop, a tunnel or a cavity, or None; and one component for each group that
            the path makes part of the one at its first end.
        """
        ids = self.ids.ravel()
        voxels = path.voxels[ids[path.voxels] == 0]
        around = voxels[:, None] + neighborhood_offsets(self.ids.shape)
        labels = ids[around]
        # What of its neighborhood is on the path before a voxel itself.
        on_path = (around[:, :, None] == voxels) & (np.arange(len(voxels)) < np.arange(len(voxels))[:, None])[:, None]
        on_path = on_path.any(-1)
        shape = (-1, *(3,) * self.ids.ndim)
        local = adjacent_components(((labels > 0) | on_path).reshape(shape), self.connectivity).reshape(labels.shape)
        closes = np.zeros(len(voxels), dtype=bool)
        if self.ids.ndim == 3:
            closes = topological_numbers(((labels > 0) | on_path).reshape(shape), self.connectivity)[1] > 1
        own = {int(joined[ids[path.ends[0]]])}
        first_loop, touched = None, []
        for i, voxel in enumerate(voxels.tolist()):
            numbers, at = np.unique(local[i], return_index=True)
            at = at[numbers > 0]
            groups = [-1 if on_path[i, a] or joined[labels[i, a]] in own else int(joined[labels[i, a]]) for a in at]
            if first_loop is None and (len(set(groups)) < len(groups) or closes[i]):
                first_loop = voxel
            new = [int(labels[i, a]) for a, group in zip(at, groups, strict=True) if group >= 0]
            own |= {int(joined[label]) for label in new}
            touched += new
        return first_loop, touched
