"""Metrics that count topology: a `compute_*` function and a `*Metric` class each, and `topology_report` for all."""
# ruff: noqa: F403 - each module lists its own names

from monai_topo.metrics import (
    adapted_rand,
    all_metrics,
    betti_error,
    betti_matching,
    cldice,
    component_detection,
    diagram_distance,
    diu,
    euler_error,
    skeleton_recall,
    variation_of_information,
)
from monai_topo.metrics.adapted_rand import *
from monai_topo.metrics.all_metrics import *
from monai_topo.metrics.betti_error import *
from monai_topo.metrics.betti_matching import *
from monai_topo.metrics.cldice import *
from monai_topo.metrics.component_detection import *
from monai_topo.metrics.diagram_distance import *
from monai_topo.metrics.diu import *
from monai_topo.metrics.euler_error import *
from monai_topo.metrics.skeleton_recall import *
from monai_topo.metrics.variation_of_information import *

__all__: list[str] = []
__all__ += betti_error.__all__
__all__ += euler_error.__all__
__all__ += betti_matching.__all__
__all__ += diu.__all__
__all__ += cldice.__all__
__all__ += skeleton_recall.__all__
__all__ += variation_of_information.__all__
__all__ += adapted_rand.__all__
__all__ += component_detection.__all__
__all__ += diagram_distance.__all__
__all__ += all_metrics.__all__
