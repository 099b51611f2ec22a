"""Expected run length: how far one can follow an object of the label before the prediction has an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Connectivity, Mask
from monai_topo._utils.validation import check_whole_number
from monai_topo.masks.skeletons import skeleton
from monai_topo.metrics._inputs import check_spacing, expand_spacing, map_masks, ratio
from monai_topo.metrics._instances import Ids, InstanceMetric, Instances, label_instances


class ExpectedRunLength(NamedTuple):
    """Expected run length in mm, that of a perfect prediction, and their ratio; each `(B, C)` float32."""

    run_length: torch.Tensor
    largest: torch.Tensor
    relative: torch.Tensor


class _Paths(NamedTuple):
    """Edges of the skeletons of all instances: length in mm, instance, and the predicted ids at both ends.

    `nodes` holds one row for each skeleton voxel: its instance and the predicted id there.
    """

    length: np.ndarray[Any, np.dtype[np.float64]]
    instance: Ids
    ends: Ids
    nodes: Ids


def compute_expected_run_length(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    spacing_mm: float | Sequence[float] = 1.0,
    max_merge_vox: int = 0,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
) -> ExpectedRunLength:
    r"""Compute the expected run length of every image and channel, as used in connectomics.

    Each instance of the label has a skeleton, a tree of edges between neighboring voxels. An edge is correct if both
    of its ends lie in the same predicted instance and this instance merges no skeletons. With the length
    :math:`L_{ij}` of the correct edges of skeleton :math:`i` in predicted instance :math:`j`, and the length
    :math:`L_i` of all edges of skeleton :math:`i`,

    .. math:: \text{run length} = \frac{\sum_{ij} L_{ij}^2}{\sum_i L_i}, \qquad
        \text{largest} = \frac{\sum_i L_i^2}{\sum_i L_i}, \qquad \text{relative} = \frac{\text{run length}}
        {\text{largest}}.

    This is the expected length of the correct piece around a point drawn uniformly from all skeletons. A split divides
    a piece, an omission shortens it, and a merge is punished most: all pieces in a predicted instance that contains
    voxels of two skeletons have length 0. False objects that touch no skeleton have no effect.

    Empty masks: NaN, "not applicable", for a label without instances; 0 for an empty prediction. If all skeletons are
    single voxels, the run length is 0 and the relative one NaN. A full prediction is one instance: it is perfect for a
    label with one instance, and 0 for several.

    Source: Januszewski, Kornfeld, Li et al., "High-precision automated reconstruction of neurons with flood-filling
    networks", Nature Methods 15, 2018, whose skeletons are traced by people; formula and treatment of merges were read
    in `run_length.py` of funkelab/funlib.evaluate. Here the skeletons are those of the label's instances
    (scikit-image), as in AxonEM; of a loop, one edge is left out, since a minimum spanning tree joins the voxels. As
    there, correct pieces of one skeleton in one predicted instance are added even if they are apart.
    `largest` and `relative` are ours.

    Cost: one skeleton per instance of the label, within its bounding box. Deterministic; no gradient. Needs
    scikit-image and scipy (`pip install 'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids per channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        spacing_mm: Voxel spacing, one number or one per axis, in the order of the spatial axes, the same for all cases.
        max_merge_vox: Largest number of voxels of a second skeleton that a predicted instance may contain without being
            a merge.
        instances: Components of the `"foreground"`, components of the `"background"` (cells between membranes), or
            `"given"` ids, where 0 is no instance.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one. Not used for given ids.

    Returns:
        `ExpectedRunLength(run_length, largest, relative)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        ImportError: If scikit-image or scipy is not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values are neither masks nor ids, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 13)
        >>> label[..., 3, 1:12] = 1  # a line of ten steps
        >>> prediction = label.clone()
        >>> prediction[..., 5] = 0  # pieces of three and five steps: (9 + 25) / 10
        >>> compute_expected_run_length(prediction, label, spacing_mm=2.0)
        ExpectedRunLength(run_length=tensor([[6.8000]]), largest=tensor([[20.]]), relative=tensor([[0.3400]]))
    """
    check_spacing(spacing_mm)
    check_whole_number("max_merge_vox", max_merge_vox)
    pred, true = label_instances(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_measure, max_merge_vox=max_merge_vox, spacing_mm=expand_spacing(spacing_mm, pred.ndim - 2))
    return ExpectedRunLength(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _measure(pred: Ids, true: Ids, *, max_merge_vox: int, spacing_mm: tuple[float, ...]) -> tuple[float, ...]:
    if not true.any():
        return (float("nan"),) * 3
    paths = _trace(pred, true, spacing_mm)
    pairs, sizes = np.unique(paths.nodes, axis=0, return_counts=True)
    segments, num_skeletons = np.unique(pairs[sizes > max_merge_vox, 1], return_counts=True)
    merging = segments[num_skeletons > 1]
    inside = paths.ends[:, 0]
    correct = (inside == paths.ends[:, 1]) & (inside > 0) & ~np.isin(inside, merging)
    whole = paths.length.sum()
    if whole == 0:
        return 0.0, 0.0, float("nan")
    found = _sum_of_squares(paths.length[correct], np.stack([paths.instance[correct], inside[correct]], axis=1))
    largest = _sum_of_squares(paths.length, paths.instance[:, None])
    return found / whole, largest / whole, ratio(found, largest)


def _sum_of_squares(length: Any, keys: Ids) -> float:
    """Sum the lengths of equal keys, and return the sum of the squared sums."""
    if len(length) == 0:
        return 0.0
    groups = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    return float((np.bincount(groups, weights=length) ** 2).sum())


def _trace(pred: Ids, true: Ids, spacing_mm: tuple[float, ...]) -> _Paths:
    numbered = np.unique(np.append(true, 0), return_inverse=True)[1][:-1].reshape(true.shape)  # 0 stays 0
    length, instance, ends, nodes = [], [], [], []
    for number, box in enumerate(require("scipy.ndimage", "scipy").find_objects(numbered), start=1):
        line = skeleton(numbered[box] == number)
        start, stop, steps = _spanning_tree(line, spacing_mm)
        inside = pred[box][line]
        length.append(steps)
        instance.append(np.full(len(steps), number))
        ends.append(np.stack([inside[start], inside[stop]], axis=1))
        nodes.append(np.stack([np.full(len(inside), number), inside], axis=1))
    in_instance = np.concatenate(nodes)
    return _Paths(
        np.concatenate(length), np.concatenate(instance), np.concatenate(ends), in_instance[in_instance[:, 1] > 0]
    )


def _spanning_tree(line: Mask, spacing_mm: tuple[float, ...]) -> tuple[Ids, Ids, Any]:
    """Join the voxels of a skeleton with their neighbors by a minimum spanning tree, one for each part.

    Returns:
        Numbers of both ends of each edge, in the order of the voxels, and lengths in mm.
    """
    number = np.zeros(line.shape, dtype=np.int32)  # SciPy before 1.13 finds no tree in a graph with indices of 64 bits
    number[line] = np.arange(line.sum())
    starts, stops, lengths = [], [], []
    for offset in product((-1, 0, 1), repeat=line.ndim):
        if offset > (0,) * line.ndim:  # the other half of the neighbors has the same edges
            here = tuple(slice(max(0, -step), min(0, -step) or None) for step in offset)
            there = tuple(slice(max(0, step), min(0, step) or None) for step in offset)
            both = line[here] & line[there]
            starts.append(number[here][both])
            stops.append(number[there][both])
            lengths.append(np.full(both.sum(), np.linalg.norm(np.multiply(offset, spacing_mm))))
    sparse = require("scipy.sparse", "scipy")
    edges = np.concatenate(lengths), (np.concatenate(starts), np.concatenate(stops))
    graph = sparse.csr_array(edges, shape=(line.sum(), line.sum()))
    tree = require("scipy.sparse.csgraph", "scipy").minimum_spanning_tree(graph).tocoo()
    return tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data


@dataclass(kw_only=True, eq=False)
class ExpectedRunLengthMetric(InstanceMetric, compute=compute_expected_run_length, parts=ExpectedRunLength._fields):
    """Collect the expected run length over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_expected_run_length`; higher is better.
    The mean over cases counts every case the same, however long its skeletons are.

    Args:
        part: `"run_length"` in mm, `"largest"` for that of a perfect prediction, or `"relative"`, 0 to 1, their ratio.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 2, 1:11] = 1
        >>> label[..., 5, 1:11] = 1
        >>> ExpectedRunLengthMetric(part="relative")(torch.ones_like(label), label)  # one instance merges both lines
        tensor([[0.]])
    """

    spacing_mm: float | Sequence[float] = 1.0
    max_merge_vox: int = 0
    part: Literal["run_length", "largest", "relative"] = "run_length"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_spacing(self.spacing_mm)
        check_whole_number("max_merge_vox", self.max_merge_vox)
