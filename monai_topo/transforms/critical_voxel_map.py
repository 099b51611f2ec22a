"""Heat maps of critical voxels: where the topology of a likelihood map is decided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from monai.utils import optional_import

from monai_topo._utils.typing import Array
from monai_topo._utils.validation import check_at_least
from monai_topo.persistence.essential import essential_class
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms._persistence_base import PersistenceTransform

gaussian_filter, _ = optional_import("scipy.ndimage", name="gaussian_filter")

__all__ = ["CriticalVoxelMap", "CriticalVoxelMapD", "CriticalVoxelMapDict", "CriticalVoxelMapd"]


@dataclass(kw_only=True, eq=False)
class CriticalVoxelMap(PersistenceTransform):
    """Draw a heat map of the critical voxels, weighted by persistence.

    The result is `(C * len(dims) * 2, *spatial)` float32: for each channel and dimension one map of births and one of
    deaths, in this order. The value of a voxel is the sum of the persistence of its pairs. The essential component has
    a birth and no death; its weight is the range of the image.

    Args:
        sigma: Standard deviation in voxels of a Gaussian that spreads each voxel and keeps its sum; 0: none.
        min_persistence: Only pairs with a greater persistence count.

    Raises:
        ValueError: If a setting is not one of these; at the call, if the image is not channel first or not finite.

    Deterministic. The cost is that of :py:func:`monai_topo.persistence_pairs`. Needs scipy if `sigma` is not 0.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import CriticalVoxelMap
        >>> CriticalVoxelMap(dims=[0])(np.array([[[4, 1, 3]]])).tolist()
        [[[3.0, 0.0, 2.0]], [[0.0, 2.0, 0.0]]]
    """

    sigma: float = 0.0
    min_persistence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("sigma", self.sigma)
        check_at_least("min_persistence", self.min_persistence)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the heat map."""
        images, dims = self.images_of(array), self.dims_of(array)
        pairs = self.pairs_of(images, min_persistence=self.min_persistence)
        heat = np.zeros((len(images), len(dims), 2, pairs.num_voxels), dtype=np.float32)
        persistence = pairs.values(images).diff(dim=1)[:, 0].abs().numpy()
        for index, dim in enumerate(dims):
            of_dim = (pairs.dim == dim).numpy()
            image = pairs.image.numpy()[of_dim]
            for end, voxels in enumerate((pairs.birth, pairs.death)):
                np.add.at(heat[:, index, end], (image, voxels.numpy()[of_dim]), persistence[of_dim])
            if dim == 0 and self.border == "open":
                essential = essential_class(images, filtration=self.filtration, until="last")
                span = essential.values.diff(dim=1)[:, 0].abs().numpy()
                heat[np.arange(len(array)), index, 0, essential.voxel.numpy()] += span * (span > self.min_persistence)
        maps = heat.reshape(-1, *array.shape[1:])
        if self.sigma > 0:
            # Zero outside the image: a voxel near the border loses the part of its Gaussian that lies outside.
            maps = np.stack([gaussian_filter(each, self.sigma, mode="constant") for each in maps])
        return maps


CriticalVoxelMapd = CriticalVoxelMapD = CriticalVoxelMapDict = DictionaryTransform.of(CriticalVoxelMap)
