"""Connected components of masks, numbered."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from monai_topo._utils.optional import needed
from monai_topo.persistence.pairs import Connectivity

DUAL: dict[Connectivity, Literal["full", "face"]] = {"full": "face", "face": "full"}


def components(
    mask: np.ndarray[Any, np.dtype[np.bool_]], connectivity: Connectivity
) -> tuple[np.ndarray[Any, np.dtype[np.int32]], int]:
    """Number the connected components of one mask.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        connectivity: Neighbourhood within the mask, `"full"` (8, 26) or `"face"` (4, 6).

    Returns:
        int32 ids of the same shape, 0 outside of the mask and 1, 2, ... inside, in C order of first voxels; and how
        many components there are.

    Raises:
        ImportError: When scipy is not installed.
    """
    ndimage = needed("scipy.ndimage", "scipy")
    structure = ndimage.generate_binary_structure(mask.ndim, mask.ndim if connectivity == "full" else 1)
    ids, count = ndimage.label(mask, structure)
    return ids, int(count)
