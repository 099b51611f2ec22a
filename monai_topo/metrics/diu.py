"""DIU: how many topological features of intersection and union of prediction and label do not correspond."""

from __future__ import annotations

import torch

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.metrics._base import DimensionMetric
from monai_topo.metrics._inputs import check_masks
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.pairs import persistence_pairs


def compute_diu(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    connectivity: Connectivity = "full",
    border: Border = "open",
) -> torch.Tensor:
    r"""Compute the discrepancy between intersection and union (DIU) of every image, channel and dimension.

    The inclusion of the intersection :math:`I` of prediction and label in their union :math:`U` induces linear maps
    :math:`i_k: H_k(I) \to H_k(U)` in homology with coefficients in :math:`\mathbb{Z}/2`. DIU in dimension :math:`k` is
    :math:`\dim\ker i_k + \dim\mathrm{coker}\,i_k`: features of the intersection that vanish or merge in the union, and
    features of the union that the intersection lacks. It is 0 in every dimension exactly if both have the same
    features *at corresponding locations*. Unlike in a Betti number error, a false loop does not cancel a missing loop
    elsewhere. A prediction that is only thicker or thinner than the label has DIU 0.

    Method: one superlevel filtration of the image that is 1 on :math:`I`, 1/2 on the rest of :math:`U` and 0 elsewhere.
    A pair born at 1 that dies at 1/2 is in the kernel; a pair born at 1/2 that dies later is in the cokernel.

    DIU is never NaN. If one mask is empty, DIU is the Betti numbers of the other mask, all from the cokernel. If one
    mask is full, DIU is the Betti numbers of the other mask, except for one component in dimension 0 that both have.
    Two empty or two full masks have 0.

    Source: Lux, Berger, Weers et al., "Topograph: an efficient graph-based framework for strictly topology preserving
    image segmentation", ICLR 2025 (arXiv 2411.03228), where DIU is the strict metric next to Betti errors, for 2D
    and as one sum; here also in 3D and per dimension.

    Cost: that of `persistence_pairs` on one image of three values: linear except for dimension 1 in 3D. Deterministic;
    no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground, and features are counted relative to that frame).

    Returns:
        `(B, C', d)` float32 on the device of `y_pred`, C' = C or C - 1, d = 2 or 3. Never a MetaTensor.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 11)
        >>> label[..., 1:4, 1:4] = 1
        >>> label[..., 2, 2] = 0  # a ring on the left
        >>> compute_diu(label.flip(-1), label)  # the prediction has one on the right: equal Betti numbers
        tensor([[[2., 2.]]])
    """
    pred, true = check_masks(y_pred, y, include_background=include_background)
    levels = (pred.float() + true.float()).div_(2).flatten(0, 1)
    pairs = persistence_pairs(levels, connectivity=connectivity, border=border)
    birth, death = pairs.values(levels).T
    unmatched = ((birth == 1) & (death == 0.5)) | (birth == 0.5)
    diu = torch.zeros(len(levels), levels.ndim - 1)
    diu.index_put_((pairs.image[unmatched], pairs.dim[unmatched]), torch.ones(()), accumulate=True)
    if border == "open":
        # The essential component is in the cokernel too if the intersection is empty and the union is not.
        diu[:, 0] += essential_class(levels).values[:, 0] == 0.5
    return diu.view(*pred.shape[:2], -1).to(y_pred.device)


class DIUMetric(DimensionMetric, compute=compute_diu):
    """Collect the discrepancy between intersection and union over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_diu`. Called with binarized batch-first
    tensors or with lists of channel-first tensors it returns `(B, C)` float32; lower is better, 0 is best. The sum over
    all dimensions is the number of the paper.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 3] = 0  # a gap: two components of the intersection are one in the union
        >>> DIUMetric(dim=0)(prediction, label)
        tensor([[1.]])
    """
