"""The compiled kernel: arrays in, index arrays out. Validated by the modules that call it."""

import numpy as np
from numpy.typing import NDArray

max_voxels: int

def persistence_pairs(
    images: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    dual: bool,
    framed: bool,
    dims: int,
    min_persistence: float,
    num_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def merge_tree(
    images: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    last_to_first: bool,
    full: bool,
    outside: bool,
    num_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def betti_numbers(
    masks: NDArray[np.uint8], full: bool, foreground_border: bool, num_threads: int
) -> NDArray[np.int64]: ...
