"""`python -m monai_topo.fuzz`: random images and settings, the package against independent algorithms."""

from monai_topo.fuzz.runner import Failure, run_cases

__all__ = ["Failure", "run_cases"]
