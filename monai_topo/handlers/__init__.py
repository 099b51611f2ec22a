"""Ignite handlers for MONAI's engines; importable without ignite, as MONAI's own handlers are."""
# ruff: noqa: F403 - each module lists its own names

from monai_topo._utils import stop_signal
from monai_topo._utils.stop_signal import *
from monai_topo.handlers import (
    atomic_savers,
    epoch_seed,
    loss_components,
    metric_handlers,
    pictures,
    progress,
    resume,
    validation,
)
from monai_topo.handlers.atomic_savers import *
from monai_topo.handlers.epoch_seed import *
from monai_topo.handlers.loss_components import *
from monai_topo.handlers.metric_handlers import *
from monai_topo.handlers.pictures import *
from monai_topo.handlers.progress import *
from monai_topo.handlers.resume import *
from monai_topo.handlers.validation import *

__all__: list[str] = []
__all__ += metric_handlers.__all__
__all__ += atomic_savers.__all__
__all__ += epoch_seed.__all__
__all__ += loss_components.__all__
__all__ += pictures.__all__
__all__ += progress.__all__
__all__ += resume.__all__
__all__ += validation.__all__
__all__ += stop_signal.__all__
