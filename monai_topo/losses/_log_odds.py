"""Log-odds of a likelihood at single voxels, read from the logits: they stay exact where the likelihood rounds to 1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogOdds:
    """Log-odds `log p - log(1 - p)` of the likelihood `p` of some classes, at single voxels.

    Attributes:
        logits: Output of the network, all channels, `(B, channels, *spatial)`.
        likelihood: Likelihood that the loss computed from it, `(B, classes, *spatial)`, before any voxel was changed.
        softmax: Whether the activation is a softmax over the channels, or a sigmoid.
        classes: Indices of the classes of `likelihood` that count, `(C,)`.
    """

    logits: Tensor
    likelihood: Tensor
    softmax: bool
    classes: Tensor

    def of_classes(self, classes: Tensor) -> LogOdds:
        """Return the log-odds of some of the classes."""
        return replace(self, classes=self.classes[classes.to(self.classes.device)])

    def at(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Read log-odds and likelihoods at `(K,)` voxels, flat C-order indices into `(B, C, *spatial)`.

        Returns:
            The log-odds, differentiable in the logits, and the likelihoods, detached.
        """
        classes, voxels = self.classes.to(self.logits.device), voxels.to(self.logits.device)
        size = self.logits.shape[2:].numel()
        image, place = voxels // size, voxels % size
        batch, label_class = image // len(classes), classes[image % len(classes)]
        likelihood = self.likelihood.detach().flatten(2)[batch, label_class, place]
        # The background, if it is excluded, comes first.
        channel = label_class + self.logits.shape[1] - self.likelihood.shape[1]
        if not self.softmax:
            return self.logits.flatten(2)[batch, channel, place], likelihood
        channels = self.logits.flatten(2)[batch, :, place]
        others = channels.scatter(1, channel[:, None], -torch.inf)
        return channels.gather(1, channel[:, None])[:, 0] - others.logsumexp(1), likelihood
