"""Betti number error as a metric of MONAI's engines."""

from __future__ import annotations

from monai_topo.handlers._base import TopologyMetricHandler
from monai_topo.metrics.betti_error import BettiErrorMetric


class BettiErrorHandler(TopologyMetricHandler):
    """Report the Betti number error of an evaluator, as key metric or additional one.

    Holds a :py:class:`monai_topo.metrics.BettiErrorMetric`; definition and empty cases are described there. The error
    is better when lower: as *key* metric it needs `metric_cmp_fn=lambda new, best: new < best` in the evaluator and
    `key_metric_negative_sign=True` in `monai.handlers.CheckpointSaver`, or the worst model is kept. MONAI drops
    additional metrics without a word where there is no key metric. Needs pytorch-ignite (`pip install
    monai_topo[bundle]`) when made, not when imported.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        border: What lies outside the image or patch, `"open"` (nothing) or `"foreground"`.
        patch_size: Patch size in voxels, one number or one an axis; None takes the whole image.
        num_patches: How many random patches; None lays a grid.
        seed: Seed of the random patches.
        dim: Homology dimension to report; None is the sum over all dimensions.
        reduction: How images and channels are reduced, one of :py:class:`monai.utils.MetricReduction`.
        output_transform: Takes `engine.state.output` to `(y_pred, y)`: batch-first tensors or lists of channel-first
            ones, binarized, e.g. `monai.handlers.from_engine(["pred", "label"])`.
        save_details: Whether the `(cases, channels)` errors go to `engine.state.metric_details`, from where
            `monai.handlers.MetricsSaver` writes them as CSV.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> from monai.handlers import from_engine
        >>> handler = BettiErrorHandler(dim=1, patch_size=65, output_transform=from_engine(["pred", "label"]))
        >>> handler.metric_fn.patch_size
        65
    """

    metric_class = BettiErrorMetric
