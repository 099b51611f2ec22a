"""Instances of prediction and label, and how many voxels each pair of them shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch

from monai_topo._utils.typing import DUAL, Connectivity
from monai_topo._utils.validation import check_choice, check_connectivity
from monai_topo.masks.components import label_components
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks, check_pair

Instances = Literal["foreground", "background", "given"]
Ids = np.ndarray[Any, np.dtype[np.int64]]

# Tables of up to this many cells are counted densely; larger ones by sorting runs of equal pairs.
_DENSE_CELLS = 2**24


@dataclass(kw_only=True, eq=False)
class InstanceMetric(TopologyMetric):
    """Base of the metrics that compare instances."""

    instances: Instances = "foreground"
    connectivity: Connectivity = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_instances(self.instances)


class Overlaps(NamedTuple):
    """Sizes of the pairs of instances that share voxels, and of the instances.

    Attributes:
        true: `(K,)` id of the label's instance of each pair.
        pred: `(K,)` id of the predicted instance of each pair.
        size: `(K,)` number of voxels they share, at least 1.
        true_size: `(max id + 1,)` number of voxels of each instance of the label, indexed by id; 0 for unused ids.
        pred_size: `(max id + 1,)` number of voxels of each instance of the prediction.
    """

    true: Ids
    pred: Ids
    size: Ids
    true_size: Ids
    pred_size: Ids


def label_instances(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool,
    instances: Instances,
    connectivity: Connectivity,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check prediction and label and number their instances.

    Returns:
        Ids of both, integer CPU tensors `(B, C', *spatial)`; 0 is not an instance.

    Raises:
        TypeError: If one of them is not a tensor.
        ValueError: If a setting is unknown, shapes differ, masks are not binary, or given ids are not whole numbers
            from 0 on.
    """
    _check_instances(instances)
    if instances == "given":
        pred, true = check_pair(y_pred, y, include_background=include_background)
        return _to_ids(pred, "y_pred"), _to_ids(true, "y")
    check_connectivity(connectivity)
    pred, true = check_masks(y_pred, y, include_background=include_background)
    if instances == "background":
        pred, true, connectivity = ~pred, ~true, DUAL[connectivity]
    return _label_masks(pred, connectivity), _label_masks(true, connectivity)


def _check_instances(instances: object) -> None:
    check_choice("instances", instances, get_args(Instances))


def count_overlaps(pred: Ids, true: Ids, *, ignore_unlabeled: bool = False) -> Overlaps:
    """Count the voxels that each pair of instances shares.

    Args:
        pred: Ids of the prediction, whole numbers from 0 on.
        true: Ids of the label, of the same shape.
        ignore_unlabeled: Whether to ignore voxels where the label has id 0.
    """
    pred, true = pred.ravel(), true.ravel()
    if ignore_unlabeled:
        labeled = true != 0
        pred, true = pred[labeled], true[labeled]
    if pred.size == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Overlaps(nothing, nothing, nothing, nothing, nothing)
    pred, true = _renumber_large_ids(pred), _renumber_large_ids(true)
    width = int(pred.max()) + 1
    cells = (int(true.max()) + 1) * width
    dtype: np.dtype[Any] = np.dtype(np.int32 if cells <= 2**31 else np.int64)
    key: Ids = true.astype(dtype) * width + pred.astype(dtype)
    keys, size = _count_dense(key) if cells <= _DENSE_CELLS else _count_runs(key)
    true_id, pred_id = keys // width, keys % width
    return Overlaps(true_id, pred_id, size, _sum_sizes(true_id, size), _sum_sizes(pred_id, size))


def _count_dense(key: Ids) -> tuple[Ids, Ids]:
    counts = np.bincount(key)
    keys = np.flatnonzero(counts)
    return keys, counts[keys]


def _count_runs(key: Ids) -> tuple[Ids, Ids]:
    # Instances are coherent, so neighbors mostly have one key: sorting runs is many times cheaper than sorting voxels.
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    lengths = np.diff(starts, append=key.size)
    keys, inverse = np.unique(key[starts], return_inverse=True)
    return keys.astype(np.int64), np.bincount(inverse, weights=lengths).astype(np.int64)


def _sum_sizes(ids: Ids, size: Ids) -> Ids:
    return np.bincount(ids, weights=size).astype(np.int64)


def _renumber_large_ids(ids: Ids) -> Ids:
    """Renumber ids if they are so large (hashes, for example) that a table of them would not fit; 0 stays 0."""
    if int(ids.max()) <= _DENSE_CELLS:
        return ids
    renumbered: Ids = np.unique(np.append(ids, 0), return_inverse=True)[1][:-1]
    return renumbered


def _label_masks(masks: torch.Tensor, connectivity: Connectivity) -> torch.Tensor:
    return label_components(masks.flatten(0, 1), connectivity=connectivity).view(masks.shape)


def _to_ids(ids: torch.Tensor, name: str) -> torch.Tensor:
    ids = ids.detach().as_subclass(torch.Tensor).cpu()
    whole = ids if ids.dtype == torch.int32 else ids.long()  # `label_components` returns int32
    if bool((whole < 0).any()) or not torch.equal(whole.to(ids.dtype), ids):
        raise ValueError(
            f"Expected `{name}` to hold instance ids, whole numbers from 0 (no instance) on, but got other values; "
            "set instances='foreground' or 'background' for masks."
        )
    return whole
