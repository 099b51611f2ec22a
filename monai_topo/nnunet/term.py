"""The topology term as nnU-Net calls its losses: on logits and label of the finest output of deep supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Channels", "TopologyTerm", "loss_settings", "read_channels"]


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


def read_channels(labels: dict[str, Any], *, are_regions: bool, ignore_label: int | None) -> Channels:
    """Read the channels from the `labels` of `dataset.json`, by name."""
    foreground = {
        name: value for name, value in labels.items() if name != "ignore" and value not in (0, "0", [0], (0,))
    }
    names = list(foreground) if are_regions else sorted(foreground, key=lambda name: _number(foreground[name]))
    return Channels(tuple(names), are_regions, ignore_label)


def _number(value: Any) -> int:
    return int(value[0] if isinstance(value, list | tuple) else value)


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

    With regions and an ignore label, nnU-Net's target has one channel more than the network: the voxels to ignore.

    Args:
        loss: Loss of this package with the options of `loss_settings`.
        channels: Channels of the network.
        target_at: Position of the target among those of deep supervision, `-1` for one that is added at the end.
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
        if self.channels.are_regions and self.channels.ignore_label is not None:
            finest = finest[:, :-1].to(torch.int16).masked_fill(finest[:, -1:] > 0, self.channels.ignore_label)
        value: Tensor = self.loss(output, finest)
        return value
