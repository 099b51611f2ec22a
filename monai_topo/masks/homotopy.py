"""Voxels that can be flipped without a change of topology, and the errors that are left when all such are undone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import kernel, mask_bits, mask_settings
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_masks, check_num_threads, check_shape, check_topology_settings

__all__ = ["homotopy_warping_errors", "simple_points"]


def simple_points(
    masks: Tensor, *, connectivity: Connectivity = "full", border: Border = "open", num_threads: int | None = None
) -> Tensor:
    """Find the voxels whose flip, one at a time, changes no component, loop or cavity.

    Args:
        masks: `(N, H, W)` or `(N, D, H, W)`, bool or any dtype with the values 0 and 1 only, on any device.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: outside is background; `"foreground"`: outside is foreground.
        num_threads: images worked on at the same time, `torch.get_num_threads()` by default.

    Returns:
        Bool of the shape of `masks`, on the CPU, for foreground and background voxels alike.

    Raises:
        ValueError: if the shape, a value or a setting is not one of the above.

    Cost: linear; the voxels around each are looked at once.

    Source: Malandain, Bertrand, "Fast characterization of 3D simple points", ICPR 1992. In 2D likewise with 8 and 4.

    Example:
        >>> import torch
        >>> simple_points(torch.tensor([[[1, 1, 1, 0, 0]]])).int()  # either end, and what would make the line longer
        tensor([[[1, 0, 1, 1, 0]]], dtype=torch.int32)
    """
    simple = kernel.simple_points(
        check_masks(masks, connectivity, border),
        **mask_settings(connectivity, border),
        num_threads=check_num_threads(num_threads),
    )
    return torch.from_numpy(simple).view(masks.shape).bool()


def homotopy_warping_errors(
    likelihood: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.5,
    connectivity: Connectivity = "full",
    border: Border = "open",
    num_threads: int | None = None,
) -> Tensor:
    """Find the errors of a prediction that are errors of its topology.

    The prediction is the mask `likelihood > threshold`. It is warped towards the label by flipping voxels in which it
    is wrong, simple ones only, those nearest to where the two agree first (city-block distance), and among those the
    least wrong first, until none is left. The label is warped towards the prediction likewise, the most wrong first.
    What still differs after either is returned: a path across a break and the cut that keeps it open, likewise of a
    false bridge, the whole of a speck or of a hole. A shifted or swollen boundary leaves nothing.

    No flip changes a topology, so where the two topologies differ something is left. The converse does not hold: two
    masks of equal Betti numbers may be no deformation of each other (a speck here and a hole of that kind there), and a
    greedy order can, rarely, get stuck where another would not.

    Args:
        likelihood: `(N, H, W)` or `(N, D, H, W)`, floating.
        labels: of the same shape, 0 and 1.
        threshold: above it is foreground.
        connectivity: of the foreground, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`, what lies outside.
        num_threads: images worked on at the same time, `torch.get_num_threads()` by default; the result never depends
            on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        Bool of the same shape, on the CPU.

    Raises:
        ValueError: if the shape, a value or a setting is not one of the above.

    Cost: linear for the voxels, and for the wrong ones a sort and a queue. About 16 bytes a voxel for each image in
    work.
    """
    check_shape("likelihood", likelihood)
    check_topology_settings(connectivity=connectivity, border=border)
    if labels.shape != likelihood.shape:
        raise ValueError(
            f"Expected `labels` of the shape of `likelihood`, {tuple(likelihood.shape)}, but got {tuple(labels.shape)}."
        )
    values = likelihood.detach().cpu()
    bits = mask_bits(labels)
    error = (values.float() - torch.from_numpy(bits)).abs().contiguous().numpy()
    critical = kernel.homotopy_warping_errors(
        (values > threshold).contiguous().numpy().view(np.uint8),
        bits,
        error,
        **mask_settings(connectivity, border),
        num_threads=check_num_threads(num_threads),
    )
    return torch.from_numpy(critical).view(likelihood.shape).bool()
