"""Invalid neighbors: classes that touch in the prediction although they must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Array, Connectivity, Mask
from monai_topo._utils.validation import check_connectivity
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks

Pairs = Sequence[Sequence[int]]


def compute_invalid_neighbors(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    allowed: Pairs | None = None,
    connectivity: Connectivity = "full",
) -> torch.Tensor:
    """Count the invalid neighbors of every class: classes that it touches in the prediction but must not touch.

    Two classes are neighbors if a voxel of one is adjacent to a voxel of the other, or belongs to both. A neighbor is
    invalid if the pair is neither in `allowed` nor, without it, a pair of neighbors in the label of the same case. Each
    invalid pair counts once for each of its two classes. The metric does not measure valid neighbors that the
    prediction lacks, and depends on all classes: with `include_background=False` the background is no class and no
    neighbor, which is what one-hot images need.

    Empty masks: NaN, "not applicable", for a class that the prediction lacks, so the mean over the classes of a case is
    that over the predicted classes; NaN if there is none. A class that the label lacks has no valid neighbor in it. A
    single channel, of which nothing can be a neighbor, has 0.

    Source: the class-average invalid-neighbor error of TopBrain 2025, read in `cls_avg_invalid_neighbors.py` and
    `get_neighbor_per_mask.py` of CoWBenchmark/TopBrain_Eval_Metrics: 26 neighbors, and a fixed list of valid neighbors
    of its anatomical classes, for which `allowed` stands. The label as reference is ours. There a prediction without
    classes has error 0, and classes exclude each other.

    Cost: one dilation per predicted class, within its bounding box. Deterministic; no gradient. Needs scipy
    (`pip install 'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, one channel per class, one-hot or
            overlapping, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape; not used if `allowed` is given.
        include_background: False drops channel 0, as a class and as a neighbor; a single channel always stays.
        allowed: Pairs of channels that may touch, such as `[(1, 2), (2, 3)]`, in any order, channel 0 being the
            background; None allows those that touch in the label of the case.
        connectivity: `"full"` if voxels touch at faces, edges and corners, `"face"` if only at faces.

    Returns:
        `(B, C')` float32 on the device of `y_pred`, whole numbers; 0 is best.

    Raises:
        ImportError: If scipy is not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or a setting is impossible.

    Example:
        >>> import torch
        >>> ids = torch.tensor([[[1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0]]])
        >>> moved = torch.tensor([[[1, 1, 3, 3, 2, 2], [0, 0, 0, 0, 0, 0]]])  # 1 touches 3 now
        >>> label, prediction = (torch.stack([x == c for c in range(4)], dim=1) for x in (ids, moved))
        >>> compute_invalid_neighbors(prediction, label, include_background=False)
        tensor([[1., 0., 1.]])
    """
    check_connectivity(connectivity)
    pairs = _check_pairs(allowed)
    channels = y_pred.shape[1] if isinstance(y_pred, torch.Tensor) and y_pred.ndim > 1 else 0
    if pairs and channels and max(max(pair) for pair in pairs) >= channels:
        raise ValueError(f"Expected `allowed` to hold channels below {channels}, but got {max(pairs, key=max)}.")
    pred, true = check_masks(y_pred, y, include_background=include_background)
    first = channels - pred.shape[1]
    valid = None if allowed is None else _to_matrix(pairs, channels)[first:, first:]
    counts = [
        _count(
            one_pred.numpy(), _find_neighbors(one_true.numpy(), connectivity) if valid is None else valid, connectivity
        )
        for one_pred, one_true in zip(pred, true, strict=True)
    ]
    return torch.tensor(np.stack(counts), dtype=torch.float32, device=y_pred.device)


def _check_pairs(allowed: Pairs | None) -> list[tuple[int, int]]:
    pairs = []
    for pair in allowed or ():
        if len(pair) != 2 or not all(type(channel) is int and channel >= 0 for channel in pair):
            raise ValueError(f"Expected `allowed` to hold pairs of channels, such as (1, 2), but got {pair!r}.")
        pairs.append((pair[0], pair[1]))
    return pairs


def _to_matrix(pairs: list[tuple[int, int]], channels: int) -> Mask:
    matrix = np.zeros((channels, channels), dtype=bool)
    for one, other in pairs:
        matrix[one, other] = matrix[other, one] = True
    return matrix


def _count(pred: Mask, valid: Mask, connectivity: Connectivity) -> Array:
    invalid = (_find_neighbors(pred, connectivity) & ~valid).sum(axis=1)
    present = pred.reshape(len(pred), -1).any(axis=1)
    return np.where(present, invalid, np.nan)


def _find_neighbors(masks: Mask, connectivity: Connectivity) -> Mask:
    """Return which classes touch, `(C, C)`, of masks `(C, *spatial)`; no class is its own neighbor."""
    ndimage = require("scipy.ndimage", "scipy")
    axes = masks.ndim - 1
    around = ndimage.generate_binary_structure(axes, axes if connectivity == "full" else 1)
    touching = np.zeros((len(masks), len(masks)), dtype=bool)
    for one, mask in enumerate(masks):
        for place in ndimage.find_objects(mask.view(np.uint8)):  # one, or none if the class is absent
            box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in place)
            reached = ndimage.binary_dilation(mask[box], around)
            touching[one] = masks[(slice(None), *box)][:, reached].any(axis=1)
    np.fill_diagonal(touching, val=False)
    return touching


@dataclass(kw_only=True, eq=False)
class InvalidNeighborsMetric(TopologyMetric, compute=compute_invalid_neighbors):
    """Collect the number of invalid neighbors over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_invalid_neighbors`; lower is better.
    The default reduction is the average over the predicted classes of a case, then over cases, as in TopBrain.

    Example:
        >>> import torch
        >>> ids = torch.tensor([[[1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0]]])
        >>> prediction = torch.stack([ids == c for c in range(4)], dim=1)
        >>> InvalidNeighborsMetric(include_background=False, allowed=[(1, 2)])(prediction, prediction)
        tensor([[0., 1., 1.]])
    """

    allowed: Pairs | None = None
    connectivity: Connectivity = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_pairs(self.allowed)
