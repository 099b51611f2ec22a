"""Kernel and cokernel of the map from intersection to union: by linear algebra over Z/2, and by labeled components."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from oracles.boundary_matrix import cubical_cells


def diu_by_linear_algebra(pred: np.ndarray, true: np.ndarray, *, connectivity: str, border: str) -> list[int]:
    """Return dim ker + dim coker per dimension below that of the image; chains are relative to the frame, if any."""
    inner, union, frame = pred & true, pred | true, np.zeros_like(pred)
    if border == "foreground":
        inner, union, frame = (np.pad(mask, 1, constant_values=True) for mask in (inner, union, frame))
    cells = cubical_cells(inner.shape, connectivity)
    belongs = all if connectivity == "face" else any
    of_inner, of_union, of_frame = (
        {cell.position for cell in cells if belongs(mask.ravel()[v] for v in cell.voxels)}
        for mask in (inner, union, frame)
    )
    row = {cell.position: i for i, cell in enumerate(cells)}

    def columns(positions: set[tuple[int, ...]], dim: int) -> list[tuple[int, int]]:
        """Return each cell of a dimension with its boundary, both as one bit per cell; cells of the frame are zero."""
        chosen = [cell for cell in cells if cell.dim == dim and cell.position in positions - of_frame]
        return [
            (1 << row[cell.position], sum(1 << row[face] for face in cell.faces if face not in of_frame))
            for cell in chosen
        ]

    diu = []
    for dim in range(pred.ndim):
        (cycles, _), (union_cycles, _) = (cycles_and_rank(columns(x, dim)) for x in (of_inner, of_union))
        boundaries = [boundary for _, boundary in columns(of_union, dim + 1)]
        betti_inner = len(cycles) - cycles_and_rank(columns(of_inner, dim + 1))[1]
        betti_union = len(union_cycles) - rank(boundaries)
        image = rank(boundaries + cycles) - rank(boundaries)
        diu.append(betti_inner + betti_union - 2 * image)
    return diu


def cycles_and_rank(columns: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Return a basis of the kernel of a boundary matrix, and the rank of the matrix."""
    pivots: dict[int, tuple[int, int]] = {}
    cycles = []
    for chain, boundary in columns:
        while boundary and (low := boundary.bit_length()) in pivots:
            chain, boundary = chain ^ pivots[low][0], boundary ^ pivots[low][1]
        if boundary:
            pivots[boundary.bit_length()] = (chain, boundary)
        else:
            cycles.append(chain)
    return cycles, len(pivots)


def rank(vectors: list[int]) -> int:
    """Return the rank over Z/2 of vectors of bits."""
    return cycles_and_rank([(0, vector) for vector in vectors])[1]


def diu_by_labeling(pred: np.ndarray, true: np.ndarray, *, connectivity: str) -> tuple[int, int]:
    """Return the DIU in dimensions 0 and d-1, open border: by components, and by duality by those of the complement."""
    reach, dual = (pred.ndim, 1) if connectivity == "full" else (1, pred.ndim)
    outside_inner, outside_union = (np.pad(~mask, 1, constant_values=True) for mask in (pred & true, pred | true))
    return _discrepancy(pred & true, pred | true, reach), _discrepancy(outside_union, outside_inner, dual)


def _discrepancy(inner: np.ndarray, outer: np.ndarray, reach: int) -> int:
    structure = generate_binary_structure(inner.ndim, reach)
    (_, inner_count), (outer_ids, outer_count) = label(inner, structure), label(outer, structure)
    hit = len(np.unique(outer_ids[inner]))
    return (inner_count - hit) + (outer_count - hit)
