"""Log-odds of a likelihood at single voxels, read from the logits: they stay exact where the likelihood rounds to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from monai_topo._utils.patches import Slices


@dataclass(frozen=True)
class LogOdds:
    """Log-odds `log p - log(1 - p)` of the likelihood `p` of some classes, at voxels of patches.

    Attributes:
        logits: Output of the network, all channels, `(B, channels, *spatial)`.
        likelihood: Likelihood that the loss computed from it, `(B, classes, *spatial)`, before any voxel was changed.
        softmax: Whether the activation is a softmax over the channels, or a sigmoid.
        classes: Indices of the classes of `likelihood` that count, `(C,)`.
        patches: Patches that count, of one size.
    """

    logits: Tensor
    likelihood: Tensor
    softmax: bool
    classes: Tensor
    patches: Sequence[Slices] = field(default=())

    def of_classes(self, classes: Tensor) -> LogOdds:
        """Return the log-odds of some of the classes."""
        return replace(self, classes=self.classes[classes.to(self.classes.device)])

    def of_patches(self, patches: Sequence[Slices]) -> LogOdds:
        """Return the log-odds in patches of the images."""
        return replace(self, patches=patches)

    def at(self, image: Tensor, voxel: Tensor) -> tuple[Tensor, Tensor]:
        """Read log-odds and likelihoods at `(K,)` voxels.

        Args:
            image: Index into the patches of all classes of all images, `(B, C, patches)` in C order.
            voxel: Flat C-order index into the patch.

        Returns:
            The log-odds, differentiable in the logits, and the likelihoods, detached.
        """
        num_patches, num_classes = len(self.patches), len(self.classes)
        batch = image // (num_classes * num_patches)
        label_class = self.classes[image // num_patches % num_classes]
        place = self._in_image(image % num_patches, voxel)
        device = self.logits.device
        batch, label_class, place = (index.to(device) for index in (batch, label_class, place))
        likelihood = self.likelihood.detach().flatten(2)[batch, label_class, place]
        # The background, if it is excluded, comes first.
        channel = label_class + self.logits.shape[1] - self.likelihood.shape[1]
        if not self.softmax:
            return self.logits.flatten(2)[batch, channel, place], likelihood
        channels = self.logits.flatten(2)[batch, :, place]
        others = channels.scatter(1, channel[:, None], -torch.inf)
        return channels.gather(1, channel[:, None])[:, 0] - others.logsumexp(1), likelihood

    def _in_image(self, patch: Tensor, voxel: Tensor) -> Tensor:
        """Convert flat indices into patches to flat indices into the image."""
        starts = torch.tensor([[axis.start for axis in slices] for slices in self.patches])
        place, step = torch.zeros_like(voxel), 1
        for axis in reversed(range(len(self.patches[0]))):
            extent = self.patches[0][axis].stop - self.patches[0][axis].start
            place += (voxel % extent + starts[patch, axis]) * step
            voxel, step = voxel // extent, step * self.logits.shape[2 + axis]
        return place
