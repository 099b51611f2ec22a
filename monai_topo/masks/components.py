"""Betti numbers and connected components of binary masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import kernel, mask_settings
from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo._utils.validation import check_masks

__all__ = ["betti_numbers", "betti_of_mask", "components", "feature_names", "label_components"]


def betti_numbers(masks: Tensor, *, connectivity: Connectivity = "full", border: Border = "open") -> Tensor:
    """Count components, loops and cavities of binary images.

    Args:
        masks: `(N, H, W)` or `(N, D, H, W)`, bool or any dtype with the values 0 and 1 only, on any device.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is foreground;
            then components that touch the frame do not count, and there is one hole (dimension d-1) less than there are
            components of the background).

    Returns:
        `(N, d)` int64 on the CPU: Betti numbers of dimensions 0 to d-1. An empty mask has zeros; a full one is a single
        component, or part of the frame and so nothing.

    Raises:
        TypeError: If `masks` is not a tensor.
        ValueError: If the shape, a value or a setting is wrong.

    Cost: linear, by components and the Euler characteristic, not by persistence; in addition to the masks at most one
    byte per voxel. Images run on `torch.get_num_threads()` threads.

    Example:
        >>> import torch
        >>> betti_numbers(torch.tensor([[[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 1]]]))
        tensor([[1, 1]])
    """
    bits = check_masks(masks, connectivity, border)
    numbers = kernel.betti_numbers(bits, **mask_settings(connectivity, border), num_threads=torch.get_num_threads())
    return torch.from_numpy(numbers).view(len(bits), bits.ndim - 1)


def label_components(masks: Tensor, *, connectivity: Connectivity = "full", border: Border = "open") -> Tensor:
    """Label the connected components of binary images.

    The holes of a mask (its loops in 2D, its cavities in 3D) are components too: those of `masks == 0` with the dual
    connectivity and the complementary border.

    Args:
        masks: `(N, H, W)` or `(N, D, H, W)`, bool or any dtype with the values 0 and 1 only, on any device.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is foreground,
            and what is connected with it is not a component of the image).

    Returns:
        int32 on the CPU, of the shape of `masks`: 0 for background, 1, 2, ... for components in the order of their
        first voxels in C order, -1 for foreground that is connected with the frame. The greatest number, if it is
        positive, is the Betti number of dimension 0.

    Raises:
        TypeError: If `masks` is not a tensor.
        ValueError: If the shape, a value or a setting is wrong.

    Cost: linear, by union-find on runs of a row; in addition to the result at most one byte per voxel. Images run on
    `torch.get_num_threads()` threads.

    Example:
        >>> import torch
        >>> label_components(torch.tensor([[[1, 1, 0, 1], [0, 0, 0, 1], [0, 1, 0, 0]]]))
        tensor([[[1, 1, 0, 2],
                 [0, 0, 0, 2],
                 [0, 3, 0, 0]]], dtype=torch.int32)
    """
    bits = check_masks(masks, connectivity, border)
    labels = kernel.component_labels(bits, **mask_settings(connectivity, border), num_threads=torch.get_num_threads())
    return torch.from_numpy(labels).view(bits.shape)


def components(mask: Mask, connectivity: Connectivity) -> tuple[np.ndarray[Any, np.dtype[np.int32]], int]:
    """Label the connected components of one mask.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        connectivity: Connectivity of the mask, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6).

    Returns:
        The int32 array of :py:func:`label_components` for this mask, and the number of components.
    """
    ids = label_components(torch.from_numpy(np.ascontiguousarray(mask))[None], connectivity=connectivity)[0].numpy()
    return ids, int(ids.max(initial=0))


def betti_of_mask(mask: Mask, connectivity: Connectivity = "full", border: Border = "open") -> list[int]:
    """Return the Betti numbers of one mask, `(H, W)` or `(D, H, W)` bool, as a list."""
    masks = torch.from_numpy(np.ascontiguousarray(mask))[None]
    return [int(number) for number in betti_numbers(masks, connectivity=connectivity, border=border)[0]]


def feature_names(ndim: int) -> tuple[str, ...]:
    """Return the names of the features of dimensions 0 to d-1."""
    return ("components", "holes") if ndim == 2 else ("components", "loops", "cavities")
