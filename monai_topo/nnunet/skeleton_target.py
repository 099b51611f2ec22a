"""The tubed skeleton of the label as one more target, made by nnU-Net's data workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from monai_topo.nnunet.term import Channels
from monai_topo.transforms.skeletons import TubedSkeleton

__all__ = ["AddSkeletonTarget"]


class AddSkeletonTarget:
    """Append the tubed skeleton of the finest label to the targets, for `SkeletonRecallLoss`.

    It comes after all of nnU-Net's own transforms, so that it belongs to the augmented label.

    Args:
        channels: Channels of the network.
        classes: Classes that get a skeleton.
        radius: Radius of the tubes in voxels.
    """

    def __init__(self, channels: Channels, classes: Sequence[str], radius: float) -> None:
        self.channels = channels
        self.chosen = [channels.channel_of(name) for name in classes]
        self.tubes = TubedSkeleton(radius=radius, per_class=True)

    def __call__(self, **data: Any) -> dict[str, Any]:
        """Return nnU-Net's sample with a list of targets."""
        labels = data["segmentation"]
        targets = list(labels) if isinstance(labels, list | tuple) else [labels]
        return {**data, "segmentation": [*targets, self.skeleton(targets[0])]}

    def skeleton(self, label: Tensor) -> Tensor:
        """Return the skeleton of a label, with the voxels to ignore, in the label's own format."""
        if self.channels.are_regions:
            result = torch.zeros_like(label)
            chosen = torch.tensor(self.chosen)
            result[chosen] = self._tubes(label[chosen])
            if self.channels.ignores_regions:
                result[-1] = label[-1]
            return result
        kept = torch.isin(label, torch.tensor(self.chosen, dtype=label.dtype))
        result = self._tubes(torch.where(kept, label, 0))
        ignored = self.channels.ignore_label
        return result if ignored is None else torch.where(label == ignored, ignored, result)

    def _tubes(self, label: Tensor) -> Tensor:
        return torch.from_numpy(self.tubes.compute(label.numpy(), (1.0,) * (label.ndim - 1)))
