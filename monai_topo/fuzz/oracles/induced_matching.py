"""Induced matching of two barcodes by reducing boundary matrices with two orders: slow and direct.

Bauer and Schmahl, "Efficient computation of image persistence" (SoCG 2023): the pairs of the image of H(A) -> H(B), for
filtrations A inside B, are those of the boundary matrix with rows in the order of A and columns in the order of B.
Stucki et al. (ICML 2023), section 3: a class of A maps to the class of the image with the same birth, and that one to
the class of B with the same death.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo.fuzz.oracles.boundary_matrix import CubicalCell, cubical_cells

VoxelPair = tuple[int, int, int]  # dim, birth voxel, death voxel


class Matching(NamedTuple):
    """Pairs of two images, which of them are matched, and whether the matching is unique.

    It is not unique where one voxel is the birth, or the death, of two classes of one dimension, in an image or in the
    union.
    """

    first: set[VoxelPair]
    second: set[VoxelPair]
    matched: set[tuple[VoxelPair, VoxelPair]]
    is_unique: bool


def match_by_matrices(
    first: NDArray[Any], second: NDArray[Any], *, connectivity: str, min_persistence: float = 0.0
) -> Matching:
    """Match the classes of the superlevel filtrations of two images.

    Args:
        first: Values, all different within each image and between the two.
        second: Values of the same shape.
        connectivity: Connectivity of the foreground, `"full"` or `"face"`.
        min_persistence: Classes of an image, or of the image of a map, do not count up to here. Greater than what was
            added to values to make them different.
    """
    union = np.maximum(first, second)
    cells = cubical_cells(first.shape, connectivity)
    enters = min if connectivity == "face" else max  # the value at which a cell enters, from above
    values = {name: image.ravel() for name, image in (("first", first), ("second", second), ("union", union))}
    level = {
        name: {cell.position: enters(flat[v] for v in cell.voxels) for cell in cells} for name, flat in values.items()
    }
    order = {
        name: sorted(cells, key=lambda cell: (-level[name][cell.position], cell.dim, cell.position)) for name in values
    }

    def voxel(name: str, cell: CubicalCell) -> int:
        return enters(cell.voxels, key=lambda v: values[name][v])

    def pairs(rows: str, columns: str) -> dict[tuple[int, ...], tuple[CubicalCell, CubicalCell]]:
        row_of = {cell.position: row for row, cell in enumerate(order[rows])}
        reduced: dict[int, int] = {}
        found = {}
        for cell in order[columns]:
            column = 0
            for face in cell.faces:
                column ^= 1 << row_of[face]
            while column and (low := column.bit_length() - 1) in reduced:
                column ^= reduced[low]
            if not column:
                continue
            reduced[low] = column
            creator = order[rows][low]
            if level[rows][creator.position] > level[columns][cell.position] + min_persistence:
                found[creator.position] = creator, cell
        return found

    own, dies_as = {}, {}
    is_unique = True
    for name in values:
        own[name] = {
            position: (birth.dim, voxel(name, birth), voxel(name, death))
            for position, (birth, death) in pairs(name, name).items()
        }
        for end in (1, 2):
            ends = [(pair[0], pair[end]) for pair in own[name].values()]
            is_unique &= len(set(ends)) == len(ends)
        dies_as[name] = {death.position: birth.position for birth, death in pairs(name, "union").values()}
    matched = {
        (own["first"][dies_as["first"][death]], own["second"][dies_as["second"][death]])
        for death in dies_as["first"].keys() & dies_as["second"].keys()
    }
    return Matching(set(own["first"].values()), set(own["second"].values()), matched, is_unique)
