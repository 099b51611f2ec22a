"""What every metric class does: settings kept, lists checked, `(B, C)` collected, reduced at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.config.type_definitions import TensorOrList
from monai.metrics.metric import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils.enums import MetricReduction
from monai.utils.module import look_up_option
from torch import Tensor

from monai_topo._utils.caching import cached
from monai_topo._utils.validation import check_topology_settings

_MEANS = {MetricReduction.MEAN, MetricReduction.MEAN_BATCH, MetricReduction.MEAN_CHANNEL}


class TopologyMetric(CumulativeIterationMetric):
    """Base of the metric classes: a `compute_*` function, its settings, and MONAI's way of collecting results.

    A subclass names its arguments and hands them on; where the function returns more than one number for an image and
    class, it also says by `report` which one the metric collects. Each setting becomes an attribute of its name, read
    at every call.

    Args:
        compute: The function, called as `compute(y_pred, y, **settings)` with batch-first tensors.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.
        settings: The keyword arguments of `compute`. `connectivity` and `border` are checked here; what else can be
            checked before the first image is the subclass's to check.

    Raises:
        ValueError: When the reduction, `connectivity` or `border` is unknown.
    """

    def __init__(
        self, compute: Callable[..., Any], *, reduction: MetricReduction | str, get_not_nans: bool, **settings: Any
    ) -> None:
        super().__init__()
        check_topology_settings(
            connectivity=settings.get("connectivity", "full"), border=settings.get("border", "open")
        )
        self._compute = cached(compute)  # metrics of several parts or dimensions of one result share it
        self._setting_names = tuple(settings)
        vars(self).update(settings)
        self.reduction = look_up_option(reduction, MetricReduction)
        self.get_not_nans = get_not_nans

    def report(self, result: Any) -> Tensor:
        """Take what the function returns to the `(B, C)` that the metric collects."""
        reported: Tensor = result
        return reported

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if kwargs:
            raise TypeError(
                f"Expected prediction and label only, but got also {', '.join(kwargs)}; "
                "settings are given when the metric is made."
            )
        return self.report(self._compute(y_pred, y, **{name: getattr(self, name) for name in self._setting_names}))

    def _compute_list(
        self, y_pred: TensorOrList, y: TensorOrList | None = None, **kwargs: Any
    ) -> Tensor | list[Tensor | Sequence[Tensor]]:
        # MONAI zips the two lists, which would drop the surplus cases of the longer one without a word.
        if y is not None and len(y_pred) != len(y):
            raise ValueError(
                f"Expected as many labels as predictions, but got {len(y_pred)} predictions and {len(y)} labels; "
                "pass each case in both lists."
            )
        return super()._compute_list(y_pred, y, **kwargs)

    def aggregate(self, reduction: MetricReduction | str | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Reduce the results of all cases and ranks.

        Args:
            reduction: Overrides the reduction of the constructor.

        Returns:
            The value, or `(value, not_nans)` with `get_not_nans=True`; for `"mean"` shape `(1,)` as MONAI returns it.
            A mean over nothing but NaN is NaN; MONAI's own metrics make it 0, which for an error would be the best.

        Raises:
            ValueError: When no case was added.
        """
        data = self.get_buffer()  # type: ignore[no-untyped-call]  # MONAI left it unannotated
        if not isinstance(data, Tensor):
            raise ValueError("Expected at least one case before `aggregate`, but got none; call the metric first.")
        chosen = look_up_option(reduction or self.reduction, MetricReduction)
        value, not_nans = do_metric_reduction(data, chosen)
        if chosen in _MEANS:
            value = value.masked_fill(not_nans == 0, float("nan"))
        return (value, not_nans) if self.get_not_nans else value


def check_dim(dim: int | None) -> None:
    """Refuse a homology dimension that no image has."""
    if dim is not None and dim not in (0, 1, 2):
        raise ValueError(f"Expected `dim` to be 0, 1, 2 or None, but got {dim}; None sums over all dimensions.")


def of_dim(values: Tensor, dim: int | None) -> Tensor:
    """Take `(B, C, d)`, one value a dimension, to the `(B, C)` of one dimension, or to their sum for None."""
    if dim is None:
        return values.sum(dim=-1)
    if dim >= values.shape[-1]:
        raise ValueError(
            f"Expected `dim` to be below the number of spatial axes, {values.shape[-1]}, but got {dim}; "
            "2D images have dimensions 0 and 1 only."
        )
    return values[..., dim]
