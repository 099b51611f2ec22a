"""Membranes from instance ids, and instance ids from membranes."""

from __future__ import annotations

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Array, Connectivity, Mask
from monai_topo._utils.validation import check_at_least, check_connectivity
from monai_topo.masks.components import components
from monai_topo.transforms._base import ArrayTransform, Spacing, check_spacing
from monai_topo.transforms._dictionary import DictionaryTransform

ndimage, _ = optional_import("scipy.ndimage")
watershed, _ = optional_import("skimage.segmentation", name="watershed")

__all__ = [
    "InstancesToMembrane",
    "InstancesToMembraneD",
    "InstancesToMembraneDict",
    "InstancesToMembraned",
    "MembraneToInstances",
    "MembraneToInstancesD",
    "MembraneToInstancesDict",
    "MembraneToInstancesd",
]

Distance = NDArray[np.float64]


class InstancesToMembrane(ArrayTransform):
    """Draw walls of a given thickness between instances.

    A voxel becomes membrane if the center of a voxel of another instance lies within `radius` of its own center. With a
    radius of 1 voxel the result is that of `LabelToForeground("boundary")`: walls of two voxels, one from each side.
    With at least sqrt(2) in 2D or sqrt(3) in 3D no two cells touch, not even at a corner. The image border is not a
    wall.

    Args:
        radius: Distance that a wall reaches into each instance, in voxels, or in millimeters if `spacing` is given.
        membrane_id: Id that denotes membrane already (0 in many labels). It becomes membrane, and no other wall grows
            from it. None: every id is an instance.
        spacing: None for voxels; `"affine"` reads the voxel size from the metadata; numbers give it in millimeters, one
            per axis.

    Raises:
        ValueError: If `radius` is negative or not finite, `spacing` is not one of these, or the array does not have one
            channel.

    The result is float32, 1 on membranes. A label of one instance has no membrane. Needs scipy. The cost is that of one
    distance map per instance, in its surroundings. Deterministic.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import InstancesToMembrane
        >>> InstancesToMembrane()(np.array([[[7, 7, 7, 9, 9, 9], [7, 7, 7, 9, 9, 9]]])).tolist()
        [[[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]]
    """

    one_channel = True

    def __init__(self, *, radius: float = 1.0, membrane_id: int | None = None, spacing: Spacing = None) -> None:
        self.radius = check_at_least("radius", radius)
        self.membrane_id = membrane_id
        self.spacing = check_spacing(spacing)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the membranes of `(1, *spatial)` instance ids."""
        ids = array[0]
        values, numbers = np.unique(ids, return_inverse=True)
        numbers = numbers.reshape(ids.shape) + 1
        is_membrane = ids == self.membrane_id if self.membrane_id is not None else np.zeros(ids.shape, dtype=bool)
        wall = is_membrane.copy()
        reach = self.radius * (1 + 1e-9)  # includes a voxel at exactly the radius, despite rounding
        margins = [int(reach / length) + 1 for length in spacing_mm]
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            if values[number - 1] == self.membrane_id:
                continue
            around = tuple(
                slice(max(side.start - more, 0), side.stop + more) for side, more in zip(box, margins, strict=True)
            )
            own = numbers[around] == number
            other = ~own & ~is_membrane[around]
            if other.any():
                wall[around] |= own & (ndimage.distance_transform_edt(~other, sampling=spacing_mm) <= reach)
        return wall[None].astype(np.float32)


class MembraneToInstances(ArrayTransform):
    """Give every cell that is enclosed by membranes its own id, by a watershed.

    The seeds are the components of the background of the membrane. With `seed_distance` they are the components of the
    voxels with a greater distance to the membrane, so that a leak narrower than twice this distance does not merge two
    cells; a component without such a voxel is one seed as a whole. The seeds grow over the rest of the background,
    starting from the greatest distance, and then, with `fill`, over the membrane up to its middle.

    Args:
        threshold: Values above it are membrane, in a label of 0 and 1 or a likelihood.
        connectivity: Connectivity of the membrane, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the cells have the
            dual one.
        seed_distance: Distance in voxels, or in millimeters if `spacing` is given; 0: the components themselves.
        fill: Whether cells grow over the membrane until they meet; otherwise the membrane keeps id 0.
        spacing: None for voxels; `"affine"` reads the voxel size from the metadata; numbers give it in millimeters, one
            per axis.

    Raises:
        ValueError: If a setting is not one of these, or the array does not have one channel.

    The result is int32: ids from 1 in C order of the first voxels of the seeds, 0 for membrane. An image of membrane
    only has no cell, an image without membrane has one. Needs scikit-image and scipy. It takes 1.5 seconds for 128^3.
    Deterministic.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import MembraneToInstances
        >>> MembraneToInstances(fill=False)(np.array([[[0, 0, 1, 0], [0, 1, 0, 0]]])).tolist()
        [[[1, 1, 0, 2], [1, 0, 2, 2]]]
    """

    one_channel = True

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        connectivity: Connectivity = "full",
        seed_distance: float = 0.0,
        fill: bool = True,
        spacing: Spacing = None,
    ) -> None:
        check_connectivity(connectivity)
        self.threshold = threshold
        self.connectivity: Connectivity = connectivity
        self.seed_distance = check_at_least("seed_distance", seed_distance)
        self.fill = fill
        self.spacing = check_spacing(spacing)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the instance ids of a `(1, *spatial)` membrane."""
        cells: Mask = ~(array[0] > self.threshold)
        connectivity = DUAL[self.connectivity]
        ids, count = components(cells, connectivity)
        if cells.all() or not cells.any():
            return ids[None]
        height = np.zeros(cells.shape)
        if self.seed_distance > 0:
            depth: Distance = ndimage.distance_transform_edt(cells, sampling=spacing_mm)
            deep = depth > self.seed_distance
            has_seed = np.bincount(ids[deep], minlength=count + 1) > 0
            ids, _ = components(deep | (cells & ~has_seed[ids]), connectivity)
            height -= depth
        if self.fill:
            height += ndimage.distance_transform_edt(~cells, sampling=spacing_mm)
        reach = 1 if connectivity == "face" else cells.ndim
        grown = watershed(height, ids, connectivity=reach, mask=None if self.fill else cells)
        return np.asarray(grown[None], dtype=np.int32)


InstancesToMembraned = InstancesToMembraneD = InstancesToMembraneDict = DictionaryTransform.of(InstancesToMembrane)
MembraneToInstancesd = MembraneToInstancesD = MembraneToInstancesDict = DictionaryTransform.of(MembraneToInstances)
