"""Betti number error: by how many components, loops and cavities does a segmentation differ from its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_topo._utils.patches import Slices, check_patch_settings, crop, patch_slices
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import betti_numbers
from monai_topo.metrics._base import DimensionMetric
from monai_topo.metrics._inputs import check_masks

# Patches are counted together, to keep all threads busy, up to this many voxels (one byte each) per call.
_VOXELS_PER_CALL = 2**26


def compute_betti_error(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    patch_size: int | Sequence[int] | None = None,
    num_patches: int | None = None,
    seed: int = 0,
    connectivity: Connectivity = "full",
    border: Border = "open",
) -> torch.Tensor:
    r"""Compute the Betti number error of every image, channel and dimension.

    :math:`|\beta_k(\text{pred}) - \beta_k(\text{label})|` for :math:`k = 0, \dots, d - 1`, of the whole image or as the
    mean over patches. In 2D dimension 0 counts components and 1 holes; in 3D dimension 0 counts components, 1 loops
    (tunnels) and 2 cavities. The error compares numbers, not locations: a missing loop and a false loop elsewhere in
    the same image (or patch) cancel. Report `connectivity`, `border` and the patch protocol with each number, since all
    three change it.

    The error is never NaN. An empty mask has the Betti numbers 0, 0(, 0) and a full mask 1, 0(, 0) (with
    `border="foreground"` 0, 0(, 0)). So the error of an empty prediction is the Betti numbers of the label, and two
    empty or two full masks have error 0.

    Patch protocols. All patches have one size, and are the same for prediction, label, channels and images:

    - Grid (`patch_size` alone): adjacent patches that cover the image. If the size does not divide the extent, the last
      patch of an axis is shifted inwards and overlaps its neighbor, so voxels in the overlap count twice. Truncating it
      instead (as ported evaluation scripts do) would include slivers in the mean that hardly contain a loop.
    - Random (`num_patches` too): corners drawn with replacement, uniformly over all positions inside the image, by
      `numpy.random.RandomState(seed)`: patch by patch and axis by axis, `randint(0, extent - size + 1)`, skipping axes
      on which the patch has the extent of the image. They depend on seed, image size, patch size and number only; not
      on batch or device.

    Source: Hu, Li, Samaras, Chen, "Topology-Preserving Deep Image Segmentation", NeurIPS 2019 (arXiv 1906.05404),
    section 3, *Betti number error*: the mean absolute difference of the number of handles (dimension 1 in 2D) over
    random patches. Here all dimensions are returned. The number of patches has no default, since we found no figure in
    the paper; its training patches are 65 x 65 pixels.

    Cost: linear in the voxels of all patches; the patches of all images are counted together, 64 MiB of masks at a
    time, on the threads of `betti_numbers`. Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype (bool too), any
            device; channels are classes, one-hot or multi-label. A MetaTensor is read as a plain tensor.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        patch_size: Patch size in voxels, one number or one per axis; None takes the whole image.
        num_patches: Number of random patches; None takes the grid.
        seed: Seed of the random patches, 0 to 2**32 - 1.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition of the image or patch: `"open"` (nothing lies outside) or `"foreground"` (everything
            outside is foreground: structures that the border cuts are closed there, and components that touch the frame
            belong to the outside).

    Returns:
        `(B, C', d)` float32 on the device of `y_pred`, C' = C or C - 1, d = 2 or 3: the (mean) absolute difference,
        in features per image or per patch. Never a MetaTensor.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, a patch does not fit, or a setting is unknown.

    Example:
        >>> import torch
        >>> ring = torch.zeros(1, 1, 5, 7)
        >>> ring[..., 1:4, 1:6] = 1
        >>> ring[..., 2, 2:5] = 0
        >>> broken = ring.clone()
        >>> broken[..., 1, 3] = 0
        >>> compute_betti_error(broken, ring)
        tensor([[[0., 1.]]])
    """
    check_patch_settings(patch_size, num_patches)
    pred, true = check_masks(y_pred, y, include_background=include_background)
    slices = patch_slices(pred.shape[2:], patch_size=patch_size, num_patches=num_patches, seed=seed)
    step = max(1, _VOXELS_PER_CALL // (2 * crop(pred, slices[0]).numel()))
    sums = [
        _sum_errors(pred, true, slices[i : i + step], connectivity=connectivity, border=border)
        for i in range(0, len(slices), step)
    ]
    mean = torch.stack(sums).sum(dim=0).double() / len(slices)
    return mean.float().to(y_pred.device)


def _sum_errors(
    pred: torch.Tensor, true: torch.Tensor, slices: Sequence[Slices], *, connectivity: Connectivity, border: Border
) -> torch.Tensor:
    """Sum the error over patches, which are counted in one call; `(B, C, d)` int64."""
    patches = torch.stack([crop(mask, patch) for patch in slices for mask in (pred, true)])
    numbers = betti_numbers(patches.flatten(0, 2), connectivity=connectivity, border=border)
    numbers = numbers.reshape(len(slices), 2, *pred.shape[:2], -1)
    return (numbers[:, 0] - numbers[:, 1]).abs().sum(dim=0)


@dataclass(kw_only=True, eq=False)
class BettiErrorMetric(DimensionMetric, compute=compute_betti_error):
    """Collect the Betti number error over iterations, images and ranks.

    The definition, patch protocols and empty cases are those of :py:func:`monai_topo.metrics.compute_betti_error`. The
    metric is called with binarized batch-first tensors, or with lists of channel-first tensors whose sizes may differ
    from case to case. It returns `(B, C)` float32 on the device of the prediction; lower is better, 0 is best. As with
    every metric of MONAI, under torch.distributed each rank must add at least one case before `aggregate`.

    Example:
        >>> import torch
        >>> metric = BettiErrorMetric(dim=0)
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

    patch_size: int | Sequence[int] | None = None
    num_patches: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_patch_settings(self.patch_size, self.num_patches)
