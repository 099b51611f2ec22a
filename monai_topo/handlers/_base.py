"""What every named metric handler does: make its metric, hand it to MONAI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from monai.handlers.ignite_metric import IgniteMetricHandler

from monai_topo.metrics._base import TopologyMetric


class TopologyMetricHandler(IgniteMetricHandler):
    """Base of the metric handlers: a subclass only names its metric, `metric_class`.

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


def _signature(handler: type[TopologyMetricHandler]) -> inspect.Signature:
    """Signature of a handler: its metric's settings, then its own."""
    settings = inspect.signature(handler.metric_class).parameters.values()
    own = list(inspect.signature(TopologyMetricHandler.__init__).parameters.values())[1:-1]
    return inspect.Signature([p for p in settings if p.name != "get_not_nans"] + own)
