"""Topology-preserving segmentation for MONAI, in 2D and 3D.

The main idea: likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss. A
persistence pair is a component, loop or cavity of the map, with the thresholds at which it is born and dies. Matching
with the label decides which features to strengthen and which to remove, and the loss has its gradient at their critical
voxels. Metrics compare the features of a binary prediction and its label.

The subpackages in the order of their layers, each of which imports only from those before it:

- `data`: labels, synthetic membranes and vessels, data sets and file formats.
- `masks`: Betti numbers, components, skeletons, simple points and structure errors of binary masks.
- `persistence`: persistence pairs, merge trees and matching of filtered images.
- `losses`, `metrics`, `transforms`, `visualize`: what a user puts into a training script.
- `cleanup`: the clean-up that suits a network best, chosen on validation cases.
- `handlers`, `bundle`, `benchmark`: handlers for MONAI's engines, tools for MONAI bundles, timings against other
  libraries.
- `nnunet`: trainers for nnU-Net.
- `report`: HTML pages of `python -m monai_topo`.
"""
# ruff: noqa: F403 - `losses` and `metrics` list their own names

from importlib.metadata import version

from monai_topo import losses, metrics
from monai_topo.cleanup import CleanUpChoice, choose_cleanup
from monai_topo.losses import *
from monai_topo.masks import (
    betti_numbers,
    check_label,
    chunked_betti_error,
    chunked_betti_numbers,
    label_components,
)
from monai_topo.metrics import *
from monai_topo.persistence import BettiMatching, PersistencePairs, betti_matching, persistence_pairs

__version__ = version("monai_topo")

__all__ = [
    "BettiMatching",
    "CleanUpChoice",
    "PersistencePairs",
    "betti_matching",
    "betti_numbers",
    "check_label",
    "choose_cleanup",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "label_components",
    "persistence_pairs",
]
__all__ += losses.__all__
__all__ += metrics.__all__
