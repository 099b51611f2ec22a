"""Filtered images: persistence pairs with their critical voxels, merge trees, and matching of features.

Read in this order: `pairs`, `essential`, `feature_matching` (the rules of `PersistenceLoss`), `induced_matching` (Betti
matching), `merge_trees`, `critical_sets`, and `reconnection` with `joining` and `minimax_paths`.
"""

from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo.masks.components import betti_numbers, label_components
from monai_topo.persistence.critical_sets import critical_set_loss, critical_set_targets
from monai_topo.persistence.essential import EssentialClass, essential_class
from monai_topo.persistence.feature_matching import match_by_value
from monai_topo.persistence.induced_matching import BettiMatching, betti_matching
from monai_topo.persistence.merge_trees import MergeTree, merge_tree, simplify
from monai_topo.persistence.pairs import PersistencePairs, persistence_pairs
from monai_topo.persistence.reconnection import OUTCOMES, Joins, reconnect_components

__all__ = [
    "OUTCOMES",
    "BettiMatching",
    "Border",
    "Connectivity",
    "EssentialClass",
    "Filtration",
    "Joins",
    "MergeTree",
    "PersistencePairs",
    "betti_matching",
    "betti_numbers",
    "critical_set_loss",
    "critical_set_targets",
    "essential_class",
    "label_components",
    "match_by_value",
    "merge_tree",
    "persistence_pairs",
    "reconnect_components",
    "simplify",
]
