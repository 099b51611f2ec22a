"""Types that the whole package shares, and what their values mean."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: Order in which voxels enter: large values first (a foreground likelihood) or small values first.
Filtration = Literal["superlevel", "sublevel"]
#: Neighborhood of the features that the filtration adds: `"full"` is 8 in 2D and 26 in 3D (the T-construction of a
#: cubical complex), `"face"` is 4 and 6 (the V-construction). The complement has the dual connectivity.
Connectivity = Literal["full", "face"]
#: Boundary condition: outside the image there is nothing (`"open"`) or foreground (`"foreground"`), that is homology
#: relative to the frame of the image.
Border = Literal["open", "foreground"]

#: The connectivity of the complement.
DUAL: dict[Connectivity, Connectivity] = {"full": "face", "face": "full"}

Array = NDArray[Any]
Mask = NDArray[np.bool_]
