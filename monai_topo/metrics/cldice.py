"""clDice: does the centerline of the one lie inside the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_choice
from monai_topo.masks.skeletons import skeleton
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import binary_pair, harmonic_mean, per_mask, ratio

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

    The skeletons are hard ones (scikit-image: Zhang-Suen in 2D, Lee in 3D); MONAI's soft clDice is a loss whose value
    is not comparable. Precision falls with false branches, sensitivity with missing ones, neither with a small gap in a
    long vessel: clDice measures length, Betti errors count.

    Empty masks: 0 / 0 is NaN, "not applicable", and left out by MONAI's reductions. So precision is NaN for an empty
    prediction, sensitivity for an empty label, and clDice only if both are empty; if just one is, clDice is 0. (TopCoW
    counts 0 there for every part.) A full mask has a skeleton like any other.

    Source: Shit, Paetzold, Sekuboyina et al., "clDice - a novel topology-preserving loss function for tubular structure
    segmentation", CVPR 2021 (arXiv 2003.07311), section 2.1; equal to it with the defaults. Weights by radius are the
    idea of Shi et al., "Centerline boundary Dice loss for vascular segmentation" (MICCAI 2024, arXiv 2407.01517), in
    its simplest form, not their formula. The tolerance is ours, after the surface Dice of Nikolov et al. (2018).

    Cost: two skeletons an image and class, on one thread: about 0.1 s for 512 x 512 and 15 s for 256^3; a
    tolerance adds a fifth, a weight doubles it. Deterministic; no gradient. Needs scikit-image and scipy (`pip install
    'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        weight: What a skeleton voxel counts: `"uniform"` 1; `"radius"` its distance in mm to the outside of its own
            mask, so that wide vessels count more; `"inverse_radius"` the inverse of it, for thin ones.
        tolerance_mm: A skeleton voxel counts as hit if the other mask is at most this far away (center to center).
        spacing_mm: Voxel spacing, one number or one an axis, in the order of the spatial axes. Of no matter without
            tolerance or weight.

    Returns:
        `ClDice(cldice, precision, sensitivity)`, each `(B, C')` float32 on the device of `y_pred`, C' = C or C - 1.

    Raises:
        ImportError: When scikit-image or scipy is missing.
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values other than 0 and 1 occur, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 2:5, 1:11] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 7:] = 0  # only the left part is found
        >>> cldice, precision, sensitivity = compute_cldice(prediction, label)
        >>> precision, sensitivity
        (tensor([[1.]]), tensor([[0.6667]]))
    """
    _check_settings(weight, tolerance_mm, spacing_mm)
    pred, true = binary_pair(y_pred, y, include_background=include_background)
    spacing = _spacing_per_axis(spacing_mm, pred.ndim - 2)
    measure = partial(_cldice, weight=weight, tolerance_mm=tolerance_mm, spacing_mm=spacing)
    return ClDice(*per_mask(pred, true, measure).to(y_pred.device).unbind(-1))


class ClDiceMetric(TopologyMetric):
    """Collect centerline Dice, or one of its halves, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_cldice`; higher is better, 1 is best.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        weight: What a skeleton voxel counts, `"uniform"`, `"radius"` or `"inverse_radius"`.
        tolerance_mm: How far from the other mask a skeleton voxel may lie.
        spacing_mm: Voxel spacing, one number or one an axis, the same for all cases.
        part: `"cldice"`, `"precision"` or `"sensitivity"`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> metric = ClDiceMetric(part="sensitivity")
        >>> metric(torch.zeros_like(label), label)
        tensor([[0.]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        weight: SkeletonWeight = "uniform",
        tolerance_mm: float = 0.0,
        spacing_mm: float | Sequence[float] = 1.0,
        part: Literal["cldice", "precision", "sensitivity"] = "cldice",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        _check_settings(weight, tolerance_mm, spacing_mm)
        check_choice("part", part, ClDice._fields)
        self.part = part
        super().__init__(
            compute_cldice,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            weight=weight,
            tolerance_mm=tolerance_mm,
            spacing_mm=spacing_mm,
        )

    def report(self, result: ClDice) -> torch.Tensor:
        """Take the result to the part that is collected."""
        part: torch.Tensor = getattr(result, self.part)
        return part


def _check_settings(weight: str, tolerance_mm: float, spacing_mm: float | Sequence[float]) -> None:
    """Refuse what no image could make right."""
    check_choice("weight", weight, get_args(SkeletonWeight))
    if not 0 <= tolerance_mm < float("inf"):
        raise ValueError(f"Expected `tolerance_mm` to be finite and at least 0, but got {tolerance_mm!r}.")
    numbers = [spacing_mm] if isinstance(spacing_mm, (int, float)) else list(spacing_mm)
    if not (numbers and all(0 < number < float("inf") for number in numbers)):
        raise ValueError(f"Expected `spacing_mm` to be positive, one number or one an axis, but got {spacing_mm!r}.")


def _spacing_per_axis(spacing_mm: float | Sequence[float], axes: int) -> tuple[float, ...]:
    spacing = (spacing_mm,) * axes if isinstance(spacing_mm, (int, float)) else tuple(spacing_mm)
    if len(spacing) != axes:
        raise ValueError(
            f"Expected `spacing_mm` to have {axes} numbers, one a spatial axis, but got {spacing}; "
            "give one number for all axes or one an axis."
        )
    return spacing


def _cldice(
    pred: Mask, true: Mask, *, weight: SkeletonWeight, tolerance_mm: float, spacing_mm: tuple[float, ...]
) -> tuple[float, float, float]:
    setting: dict[str, Any] = {"weight": weight, "tolerance_mm": tolerance_mm, "spacing_mm": spacing_mm}
    precision = _coverage(pred, true, **setting)
    sensitivity = _coverage(true, pred, **setting)
    return harmonic_mean(precision, sensitivity), precision, sensitivity


def _coverage(
    mask: Mask, other: Mask, *, weight: SkeletonWeight, tolerance_mm: float, spacing_mm: tuple[float, ...]
) -> float:
    """Share of the skeleton of `mask` that lies in `other`."""
    centerline = skeleton(mask)
    hit = other[centerline]
    if tolerance_mm and other.any():
        distance = _distance_mm(centerline & ~other, other, spacing_mm)
        hit[~hit] = distance <= tolerance_mm * (1 + 1e-9)  # three steps of 0.3 mm are 0.9 mm
    if weight == "uniform":
        return ratio(float(hit.sum()), len(hit))
    # Outside the image is background: a vessel cut by the border is no wider for it, and a full mask has a radius.
    radius = _distance_mm(np.pad(centerline, 1), np.pad(~mask, 1, constant_values=True), spacing_mm)
    worth = radius if weight == "radius" else 1 / radius
    return ratio(float(worth[hit].sum()), float(worth.sum()))


def _distance_mm(voxels: Mask, target: Mask, spacing_mm: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Distance of each of the voxels, none of them in the target, to the nearest voxel of the target."""
    # A tree of the target's surface and a few queries: a distance transform of the whole volume took ten times as long.
    surface = target & ~require("scipy.ndimage", "scipy").binary_erosion(target, border_value=1)
    tree = require("scipy.spatial", "scipy").cKDTree(np.argwhere(surface) * spacing_mm)
    distance: np.ndarray[Any, np.dtype[np.float64]] = tree.query(np.argwhere(voxels) * spacing_mm)[0]
    return distance
