"""Simple points, and homotopy warping: the errors that remain when a mask is deformed without a change of topology."""

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
    """Find the simple points: voxels whose flip, one at a time, changes no component, loop or cavity.

    Args:
        masks: `(N, H, W)` or `(N, D, H, W)`, bool or any dtype with the values 0 and 1 only, on any device.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default.

    Returns:
        Bool of the shape of `masks`, on the CPU, for foreground and background voxels alike.

    Raises:
        TypeError: If `masks` is not a tensor.
        ValueError: If the shape, a value or a setting is wrong.

    Cost: linear; the neighborhood of each voxel is inspected once.

    Source: Malandain, Bertrand, "Fast characterization of 3D simple points", ICPR 1992; in 2D the same with 8 and 4.

    Example:
        >>> import torch
        >>> simple_points(torch.tensor([[[1, 1, 1, 0, 0]]])).int()  # both ends of the line, and the voxel after it
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

    The prediction is the mask `likelihood > threshold`. It is warped towards the label: wrong voxels are flipped if
    they are simple points, the ones nearest to where the two masks agree first (city-block distance), among these the
    least wrong first, until no wrong voxel is simple. The label is warped towards the prediction in the same way, but
    the most wrong voxels first. Voxels that still differ after one of the two are returned: of a break or a false
    bridge a path along it and the cut through it, the whole of a speck or a hole. A shifted or swollen boundary leaves
    nothing.

    No flip changes a topology, so if the two topologies differ some voxels remain. The converse does not hold: two
    masks of equal Betti numbers are not always deformations of each other (one may have a speck where the other has a
    component elsewhere), and a greedy order can, rarely, get stuck where another order would not.

    Args:
        likelihood: `(N, H, W)` or `(N, D, H, W)`, floating-point.
        labels: Labels of the same shape, 0 and 1.
        threshold: Threshold on the likelihood; greater values are foreground.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default; the result never
            depends on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        Bool of the same shape, on the CPU.

    Raises:
        TypeError: If `likelihood` is not a tensor.
        ValueError: If a shape, a value or a setting is wrong.

    Cost: linear in the voxels, plus a sort and a queue for the wrong ones. About 16 bytes per voxel for each image that
    is computed at the same time.
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
