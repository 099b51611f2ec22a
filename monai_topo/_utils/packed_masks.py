"""Masks in little memory: one bit per voxel, compressed."""

from __future__ import annotations

import zlib

import numpy as np

from monai_topo._utils.typing import Mask

__all__ = ["pack_mask", "unpack_mask"]


def pack_mask(mask: Mask) -> bytes:
    """Compress a mask; equal masks of one shape give equal bytes."""
    return zlib.compress(np.packbits(mask).tobytes(), level=1)


def unpack_mask(packed: bytes, shape: tuple[int, ...]) -> Mask:
    """Restore a mask of the given shape."""
    bits = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)
