"""Regions of a label's features: for each voxel its component or hole, and how many predicted features may match it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monai_topo._utils.kernel import kernel, mask_settings
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_masks

__all__ = ["LabelRegions", "label_regions"]


@dataclass(frozen=True)
class LabelRegions:
    """The regions of the label features of one dimension, for a batch of labels.

    The regions of all images are numbered one after another. In addition to its components or holes each image has two
    more: the region of the frame, and the region of the voxels that lie in no component or hole.

    Attributes:
        label_map: `(N, V)` int32, the component or hole of every voxel; -1 is the frame, 0 lies in none.
        offset: `(N,)` int64, the region of number -1 of each image; the regions of 0, 1, 2, ... follow it.
        capacity: `(R,)` int64, the number of label features in each region; -1 marks a region to be ignored.
    """

    label_map: Tensor
    offset: Tensor
    capacity: Tensor

    def region_of(self, image: Tensor, voxel: Tensor) -> Tensor:
        """Return the regions of voxels, `(P,)` int64, given by image and flat index in C order."""
        return self.offset[image] + self.label_map[image, voxel] + 1

    def per_image(self) -> Tensor:
        """Return the number of label features of each image, `(N,)` int64; ignored ones do not count."""
        count = torch.diff(self.offset, append=torch.tensor([len(self.capacity)]))
        owner = torch.arange(len(self.offset)).repeat_interleave(count)
        return torch.zeros_like(self.offset).index_add(0, owner, self.capacity.clamp(min=0))


def label_regions(
    labels: Tensor, dim: int, *, connectivity: Connectivity, border: Border, min_size: int = 0
) -> LabelRegions:
    """Find the regions of the label features of one dimension.

    In dimension 0 the regions are the components of the label, each with capacity 1. In dimension d-1 they are its
    holes, that is the components of the background that are not connected with the outside, also with capacity 1. In
    dimension 1 of a volume they are the components again, each with as much capacity as it has loops (from its Euler
    characteristic and its cavities); with `border="foreground"` loops through the frame belong to the frame.

    Args:
        labels: `(N, H, W)` or `(N, D, H, W)`, 0 and 1, on any device.
        dim: Dimension of the features, 0 to d-1.
        connectivity: Connectivity of the foreground.
        border: Boundary condition.
        min_size: Components (dimension 0, and 1 in 3D) or holes (dimension d-1) of fewer voxels are ignored. The region
            of the frame is never that small.

    Returns:
        The regions, on the CPU.

    Cost: linear in the voxels; dimension 1 of a volume costs a few passes more, and only if there is a loop at all.
    """
    bits = check_masks(labels, connectivity, border)
    label_map, count, capacity = (
        torch.from_numpy(column)
        for column in kernel.label_regions(
            bits,
            dim=dim,
            **mask_settings(connectivity, border),
            min_size=float(min_size),
            num_threads=torch.get_num_threads(),
        )
    )
    return LabelRegions(label_map.view(len(bits), -1), count.cumsum(0) - count, capacity)
