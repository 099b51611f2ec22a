"""Filtered images: persistence pairs with their critical voxels, merge trees, and the matching of features."""

from monai_topo.persistence.pairs import (
    Border,
    Connectivity,
    Filtration,
    PersistencePairs,
    betti_numbers,
    label_components,
    persistence_pairs,
)

__all__ = [
    "Border",
    "Connectivity",
    "Filtration",
    "PersistencePairs",
    "betti_numbers",
    "label_components",
    "persistence_pairs",
]
