"""The oracle of `monai_topo.fuzz.oracles.induced_matching`, under the name of the other oracles."""

from monai_topo.fuzz.oracles.induced_matching import Matching, VoxelPair, match_by_matrices

__all__ = ["Matching", "VoxelPair", "match_by_matrices"]
