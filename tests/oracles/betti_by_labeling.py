"""Betti numbers of masks from labeled components (scipy) and the Euler characteristic (scikit-image)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import generate_binary_structure, label
from skimage.measure import euler_number


def betti_by_labeling(mask: np.ndarray, *, connectivity: str, border: str) -> tuple[int, ...]:
    """Return the Betti numbers of a binary mask; `border="foreground"`: relative to a frame of foreground around it."""
    ndim = mask.ndim
    reach, dual_reach = (ndim, 1) if connectivity == "full" else (1, ndim)
    mask = mask.astype(bool)
    if border == "foreground":
        mask = np.pad(mask, 1, constant_values=True)
    _, components = label(mask, generate_binary_structure(ndim, reach))
    outside_and_voids = np.pad(~mask, 1, constant_values=True)
    _, background_components = label(outside_and_voids, generate_binary_structure(ndim, dual_reach))
    voids = background_components - 1
    # Euler-Poincare: b0 - b1 (+ b2) is the Euler characteristic; in the plane the holes are the voids.
    holes = voids if ndim == 2 else components + voids - euler_number(mask, connectivity=reach)
    if border == "foreground":
        components, voids = components - 1, max(voids - 1, 0)
    return (components, voids) if ndim == 2 else (components, holes, voids)
