"""clDice: how much of the centerline of each mask lies inside the other mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.masks.skeletons import skeleton
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks, check_spacing, expand_spacing, harmonic_mean, map_masks, ratio

SkeletonWeight = Literal["uniform", "radius", "inverse_radius"]


class ClDice(NamedTuple):
    """Centerline Dice and its two halves, each `(B, C)`, 1 is best."""

    cldice: torch.Tensor
    precision: torch.Tensor
    sensitivity: torch.Tensor


def compute_cldice(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    weight: SkeletonWeight = "uniform",
    tolerance_mm: float = 0.0,
    spacing_mm: float | Sequence[float] = 1.0,
) -> ClDice:
    r"""Compute centerline Dice, topology precision and topology sensitivity of every image and channel.

    With the masks :math:`V_P, V_L` of prediction and label and their skeletons :math:`S_P, S_L`,

    .. math::

        T_\text{prec} = \frac{|S_P \cap V_L|}{|S_P|}, \quad T_\text{sens} = \frac{|S_L \cap V_P|}{|S_L|}, \quad
        \text{clDice} = \frac{2\, T_\text{prec}\, T_\text{sens}}{T_\text{prec} + T_\text{sens}}.

    The skeletons are binary (scikit-image: Zhang-Suen in 2D, Lee in 3D); MONAI's soft clDice is a loss whose value is
    not comparable. Precision falls with false branches, sensitivity with missing branches. Neither falls noticeably
    with a small gap in a long vessel: clDice measures length, while Betti errors count.

    Empty masks: 0 / 0 is NaN, "not applicable", and ignored by MONAI's reductions. So precision is NaN for an empty
    prediction, sensitivity for an empty label, and clDice only if both are empty; if exactly one is empty, clDice is 0.
    (TopCoW uses 0 there for every part.) A full mask has a skeleton like any other mask.

    Source: Shit, Paetzold, Sekuboyina et al., "clDice - a novel topology-preserving loss function for tubular structure
    segmentation", CVPR 2021 (arXiv 2003.07311), section 2.1; equal to it with the defaults. Weights by radius are the
    idea of Shi et al., "Centerline boundary Dice loss for vascular segmentation" (MICCAI 2024, arXiv 2407.01517), in
    its simplest form, not their formula. The tolerance is ours, after the surface Dice of Nikolov et al. (2018).

    Cost: two skeletons per image and class, on one thread: about 0.1 s for 512 x 512 and 15 s for 256^3; a
    tolerance adds a fifth, a weight doubles it. Deterministic; no gradient. Needs scikit-image and scipy (`pip install
    'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        weight: Weight of a skeleton voxel: `"uniform"` is 1; `"radius"` is its distance in mm to the complement of its
            own mask, so that wide vessels count more; `"inverse_radius"` is the inverse, so that thin vessels count
            more.
        tolerance_mm: Largest distance to the other mask (center to center) at which a skeleton voxel counts as a hit.
        spacing_mm: Voxel spacing, one number or one per axis, in the order of the spatial axes, the same for all cases.
            Not used without tolerance or weight.

    Returns:
        `ClDice(cldice, precision, sensitivity)`, each `(B, C')` float32 on the device of `y_pred`, C' = C or C - 1.

    Raises:
        ImportError: If scikit-image or scipy is not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.nn.functional.pad(torch.ones(1, 1, 3, 10), (1, 1, 2, 2))
        >>> prediction = label.clone()
        >>> prediction[..., 7:] = 0  # only the left part is found
        >>> cldice, precision, sensitivity = compute_cldice(prediction, label)
        >>> precision, sensitivity
        (tensor([[1.]]), tensor([[0.6667]]))
    """
    _check_settings(weight, tolerance_mm, spacing_mm)
    pred, true = check_masks(y_pred, y, include_background=include_background)
    spacing = expand_spacing(spacing_mm, pred.ndim - 2)
    measure = partial(_measure, weight=weight, tolerance_mm=tolerance_mm, spacing_mm=spacing)
    return ClDice(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _check_settings(weight: str, tolerance_mm: float, spacing_mm: float | Sequence[float]) -> None:
    check_choice("weight", weight, get_args(SkeletonWeight))
    check_at_least("tolerance_mm", tolerance_mm)
    check_spacing(spacing_mm)


def _measure(
    pred: Mask, true: Mask, *, weight: SkeletonWeight, tolerance_mm: float, spacing_mm: tuple[float, ...]
) -> tuple[float, float, float]:
    setting: dict[str, Any] = {"weight": weight, "tolerance_mm": tolerance_mm, "spacing_mm": spacing_mm}
    precision = _measure_coverage(pred, true, **setting)
    sensitivity = _measure_coverage(true, pred, **setting)
    return harmonic_mean(precision, sensitivity), precision, sensitivity


def _measure_coverage(
    mask: Mask, other: Mask, *, weight: SkeletonWeight, tolerance_mm: float, spacing_mm: tuple[float, ...]
) -> float:
    """Return the share of the skeleton of `mask` that lies in `other`."""
    centerline = skeleton(mask)
    hit = other[centerline]
    if tolerance_mm and other.any():
        distance = _distance_mm(centerline & ~other, other, spacing_mm)
        hit[~hit] = distance <= tolerance_mm * (1 + 1e-9)  # three steps of 0.3 mm are 0.9 mm
    if weight == "uniform":
        return ratio(float(hit.sum()), len(hit))
    # Outside the image is background, so the border does not widen a vessel that it cuts, and a full mask has a radius.
    radius = _distance_mm(np.pad(centerline, 1), np.pad(~mask, 1, constant_values=True), spacing_mm)
    worth = radius if weight == "radius" else 1 / radius
    return ratio(float(worth[hit].sum()), float(worth.sum()))


def _distance_mm(voxels: Mask, target: Mask, spacing_mm: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the distance of each voxel, none of them in the target, to the nearest voxel of the target."""
    # A tree of the target's surface and a few queries: a distance transform of the whole volume took ten times as long.
    surface = target & ~require("scipy.ndimage", "scipy").binary_erosion(target, border_value=1)
    tree = require("scipy.spatial", "scipy").cKDTree(np.argwhere(surface) * spacing_mm)
    distance: np.ndarray[Any, np.dtype[np.float64]] = tree.query(np.argwhere(voxels) * spacing_mm)[0]
    return distance


@dataclass(kw_only=True, eq=False)
class ClDiceMetric(TopologyMetric, compute=compute_cldice, parts=ClDice._fields):
    """Collect centerline Dice, or one of its halves, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_cldice`; higher is better, 1 is best.

    Args:
        part: `"cldice"`, `"precision"` or `"sensitivity"`.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> metric = ClDiceMetric(part="sensitivity")
        >>> metric(torch.zeros_like(label), label)
        tensor([[0.]])
    """

    weight: SkeletonWeight = "uniform"
    tolerance_mm: float = 0.0
    spacing_mm: float | Sequence[float] = 1.0
    part: Literal["cldice", "precision", "sensitivity"] = "cldice"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_settings(self.weight, self.tolerance_mm, self.spacing_mm)
