"""Benchmark images that resemble the likelihood maps of networks."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from monai_topo.data.vessels import synthetic_vessels

Image = NDArray[np.float32]


def _smooth(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    smoothed: NDArray[np.float64] = import_module("scipy.ndimage").gaussian_filter(image, sigma)
    return smoothed


def smoothed_noise(shape: Sequence[int], sigma: float, seed: int = 0) -> Image:
    """Draw the sigmoid of 3x smoothed noise of unit variance, which resembles a network's likelihood map."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    if sigma:
        noise = _smooth(noise, sigma)
        noise /= noise.std()
    likelihood: Image = (1 / (1 + np.exp(-3 * noise))).astype(np.float32)
    return likelihood


def noisy_structures(shape: Sequence[int], sigma: float) -> tuple[Image, Image]:
    """Draw likelihoods, `(N, *spatial)`, and labels that resemble them: where a mixture with other noise is high."""
    likelihood, other = (
        np.stack([smoothed_noise(shape[1:], sigma, seed) for seed in range(first, first + shape[0])])
        for first in (0, shape[0])
    )
    return likelihood, (0.6 * likelihood + 0.4 * other > 0.6).astype(np.float32)


def sparse_vessels(shape: Sequence[int]) -> Image:
    """Draw tubes where two smooth fields are both small: 3 % foreground, about 90 % of the voxels exactly 0."""
    fields = [_smooth(np.random.default_rng(seed).standard_normal(shape), 2) for seed in (1, 2)]
    radius = np.sqrt(sum((field / field.std()) ** 2 for field in fields))
    likelihood: Image = (1 / (1 + np.exp(30 * (radius - 0.25)))).astype(np.float32)
    likelihood[likelihood < 1e-3] = 0
    return likelihood


def noisy_vessels(side: int, noise: float) -> tuple[Image, Image]:
    """Draw a likelihood of thin vessels, and their label, in a volume of `side^3` voxels: 1 % foreground if it is 128.

    `noise` is the standard deviation of the logits, which are -3.8 far from vessels: 0.3 leaves hardly a feature beside
    them, 0.9 brings single voxels of the background above 0.2.
    """
    _, label = synthetic_vessels((side,) * 3, seed=0, num_trees=3, num_branches=24)
    blurred = _smooth(np.random.default_rng(0).standard_normal(label.shape), 0.5)
    logits = 9 * (_smooth(label.astype(np.float64), 0.7) - 0.42) + noise * blurred / blurred.std()
    likelihood: Image = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return likelihood, label.astype(np.float32)
