"""Components of a thresholded likelihood map joined along their minimax paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import finite_array
from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo._utils.validation import check_at_least, check_images, check_topology_settings, is_number
from monai_topo.persistence.joining import OUTCOMES, JoinLimits, JoinRow, find_candidates, join_candidates

__all__ = ["OUTCOMES", "Joins", "reconnect_components"]

_ROUNDING = 1e-3  # how far an interpolated likelihood may lie outside of [0, 1]


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


@dataclass(kw_only=True, eq=False)
class JoinSettings:
    """Settings of :py:func:`reconnect_components`, as described there; also those of the transform.

    Raises:
        ValueError: If one of them is not as described there.
    """

    threshold: float = 0.5
    connectivity: Connectivity = "full"
    border: Border = "open"
    max_path_length: float | None = None
    min_likelihood: float = 0.0
    min_component_size: float = 0
    max_component_size: float | None = None
    allow_loops: bool = False

    def __post_init__(self) -> None:
        check_topology_settings(connectivity=self.connectivity, border=self.border)
        check_threshold(self.threshold)
        check_at_least("min_likelihood", self.min_likelihood)
        check_at_least("min_component_size", self.min_component_size)
        for name in ("max_path_length", "max_component_size"):
            if getattr(self, name) is not None:
                check_at_least(name, getattr(self, name))
        if not isinstance(self.allow_loops, bool):
            raise ValueError(f"Expected `allow_loops` to be True or False, but got {self.allow_loops!r}.")

    def to_limits(self, spatial_dims: int, spacing: Sequence[float] | None) -> JoinLimits:
        """Convert lengths and sizes, in mm if there is a spacing, to voxels."""
        steps = _check_spacing(spacing, spatial_dims)
        voxel_size = math.prod(steps)
        length = math.inf if self.max_path_length is None else self.max_path_length
        largest = math.inf if self.max_component_size is None else self.max_component_size
        # A path or a component of exactly the limit passes, whatever the rounding of millimeters.
        return JoinLimits(
            threshold=self.threshold,
            connectivity=self.connectivity,
            border=self.border,
            min_likelihood=self.min_likelihood,
            max_voxels=length if spacing is None else length / min(steps),
            max_length=math.inf if spacing is None else length * (1 + 1e-9),
            min_component_vox=self.min_component_size / voxel_size * (1 - 1e-9),
            max_component_vox=largest / voxel_size * (1 + 1e-9),
            allow_loops=self.allow_loops,
            steps=steps,
        )


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
        likelihood: `(N, H, W)` or `(N, D, H, W)`, floating, between 0 and 1, on any device.
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
        ValueError: If its shape, a value (NaN, outside [0, 1]) or a setting is not one of the above, or if all values
            are 0 or 1 and both occur: a mask has no saddles.

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
    settings = JoinSettings(
        threshold=threshold,
        connectivity=connectivity,
        border=border,
        max_path_length=max_path_length,
        min_likelihood=min_likelihood,
        min_component_size=min_component_size,
        max_component_size=max_component_size,
        allow_loops=allow_loops,
    )
    return join_components(likelihood, settings, spacing)


def join_components(
    likelihood: Tensor, settings: JoinSettings, spacing: Sequence[float] | None
) -> tuple[Tensor, Joins]:
    """Join components by checked settings, see :py:func:`reconnect_components`."""
    check_images(likelihood)
    limits = settings.to_limits(likelihood.ndim - 1, spacing)
    images = finite_array(likelihood)
    check_likelihoods(images)
    masks, rows = np.zeros(images.shape, dtype=bool), []
    for number, image in enumerate(images):
        masks[number], joined = join_candidates(number, image, find_candidates(image, limits), limits)
        rows += joined
    return torch.from_numpy(masks), _table(rows)


def check_threshold(threshold: float) -> float:
    """Check that a threshold of likelihoods is at least 0 and less than 1, and return it."""
    if not is_number(threshold) or not 0 <= threshold < 1:
        raise ValueError(f"Expected `threshold` to be at least 0 and less than 1, but got {threshold!r}.")
    return threshold


def is_mask(images: Array) -> bool:
    """Return whether an array is not a likelihood: not floating-point, or 0 and 1 only, and both of them."""
    if images.dtype.kind != "f" or not images.size:
        return images.dtype.kind != "f"
    return (images.min(), images.max()) == (0, 1) and bool(np.all((images == 0) | (images == 1)))


def check_likelihoods(images: Array) -> None:
    """Check that images hold likelihoods.

    Raises:
        ValueError: If a value lies outside [0, 1], rounding aside, or if the images are masks, that is all values are 0
            or 1 and both occur.
    """
    if not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ValueError(
            f"Expected likelihoods between 0 and 1, but got values from {low:g} to {high:g}: apply a sigmoid or "
            "softmax to logits, and divide by 255 what was saved in 8 bits."
        )
    if is_mask(images):
        raise ValueError(
            "Expected likelihoods, but got a mask of 0 and 1: persistence and paths need the values before the "
            "threshold."
        )


def _check_spacing(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    steps = (1.0,) * ndim if spacing is None else tuple(map(float, spacing))
    if len(steps) != ndim or not all(0 < step < math.inf for step in steps):
        raise ValueError(f"Expected `spacing` to be {ndim} positive numbers, one per axis, but got {spacing!r}.")
    return steps


def _table(rows: list[JoinRow]) -> Joins:
    columns = {name: [getattr(row, name) for row in rows] for name in JoinRow._fields}
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
