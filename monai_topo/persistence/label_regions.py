"""Where the true features of a binary label lie: the component or hole of every voxel, and what it has room for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monai_topo.persistence.pairs import Border, Connectivity, betti_numbers, label_components

__all__ = ["Places", "true_places"]


@dataclass(frozen=True)
class Places:
    """The places of the true features of one dimension, for a batch of labels.

    Places of all images are numbered one after another. Each image has two of its own beside its components or holes:
    that of the frame, and one for voxels that lie in no component or hole.

    Attributes:
        number: `(N, V)` int32, the component or hole of every voxel, -1 the frame's, 0 none.
        first: `(N,)` int64, the place of number -1 of each image; those of 0, 1, 2, ... follow.
        room: `(K,)` int64, the number of true features in each place; -1 for a place that is to be left alone.
    """

    number: Tensor
    first: Tensor
    room: Tensor

    def at(self, image: Tensor, voxel: Tensor) -> Tensor:
        """Places of voxels, `(P,)` int64, given by image and flat index in C order."""
        return self.first[image] + self.number[image, voxel] + 1

    def per_image(self) -> Tensor:
        """Number of true features of each image, `(N,)` int64; those to be left alone do not count."""
        count = torch.diff(self.first, append=torch.tensor([len(self.room)]))
        owner = torch.arange(len(self.first)).repeat_interleave(count)
        return torch.zeros_like(self.first).index_add(0, owner, self.room.clamp(min=0))


def true_places(labels: Tensor, dim: int, *, connectivity: Connectivity, border: Border, min_size: int = 0) -> Places:
    """Find the places of the true features of one dimension.

    Dimension 0: the components of the label, with room for one feature each. Dimension d-1: its holes, the components
    of the background that the outside is no part of, likewise. Dimension 1 in 3D: the components again, each with room
    for as many loops as it has itself (from its Euler characteristic and its cavities); with `border="foreground"`
    loops through the frame belong to the frame.

    Args:
        labels: `(N, H, W)` or `(N, D, H, W)`, 0 and 1, on any device.
        dim: dimension of the features, 0 to d-1.
        connectivity: of the foreground, as everywhere.
        border: what lies outside the label, as everywhere.
        min_size: components (dimensions 0 and, in 3D, 1) or holes (dimension d-1) of fewer voxels are to be left alone.
            What hangs together with the frame is never that small.

    Returns:
        The places, on the CPU.

    Cost: linear; dimension 1 in 3D costs a few passes more, and only if there is a loop at all.
    """
    spatial_dims = labels.ndim - 1
    of_holes = dim == spatial_dims - 1
    number = _holes(labels, connectivity, border) if of_holes else _components(labels, connectivity, border)
    flat = number.flatten(1)
    count = flat.amax(1).clamp(min=0).long() + 2
    first = count.cumsum(0) - count
    room = torch.ones(int(count.sum()), dtype=torch.int64)
    room[first] = room[first + 1] = 0
    if 0 < dim < spatial_dims - 1:
        room = _loops(labels, number, first, room, connectivity, border)
    if min_size > 1:
        voxels = torch.bincount((first[:, None] + flat + 1).flatten(), minlength=len(room))
        voxels[first] = voxels[first + 1] = min_size
        room = room.masked_fill(voxels < min_size, -1)
    return Places(flat, first, room)


def _components(labels: Tensor, connectivity: Connectivity, border: Border) -> Tensor:
    return label_components(labels, connectivity=connectivity, border=border)


def _holes(labels: Tensor, connectivity: Connectivity, border: Border) -> Tensor:
    """Components of the background: the other connectivity, and an outside that is what the label's is not."""
    return label_components(
        labels == 0,
        connectivity="face" if connectivity == "full" else "full",
        border="foreground" if border == "open" else "open",
    )


def _loops(
    labels: Tensor, number: Tensor, first: Tensor, one_each: Tensor, connectivity: Connectivity, border: Border
) -> Tensor:
    """Loops of every component of volumes: b1 = b0 - chi + b2, `(K,)`; the frame has what the others leave over."""
    loops = torch.zeros_like(one_each)
    total = betti_numbers(labels, connectivity=connectivity, border=border)[:, 1]
    if not total.any():
        return loops
    start = first.int().view(-1, 1, 1, 1)
    place = torch.where(number > 0, start + number + 1, 0)
    chi = _euler_characteristics(place, len(one_each), connectivity)
    cavities = _cavities(number, _holes(labels, connectivity, border), first, len(one_each))
    loops = one_each * (1 - chi + cavities)
    of_frame = total - Places(number, first, loops).per_image()
    return loops.index_put((first,), of_frame)


def _euler_characteristics(place: Tensor, num_places: int, connectivity: Connectivity) -> Tensor:
    """Euler characteristic of the voxels of every place, `(K,)`; place 0 counts for nothing.

    Full connectivity: voxels are closed cubes, and a face of the grid is there if any voxel round it is. Face
    connectivity: voxels are points, and a cell is there if all its voxels are. In either case the voxels round a cell
    that is there belong to one place, so the cell's own place is the greatest or the least of theirs.
    """
    full = connectivity == "full"
    combine = torch.maximum if full else torch.minimum
    cells = [(torch.nn.functional.pad(place, (1,) * 6) if full else place, 1)]
    for axis in (1, 2, 3):
        below, above = slice(None, -1), slice(1, None)
        index = (slice(None),) * axis
        met = [(combine(cell[(*index, below)], cell[(*index, above)]), sign if full else -sign) for cell, sign in cells]
        kept = [(cell[(*index, above)] if full else cell, -sign if full else sign) for cell, sign in cells]
        cells = met + kept
    chi = torch.zeros(num_places, dtype=torch.int64)
    for cell, sign in cells:
        chi += sign * torch.bincount(cell.flatten(), minlength=num_places)
    return chi


def _cavities(number: Tensor, holes: Tensor, first: Tensor, num_places: int) -> Tensor:
    """Cavities of every component, `(K,)`.

    Straight before the first voxel of a cavity, in C order along the first axis, lies the component round it: from
    there a ray runs outwards that does not meet the cavity again, and the cavity's outer boundary is connected.
    """
    flat = holes.flatten(1)
    reached = flat.cummax(1).values.clamp(min=0)
    image, voxel = torch.diff(reached, dim=1, prepend=torch.zeros_like(reached[:, :1])).nonzero().unbind(1)
    before = voxel - holes[0, 0].numel()
    owner = number.flatten(1)[image, before.clamp(min=0)].masked_fill(before < 0, -1)  # -1: the frame
    return torch.bincount(first[image] + owner + 1, minlength=num_places)
