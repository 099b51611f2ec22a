"""Base classes of the metrics: settings as dataclass fields, MONAI's way of collecting and reducing results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from monai.config.type_definitions import TensorOrList
from monai.metrics.metric import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils.enums import MetricReduction
from monai.utils.module import look_up_option
from torch import Tensor

from monai_topo._utils.caching import cached
from monai_topo._utils.docstrings import complete_args
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_choice, check_topology_settings

_MEANS = {MetricReduction.MEAN, MetricReduction.MEAN_BATCH, MetricReduction.MEAN_CHANNEL}


@dataclass(kw_only=True, eq=False)
class TopologyMetric(CumulativeIterationMetric):
    """Base of the metric classes: a `compute_*` function, its settings, and MONAI's way of collecting results.

    A subclass is a keyword-only dataclass. It names its function as `compute=`, and has the settings of the function as
    fields, read at every call. If the function returns several values per image and class, `parts=` names them and the
    field `part` chooses the one to accumulate. The docstring of a subclass describes only its own arguments; the
    descriptions of the others are copied from the function and from the base classes.

    Args:
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)` instead of the value.

    Raises:
        ValueError: If a setting is impossible (at construction), or does not suit an image (at the call).
    """

    include_background: bool = True
    reduction: MetricReduction | str = MetricReduction.MEAN
    get_not_nans: bool = False

    _compute: ClassVar[Callable[..., Any]]
    _setting_names: ClassVar[tuple[str, ...]]
    _parts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, compute: Callable[..., Any] | None = None, parts: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if compute is None:
            return
        cls._compute = staticmethod(cached(compute))  # metrics of several parts or dimensions share one result
        parameters = inspect.signature(compute).parameters.values()
        cls._setting_names = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        cls._parts = parts
        names = [*(field.name for field in fields(cls)), *inspect.get_annotations(cls)]
        cls.__doc__ = complete_args(cls.__doc__, names, compute.__doc__, *(base.__doc__ for base in cls.__mro__))

    def __post_init__(self) -> None:
        super().__init__()
        settings = vars(self)
        check_topology_settings(
            connectivity=settings.get("connectivity", "full"), border=settings.get("border", "open")
        )
        if self._parts:
            check_choice("part", settings["part"], self._parts)
        self.reduction = look_up_option(self.reduction, MetricReduction)

    def select(self, result: Any) -> Tensor:
        """Select the `(B, C)` values to accumulate from the result of the function."""
        values: Tensor = getattr(result, vars(self)["part"]) if self._parts else result
        return values

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if kwargs:
            raise TypeError(
                f"Expected prediction and label only, but got also {', '.join(kwargs)}; "
                "settings are given when the metric is made."
            )
        return self.select(self._compute(y_pred, y, **{name: getattr(self, name) for name in self._setting_names}))

    def _compute_list(
        self, y_pred: TensorOrList, y: TensorOrList | None = None, **kwargs: Any
    ) -> Tensor | list[Tensor | Sequence[Tensor]]:
        # MONAI zips the two lists, which would silently drop the surplus cases of the longer one.
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
            A mean over NaN only is NaN. MONAI's own metrics return 0 there, which for an error would be the best value.

        Raises:
            ValueError: If no case was added.
        """
        data = self.get_buffer()  # type: ignore[no-untyped-call]  # MONAI does not annotate it
        if not isinstance(data, Tensor):
            raise ValueError("Expected at least one case before `aggregate`, but got none; call the metric first.")
        chosen = look_up_option(reduction or self.reduction, MetricReduction)
        value, not_nans = do_metric_reduction(data, chosen)
        if chosen in _MEANS:
            value = value.masked_fill(not_nans == 0, float("nan"))
        return (value, not_nans) if self.get_not_nans else value


@dataclass(kw_only=True, eq=False)
class DimensionMetric(TopologyMetric):
    """Base of the metrics whose function returns one value per homology dimension.

    Args:
        dim: Homology dimension to accumulate, 0 to d - 1; None takes the sum over all dimensions.
    """

    connectivity: Connectivity = "full"
    border: Border = "open"
    dim: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim not in (None, 0, 1, 2):
            raise ValueError(f"Expected `dim` to be 0, 1, 2 or None, but got {self.dim}; None is the sum of all.")

    def select(self, result: Any) -> Tensor:
        """Select the values of the dimension, or their sum over all dimensions, from `(B, C, d)`."""
        values: Tensor = result
        if self.dim is None:
            return values.sum(dim=-1)
        if self.dim >= values.shape[-1]:
            raise ValueError(
                f"Expected `dim` to be below the number of spatial axes, {values.shape[-1]}, but got {self.dim}; "
                "2D images have dimensions 0 and 1 only."
            )
        return values[..., self.dim]
