"""The preamble of every loss: what MONAI's losses do with network output and label before the loss itself begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from monai.networks import one_hot
from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

__all__ = ["LikelihoodLoss", "check_tensors"]


class LikelihoodLoss(_Loss):
    """Base of losses that compare a foreground likelihood with a binary label, class by class.

    A subclass implements `per_class(likelihood, target)` and gets plain float32 or float64 tensors `(B, C, *spatial)`
    of one shape, the likelihood in [0, 1] and the target 0 or 1; it returns `(B, C)`. `C` counts the classes that have
    a say: neither the background, if it is left out, nor classes of weight 0.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a label of class indices to one-hot channels.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class (background not counted if it is left out). `"mean"` divides
            by the number of classes all the same, as in `monai.losses.DiceLoss`. A class of weight 0 is not computed.
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

    def likelihood(self, output: Tensor) -> Tensor:
        """The likelihood of a network's output after the activation of this loss, all channels, of its shape."""
        return self._activate(output if output.dtype == torch.float64 else output.float())

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
            TypeError: if `input` or `target` is no tensor.
            ValueError: if `input` is not finite or no likelihood, `target` is not binary, or the number of spatial axes
                is neither 2 nor 3.
        """
        check_tensors(input=input, target=target)
        self._warn_of_ignored_options(input)
        # Autocast off before the activation: a bfloat16 sigmoid is quantized, and its ties are everywhere.
        with torch.autocast(device_type=input.device.type, enabled=False):
            likelihood, target = self._prepare(_plain(input), _plain(target))
            return self._reduce(self._of_weighted_classes(likelihood, target), likelihood.ndim)

    def _of_weighted_classes(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Weighted loss of every image and class; a class of weight 0 costs no time."""
        weight = self._weight_per_class(likelihood.shape[1])
        if weight is None:
            return self.per_class(likelihood, target)
        weight = weight.to(likelihood)
        counted = weight.nonzero()[:, 0]
        if len(counted) == len(weight):
            return self.per_class(likelihood, target) * weight
        if not len(counted):
            return likelihood.flatten(2).sum(2) * 0
        loss = self.per_class(likelihood[:, counted], target[:, counted]) * weight[counted]
        return loss.new_zeros(len(loss), len(weight)).index_copy(1, counted, loss)

    def _weight_per_class(self, classes: int) -> Tensor | None:
        weight = self.class_weight
        if weight is None or classes == 1:
            return None
        if weight.ndim and len(weight) != classes:
            raise ValueError(
                f"Expected `weight` to be one number or one for each of the {classes} classes "
                f"(background not counted if it is left out), but got {len(weight)}."
            )
        return weight.expand(classes)

    def _prepare(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        likelihood = self._prepare_input(input)
        ignored = None if self.ignore_index is None else target == self.ignore_index
        target = self._one_hot(target if ignored is None else target.masked_fill(ignored, 0), input.shape[1])
        target = self._without_background(target, input.shape[1])
        if target.shape != likelihood.shape:
            raise AssertionError(f"ground truth has different shape ({target.shape}) from input ({likelihood.shape})")
        _check_binary(target)
        target = target.to(likelihood)
        if ignored is not None:
            if ignored.shape[1] > 1:  # one channel holds for all classes
                ignored = self._without_background(ignored, input.shape[1])
            likelihood = likelihood.masked_fill(ignored, self.outside_value)
            target = target.masked_fill(ignored, self.outside_value)
        return likelihood, target

    def _prepare_input(self, input: Tensor) -> Tensor:
        """The likelihood of the classes that count, float32 or float64."""
        if input.ndim not in (4, 5):
            raise ValueError(
                "Expected `input` to have shape (B, C, H, W) or (B, C, D, H, W), "
                f"but got {tuple(input.shape)}: 2 or 3 spatial axes after batch and channel."
            )
        likelihood = self._without_background(self.likelihood(input), input.shape[1])
        _check_likelihood(likelihood)
        return likelihood

    def _without_background(self, tensor: Tensor, channels: int) -> Tensor:
        return tensor if self.include_background or channels == 1 else tensor[:, 1:]

    def _warn_of_ignored_options(self, input: Tensor) -> None:
        if input.ndim < 2 or input.shape[1] != 1:
            return
        settings = {"softmax": False, "to_onehot_y": False, "include_background": True}
        for name, harmless in settings.items():
            if getattr(self, name) != harmless:
                # The caller is above forward and the two frames of torch's Module.__call__.
                message = f"single channel prediction, `{name}={not harmless}` ignored."
                warnings.warn(message, stacklevel=5)

    def _activate(self, input: Tensor) -> Tensor:
        if self.sigmoid:
            return torch.sigmoid(input)
        if self.softmax:
            return input if input.shape[1] == 1 else torch.softmax(input, 1)
        return input if self.other_act is None else self.other_act(input)

    def _one_hot(self, target: Tensor, channels: int) -> Tensor:
        if not self.to_onehot_y or channels == 1:
            return target
        if target.shape[1] == 1 and target.numel() and not 0 <= target.min() <= target.max() < channels:
            raise ValueError(
                f"Expected `target` to hold class indices from 0 to {channels - 1}, "
                f"but got values from {target.min():g} to {target.max():g}."
            )
        encoded: Tensor = one_hot(target, num_classes=channels)
        return encoded

    def _reduce(self, loss: Tensor, ndim: int) -> Tensor:
        if self.reduction == LossReduction.MEAN.value:
            return loss.mean() if loss.numel() else loss.sum()  # of an empty batch: zero, not NaN
        if self.reduction == LossReduction.SUM.value:
            return loss.sum()
        return loss.view(*loss.shape, *[1] * (ndim - 2))


def check_tensors(**tensors: object) -> None:
    """Refuse what is no tensor, with a sentence that names it."""
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            continue
        cure = "convert it by `torch.as_tensor`"
        if isinstance(value, list | tuple):
            cure = "of a network with deep supervision pass the finest level, as `TopologyAwareLoss` does"
        raise TypeError(f"Expected `{name}` to be a torch.Tensor, but got {type(value).__name__}: {cure}.")


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
