"""Branch detection: how much of a tree's length, and how many of its branches, a prediction covers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Connectivity, Mask
from monai_topo._utils.validation import check_connectivity, check_whole_number
from monai_topo.masks.components import components
from monai_topo.masks.skeletons import skeleton
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks, map_masks, ratio

Ids = np.ndarray[Any, np.dtype[np.int64]]


class BranchDetection(NamedTuple):
    """Detected share of length and branches, and the number of detected and of all branches; each `(B, C)` float32."""

    tree_length: torch.Tensor
    branches: torch.Tensor
    detected: torch.Tensor
    total: torch.Tensor


def compute_branch_detection(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    min_share: float = 0.8,
    min_branch_vox: int = 5,
    largest_only: bool = True,
    connectivity: Connectivity = "full",
) -> BranchDetection:
    r"""Compute the detected tree length and the detected branches of every image and channel.

    With the prediction :math:`V_P`, the skeleton :math:`S_L` of the label and its branches :math:`S_1, \dots, S_n`,

    .. math::

        \text{tree length} = \frac{|S_L \cap V_P|}{|S_L|}, \qquad
        \text{branches} = \frac{1}{n} \left| \{ i : |S_i \cap V_P| \geq \texttt{min\_share} \cdot |S_i| \} \right| .

    A branch is a part of the skeleton between two junctions or ends; a junction is a voxel with more than two neighbors
    in the skeleton. Parts of fewer than `min_branch_vox` voxels are no branches: two branches that meet where only
    short parts leave are one branch, and a component of short parts only is one branch. Voxels of junctions and of
    short parts belong to the nearest branch. Both numbers are recalls, so report a precision with them.

    Empty masks: rates are NaN for an empty label, "not applicable", and 0 for an empty prediction; counts are 0 for an
    empty label. A full prediction detects everything.

    Source: the detected tree length (TD) and branches (BD) of ATM'22: Zhang, Wu, Zhang et al., "Multi-site,
    multi-domain airway tree modeling", Medical Image Analysis 2023 (arXiv 2303.05745), as in `evaluation_atm_22.py`
    and `tree_parse.py` of EndoluminalSurgicalVision-IMR/ATM-22-Related-Work: lengths in voxels, a share of 0.8, parts
    of 5 voxels or more, and only the largest component of prediction and label. Differences: there, holes of the label
    are filled before thinning, and branches are merged along a tree whose root is the branch of largest volume, the
    trachea; here no root is needed, so the metric applies to any network. On six synthetic trees of 22 to 24 parts,
    each with four gaps, tree lengths were equal and shares of branches differed by 0.02 to 0.07. There the values are
    percentages. The connectivity of the largest component was found only for the label, 6. The measures of EXACT'09
    (Lo, van Ginneken, Reinhardt et al., IEEE Trans. Med. Imaging 31, 2012) have similar names, but their reference tree
    is the union of the branches that observers accepted from all compared methods.

    Cost: one skeleton per image and class. Deterministic; no gradient. Needs scikit-image and scipy (`pip install
    'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        min_share: Share of a branch's voxels, above 0 and at most 1, from which on it is detected.
        min_branch_vox: Smallest number of voxels of a branch, at least 1.
        largest_only: Whether only the largest component of the prediction and of the label counts, as an airway tree is
            connected; among components of equal size the first in the order of the voxels.
        connectivity: Connectivity of these components, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). Skeletons
            always have full connectivity.

    Returns:
        `BranchDetection(tree_length, branches, detected, total)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        ImportError: If scikit-image or scipy is not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 20, 30)
        >>> label[..., 10, 2:28] = 1  # a trunk,
        >>> label[..., 2:10, 14] = 1  # which a branch divides into two
        >>> prediction = label.clone()
        >>> prediction[..., 20:] = 0
        >>> found = compute_branch_detection(prediction, label)
        >>> found.tree_length, found.detected, found.total
        (tensor([[0.7647]]), tensor([[2.]]), tensor([[3.]]))
    """
    _check_settings(min_share, min_branch_vox)
    check_connectivity(connectivity)
    pred, true = check_masks(y_pred, y, include_background=include_background)
    measure = partial(
        _measure,
        min_share=min_share,
        min_branch_vox=min_branch_vox,
        connectivity=connectivity if largest_only else None,
    )
    return BranchDetection(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _check_settings(min_share: float, min_branch_vox: int) -> None:
    if not 0 < min_share <= 1:
        raise ValueError(f"Expected `min_share` to be above 0 and at most 1, but got {min_share!r}.")
    check_whole_number("min_branch_vox", min_branch_vox, least=1)


def _measure(
    pred: Mask, true: Mask, *, min_share: float, min_branch_vox: int, connectivity: Connectivity | None
) -> tuple[float, ...]:
    if connectivity is not None:
        pred, true = _largest_component(pred, connectivity), _largest_component(true, connectivity)
    line = skeleton(true)
    branch = divide_skeleton(line, min_branch_vox=min_branch_vox)[line]
    hit = pred[line]
    sizes, hits = np.bincount(branch)[1:], np.bincount(branch, weights=hit)[1:]
    # Without the factor, 4 of 5 voxels could miss a share of 0.8 by a rounding error.
    detected, total = int((hits >= min_share * sizes * (1 - 1e-9)).sum()), len(sizes)
    return ratio(float(hit.sum()), len(hit)), ratio(detected, total), detected, total


def _largest_component(mask: Mask, connectivity: Connectivity) -> Mask:
    ids, count = components(mask, connectivity)
    if count < 2:
        return mask
    largest: Mask = ids == 1 + np.bincount(ids.ravel())[1:].argmax()
    return largest


def divide_skeleton(line: Mask, *, min_branch_vox: int) -> Ids:
    """Divide a skeleton into branches.

    Args:
        line: Skeleton, `(H, W)` or `(D, H, W)` bool.
        min_branch_vox: Smallest number of voxels of a branch.

    Returns:
        Number of each voxel's branch, from 1 on without gaps, and 0 outside the skeleton.
    """
    ndimage = require("scipy.ndimage", "scipy")
    around = np.ones((3,) * line.ndim, dtype=np.uint8)
    # The voxel itself is one of the three.
    is_junction = line & (ndimage.convolve(line.astype(np.uint8), around, mode="constant") > 3)
    parts, _ = components(line & ~is_junction, "full")
    sizes = np.bincount(parts.ravel())
    is_branch = sizes >= min_branch_vox
    is_branch[0] = False
    branch = np.where(is_branch[parts], parts, 0).astype(np.int64)
    rest, num_rest = components(line & (branch == 0), "full")
    parent = np.arange(len(sizes) + num_rest)
    for number, place in enumerate(ndimage.find_objects(rest), start=1):
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in place)
        here = rest[box] == number
        touched = np.unique(branch[box][ndimage.binary_dilation(here, around)])
        touched = touched[touched > 0]
        if len(touched) == 0:  # a component without any branch
            branch[box][here] = len(sizes) - 1 + number
        elif len(touched) == 2:
            _join(parent, *touched)
    nearest = ndimage.distance_transform_edt(branch == 0, return_distances=False, return_indices=True)
    roots = np.array([_root(parent, number) for number in range(len(parent))])
    ids = np.where(line, roots[branch[tuple(nearest)]], 0) if line.any() else branch
    numbered: Ids = np.unique(np.append(ids, 0), return_inverse=True)[1][:-1].reshape(line.shape)
    return numbered


def _root(parent: Ids, number: int) -> int:
    while parent[number] != number:
        number = parent[number]
    return number


def _join(parent: Ids, one: int, other: int) -> None:
    parent[_root(parent, one)] = _root(parent, other)


@dataclass(kw_only=True, eq=False)
class BranchDetectionMetric(TopologyMetric, compute=compute_branch_detection, parts=BranchDetection._fields):
    """Collect the detected tree length or branches over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_branch_detection`; higher is better.

    Args:
        part: `"tree_length"` or `"branches"`, the detected shares, or the counts `"detected"` and `"total"`.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 8:] = 0
        >>> BranchDetectionMetric()(prediction, label), BranchDetectionMetric(part="branches")(prediction, label)
        (tensor([[0.7000]]), tensor([[0.]]))
    """

    min_share: float = 0.8
    min_branch_vox: int = 5
    largest_only: bool = True
    connectivity: Connectivity = "full"
    part: Literal["tree_length", "branches", "detected", "total"] = "tree_length"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_settings(self.min_share, self.min_branch_vox)
