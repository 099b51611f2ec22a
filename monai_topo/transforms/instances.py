"""From instance ids to the membranes between them, and back."""

from __future__ import annotations

from typing import get_args

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import Array, Connectivity, Mask
from monai_topo._utils.validation import check_at_least, check_choice
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
    """Draw the walls between instances, as thick as asked for.

    A voxel is membrane when the center of a voxel of another instance lies within `radius` of its own. At a radius of 1
    voxel that is what `LabelToForeground("boundary")` draws: two voxels, one from each side. From sqrt(2) in 2D and
    sqrt(3) in 3D on no two cells touch, not even at a corner. The image border is no wall.

    Args:
        radius: how far a wall reaches into each instance, in voxels, or in millimeters if `spacing` is given.
        membrane_id: an id that means membrane already (0 in many labels): it becomes membrane, and no further wall
            grows from it. None: every id is an instance.
        spacing: None for voxels; `"affine"` takes the size of a voxel from the metadata, numbers give it in
            millimeters, one an axis.

    Raises:
        ValueError: if `radius` is negative or not finite, `spacing` is none of these, or the array does not have one
            channel.

    The result is float32, 1 on membranes. A label of one instance has none. Needs scipy; a distance map for the
    surroundings of each instance. Deterministic.

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
        drawn = ids == self.membrane_id if self.membrane_id is not None else np.zeros(ids.shape, dtype=bool)
        wall = drawn.copy()
        reach = self.radius * (1 + 1e-9)  # a voxel at exactly the radius, whatever the rounding of mm
        margins = [int(reach / length) + 1 for length in spacing_mm]
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            if values[number - 1] == self.membrane_id:
                continue
            around = tuple(
                slice(max(side.start - more, 0), side.stop + more) for side, more in zip(box, margins, strict=True)
            )
            own = numbers[around] == number
            other = ~own & ~drawn[around]
            if other.any():
                wall[around] |= own & (ndimage.distance_transform_edt(~other, sampling=spacing_mm) <= reach)
        return wall[None].astype(np.float32)


class MembraneToInstances(ArrayTransform):
    """Give every cell that membranes enclose an id of its own, by a watershed.

    The seeds are the components of what is not membrane (with the dual connectivity). With `seed_distance` they are the
    components of what lies deeper than that, so that a leak narrower than twice the distance does not merge two cells;
    a component without such a place is a seed whole. Seeds grow over the rest, from the deepest place up, and then,
    with `fill`, over the membrane, to its middle.

    Args:
        threshold: values above are membrane, in a label of 0 and 1 or a likelihood.
        connectivity: of the membrane, `"full"` (8, 26) or `"face"` (4, 6); cells have the other one.
        seed_distance: in voxels, or in millimeters if `spacing` is given; 0 takes the components.
        fill: whether cells grow over the membrane until they meet; otherwise it keeps id 0.
        spacing: None for voxels; `"affine"` takes the size of a voxel from the metadata, numbers give it in
            millimeters, one an axis.

    Raises:
        ValueError: if a setting is none of these, or the array does not have one channel.

    The result is int32: ids from 1 in the C order of the seeds' first voxels, 0 for membrane. Nothing but membrane
    gives no cell, no membrane gives one. Needs scikit-image and scipy; one and a half seconds for 128^3. Deterministic.

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
        check_choice("connectivity", connectivity, get_args(Connectivity))
        self.threshold = threshold
        self.connectivity = connectivity
        self.seed_distance = check_at_least("seed_distance", seed_distance)
        self.fill = fill
        self.spacing = check_spacing(spacing)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the instance ids of a `(1, *spatial)` membrane."""
        cells: Mask = ~(array[0] > self.threshold)
        reach = 1 if self.connectivity == "full" else cells.ndim
        structure = ndimage.generate_binary_structure(cells.ndim, reach)
        ids, count = ndimage.label(cells, structure)
        if cells.all() or not cells.any():
            return np.asarray(ids[None], dtype=np.int32)
        height = np.zeros(cells.shape)
        if self.seed_distance > 0:
            depth: Distance = ndimage.distance_transform_edt(cells, sampling=spacing_mm)
            deep = depth > self.seed_distance
            has_seed = np.bincount(ids[deep], minlength=count + 1) > 0
            ids, _ = ndimage.label(deep | (cells & ~has_seed[ids]), structure)
            height -= depth
        if self.fill:
            height += ndimage.distance_transform_edt(~cells, sampling=spacing_mm)
        grown = watershed(height, ids, connectivity=reach, mask=None if self.fill else cells)
        return np.asarray(grown[None], dtype=np.int32)


InstancesToMembraned = InstancesToMembraneD = InstancesToMembraneDict = DictionaryTransform.of(InstancesToMembrane)
MembraneToInstancesd = MembraneToInstancesD = MembraneToInstancesDict = DictionaryTransform.of(MembraneToInstances)
