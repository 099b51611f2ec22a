"""Masks drawn in text, and binary label images of the shared data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence


def drawn(*rows: str) -> torch.Tensor:
    """Return a mask of one image and channel; `#` is foreground."""
    return torch.tensor([[c == "#" for c in row] for row in rows])[None, None]


def label_image(path: Path, *, threshold: int = 127) -> np.ndarray:
    """Read a real label as a boolean array."""
    with Image.open(path) as image:
        return np.array(image) > threshold


def label_stack(path: Path) -> np.ndarray:
    """Read a real 3D label, a TIFF of many pages, as a boolean array."""
    with Image.open(path) as image:
        return np.stack([np.array(page) > 0 for page in ImageSequence.Iterator(image)])


def as_batch(mask: np.ndarray) -> torch.Tensor:
    """Return an array as a batch of one image and channel."""
    return torch.from_numpy(mask)[None, None]
