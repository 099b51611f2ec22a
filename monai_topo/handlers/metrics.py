"""The topology metrics as metrics of MONAI's engines, one handler a metric.

What `BettiErrorHandler` says about key and additional metrics holds for all of them.
"""

from __future__ import annotations

from monai_topo.handlers._base import TopologyMetricHandler
from monai_topo.metrics.euler_error import EulerErrorMetric


class EulerErrorHandler(TopologyMetricHandler):
    """Report the Euler characteristic error of an evaluator; lower is better.

    Takes the settings of :py:class:`monai_topo.metrics.EulerErrorMetric`, `output_transform` and `save_details`.

    Example:
        >>> from monai.handlers import from_engine
        >>> EulerErrorHandler(border="foreground", output_transform=from_engine(["pred", "label"])).metric_fn.border
        'foreground'
    """

    metric_class = EulerErrorMetric
