"""Base class of the metric handlers: a metric with its settings, in MONAI's handler for metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.caching import result_cache
from monai_topo._utils.docstrings import complete_args
from monai_topo.metrics._base import TopologyMetric

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")


def _identity(output: Any) -> Any:
    return output


class TopologyMetricHandler(IgniteMetricHandler):
    """Base of the metric handlers: a subclass only names its metric, as `metric_class=`.

    A handler takes the settings of its metric, except `get_not_nans`, since an engine records the value of a metric
    only. Signature and docstring of a subclass show them, with the descriptions of the metric.

    Results that several handlers of one engine compute for the same batch with the same settings are computed once: for
    example the errors of all dimensions, of which each handler reports one.

    Args:
        output_transform: Function that converts `engine.state.output` to `(y_pred, y)`, batch-first tensors or lists of
            channel-first tensors, for example `monai.handlers.from_engine(["pred", "label"])`.
        save_details: Whether to store the `(cases, channels)` values in `engine.state.metric_details`, from which
            `monai.handlers.MetricsSaver` writes them as CSV.

    Raises:
        TypeError: If the metric does not have a setting.
        ValueError: If a setting is impossible.
    """

    metric_class: ClassVar[type[TopologyMetric]]

    def __init_subclass__(cls, *, metric_class: type[TopologyMetric] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if metric_class is None:
            return
        cls.metric_class = metric_class
        signature = _signature(metric_class)
        cls.__signature__ = signature  # type: ignore[attr-defined]  # what help(), Sphinx and editors show
        cls.__doc__ = complete_args(
            cls.__doc__, signature.parameters, metric_class.__doc__, TopologyMetricHandler.__doc__
        )

    def __init__(
        self, *, output_transform: Callable[[Any], Any] = _identity, save_details: bool = True, **settings: Any
    ) -> None:
        if "get_not_nans" in settings:
            raise TypeError(
                "Expected the settings of the metric except `get_not_nans`, but got that one too; "
                "an engine records only the value of the metric."
            )
        metric_fn = self.metric_class(**settings)
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)

    def attach(self, engine: Any, name: str) -> None:  # type: ignore[override]  # MONAI's signature
        """Attach to an evaluator under a name."""
        for event in (Events.ITERATION_STARTED, Events.EPOCH_COMPLETED):
            if not engine.has_event_handler(_clear_results, event):
                engine.add_event_handler(event, _clear_results)
        super().attach(engine, name)

    def update(self, output: Any) -> None:
        """Add the cases of a batch."""
        with result_cache(None if self._engine is None else getattr(self._engine.state, _CACHE, None)):
            super().update(output)


_CACHE = "result_cache"


def _clear_results(engine: Any) -> None:
    """Drop the results of the previous batch, and with them its arrays."""
    setattr(engine.state, _CACHE, {})


def _signature(metric_class: type[TopologyMetric]) -> inspect.Signature:
    """Return the signature of a handler: the settings of its metric, then its own arguments."""
    settings = inspect.signature(metric_class).parameters.values()
    own = list(inspect.signature(TopologyMetricHandler.__init__).parameters.values())[1:-1]
    return inspect.Signature([p for p in settings if p.name != "get_not_nans"] + own)
