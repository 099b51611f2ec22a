"""The compiled kernel: arrays in, index arrays out. `monai_topo._utils.kernel` prepares its arguments."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

max_voxels: int
build: dict[str, str]

def persistence_pairs(
    images: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    dual: bool,
    framed: bool,
    dims: int,
    min_persistence: float,
    num_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def betti_matching(
    predictions: NDArray[np.float32] | NDArray[np.float64],
    labels: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    dual: bool,
    framed: bool,
    dims: int,
    num_threads: int,
) -> tuple[
    tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    NDArray[np.int64],
    NDArray[np.int64],
]: ...
def persistence_distance(
    images: NDArray[np.float32] | NDArray[np.float64],
    labels: NDArray[np.float32] | NDArray[np.float64],
    starts: NDArray[np.int64],
    size: NDArray[np.int64],
    negate: bool,
    dual: bool,
    framed: bool,
    dims: int,
    min_persistence: float,
    matching: int,
    min_label_size: float,
    support: float,
    saturation: float,
    high: float,
    matched_cost: bool,
    num_threads: int,
) -> tuple[
    NDArray[np.float32] | NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float32] | NDArray[np.float64],
    NDArray[np.uint8],
    NDArray[np.uint8],
]: ...
def betti_distance(
    images: NDArray[np.float32] | NDArray[np.float64],
    labels: NDArray[np.float32] | NDArray[np.float64],
    starts: NDArray[np.int64],
    size: NDArray[np.int64],
    negate: bool,
    dual: bool,
    framed: bool,
    dims: int,
    support: float,
    saturation: float,
    high: float,
    matched_cost: bool,
    num_threads: int,
) -> tuple[
    NDArray[np.float32] | NDArray[np.float64],
    NDArray[np.float32] | NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float32] | NDArray[np.float64],
    NDArray[np.uint8],
    NDArray[np.uint8],
]: ...
def distance_gradient(
    factors: NDArray[np.float32] | NDArray[np.float64],
    first: NDArray[np.int64],
    voxels: NDArray[np.int64],
    derivatives: NDArray[np.float32] | NDArray[np.float64],
    gradient: NDArray[np.float32] | NDArray[np.float64],
    overlap: bool,
    num_threads: int,
) -> None: ...
def match_by_value(
    values: NDArray[np.float32] | NDArray[np.float64],
    group: NDArray[np.int64],
    num_true: NDArray[np.int64],
    by_rank: bool,
) -> NDArray[np.uint8]: ...
def label_regions(
    masks: NDArray[np.uint8], dim: int, full: bool, framed: bool, min_size: float, num_threads: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]: ...
def is_binary(values: NDArray[Any], num_threads: int) -> bool: ...
def betti_numbers(masks: NDArray[np.uint8], full: bool, framed: bool, num_threads: int) -> NDArray[np.int64]: ...
def component_labels(masks: NDArray[np.uint8], full: bool, framed: bool, num_threads: int) -> NDArray[np.int32]: ...
def block_components(
    mask: NDArray[np.uint8], full: bool, with_sizes: bool
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def merge_tree(
    images: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    last_to_first: bool,
    full: bool,
    framed: bool,
    num_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def lift_paths(
    images: NDArray[np.float32] | NDArray[np.float64],
    image: NDArray[np.int64],
    saddle: NDArray[np.int64],
    level: NDArray[np.float32] | NDArray[np.float64],
    negate: bool,
    last_to_first: bool,
    full: bool,
    framed: bool,
    num_threads: int,
) -> NDArray[np.float32] | NDArray[np.float64]: ...
def simple_points(masks: NDArray[np.uint8], full: bool, framed: bool, num_threads: int) -> NDArray[np.uint8]: ...
def homotopy_warping_errors(
    predictions: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    errors: NDArray[np.float32],
    full: bool,
    framed: bool,
    num_threads: int,
) -> NDArray[np.uint8]: ...
