"""Base of the losses: what MONAI's losses do with network output and label before the loss itself begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from monai.networks import one_hot
from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_topo._utils.kernel import kernel
from monai_topo.losses._log_odds import LogOdds

__all__ = ["LikelihoodLoss", "check_binary", "check_tensors"]

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_KERNEL_TYPES = (*_INTEGERS, torch.float32, torch.float64)  # labels that the kernel can check


@dataclass(eq=False, repr=False)
class LikelihoodLoss(_Loss):
    """Base of losses that compare a foreground likelihood with a binary label, class by class.

    A subclass implements `per_class(likelihood, target)`. It gets plain float32 or float64 tensors `(B, C, *spatial)`
    of one shape, the likelihood in [0, 1] and the target 0 or 1, and returns `(B, C)`. `C` is the number of classes
    that contribute to the loss: without the background, if it is excluded, and without classes of weight 0.

    The options of a loss are the fields of a dataclass, so a subclass declares only its own ones, one per line, under
    `@dataclass(eq=False, repr=False, kw_only=True)`, and checks them in `__post_init__`. A subclass with an `__init__`
    of its own works too.

    Args:
        include_background: If False, channel 0 is excluded.
        to_onehot_y: Convert a label of class indices to one-hot channels.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels of the input.
        other_act: Another activation; its result must be a likelihood in [0, 1].
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: Weight of the classes, one number or one per class (background not counted if it is excluded). `"mean"`
            divides by the number of classes all the same, as in `monai.losses.DiceLoss`. A class of weight 0 is not
            computed.
        ignore_index: Voxels where the label has this value are treated as outside of the image, in input and label
            alike: as background, or as foreground with `border="foreground"`. They get no gradient.

    Raises:
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If there is more than one activation, or an option has a wrong value.
    """

    include_background: bool = True
    to_onehot_y: bool = False
    sigmoid: bool = False
    softmax: bool = False
    other_act: Callable[[Tensor], Tensor] | None = None
    _: KW_ONLY
    reduction: str = LossReduction.MEAN
    weight: Sequence[float] | float | Tensor | None = None
    ignore_index: int | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:  # the module has to exist before its options are set: one may be a module
            super().__init__()
        super().__setattr__(name, value)

    def __post_init__(self) -> None:
        self.reduction = LossReduction(self.reduction).value
        if self.other_act is not None and not callable(self.other_act):
            raise TypeError(f"other_act must be None or callable but is {type(self.other_act).__name__}.")
        if int(self.sigmoid) + int(self.softmax) + int(self.other_act is not None) > 1:
            raise ValueError("Incompatible values: more than 1 of [sigmoid=True, softmax=True, other_act is not None].")
        class_weight = None if self.weight is None else torch.as_tensor(self.weight, dtype=torch.float32)
        if class_weight is not None and bool((class_weight < 0).any()):
            raise ValueError(f"Expected `weight` to be at least 0 for every class, but got {self.weight}.")
        self.register_buffer("class_weight", class_weight)
        self.class_weight: Tensor | None

    @property
    def outside_value(self) -> float:
        """What lies outside the image, and at ignored voxels: 0, or 1 if the loss has `border="foreground"`."""
        return float(getattr(self, "border", "open") == "foreground")

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of every image and class, `(B, C)`."""
        raise NotImplementedError

    def likelihood(self, output: Tensor) -> Tensor:
        """Apply the activation of this loss to the output of a network, all channels."""
        return self._activate(output if output.dtype == torch.float64 else output.float())

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Logits (with an activation) or likelihoods in [0, 1], `(B, C, H, W)` or `(B, C, D, H, W)`.
            target: Binary label of the same shape, or class indices `(B, 1, *spatial)` with `to_onehot_y`.

        Returns:
            A scalar, or `(B, C, 1, 1[, 1])` with `reduction="none"`; float32 (float64 for float64 input), always
            connected to the graph of `input`.

        Raises:
            AssertionError: If the shapes differ.
            TypeError: If `input` or `target` is not a tensor.
            ValueError: If `input` is not finite or not a likelihood, `target` is not binary, or the number of spatial
                axes is neither 2 nor 3.
        """
        check_tensors(input=input, target=target)
        self._warn_of_ignored_options(input)
        # Autocast is off before the activation: a sigmoid in bfloat16 is quantized and full of ties.
        with torch.autocast(device_type=input.device.type, enabled=False):
            input, target = _plain(input), _plain(target)
            activated = self._prepare_input(input)
            likelihood, target = self._prepare(activated, target, input.shape[1])
            loss = self._weighted_classes(likelihood, target, self._log_odds(input, activated))
            return self._reduce(loss, likelihood.ndim)

    def _log_odds(self, output: Tensor, likelihood: Tensor) -> LogOdds | None:
        """Return where to read log-odds, for a loss whose `per_class` takes them as a third argument."""
        return None

    def _weighted_classes(self, likelihood: Tensor, target: Tensor, log_odds: LogOdds | None = None) -> Tensor:
        """Compute the weighted loss of every image and class; a class of weight 0 costs no time."""
        per_class: Callable[..., Tensor] = self.per_class
        details: tuple[LogOdds, ...] = () if log_odds is None else (log_odds,)
        weight = self._weight_per_class(likelihood.shape[1])
        if weight is None:
            return per_class(likelihood, target, *details)
        weight = weight.to(likelihood)
        counted = weight.nonzero()[:, 0]
        if len(counted) == len(weight):
            return per_class(likelihood, target, *details) * weight
        if not len(counted):
            return likelihood.flatten(2).sum(2) * 0
        details = tuple(detail.of_classes(counted) for detail in details)
        loss = per_class(likelihood[:, counted], target[:, counted], *details) * weight[counted]
        return loss.new_zeros(len(loss), len(weight)).index_copy(1, counted, loss)

    def _weight_per_class(self, classes: int) -> Tensor | None:
        weight = self.class_weight
        if weight is None or classes == 1:
            return None
        if weight.ndim and len(weight) != classes:
            raise ValueError(
                f"Expected `weight` to be one number or one for each of the {classes} classes "
                f"(background not counted if it is excluded), but got {len(weight)}."
            )
        return weight.expand(classes)

    def _prepare(self, likelihood: Tensor, target: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """Return the likelihood without ignored voxels, and the label of the classes that count."""
        ignored = None if self.ignore_index is None else target == self.ignore_index
        target = self._one_hot(target if ignored is None else target.masked_fill(ignored, 0), channels)
        target = self._without_background(target, channels)
        if target.shape != likelihood.shape:
            raise AssertionError(f"ground truth has different shape ({target.shape}) from input ({likelihood.shape})")
        check_binary(target)
        target = target.to(likelihood)
        if ignored is not None:
            if ignored.shape[1] > 1:  # one channel holds for all classes
                ignored = self._without_background(ignored, channels)
            likelihood = likelihood.masked_fill(ignored, self.outside_value)
            target = target.masked_fill(ignored, self.outside_value)
        return likelihood, target

    def _prepare_input(self, input: Tensor) -> Tensor:
        """Return the likelihood of the classes that count, float32 or float64."""
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
            return loss.mean() if loss.numel() else loss.sum()  # an empty batch has zero, not NaN
        if self.reduction == LossReduction.SUM.value:
            return loss.sum()
        return loss.view(*loss.shape, *[1] * (ndim - 2))


def check_tensors(**tensors: object) -> None:
    """Check that arguments are tensors."""
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            continue
        remedy = "convert it by `torch.as_tensor`"
        if isinstance(value, list | tuple):
            remedy = "with deep supervision pass the finest level of the network, as `TopologyAwareLoss` does"
        raise TypeError(f"Expected `{name}` to be a torch.Tensor, but got {type(value).__name__}: {remedy}.")


def _plain(tensor: Tensor) -> Tensor:
    """Drop the metadata of a MetaTensor, which every operation would carry along in twice the time."""
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


def check_binary(target: Tensor) -> None:
    """Check that a label is binary."""
    if target.dtype == torch.bool:
        return
    by_kernel = target.device.type == "cpu" and target.dtype in _KERNEL_TYPES
    # Without arrays of booleans, which would take a tenth of the time of a loss.
    if by_kernel and kernel.is_binary(target.detach().contiguous().numpy(), torch.get_num_threads()):
        return
    strays = target[(target != 0) & (target != 1)]
    if strays.numel():
        raise ValueError(
            f"Expected `target` to hold only 0 and 1, but got {strays.numel()} other values, such as "
            f"{strays.flatten()[0]:g}: convert the label (`monai_topo.data.foreground_mask`), "
            "set `to_onehot_y=True`, or name a value to ignore by `ignore_index`."
        )
