"""The door of the metrics: prediction and label checked, in plain CPU tensors of one shape; and image by image on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from monai.metrics.utils import ignore_background

Measure: TypeAlias = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], Sequence[float]]


def binary_pair(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a prediction and its label and return them as boolean masks.

    `monai.metrics.utils.is_binary_tensor` only warns, and a topology metric of a likelihood means nothing, so values
    other than 0 and 1 stop here.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device.
        y: Binarized label of the same shape, any dtype and device.
        include_background: Whether to keep channel 0; where it is the only channel it always stays, as in MONAI.

    Returns:
        Both as plain bool CPU tensors `(B, C', *spatial)`.

    Raises:
        TypeError: When one of them is no tensor.
        ValueError: When the shapes differ, are empty, have no 2 or 3 spatial axes, or a value is neither 0 nor 1.
    """
    pred, true = same_shape_pair(y_pred, y, include_background=include_background)
    return _as_bool(pred, "y_pred"), _as_bool(true, "y")


def likelihood_pair(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a likelihood map and its label, binary or soft; both come back as float64 CPU tensors."""
    pred, true = same_shape_pair(y_pred, y, include_background=include_background)
    return _as_likelihood(pred, "y_pred"), _as_likelihood(true, "y")


def same_shape_pair(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check that both are tensors `(B, C, *spatial)` of one shape, and drop channel 0 where it is not wanted."""
    _check_is_tensor(y_pred, "y_pred")
    _check_is_tensor(y, "y")
    if y_pred.ndim not in (4, 5) or y_pred.numel() == 0:
        raise ValueError(
            "Expected `y_pred` to have shape (B, C, H, W) or (B, C, D, H, W) and at least one voxel, "
            f"but got shape {tuple(y_pred.shape)}; add the missing batch or channel axis."
        )
    if y_pred.shape != y.shape:
        raise ValueError(
            f"Expected `y` to have the shape of `y_pred`, {tuple(y_pred.shape)}, but got {tuple(y.shape)}; "
            "bring both to one-hot channels, e.g. with monai.transforms.AsDiscrete(to_onehot=C)."
        )
    return ignore_background(y_pred, y) if not include_background else (y_pred, y)


def _check_is_tensor(mask: object, name: str) -> None:
    if not isinstance(mask, torch.Tensor):
        raise TypeError(
            f"Expected `{name}` to be a torch.Tensor, but got {type(mask).__name__}; "
            "pass prediction and label as batch-first tensors."
        )


def _as_bool(mask: torch.Tensor, name: str) -> torch.Tensor:
    # A MetaTensor would drag its metadata through every slice.
    mask = mask.detach().as_subclass(torch.Tensor)
    binary = mask.bool()
    if not torch.equal(binary.to(mask.dtype), mask):
        strays = mask[mask != binary.to(mask.dtype)]
        examples = ", ".join(f"{value:g}" for value in strays[:1000].float().unique()[:3].tolist())
        raise ValueError(
            f"Expected `{name}` to hold only 0 and 1, but got {strays.numel()} other values (such as {examples}); "
            "binarize it first, e.g. with monai.transforms.AsDiscrete(threshold=0.5) or (argmax=True, to_onehot=C)."
        )
    return binary.cpu()


def _as_likelihood(likelihood: torch.Tensor, name: str) -> torch.Tensor:
    likelihood = likelihood.detach().as_subclass(torch.Tensor).cpu().double()
    low, high = (value.item() for value in likelihood.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"Expected `{name}` to hold values in [0, 1], but got values from {low:g} to {high:g}; "
            "put a sigmoid or softmax before the metric, e.g. monai.transforms.Activations, and divide 8-bit labels."
        )
    return likelihood


def per_mask(pred: torch.Tensor, true: torch.Tensor, measure: Measure) -> torch.Tensor:
    """Measure every image and channel on its own.

    Args:
        pred: `(B, C, *spatial)` CPU tensor.
        true: The same for the label.
        measure: Takes the two arrays of one image and channel to one or more numbers, always as many.

    Returns:
        `(B, C, n)` float32 on the CPU; computed in the precision of `measure`, rounded once.
    """
    numbers = [
        measure(one_pred.numpy(), one_true.numpy())
        for one_pred, one_true in zip(pred.flatten(0, 1), true.flatten(0, 1), strict=True)
    ]
    return torch.tensor(numbers, dtype=torch.float64).float().view(*pred.shape[:2], -1)


def ratio(part: float, whole: float) -> float:
    """Divide counts; 0 / 0 is NaN, "not applicable", which MONAI's reductions leave out."""
    return part / whole if whole else float("nan")


def harmonic_mean(precision: float, recall: float) -> float:
    """F-score of a precision and a recall; NaN stands for 0 / 0, and only where both are NaN is the score NaN too."""
    if precision != precision and recall != recall:
        return float("nan")
    if not (precision > 0 and recall > 0):  # one mask is empty, or nothing is hit
        return 0.0
    return 2 * precision * recall / (precision + recall)
