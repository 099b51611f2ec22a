"""Persistence pairs of cubical complexes in 2D and 3D, with their critical voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.kernel import complex_settings, dims_mask, finite_array, kernel
from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.essential import extreme_voxels

__all__ = ["PersistencePairs", "pack_pairs", "persistence_pairs"]


@dataclass(frozen=True)
class PersistencePairs:
    """Persistence pairs of a batch of images, given by their critical voxels.

    All tensors are int64 on the CPU. The `P` pairs of all images are concatenated, sorted by
    `(image, dim, birth, death)`. Voxels are flat C-order indices into their own image.

    Attributes:
        image: `(P,)`, image of each pair.
        dim: `(P,)`, dimension: 0 component, 1 loop, 2 cavity (in 3D).
        birth: `(P,)`, voxel at which the feature is born.
        death: `(P,)`, voxel at which it dies, of a different value.
        essential: `(N,)`, voxel at which the essential component is born. With `border="foreground"` that component is
            the frame, which is not a voxel: the entry is then `num_voxels`, one past the last index, so indexing fails.
            No pair ever has the frame as a critical voxel.
        num_voxels: Number of voxels of one image.
    """

    image: Tensor
    dim: Tensor
    birth: Tensor
    death: Tensor
    essential: Tensor
    num_voxels: int

    def __len__(self) -> int:
        return len(self.image)

    def values(self, images: Tensor) -> Tensor:
        """Gather birth and death values from images: the one place where a gradient arises.

        Args:
            images: `(N, *spatial)`, the images of these pairs, on any device.

        Returns:
            `(P, 2)`, birth and death, of the dtype and on the device of `images`, differentiable in them: the gradient
            reaches the critical voxels only and adds up where a voxel is critical for several pairs.

        Raises:
            ValueError: If `images` has another number of images or voxels.
        """
        expected = (len(self.essential), self.num_voxels)
        if (images.shape[0], images[0].numel() if len(images) else self.num_voxels) != expected:
            raise ValueError(
                f"Expected `images` to hold {expected[0]} images of {expected[1]} voxels, the ones the pairs were "
                f"computed from, but got shape {tuple(images.shape)}."
            )
        offset = self.image * self.num_voxels
        voxels = torch.stack((offset + self.birth, offset + self.death), dim=1).flatten()
        return images.reshape(-1).index_select(0, voxels.to(images.device)).view(-1, 2)


def persistence_pairs(
    images: Tensor,
    *,
    filtration: Filtration = "superlevel",
    connectivity: Connectivity = "full",
    border: Border = "open",
    dims: Sequence[int] | None = None,
    min_persistence: float = 0.0,
    num_threads: int | None = None,
) -> PersistencePairs:
    """Compute the persistence pairs of images: the voxels at which topological features are born and die.

    Voxels of equal value enter one after another, the lower C-order index first. This rule makes critical voxels
    unique. Pairs of equal value are excluded, so a constant image has none. One exception keeps large plateaus cheap:
    if an eighth or more of a 3D image has its least or its greatest value (for example a saturated background), a loop
    that is born or dies on that plateau gets as its critical voxel there the plateau voxel that is nearest, in
    chessboard distance, to its other critical voxel.

    Args:
        images: `(N, H, W)` or `(N, D, H, W)`, the batch always first and no channel axis (merge it into the batch:
            `x.flatten(0, 1)`); any floating-point dtype, device and strides; finite. Detached and copied to the CPU.
            float16 and bfloat16 are converted to float32, float64 keeps its precision.
        filtration: `"superlevel"`: large values enter first (the features of a foreground likelihood); `"sublevel"`:
            small values first.
        connectivity: Connectivity of the sub- or superlevel sets, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the
            complement has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is foreground
            from the start, so a structure cut by the border is closed there; this is the homology of the image relative
            to its frame, and the classes of the frame itself are not reported).
        dims: Dimensions to report, all by default. Leaving out dimension 1 in 3D saves most of the work.
        min_persistence: Report only pairs whose birth and death values differ by more than this. The result is shorter,
            and an image whose whole range is no larger costs nothing. It saves little work otherwise: in a smooth
            likelihood two thirds of the loops have a persistence of at most 0.1, but they account for a tenth of the
            steps of the reduction, and the others cannot be found without them.
        num_threads: Number of threads, `torch.get_num_threads()` by default. Images run in parallel; if there are fewer
            images than threads, the spare threads are used within an image. The result never depends on it. The GIL is
            released, and Ctrl-C stops a call.

    Returns:
        The pairs, see `PersistencePairs`.

    Raises:
        TypeError: If `images` is not a floating-point tensor.
        ValueError: If its shape, a value (NaN, infinite) or a setting is wrong.

    Cost: linear in the voxels, except that critical voxels are sorted and that dimension 1 in 3D needs a matrix
    reduction, which is nearly linear on smooth and on sparse images. 12 to 17 bytes per voxel for each image that is
    computed at the same time, up to 36 for white noise. Plateaus are cheap, but a network's background is not one,
    since a sigmoid never reaches 0. If values near 0 and 1 do not matter, make them plateaus with
    `images.clamp(1e-3, 1 - 1e-3)`: exact for the clamped image, and faster if many values are that close (nine times on
    a noisy vessel likelihood of 128^3, with an earlier kernel, and with 48 000 pairs instead of 650 000). Clamped
    voxels get no gradient. In a loss, `PersistenceLoss(saturation=1e-3)` does the same.

    Method: lower-star gradient (Robins, Wood, Sheppard, "Theory and algorithms for constructing discrete Morse
    complexes from grayscale digital images", 2011); dimensions 0 and d-1 by union-find; dimension 1 in 3D after
    Guillou, Vidal, Tierny, "Discrete Morse Sandwich", 2022; full connectivity through the duality of Garin et al.,
    "Duality in persistent homology of images", 2020.

    Example:
        >>> import torch
        >>> ring = torch.tensor([[[0.9, 0.8, 0.9, 0.0], [0.7, 0.1, 0.8, 0.0], [0.9, 0.8, 0.9, 0.5]]])
        >>> pairs = persistence_pairs(ring, dims=[1])
        >>> pairs.values(ring)
        tensor([[0.7000, 0.1000]])
    """
    check_images(images)
    check_topology_settings(
        connectivity=connectivity, border=border, filtration=filtration, min_persistence=min_persistence
    )
    array = finite_array(images)
    columns = kernel.persistence_pairs(
        array,
        **complex_settings(filtration, connectivity, border),
        dims=dims_mask(dims, array.ndim - 1),
        min_persistence=float(min_persistence),
        num_threads=check_num_threads(num_threads),
    )
    return pack_pairs(columns, array, filtration, border)


def pack_pairs(
    columns: Sequence[NDArray[np.int64]], images: NDArray[Any], filtration: Filtration, border: Border
) -> PersistencePairs:
    """Combine the columns of the kernel, `(image, dim, birth, death)`, and the essential voxels of the images."""
    num_voxels = int(np.prod(images.shape[1:]))
    if border == "foreground":
        essential = torch.full((len(images),), num_voxels)  # the frame, which is not a voxel
    else:
        essential = extreme_voxels(torch.from_numpy(images), filtration, border)
    image, dim, birth, death = (torch.from_numpy(column) for column in columns)
    return PersistencePairs(image, dim, birth, death, essential, num_voxels)
