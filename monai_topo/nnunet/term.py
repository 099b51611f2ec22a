"""The topology term as nnU-Net calls its losses: on logits and label of the finest output of deep supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from monai_topo.losses import SCNPLoss

__all__ = ["Channels", "PenalizedLoss", "TopologyTerm", "WithoutExtraTarget", "loss_settings", "read_channels"]


class Channels(NamedTuple):
    """The foreground of a data set as channels of the network.

    Attributes:
        names: Names of the classes or regions in the order of their channels.
        are_regions: Whether they are regions, which may overlap, with one sigmoid each; otherwise the channels are
            those of a softmax, the background first.
        ignore_label: Value of the label that is not counted; None if there is none.
    """

    names: tuple[str, ...]
    are_regions: bool
    ignore_label: int | None

    @property
    def ignores_regions(self) -> bool:
        """Return whether nnU-Net's target has one channel more than the network, the voxels to ignore."""
        return self.are_regions and self.ignore_label is not None

    def channel_of(self, name: str) -> int:
        """Return the channel of the network, which is also the value of a class in the label."""
        return self.names.index(name) + (not self.are_regions)


def read_channels(labels: dict[str, Any], *, are_regions: bool, ignore_label: int | None) -> Channels:
    """Read the channels from the `labels` of `dataset.json`, by name."""
    values = {name: value if isinstance(value, list | tuple) else [value] for name, value in labels.items()}
    foreground = {name: value for name, value in values.items() if name != "ignore" and set(value) != {0}}
    names = list(foreground) if are_regions else sorted(foreground, key=lambda name: int(foreground[name][0]))
    return Channels(tuple(names), are_regions, ignore_label)


def loss_settings(channels: Channels, classes: Sequence[str]) -> dict[str, Any]:
    """Return the options of a loss that follow from nnU-Net's labels.

    The loss is the mean over the images and the chosen classes; the others are not computed.
    """
    share = len(channels.names) / len(classes)
    settings: dict[str, Any] = {"weight": [share * (name in classes) for name in channels.names]}
    if channels.are_regions:
        settings |= {"sigmoid": True}
    else:
        settings |= {"softmax": True, "to_onehot_y": True, "include_background": False}
    if channels.ignore_label is not None:
        settings["ignore_index"] = channels.ignore_label
    return settings


class TopologyTerm(nn.Module):
    """Call a topology loss on the finest output.

    Args:
        loss: Loss of this package with the options of `loss_settings`.
        channels: Channels of the network.
        target_at: Position of its target in the list of targets: 0 for the finest label of deep supervision, -1 for a
            target that was added at the end.
    """

    def __init__(self, loss: nn.Module, channels: Channels, *, target_at: int = 0) -> None:
        super().__init__()
        self.loss = loss
        self.channels = channels
        self.target_at = target_at

    # Persistence runs on the CPU in a kernel of its own: there is nothing to compile, and a graph would break here.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, output: Tensor, target: Tensor | Sequence[Tensor]) -> Tensor:
        """Compute the term.

        Args:
            output: Logits of the finest output, `(B, C, *spatial)`.
            target: Target of every output, or of the only one: class indices `(B, 1, *spatial)`, or regions
                `(B, R, *spatial)`, followed by the voxels to ignore if there is an ignore label.
        """
        finest = target if isinstance(target, Tensor) else target[self.target_at]
        value: Tensor = self.loss(output, _with_ignored(finest, self.channels))
        return value


class PenalizedLoss(nn.Module):
    """Call nnU-Net's own loss of one output on logits that :py:class:`monai_topo.SCNPLoss` has penalized.

    Args:
        loss: nnU-Net's loss without deep supervision.
        channels: Channels of the network.
        classes: Classes whose logits are penalized; the background of a softmax always is.
        kernel_size: Window of `SCNPLoss`.
    """

    def __init__(self, loss: nn.Module, channels: Channels, classes: Sequence[str], *, kernel_size: int) -> None:
        super().__init__()
        self.loss = loss
        self.channels = channels
        self.penalty = SCNPLoss(loss, kernel_size, ignore_index=channels.ignore_label)
        self.kept = [channels.channel_of(name) for name in channels.names if name not in classes]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, output: Tensor, target: Tensor | Sequence[Tensor]) -> Tensor:
        """Compute the loss; see :py:class:`TopologyTerm` for the arguments."""
        finest = target if isinstance(target, Tensor) else target[0]
        logits = self.penalty.penalize(output, _with_ignored(finest, self.channels))
        if self.kept:
            kept = torch.tensor(self.kept, device=output.device)
            logits = logits.index_copy(1, kept, output[:, kept])
        value: Tensor = self.loss(logits, finest)
        return value


class WithoutExtraTarget(nn.Module):
    """Call nnU-Net's loss without the target that was added at the end for the topology term, if there is one."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]) -> Tensor:
        """Compute the loss of one output with its target, or of all of deep supervision."""
        if not isinstance(target, Tensor):
            target = target[0] if isinstance(output, Tensor) else list(target[: len(output)])
        value: Tensor = self.loss(output, target)
        return value


def _with_ignored(target: Tensor, channels: Channels) -> Tensor:
    """Mark the voxels to ignore in the channels of the regions, as the label of classes does it."""
    if not channels.ignores_regions:
        return target
    assert channels.ignore_label is not None
    return target[:, :-1].to(torch.int16).masked_fill(target[:, -1:] > 0, channels.ignore_label)
