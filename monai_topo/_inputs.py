"""The preamble of every loss: what MONAI's losses do with network output and label before the loss itself begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from monai.networks import one_hot
from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

__all__ = ["LikelihoodLoss"]


class LikelihoodLoss(_Loss):
    """Base of losses that compare a foreground likelihood with a binary label, class by class.

    A subclass implements `per_class(likelihood, target)` and gets plain float32 or float64 tensors `(B, C, *spatial)`
    of one shape, the likelihood in [0, 1] and the target 0 or 1; it returns `(B, C)`.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a label of class indices to one-hot channels.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class (background not counted if it is left out).
        ignore_index: voxels where the label has this value are outside: they belong to the background, or with
            `border="foreground"` to the foreground, in input and label alike, and get no gradient.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for more than one activation, an unknown reduction or a negative weight.
    """

    #: What lies outside the image: 0 background, 1 foreground. Ignored voxels lie outside.
    outside_value: float = 0.0

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        reduction: LossReduction | str = LossReduction.MEAN,
        weight: Sequence[float] | float | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if other_act is not None and not callable(other_act):
            raise TypeError(f"other_act must be None or callable but is {type(other_act).__name__}.")
        if int(sigmoid) + int(softmax) + int(other_act is not None) > 1:
            raise ValueError("Incompatible values: more than 1 of [sigmoid=True, softmax=True, other_act is not None].")
        class_weight = None if weight is None else torch.as_tensor(weight, dtype=torch.float32)
        if class_weight is not None and bool((class_weight < 0).any()):
            raise ValueError(f"Expected `weight` to be at least 0 for every class, but got {weight}.")
        self.include_background = include_background
        self.to_onehot_y = to_onehot_y
        self.sigmoid = sigmoid
        self.softmax = softmax
        self.other_act = other_act
        self.ignore_index = ignore_index
        self.register_buffer("class_weight", class_weight)
        self.class_weight: Tensor | None

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Loss of every image and class, `(B, C)`."""
        raise NotImplementedError

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: `(B, C, H, W)` or `(B, C, D, H, W)`, logits (with an activation set) or likelihoods in [0, 1].
            target: the binary label of the same shape, or `(B, 1, *spatial)` class indices with `to_onehot_y`.

        Returns:
            A scalar, or `(B, C, 1, 1[, 1])` with `reduction="none"`; float32 (float64 for float64 input), always
            connected to the graph of `input`.

        Raises:
            AssertionError: if the shapes differ.
            ValueError: if `input` is not finite or no likelihood, `target` is not binary, or the number of spatial axes
                is neither 2 nor 3.
        """
        # Autocast off before the activation: a bfloat16 sigmoid is quantised, and its ties are everywhere.
        with torch.autocast(device_type=input.device.type, enabled=False):
            likelihood, target = self._prepare(_plain(input), _plain(target))
            return self._reduce(self.per_class(likelihood, target), likelihood.ndim)

    def _prepare(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if input.ndim not in (4, 5):
            raise ValueError(
                "Expected `input` to have shape (B, C, H, W) or (B, C, D, H, W), "
                f"but got {tuple(input.shape)}: 2 or 3 spatial axes after batch and channel."
            )
        likelihood = self._activate(input if input.dtype == torch.float64 else input.float())
        ignored = None if self.ignore_index is None else target == self.ignore_index
        target = self._one_hot(target if ignored is None else target.masked_fill(ignored, 0), input.shape[1])
        if not self.include_background:
            if input.shape[1] == 1:
                warnings.warn("single channel prediction, `include_background=False` ignored.", stacklevel=4)
            else:
                likelihood, target = likelihood[:, 1:], target[:, 1:]
                if ignored is not None and ignored.shape[1] > 1:
                    ignored = ignored[:, 1:]
        if target.shape != likelihood.shape:
            raise AssertionError(f"ground truth has different shape ({target.shape}) from input ({likelihood.shape})")
        _check_likelihood(likelihood)
        _check_binary(target)
        target = target.to(likelihood)
        if ignored is not None:
            likelihood = likelihood.masked_fill(ignored, self.outside_value)
            target = target.masked_fill(ignored, self.outside_value)
        return likelihood, target

    def _activate(self, input: Tensor) -> Tensor:
        if self.sigmoid:
            return torch.sigmoid(input)
        if self.softmax and input.shape[1] == 1:
            warnings.warn("single channel prediction, `softmax=True` ignored.", stacklevel=5)
        elif self.softmax:
            return torch.softmax(input, 1)
        return input if self.other_act is None else self.other_act(input)

    def _one_hot(self, target: Tensor, channels: int) -> Tensor:
        if not self.to_onehot_y:
            return target
        if channels == 1:
            warnings.warn("single channel prediction, `to_onehot_y=True` ignored.", stacklevel=5)
            return target
        if target.shape[1] == 1 and target.numel() and not 0 <= target.min() <= target.max() < channels:
            raise ValueError(
                f"Expected `target` to hold class indices from 0 to {channels - 1}, "
                f"but got values from {target.min():g} to {target.max():g}."
            )
        encoded: Tensor = one_hot(target, num_classes=channels)
        return encoded

    def _reduce(self, loss: Tensor, ndim: int) -> Tensor:
        classes = loss.shape[1]
        if self.class_weight is not None and classes > 1:
            if self.class_weight.ndim and len(self.class_weight) != classes:
                raise ValueError(
                    f"Expected `weight` to be one number or one for each of the {classes} classes "
                    f"(background not counted if it is left out), but got {len(self.class_weight)}."
                )
            loss = loss * self.class_weight.to(loss)
        if self.reduction == LossReduction.MEAN.value:
            return loss.mean()
        if self.reduction == LossReduction.SUM.value:
            return loss.sum()
        return loss.view(*loss.shape, *[1] * (ndim - 2))


def _plain(tensor: Tensor) -> Tensor:
    """Without the metadata of a MetaTensor, which every operation would carry along at twice the time."""
    return tensor.as_subclass(Tensor)


def _check_likelihood(likelihood: Tensor) -> None:
    if likelihood.numel() == 0:
        return
    low, high = (value.item() for value in likelihood.detach().aminmax())
    if low != low or high != high:
        raise ValueError(
            "Expected `input` to be finite, but got NaN: the network has diverged, or the image holds NaN already."
        )
    if low < -1e-3 or high > 1 + 1e-3:  # a softmax may exceed 1 by a rounding error
        raise ValueError(
            f"Expected `input` to be a likelihood in [0, 1] after the activation, but got values from {low:g} to "
            f"{high:g}: set `sigmoid=True` or `softmax=True` for logits."
        )


def _check_binary(target: Tensor) -> None:
    strays = target[(target != 0) & (target != 1)]
    if strays.numel():
        raise ValueError(
            f"Expected `target` to hold only 0 and 1, but got {strays.numel()} other values, such as "
            f"{strays.flatten()[0]:g}: convert the label (`monai_topo.data.foreground_mask`), "
            "set `to_onehot_y=True`, or name a value to leave out by `ignore_index`."
        )
