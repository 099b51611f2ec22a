"""Regions of a label's features: for each voxel its component or hole, and how many predicted features may match it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monai_topo._utils.typing import DUAL, Border, Connectivity
from monai_topo.masks.components import betti_numbers, label_components

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
    spatial_dims = labels.ndim - 1
    of_holes = dim == spatial_dims - 1
    if of_holes:
        label_map = _holes(labels, connectivity, border)
    else:
        label_map = label_components(labels, connectivity=connectivity, border=border)
    flat = label_map.flatten(1)
    count = flat.amax(1).clamp(min=0).long() + 2
    offset = count.cumsum(0) - count
    capacity = torch.ones(int(count.sum()), dtype=torch.int64)
    capacity[offset] = capacity[offset + 1] = 0
    if 0 < dim < spatial_dims - 1:
        capacity = _loops(labels, label_map, offset, capacity, connectivity, border)
    if min_size > 1:
        voxels = torch.bincount((offset[:, None] + flat + 1).flatten(), minlength=len(capacity))
        voxels[offset] = voxels[offset + 1] = min_size
        capacity = capacity.masked_fill(voxels < min_size, -1)
    return LabelRegions(flat, offset, capacity)


def _holes(labels: Tensor, connectivity: Connectivity, border: Border) -> Tensor:
    """Label the components of the background, with the dual connectivity and the complementary border."""
    outside: Border = "foreground" if border == "open" else "open"
    return label_components(labels == 0, connectivity=DUAL[connectivity], border=outside)


def _loops(
    labels: Tensor, label_map: Tensor, offset: Tensor, one_each: Tensor, connectivity: Connectivity, border: Border
) -> Tensor:
    """Count the loops of every component of volumes, `(R,)`: b1 = b0 - chi + b2; the frame has the remaining ones."""
    loops = torch.zeros_like(one_each)
    total = betti_numbers(labels, connectivity=connectivity, border=border)[:, 1]
    if not total.any():
        return loops
    start = offset.int().view(-1, 1, 1, 1)
    region = torch.where(label_map > 0, start + label_map + 1, 0)
    chi = _euler_characteristics(region, len(one_each), connectivity)
    cavities = _cavities(label_map, _holes(labels, connectivity, border), offset, len(one_each))
    loops = one_each * (1 - chi + cavities)
    of_frame = total - LabelRegions(label_map, offset, loops).per_image()
    return loops.index_put((offset,), of_frame)


def _euler_characteristics(region: Tensor, num_regions: int, connectivity: Connectivity) -> Tensor:
    """Compute the Euler characteristic of the voxels of every region, `(R,)`; region 0 does not count.

    With full connectivity voxels are closed cubes, and a face of the grid is present if any voxel around it is. With
    face connectivity voxels are points, and a cell is present if all its voxels are. In both cases the voxels around a
    cell that is present belong to one region, so the region of the cell is the greatest or the least of theirs.
    """
    full = connectivity == "full"
    combine = torch.maximum if full else torch.minimum
    cells = [(torch.nn.functional.pad(region, (1,) * 6) if full else region, 1)]
    for axis in (1, 2, 3):
        below, above = slice(None, -1), slice(1, None)
        index = (slice(None),) * axis
        met = [(combine(cell[(*index, below)], cell[(*index, above)]), sign if full else -sign) for cell, sign in cells]
        kept = [(cell[(*index, above)] if full else cell, -sign if full else sign) for cell, sign in cells]
        cells = met + kept
    chi = torch.zeros(num_regions, dtype=torch.int64)
    for cell, sign in cells:
        chi += sign * torch.bincount(cell.flatten(), minlength=num_regions)
    return chi


def _cavities(label_map: Tensor, holes: Tensor, offset: Tensor, num_regions: int) -> Tensor:
    """Count the cavities of every component, `(R,)`.

    The voxel just before the first voxel of a cavity, in C order and along the first axis, lies in the component
    around it: from there a ray leads outwards that does not meet the cavity again, and the outer boundary of a cavity
    is connected.
    """
    flat = holes.flatten(1)
    reached = flat.cummax(1).values.clamp(min=0)
    image, voxel = torch.diff(reached, dim=1, prepend=torch.zeros_like(reached[:, :1])).nonzero().unbind(1)
    before = voxel - holes[0, 0].numel()
    owner = label_map.flatten(1)[image, before.clamp(min=0)].masked_fill(before < 0, -1)  # -1: the frame
    return torch.bincount(offset[image] + owner + 1, minlength=num_regions)
