"""The slow, obvious reference: induced matching of two barcodes by reducing boundary matrices with two orders.

Bauer and Schmahl, "Efficient computation of image persistence" (SoCG 2023): the pairs of the image of H(A) -> H(B), for
filtrations A inside B, are those of the boundary matrix with rows in the order of A and columns in the order of B.
Stucki et al. (ICML 2023), section 3: a class of A is followed to the class of the image with the same birth, and on to
the class of B with the same death.
"""

from __future__ import annotations

import numpy as np

from oracles.boundary_matrix import Cell, cubical_cells


def matched_voxels(
    first: np.ndarray, second: np.ndarray, *, connectivity: str
) -> tuple[set[tuple[int, int, int]], set[tuple[int, int, int]], set[tuple[tuple[int, int, int], tuple[int, int, int]]]]:
    """Pairs (dim, birth voxel, death voxel) of two images, superlevel, and which of them are matched.

    Args:
        first: values, no two of them equal in either image or between the two.
        second: values of the same shape.
        connectivity: "full" or "face".
    """
    union = np.maximum(first, second)
    cells = cubical_cells(first.shape, connectivity)
    enters = min if connectivity == "face" else max  # the value at which a cell is there, from above
    values = {name: image.ravel() for name, image in (("first", first), ("second", second), ("union", union))}
    level = {
        name: {cell.position: enters(flat[v] for v in cell.voxels) for cell in cells} for name, flat in values.items()
    }
    order = {
        name: sorted(cells, key=lambda cell: (-level[name][cell.position], cell.dim, cell.position)) for name in values
    }

    def voxel(name: str, cell: Cell) -> int:
        return enters(cell.voxels, key=lambda v: values[name][v])

    def pairs(rows: str, columns: str) -> dict[tuple[int, ...], tuple[Cell, Cell]]:
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
            if level[rows][creator.position] > level[columns][cell.position]:
                found[creator.position] = creator, cell
        return found

    own, dies_as = {}, {}
    for name in ("first", "second"):
        own[name] = {
            position: (birth.dim, voxel(name, birth), voxel(name, death))
            for position, (birth, death) in pairs(name, name).items()
        }
        dies_as[name] = {death.position: birth.position for birth, death in pairs(name, "union").values()}
    matched = {
        (own["first"][dies_as["first"][death]], own["second"][dies_as["second"][death]])
        for death in dies_as["first"].keys() & dies_as["second"].keys()
    }
    return set(own["first"].values()), set(own["second"].values()), matched
