"""Euler characteristic error: one number for components, loops and cavities together."""

from __future__ import annotations

import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import betti_numbers
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import binary_pair


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
    in 3D plus cavities. It is the cheapest summary and the weakest: a component too many and a loop too many cancel,
    and like the Betti number error it is blind to places. Report it beside the Betti errors, with `connectivity` and
    `border`.

    Every input has an error, never NaN. An empty mask has :math:`\chi = 0` and a full one 1 (with `border="foreground"`
    0), so an empty prediction errs by the label's :math:`|\chi|`, and two empty or two full masks err by 0.

    Source: the Euler-Poincare formula; no paper's protocol is followed. Berger, Lux et al., "Pitfalls of topology-aware
    image segmentation" (arXiv 2412.14619), tell why connectivity must be stated with such a number.

    Cost: linear in the voxels, on the threads of `betti_numbers`. Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one.
        border: `"open"`: the image is all there is. `"foreground"`: everything outside it is foreground; then it is
            the Euler characteristic relative to that frame.

    Returns:
        `(B, C')` float32 on the device of `y_pred`, C' = C or C - 1. Never a MetaTensor.

    Raises:
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values other than 0 and 1 occur, or a setting is unknown.

    Example:
        >>> import torch
        >>> ring = torch.zeros(1, 1, 5, 7)
        >>> ring[..., 1:4, 1:6] = 1
        >>> ring[..., 2, 2:5] = 0
        >>> broken = ring.clone()
        >>> broken[..., 1, 3] = 0
        >>> compute_euler_error(broken, ring)
        tensor([[1.]])
    """
    pred, true = binary_pair(y_pred, y, include_background=include_background)
    masks = torch.cat([pred, true]).flatten(0, 1)
    numbers = betti_numbers(masks, connectivity=connectivity, border=border)
    chi_pred, chi_true = (numbers[:, ::2].sum(1) - numbers[:, 1::2].sum(1)).view(2, *pred.shape[:2])
    error: torch.Tensor = (chi_pred - chi_true).abs()
    return error.float().to(y_pred.device)


class EulerErrorMetric(TopologyMetric):
    """Collect the Euler characteristic error over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_euler_error`. Called with binarized
    batch-first tensors or with lists of channel-first ones it returns `(B, C)` float32; lower is better, 0 is best.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        border: What lies outside the image, `"open"` (nothing) or `"foreground"`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(error, not_nans)`. No error is ever NaN, so these are plain counts.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> metric = EulerErrorMetric()
        >>> label = torch.zeros(2, 1, 5, 7)
        >>> label[..., 1:3, 1:6] = 1
        >>> prediction = label.clone()
        >>> prediction[0, :, :, 3] = 0
        >>> metric(prediction, label)
        tensor([[1.],
                [0.]])
        >>> metric.aggregate()
        tensor([0.5000])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        connectivity: Connectivity = "full",
        border: Border = "open",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(
            compute_euler_error,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            connectivity=connectivity,
            border=border,
        )
