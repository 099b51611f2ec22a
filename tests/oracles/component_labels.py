"""Components of masks by scipy, numbered as the package numbers them."""

import numpy as np
from scipy.ndimage import generate_binary_structure, label


def labels_by_scipy(mask: np.ndarray, connectivity: str, border: str) -> np.ndarray:
    """Return components numbered by their first voxel in C order; -1 is the component of a frame of foreground."""
    structure = generate_binary_structure(mask.ndim, mask.ndim if connectivity == "full" else 1)
    framed = np.pad(mask, 1, constant_values=border == "foreground")
    found, _ = label(framed, structure)
    found = found[(slice(1, -1),) * mask.ndim] if border == "open" else found
    frame = found.flat[0] if border == "foreground" else -1
    found = found[(slice(1, -1),) * mask.ndim] if border == "foreground" else found
    numbered, last = np.zeros(mask.shape, dtype=np.int32), 0
    for name in dict.fromkeys(found[found > 0].tolist()):
        last += name != frame
        numbered[found == name] = -1 if name == frame else last
    return numbered
