"""DIU: which topological features of intersection and union of prediction and label do not correspond."""

from __future__ import annotations

import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.metrics._base import TopologyMetric, check_dim, of_dim
from monai_topo.metrics._inputs import binary_pair
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
    features of the union that the intersection lacks. It is 0 in every dimension exactly if the two have the same
    features *at corresponding places*, so unlike a Betti number error a false loop here does not make up for a missing
    one there; a prediction that is only thicker or thinner than the label costs nothing.

    How: one superlevel filtration of the image that is 1 on :math:`I`, 1/2 on the rest of :math:`U` and 0 elsewhere. A
    pair born at 1 that dies at 1/2 is in the kernel, one born at 1/2 that dies later is in the cokernel.

    Every input has a DIU, never NaN. Against an empty mask it is the Betti numbers of the other one (all of it
    cokernel), against a full mask too, but for the one component of dimension 0 that both have; two empty or two full
    masks have 0.

    Source: Lux, Berger, Weers et al., "Topograph: an efficient graph-based framework for strictly topology preserving
    image segmentation", ICLR 2025 (arXiv 2411.03228), where DIU is the strict metric beside Betti errors, for 2D and as
    one sum; here in 3D too and per dimension.

    Cost: that of `persistence_pairs` on one image of three values: linear but for dimension 1 in 3D. Deterministic; no
    gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one.
        border: `"open"`: the image is all there is. `"foreground"`: everything outside it is foreground; then features
            are counted relative to that frame, whose own are left out.

    Returns:
        `(B, C', d)` float32 on the device of `y_pred`, C' = C or C - 1, d = 2 or 3. Never a MetaTensor.

    Raises:
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values other than 0 and 1 occur, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 11)
        >>> label[..., 1:4, 1:4] = 1
        >>> label[..., 2, 2] = 0  # a ring on the left
        >>> compute_diu(label.flip(-1), label)  # the prediction has one on the right: equal Betti numbers
        tensor([[[2., 2.]]])
    """
    pred, true = binary_pair(y_pred, y, include_background=include_background)
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


class DIUMetric(TopologyMetric):
    """Collect the discrepancy between intersection and union over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_diu`. Called with binarized batch-first
    tensors or with lists of channel-first ones it returns `(B, C)` float32; lower is better, 0 is best.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        border: What lies outside the image, `"open"` (nothing) or `"foreground"`.
        dim: Homology dimension to report, 0 to d - 1; None is the sum over all dimensions, the paper's number.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`. No value is ever NaN, so these are plain counts.

    Raises:
        ValueError: When a setting is impossible (at once), or does not suit an image (at the call).

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 3] = 0  # a gap: two components of the intersection are one in the union
        >>> DIUMetric(dim=0)(prediction, label)
        tensor([[1.]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        connectivity: Connectivity = "full",
        border: Border = "open",
        dim: int | None = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        check_dim(dim)
        self.dim = dim
        super().__init__(
            compute_diu,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            connectivity=connectivity,
            border=border,
        )

    def report(self, result: torch.Tensor) -> torch.Tensor:
        """Take the values of all dimensions to that of one, or to their sum."""
        return of_dim(result, self.dim)
