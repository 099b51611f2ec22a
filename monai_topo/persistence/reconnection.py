"""Components of a thresholded likelihood map joined along their minimax paths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.kernel import finite_array
from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo._utils.validation import check_at_least, check_images, check_topology_settings
from monai_topo.masks.components import label_components
from monai_topo.persistence.merge_trees import merge_tree
from monai_topo.persistence.minimax_paths import Path, PathFinder

__all__ = ["OUTCOMES", "Joins", "reconnect_components"]

#: What became of a candidate: joined by a path; joined because it touches the path of another row; or refused, because
#: the path is too long, both components are too large, or every path that was tried closes a loop or a cavity.
OUTCOMES = ("joined", "touched", "too_long", "too_large", "closes_loop")

_MAX_DETOURS = 16  # voxels that a path avoids, one after another, because they would close a loop

Ids = NDArray[np.int32]
Voxels = NDArray[np.int64]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class Joins:
    """The pairs of components that were joined or refused, in the order in which they were tried.

    All tensors are on the CPU. Voxels are C-order indices into their image.

    Attributes:
        image: `(P,)` int64, index into the batch.
        labels: `(P, 2)` int64, the two components, as numbered by `label_components(likelihood > threshold, ...)`;
            -1 is the frame of foreground around the image.
        saddle: `(P,)` int64, the voxel where the two meet: the death of the younger one in the superlevel filtration.
        likelihood: `(P,)` float64, likelihood at the saddle, the least on the path.
        outcome: `(P,)` int64, index into `OUTCOMES`.
        num_voxels: `(P,)` int64, voxels of the path between the two components; 0 if refused or touched.
        length: `(P,)` float64, Euclidean length of the path from component to component, in mm if a spacing is given
            and in voxels otherwise; 0 if refused or touched.
        path: `(sum(num_voxels),)` int64, voxels of all paths, each from the first component to the second one.
        offsets: `(P + 1,)` int64; the path of row i is `path[offsets[i] : offsets[i + 1]]`.
    """

    image: Tensor
    labels: Tensor
    saddle: Tensor
    likelihood: Tensor
    outcome: Tensor
    num_voxels: Tensor
    length: Tensor
    path: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.image)

    @property
    def is_joined(self) -> Tensor:
        """`(P,)` bool, rows that reduced the number of components by one: outcome `"joined"` or `"touched"`."""
        return self.outcome < OUTCOMES.index("too_long")


class _Limits(NamedTuple):
    connectivity: Connectivity
    border: Border
    min_likelihood: float
    max_voxels: float
    max_length: float
    max_component_vox: float
    allow_loops: bool
    steps: tuple[float, ...]


class _Row(NamedTuple):
    image: int
    labels: tuple[int, ...]
    saddle: int
    likelihood: float
    outcome: int
    length: float = 0.0
    path: Voxels = np.zeros(0, dtype=np.int64)


def reconnect_components(
    likelihood: Tensor,
    *,
    threshold: float = 0.5,
    connectivity: Connectivity = "full",
    border: Border = "open",
    max_path_length: float | None = None,
    min_likelihood: float = 0.0,
    min_component_size: float = 0,
    max_component_size: float | None = None,
    allow_loops: bool = False,
    spacing: Sequence[float] | None = None,
) -> tuple[Tensor, Joins]:
    """Join the components of a mask along the paths whose lowest likelihood is highest.

    The mask is `likelihood > threshold`. Below the threshold its components grow in the superlevel filtration until
    they meet, each at its death voxel, the saddle. Saddles are taken from the highest likelihood to the lowest, as in
    Kruskal's algorithm, so each component but one has one candidate, and candidates form a forest. At a saddle of
    likelihood s, the two sides are joined by a path of voxels of likelihood s or more. What is exact:

    - The lowest likelihood of a path is s, and no path between the two sides has a higher one (minimax).
    - Among the paths through the saddle with that lowest likelihood, none between the two sides has fewer voxels. Where
      likelihoods tie, a path that is as short or shorter may lead through another voxel of likelihood s.
    - Unless `allow_loops`, each row of outcome `"joined"` or `"touched"` reduces the number of components by one, and
      loops and cavities stay as they are. A voxel that would close one is avoided, up to 16 of them, so the path may be
      longer than the shortest; if no path is left, the candidate is refused.

    Only the minimax path of a candidate is tried: a candidate that a limit refuses is not joined at another place.

    Args:
        likelihood: `(N, H, W)` or `(N, D, H, W)`, floating, finite, on any device.
        threshold: Foreground is above it; at least 0 and less than 1.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground, so components may be joined to the frame).
        max_path_length: Longest path: number of voxels between the two components or, if `spacing` is given, Euclidean
            length in mm from one component to the other. None: no limit.
        min_likelihood: Least likelihood on a path. Candidates below it have no row.
        min_component_size: Components smaller than this are not joined and have no row, but a path may lead through
            them. In voxels or, if `spacing` is given, in mm^2 (2D) or mm^3.
        max_component_size: Of two joined components at least one is no larger than this. None: no limit.
        allow_loops: Accept paths that also close a loop or a cavity on their way.
        spacing: Voxel spacing in mm, one number per axis.

    Returns:
        `(masks, joins)`: the bool masks with the paths, of the shape of `likelihood`, on the CPU, and the table of all
        candidates. Without limits everything is joined into one component. An empty or constant image has no candidate.
        Deterministic; among paths with equally many voxels, the last voxel is the one of the highest likelihood, and so
        on backwards.

    Raises:
        TypeError: If `likelihood` is not a floating-point tensor.
        ValueError: If its shape, a value (NaN, infinite) or a setting is not one of the above, or if it holds only 0
            and 1, both of them: a mask has no saddles.

    Cost: one merge tree per image, nearly linear, with 40 bytes per voxel in all (`min_likelihood` makes it several
    times faster, since what lies below is one plateau); then for each candidate a breadth-first search in a box around
    its saddle, at most twice as far as the path is long: milliseconds for paths of a few voxels. Without
    `max_path_length`, a box may grow to the whole image (6 bytes per voxel).

    Source: the reconnection of Berger et al., 2026, appendix A.4.2. The conditions on loops, sizes and ties are ours.
    `critical_set_targets` raises steepest paths instead, which lead from peak to peak and are not the shortest.

    Example:
        >>> import torch
        >>> likelihood = torch.tensor([[[0.9, 0.3, 0.4, 0.8, 0.1, 0.7]]])
        >>> masks, joins = reconnect_components(likelihood, min_likelihood=0.2)
        >>> masks.int().tolist(), joins.labels.tolist(), joins.num_voxels.tolist()
        ([[[1, 1, 1, 1, 0, 1]]], [[2, 1]], [2])
    """
    check_images(likelihood)
    check_topology_settings(connectivity=connectivity, border=border)
    if not 0 <= threshold < 1:
        raise ValueError(f"Expected `threshold` to be at least 0 and less than 1, but got {threshold!r}.")
    steps = _check_spacing(spacing, likelihood.ndim - 1)
    in_mm = spacing is not None
    length = math.inf if max_path_length is None else check_at_least("max_path_length", max_path_length)
    voxel_size = float(np.prod(steps))
    largest = math.inf if max_component_size is None else check_at_least("max_component_size", max_component_size)
    limits = _Limits(
        connectivity=connectivity,
        border=border,
        min_likelihood=check_at_least("min_likelihood", min_likelihood),
        max_voxels=length / min(steps) if in_mm else length,
        max_length=length * (1 + 1e-9) if in_mm else math.inf,  # a path at the limit passes, whatever the rounding
        max_component_vox=largest / voxel_size * (1 + 1e-9),
        allow_loops=allow_loops,
        steps=steps,
    )
    least_vox = check_at_least("min_component_size", min_component_size) / voxel_size * (1 - 1e-9)
    images = finite_array(likelihood)
    _refuse_masks(images)
    masks = torch.from_numpy(images > threshold)
    labels = label_components(masks, connectivity=connectivity, border=border).numpy()
    rows: list[_Row] = []
    for number, (image, mask, ids) in enumerate(zip(images, masks.numpy(), labels, strict=True)):
        sizes = np.bincount(np.maximum(ids, 0).ravel())
        is_small = sizes < least_vox
        candidates = list(_candidates(image, np.where(is_small[np.maximum(ids, 0)], 0, ids), threshold, limits))
        if candidates:
            work = _Reconnection(number, image, ids, is_small, sizes, limits)
            for candidate in candidates:
                rows += work.join(*candidate)
            mask |= work.mask()
    return masks, _table(rows)


def _check_spacing(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    steps = (1.0,) * ndim if spacing is None else tuple(map(float, spacing))
    if len(steps) != ndim or not all(0 < step < math.inf for step in steps):
        raise ValueError(f"Expected `spacing` to be {ndim} positive numbers, one per axis, but got {spacing!r}.")
    return steps


def _refuse_masks(images: Array) -> None:
    for image in images:
        if image.min() == 0 and image.max() == 1 and np.all((image == 0) | (image == 1)):
            raise ValueError(
                "Expected `likelihood` to hold likelihoods, but got a mask of 0 and 1: without values between them no "
                "path is better than another; reconnect before thresholding."
            )


def _candidates(image: Array, ids: Ids, threshold: float, limits: _Limits) -> Iterator[tuple[int, int, int]]:
    """Yield a component, the one that it meets, and the saddle; saddles from high to low."""
    outside = limits.border == "foreground"
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


class _Reconnection:
    """One image, padded by what lies outside, and which of its components meet and are joined by now."""

    def __init__(
        self,
        number: int,
        image: Array,
        ids: Ids,
        is_small: Chosen,
        sizes: NDArray[np.int64],
        limits: _Limits,
    ) -> None:
        self.number, self.limits = number, limits
        self.frame = len(sizes)  # the frame of foreground is the component after the last one
        outside = limits.border == "foreground"
        values = np.pad(image, 1, constant_values=np.inf if outside else -np.inf)
        self.ids = np.pad(np.where(ids < 0, self.frame, ids).astype(np.int32), 1, constant_values=outside * self.frame)
        self.paths = PathFinder(values, self.ids, limits.connectivity, limits.steps)
        self.sizes = np.append(sizes, np.iinfo(np.int64).max)
        self.is_end = ~np.append(is_small, False)
        self.is_end[0] = False
        # Components that meet at a saddle so far, joined or refused; and those that are one in the result.
        self.meet = np.arange(self.frame + 1)
        self.joined = np.arange(self.frame + 1)

    def mask(self) -> Chosen:
        """Return the foreground, paths included."""
        return np.asarray(self.ids[(slice(1, -1),) * self.ids.ndim] > 0)

    def join(self, component: int, other: int, saddle: int) -> list[_Row]:
        """Try one candidate: join, or refuse, and keep a row of it, unless a tie has joined it before."""
        labels = (component, other if other > 0 else self.frame)
        center = np.array(np.unravel_index(saddle, [extent - 2 for extent in self.ids.shape])) + 1
        least = float(self.paths.values[tuple(center)])
        outcome, path, touched, labels = self._try(labels, center, least)
        self.meet[self.meet == self.meet[labels[1]]] = self.meet[labels[0]]
        if outcome is None:
            return []
        row = _Row(self.number, self._names(*labels), saddle, least, OUTCOMES.index(outcome))
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


def _table(rows: list[_Row]) -> Joins:
    columns = {name: [getattr(row, name) for row in rows] for name in _Row._fields}
    num_voxels = np.array([len(path) for path in columns["path"]], dtype=np.int64)
    return Joins(
        image=torch.tensor(columns["image"], dtype=torch.int64),
        labels=torch.tensor(columns["labels"], dtype=torch.int64).view(-1, 2),
        saddle=torch.tensor(columns["saddle"], dtype=torch.int64),
        likelihood=torch.tensor(columns["likelihood"], dtype=torch.float64),
        outcome=torch.tensor(columns["outcome"], dtype=torch.int64),
        num_voxels=torch.from_numpy(num_voxels),
        length=torch.tensor(columns["length"], dtype=torch.float64),
        path=torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *columns["path"]])),
        offsets=torch.from_numpy(np.append(0, np.cumsum(num_voxels))),
    )
