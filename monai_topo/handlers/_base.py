"""What every named metric handler does: make its metric, hand it to MONAI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.caching import result_cache
from monai_topo.metrics._base import TopologyMetric

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")


class TopologyMetricHandler(IgniteMetricHandler):
    """Base of the metric handlers: a subclass only names its metric, `metric_class`.

    What the handlers of one engine compute of the same batch with the same settings, such as the errors of all
    dimensions of which each handler reports one, is computed once.

    Args:
        output_transform: Takes `engine.state.output` to `(y_pred, y)`.
        save_details: Whether the results of each case go to `engine.state.metric_details`.
        settings: The settings of the metric but `get_not_nans`, of which an engine has no use.

    Raises:
        TypeError: When the metric has no such setting.
    """

    metric_class: ClassVar[type[TopologyMetric]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]  # what help(), Sphinx and editors show

    def __init__(
        self,
        *,
        output_transform: Callable[[Any], Any] = lambda output: output,
        save_details: bool = True,
        **settings: Any,
    ) -> None:
        if "get_not_nans" in settings:
            raise TypeError(
                "Expected the settings of the metric but `get_not_nans`, but got that too; "
                "an engine records the metric's value alone."
            )
        metric_fn = self.metric_class(**settings)
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)

    def attach(self, engine: Any, name: str) -> None:  # type: ignore[override]  # MONAI's signature
        """Attach to an evaluator under a name."""
        for event in (Events.ITERATION_STARTED, Events.EPOCH_COMPLETED):
            if not engine.has_event_handler(_share_anew, event):
                engine.add_event_handler(event, _share_anew)
        super().attach(engine, name)

    def update(self, output: Any) -> None:
        """Add the cases of a batch."""
        with result_cache(None if self._engine is None else getattr(self._engine.state, _SHARED, None)):
            super().update(output)


_SHARED = "result_cache"


def _share_anew(engine: Any) -> None:
    """Forget the results of the batch before, and the memory of its arrays."""
    setattr(engine.state, _SHARED, {})


def _signature(handler: type[TopologyMetricHandler]) -> inspect.Signature:
    """Signature of a handler: its metric's settings, then its own."""
    settings = inspect.signature(handler.metric_class).parameters.values()
    own = list(inspect.signature(TopologyMetricHandler.__init__).parameters.values())[1:-1]
    return inspect.Signature([p for p in settings if p.name != "get_not_nans"] + own)
