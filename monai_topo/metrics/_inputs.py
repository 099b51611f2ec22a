"""Validation of metric inputs, and evaluation per image and channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from monai.metrics.utils import ignore_background

from monai_topo._utils.typing import Array

Measure: TypeAlias = Callable[[Array, Array], Sequence[float]]


def check_masks(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a prediction and its label and return them as boolean masks.

    `monai.metrics.utils.is_binary_tensor` only warns. A topology metric of a likelihood means nothing, so values other
    than 0 and 1 are an error here.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device.
        y: Binarized label of the same shape, any dtype and device.
        include_background: Whether to keep channel 0; a single channel always stays, as in MONAI.

    Returns:
        Both as plain bool CPU tensors `(B, C', *spatial)`.

    Raises:
        TypeError: If one of them is not a tensor.
        ValueError: If the shapes differ, are empty, do not have 2 or 3 spatial axes, or a value is neither 0 nor 1.
    """
    pred, true = check_pair(y_pred, y, include_background=include_background)
    return _to_mask(pred, "y_pred"), _to_mask(true, "y")


def check_likelihoods(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a likelihood map and its label, binary or soft, and return both as float64 CPU tensors."""
    pred, true = check_pair(y_pred, y, include_background=include_background)
    return _to_likelihood(pred, "y_pred"), _to_likelihood(true, "y")


def check_pair(y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Check that both are tensors `(B, C, *spatial)` of one shape, and drop channel 0 unless it is included."""
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
    return (y_pred, y) if include_background else ignore_background(y_pred, y)


def check_below_one(name: str, value: float) -> None:
    """Check that a threshold is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"Expected `{name}` to be at least 0 and below 1, but got {value!r}.")


def check_spacing(spacing_mm: float | Sequence[float]) -> None:
    """Check that a voxel spacing is one positive number, or several."""
    numbers = [spacing_mm] if isinstance(spacing_mm, (int, float)) else list(spacing_mm)
    if not (numbers and all(0 < number < float("inf") for number in numbers)):
        raise ValueError(f"Expected `spacing_mm` to be positive, one number or one per axis, but got {spacing_mm!r}.")


def expand_spacing(spacing_mm: float | Sequence[float], axes: int) -> tuple[float, ...]:
    """Return a checked voxel spacing as one number per axis."""
    spacing = (spacing_mm,) * axes if isinstance(spacing_mm, (int, float)) else tuple(spacing_mm)
    if len(spacing) != axes:
        raise ValueError(
            f"Expected `spacing_mm` to have {axes} numbers, one per spatial axis, but got {spacing}; "
            "give one number for all axes or one per axis."
        )
    return spacing


def _check_is_tensor(mask: object, name: str) -> None:
    if not isinstance(mask, torch.Tensor):
        raise TypeError(
            f"Expected `{name}` to be a torch.Tensor, but got {type(mask).__name__}; "
            "pass prediction and label as batch-first tensors."
        )


def _to_mask(mask: torch.Tensor, name: str) -> torch.Tensor:
    # A MetaTensor would carry its metadata through every slice.
    mask = mask.detach().as_subclass(torch.Tensor)
    binary = mask.bool()
    if not torch.equal(binary.to(mask.dtype), mask):
        strays = mask.float()[mask != binary.to(mask.dtype)]  # torch before 2.9 cannot index uint16
        examples = ", ".join(f"{value:g}" for value in strays[:1000].unique()[:3].tolist())
        raise ValueError(
            f"Expected `{name}` to hold only 0 and 1, but got {strays.numel()} other values (such as {examples}); "
            "binarize it first, e.g. with monai.transforms.AsDiscrete(threshold=0.5) or (argmax=True, to_onehot=C)."
        )
    return binary.cpu()


def _to_likelihood(likelihood: torch.Tensor, name: str) -> torch.Tensor:
    likelihood = likelihood.detach().as_subclass(torch.Tensor).cpu().double()
    low, high = (value.item() for value in likelihood.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"Expected `{name}` to hold values in [0, 1], but got values from {low:g} to {high:g}; "
            "put a sigmoid or softmax before the metric, e.g. monai.transforms.Activations, and divide 8-bit labels."
        )
    return likelihood


def map_masks(measure: Measure, pred: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Measure every image and channel separately.

    Args:
        measure: Function of the two arrays of one image and channel that returns a fixed number of values.
        pred: `(B, C, *spatial)` tensor of the prediction on the CPU.
        true: Tensor of the label, of the same shape.

    Returns:
        `(B, C, n)` float32 on the CPU, computed in the precision of `measure` and rounded once.
    """
    numbers = [
        measure(one_pred.numpy(), one_true.numpy())
        for one_pred, one_true in zip(pred.flatten(0, 1), true.flatten(0, 1), strict=True)
    ]
    return torch.tensor(numbers, dtype=torch.float64).float().view(*pred.shape[:2], -1)


def ratio(part: float, whole: float) -> float:
    """Divide counts; 0 / 0 is NaN, "not applicable", which MONAI's reductions ignore."""
    return part / whole if whole else float("nan")


def harmonic_mean(precision: float, recall: float) -> float:
    """Compute the F-score of a precision and a recall; NaN stands for 0 / 0, and the score is NaN if both are NaN."""
    if precision != precision and recall != recall:
        return float("nan")
    if not (precision > 0 and recall > 0):  # one mask is empty, or nothing is hit
        return 0.0
    return 2 * precision * recall / (precision + recall)
