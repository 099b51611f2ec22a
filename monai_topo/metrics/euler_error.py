"""Euler characteristic error: one number for components, loops and cavities together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import betti_numbers
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks


def compute_euler_error(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    connectivity: Connectivity = "full",
    border: Border = "open",
) -> torch.Tensor:
    r"""Compute the Euler characteristic error of every image and channel.

    :math:`|\chi(\text{pred}) - \chi(\text{label})|` with :math:`\chi = \sum_k (-1)^k \beta_k`: components minus loops,
    in 3D plus cavities. It is the cheapest summary and the weakest: a spurious component and a spurious loop cancel,
    and like the Betti number error it ignores locations. Report it next to the Betti errors, with `connectivity` and
    `border`.

    The error is never NaN. An empty mask has :math:`\chi = 0` and a full mask 1 (with `border="foreground"` 0). So the
    error of an empty prediction is :math:`|\chi|` of the label, and two empty or two full masks have error 0.

    Source: the Euler-Poincare formula; it follows no published protocol. Berger, Lux et al., "Pitfalls of
    topology-aware image segmentation" (arXiv 2412.14619), explain why connectivity must be stated with such a number.

    Cost: linear in the voxels, on the threads of `betti_numbers`. Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground, and the Euler characteristic is relative to that frame).

    Returns:
        `(B, C')` float32 on the device of `y_pred`, C' = C or C - 1. Never a MetaTensor.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.ones(1, 1, 5, 7)
        >>> prediction = label.clone()
        >>> prediction[..., 1::2, 1::2] = 0  # six holes
        >>> compute_euler_error(prediction, label)
        tensor([[6.]])
    """
    pred, true = check_masks(y_pred, y, include_background=include_background)
    masks = torch.cat([pred, true]).flatten(0, 1)
    numbers = betti_numbers(masks, connectivity=connectivity, border=border)
    chi_pred, chi_true = (numbers[:, ::2].sum(1) - numbers[:, 1::2].sum(1)).view(2, *pred.shape[:2])
    error: torch.Tensor = (chi_pred - chi_true).abs()
    return error.float().to(y_pred.device)


@dataclass(kw_only=True, eq=False)
class EulerErrorMetric(TopologyMetric, compute=compute_euler_error):
    """Collect the Euler characteristic error over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_euler_error`. Called with binarized
    batch-first tensors or with lists of channel-first tensors it returns `(B, C)` float32; lower is better, 0 is best.

    Example:
        >>> import torch
        >>> metric = EulerErrorMetric()
        >>> label = torch.ones(1, 1, 5, 7)
        >>> metric(label, label), metric(0 * label, label)
        (tensor([[0.]]), tensor([[1.]]))
        >>> metric.aggregate()
        tensor([0.5000])
    """

    connectivity: Connectivity = "full"
    border: Border = "open"
