"""Persistence diagrams by GUDHI: values only, fast enough for images that are too large for the boundary matrix.

GUDHI stores images in Fortran order and returns Fortran-order indices. Only shapes and values are exchanged here, so
the order has no effect.
"""

from __future__ import annotations

import math
from typing import Any

import gudhi
import numpy as np
from numpy.typing import NDArray

CONSTRUCTION = {"full": "top_dimensional_cells", "face": "vertices"}


def gudhi_diagram(
    image: NDArray[Any], *, filtration: str, connectivity: str, border: str, min_persistence: float = 0.0
) -> list[tuple[int, float, float]]:
    """Return the sorted finite points (dim, birth, death) of an image, in the values of the image."""
    sign = -1.0 if filtration == "superlevel" else 1.0
    values = sign * image.astype(np.float64)
    frame = values.min() - 1
    if border == "foreground":
        values = np.pad(values, 1, constant_values=frame)
    construction: dict[str, Any] = {CONSTRUCTION[connectivity]: values}
    cubical = gudhi.CubicalComplex(**construction)
    points = cubical.persistence(homology_coeff_field=2, min_persistence=min_persistence)
    return sorted(
        (dim, sign * birth, sign * death)
        for dim, (birth, death) in points
        if death < math.inf and birth > frame  # classes born with the frame belong to the frame
    )
