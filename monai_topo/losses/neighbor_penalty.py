"""Same-class neighbor penalization: every pixel answers for the worst of its neighbors of the same class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d
from torch.nn.modules.loss import _Loss

from monai_topo._utils.validation import check_whole_number
from monai_topo.losses._base import check_binary, check_tensors

__all__ = ["SCNPLoss"]


class SCNPLoss(_Loss):
    r"""Apply a loss to logits that are replaced by the worst ones among their neighbors of the same class.

    With the logit `z_v` of a class and the binary label `y` of that class, in 2D and 3D,

    .. math::

        \tilde z_v = \min_{u \in N(v),\, y_u = 1} z_u \quad (y_v = 1), \qquad
        \tilde z_v = \max_{u \in N(v),\, y_u = 0} z_u \quad (y_v = 0)

    where `N(v)` is the window around `v`, `v` included. The base loss then gets :math:`\tilde z` in place of `z`: one
    voxel of a break lowers the logits of the whole window, and the gradient of all of them reaches that voxel. The
    window ends at the border of the image.

    Source: Valverde et al., "Towards High-Quality Image Segmentation: Improving Topology Accuracy by Penalizing
    Neighbor Pixels" (SCNP), CVPR 2026. As there, each channel is treated on its own, before the activation: for a
    softmax, `y` is the one-hot label of the channel. There, voxels of the other class get the logit 9999 or -9999; here
    they are left out, so logits of any size and dtype are right. Here also: labels of class indices, ignored voxels.

    Where it fails: a structure narrower than a few voxels is punished as a whole for its worst voxel, so small lesions
    are lost more often, as the authors found.

    Args:
        base: Loss of logits, such as `monai.losses.DiceCELoss(sigmoid=True)`, called with `(logits, target)`. It
            applies its own activation, and reads the target as usual. A loss of likelihoods works too.
        kernel_size: Edge length of the window in voxels, odd. 1 changes nothing.
        ignore_index: Voxels whose target has this value belong to no class: they keep their logits, and are no
            neighbors. The base loss has to ignore them as well.

    Raises:
        TypeError: If `base` is not callable.
        ValueError: If `kernel_size` is not odd and positive; at the call if the target is not binary, or holds other
            class indices than the channels of the input.

    Cost: two max-pools on the device of the input. If several neighbors are equally bad, the first in C order gets the
    gradient, so value and gradient are deterministic on the CPU (on a GPU, as deterministic as its max-pool).

    Example:
        >>> import torch
        >>> from monai.losses import DiceCELoss
        >>> label = torch.zeros(1, 1, 3, 6)
        >>> label[..., 1, :] = 1
        >>> logits = 8 * label - 4
        >>> logits[..., 1, 2] = -1.0  # a break
        >>> SCNPLoss(DiceCELoss(sigmoid=True)).penalize(logits, label)[0, 0]
        tensor([[-4., -4., -4., -4., -4., -4.],
                [ 4., -1., -1., -1.,  4.,  4.],
                [-4., -4., -4., -4., -4., -4.]])
    """

    def __init__(
        self, base: Callable[[Any, Tensor], Tensor], kernel_size: int = 3, *, ignore_index: int | None = None
    ) -> None:
        super().__init__()
        if not callable(base):
            raise TypeError(f"Expected `base` to be a loss, called with (input, target), but got {base!r}.")
        check_whole_number("kernel_size", kernel_size, 1)
        if kernel_size % 2 == 0:
            raise ValueError(f"Expected `kernel_size` to be odd, a window around a voxel, but got {kernel_size}.")
        self.base = base
        self.kernel_size = kernel_size
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the base loss of the penalized logits.

        Args:
            input: Logits, `(B, C, H, W)` or `(B, C, D, H, W)`.
            target: Binary label of the same shape, or class indices `(B, 1, *spatial)` if there are several channels.

        Returns:
            What `base` returns.
        """
        return self.base(self.penalize(input, target), target)

    def penalize(self, input: Tensor, target: Tensor) -> Tensor:
        """Replace every logit by the worst one among the neighbors of its class, of the shape of the input."""
        check_tensors(input=input, target=target)
        if input.ndim not in (4, 5):
            raise ValueError(
                "Expected `input` to have shape (B, C, H, W) or (B, C, D, H, W), "
                f"but got {tuple(input.shape)}: 2 or 3 spatial axes after batch and channel."
            )
        input, target = input.as_subclass(Tensor), target.as_subclass(Tensor)
        ignored = target.new_zeros(()).bool() if self.ignore_index is None else target == self.ignore_index
        foreground = self._foreground(input, target.masked_fill(ignored, 0))
        is_inside, is_outside = foreground & ~ignored, ~foreground & ~ignored
        # What is no neighbor is infinitely good.
        worst_inside = -self._maximum((-input).masked_fill(~is_inside, -torch.inf))
        worst_outside = self._maximum(input.masked_fill(~is_outside, -torch.inf))
        return torch.where(is_inside, worst_inside, torch.where(is_outside, worst_outside, input))

    def _maximum(self, values: Tensor) -> Tensor:
        pool = max_pool2d if values.ndim == 4 else max_pool3d
        return pool(values, self.kernel_size, stride=1, padding=self.kernel_size // 2)

    def _foreground(self, input: Tensor, target: Tensor) -> Tensor:
        """Return where each channel has its foreground, bool, of the shape of the input."""
        if target.shape == input.shape:
            check_binary(target)
            return target != 0
        channels = input.shape[1]
        if target.shape != (input.shape[0], 1, *input.shape[2:]):
            raise AssertionError(f"ground truth has different shape ({target.shape}) from input ({input.shape})")
        if target.numel() and not 0 <= target.min() <= target.max() < channels:
            raise ValueError(
                f"Expected `target` to hold class indices from 0 to {channels - 1}, "
                f"but got values from {target.min():g} to {target.max():g}."
            )
        classes = torch.arange(channels, device=target.device).view(-1, *[1] * (input.ndim - 2))
        return target == classes
