"""The oracle of `monai_topo.fuzz.oracles.gudhi_diagrams`, under the name of the other oracles."""

from monai_topo.fuzz.oracles.gudhi_diagrams import CONSTRUCTION, gudhi_diagram

__all__ = ["CONSTRUCTION", "gudhi_diagram"]
