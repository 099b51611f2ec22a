"""The door of the metrics: binarised prediction and label in, plain boolean CPU masks of one shape out."""

from __future__ import annotations

import torch
from monai.metrics.utils import ignore_background


def binary_pair(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a prediction and its label and return them as boolean masks.

    `monai.metrics.utils.is_binary_tensor` only warns, and a topology metric of a likelihood means nothing, so values
    other than 0 and 1 stop here.

    Args:
        y_pred: Binarised prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device.
        y: Binarised label of the same shape, any dtype and device.
        include_background: Whether to keep channel 0; where it is the only channel it always stays, as in MONAI.

    Returns:
        Both as plain bool CPU tensors `(B, C', *spatial)`.

    Raises:
        TypeError: When one of them is no tensor.
        ValueError: When the shapes differ, are empty, have no 2 or 3 spatial axes, or a value is neither 0 nor 1.
    """
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
    pred, true = ignore_background(y_pred, y) if not include_background else (y_pred, y)
    return _as_bool(pred, "y_pred"), _as_bool(true, "y")


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
            "binarise it first, e.g. with monai.transforms.AsDiscrete(threshold=0.5) or (argmax=True, to_onehot=C)."
        )
    return binary.cpu()
