"""Topology-preserving segmentation for MONAI."""

from monai_topo.persistence import PersistencePairs, betti_numbers, persistence_pairs

__all__ = ["PersistencePairs", "betti_numbers", "persistence_pairs"]
