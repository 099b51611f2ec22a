"""The oracle of `monai_topo.fuzz.oracles.boundary_matrix`, under the name of the other oracles."""

from monai_topo.fuzz.oracles.boundary_matrix import (
    Barcode,
    barcode_of_ranks,
    critical_voxels,
    cubical_cells,
    voxel_order,
)
from monai_topo.fuzz.oracles.boundary_matrix import (
    CubicalCell as Cell,
)

__all__ = ["Barcode", "Cell", "barcode_of_ranks", "critical_voxels", "cubical_cells", "voxel_order"]
