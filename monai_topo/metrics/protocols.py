"""Published evaluation protocols by name: which metrics, with which patches, border, connectivity and averaging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import torch
from monai.metrics.utils import ignore_background

from monai_topo._utils.validation import check_choice
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics.betti_error import BettiErrorMetric
from monai_topo.metrics.betti_matching import BettiMatchingMetric
from monai_topo.metrics.branch_detection import BranchDetectionMetric
from monai_topo.metrics.cldice import ClDiceMetric
from monai_topo.metrics.euler_error import EulerErrorMetric

__all__ = ["PROTOCOLS", "EvaluationProtocol", "protocol_metrics"]


class _OfPresentClasses(BettiErrorMetric):
    """Betti number error of the classes that prediction or label contain; NaN, which means ignore, for all others."""

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        errors = super()._compute_tensor(y_pred, y, **kwargs)
        assert y is not None  # otherwise the line above has raised an error
        if not self.include_background:
            y_pred, y = ignore_background(y_pred, y)
        present = ((y_pred != 0) | (y != 0)).flatten(2).any(dim=2)
        return errors.masked_fill(~present.as_subclass(torch.Tensor).to(errors.device), float("nan"))


class _OfMergedClasses(ClDiceMetric):
    """clDice of the union of all classes, 0 where it is not applicable."""

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if isinstance(y, torch.Tensor) and y_pred.ndim > 1 and y_pred.shape == y.shape:
            if not self.include_background:
                y_pred, y = ignore_background(y_pred, y)
            y_pred, y = y_pred.amax(dim=1, keepdim=True), y.amax(dim=1, keepdim=True)
        return super()._compute_tensor(y_pred, y, **kwargs).nan_to_num(nan=0.0)


@dataclass(frozen=True)
class EvaluationProtocol:
    """A published evaluation.

    Attributes:
        title: Authors, name and year.
        source: Where the protocol is stated, and what is measured elsewhere or differently here.
        metrics: Name of each number, with the class that computes it and its own settings. `"{k}"` in a name stands for
            each homology dimension.
        stated: Settings that the source states. They cannot be changed.
        left_open: Settings that the source does not state, with the values used here. State them with the numbers.
        spatial_dims: Numbers of spatial axes for which the source defines the protocol.
    """

    title: str
    source: str
    metrics: Mapping[str, tuple[type[TopologyMetric], Mapping[str, Any]]]
    stated: Mapping[str, Any] = field(default_factory=dict)
    left_open: Mapping[str, Any] = field(default_factory=dict)
    spatial_dims: tuple[int, ...] = (2, 3)

    def settings(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings of the protocol called `name`, with the given ones in place of those left open.

        Raises:
            ValueError: If a given setting contradicts the source, or is none of the protocol's.
        """
        for setting, value in given.items():
            if setting in self.stated and value != self.stated[setting]:
                raise ValueError(
                    f"Expected `{setting}` to be {self.stated[setting]!r}, as the protocol {name!r} states, "
                    f"but got {value!r}; leave it out, or do not use the protocol."
                )
            if setting not in self.stated and setting not in self.left_open:
                free = ", ".join(self.left_open) or "none"
                raise ValueError(f"Expected settings that the protocol {name!r} leaves open ({free}), not `{setting}`.")
        settings = {**self.left_open, **self.stated, **given}
        if settings.get("num_patches", 1) is None and "num_patches" in self.left_open:
            raise ValueError(f"Expected `num_patches` to be a number: the protocol {name!r} draws random patches.")
        return settings


_BETTI_ERRORS: dict[str, tuple[type[TopologyMetric], Mapping[str, Any]]] = {"betti_error_{k}": (BettiErrorMetric, {})}
_RANDOM_PATCHES = {"num_patches": 100, "seed": 0, "connectivity": "full", "border": "open"}
_TOPOMORTAR = (
    "Valverde, Koga, Otsuka, Dahl, 'TopoMortar', BMVC 2025 (arXiv 2503.03365); read in lib/metrics.py of "
    "jmlipman/TopoMortar. Differences: there an empty mask or patch counts as one component, here as none; there the "
    "last patches of an axis are cut off at the image border, here they are shifted inwards (equal for its images of "
    "512 x 512). Dice and the 95th percentile of the Hausdorff distance are in MONAI."
)

#: The protocols by name, for :py:func:`protocol_metrics`, `topology_report(protocol=...)` and `report --protocol`.
PROTOCOLS: Mapping[str, EvaluationProtocol] = MappingProxyType(
    {
        "hu2019": EvaluationProtocol(
            title="Hu et al. 2019, Betti number error",
            source="Hu, Li, Samaras, Chen, NeurIPS 2019 (arXiv 1906.05404), section 3: the mean absolute difference of "
            "the number of handles (dimension 1) over random patches. We found no statement of the number and size of "
            "the patches, connectivity or border of the evaluation; the training patches are 65 x 65. According to the "
            "first author (HuXiaoling/TopoLoss, issue 21) the size 'is slightly different' from 64 x 64. Pixel "
            "accuracy, adapted Rand and variation of information, which the paper reports too, have their own metrics.",
            metrics={"betti_error_1": (BettiErrorMetric, {"dim": 1})},
            left_open={"patch_size": 65, **_RANDOM_PATCHES},
        ),
        "cldice": EvaluationProtocol(
            title="Shit et al. 2021, clDice",
            source="Shit, Paetzold, Sekuboyina et al., CVPR 2021 (arXiv 2003.07311), experiments: clDice, mean "
            "absolute Betti errors of dimensions 0 and 1, and error of the Euler characteristic. That the Betti errors "
            "are those of random 64 x 64 patches was read in issue 21 of HuXiaoling/TopoLoss; the number of patches, "
            "their size in 3D, connectivity and border were not found, nor whether the Euler characteristic is that of "
            "the whole image, as here. Dice and accuracy are in MONAI; street mover distance and junction F1 are not "
            "measured.",
            metrics={
                "cldice": (ClDiceMetric, {}),
                "betti_error_0": (BettiErrorMetric, {"dim": 0}),
                "betti_error_1": (BettiErrorMetric, {"dim": 1}),
                "euler_error": (EulerErrorMetric, {}),
            },
            left_open={"patch_size": 64, **_RANDOM_PATCHES},
        ),
        "topomortar": EvaluationProtocol(
            title="TopoMortar 2025, whole image",
            source=_TOPOMORTAR,
            metrics=_BETTI_ERRORS,
            stated={"connectivity": "full", "border": "open", "patch_size": None, "num_patches": None},
            spatial_dims=(2,),
        ),
        "topomortar_128": EvaluationProtocol(
            title="TopoMortar 2025, grid of 128 x 128",
            source=_TOPOMORTAR,
            metrics={**_BETTI_ERRORS, "cldice": (ClDiceMetric, {})},
            stated={"connectivity": "full", "border": "open", "patch_size": 128, "num_patches": None},
            spatial_dims=(2,),
        ),
        "topcow": EvaluationProtocol(
            title="TopCoW 2024",
            source="CoWBenchmark/TopCoW_Eval_Metrics, topcow24_eval/metrics/seg_metrics: the error of b0 of each class "
            "with 26-connectivity, averaged per case over the classes that prediction or label contain, and clDice of "
            "the union of all classes, which is 0 if a half of it is 0 / 0. Pass one-hot channels with the background "
            "as channel 0, or one channel for a single class. There a case without any class has error 0, here NaN. "
            "Class-average Dice and HD95 are in MONAI; group-2 detection, graph classification and topology match rate "
            "need anatomical labels and are not measured.",
            metrics={"betti_error_0": (_OfPresentClasses, {"dim": 0}), "cldice": (_OfMergedClasses, {})},
            stated={"connectivity": "full", "border": "open", "include_background": False},
            spatial_dims=(3,),
        ),
        "atm22": EvaluationProtocol(
            title="ATM'22",
            source="evaluation_atm_22.py and tree_parse.py of EndoluminalSurgicalVision-IMR/ATM-22-Related-Work (arXiv "
            "2303.05745): tree length and branches detected (from 80 % on) of the largest component, shares here and "
            "percent there. 6-connectivity was found for the largest component of the label only, nothing for that of "
            "the prediction. See `compute_branch_detection` for what differs. Dice is in MONAI, precision in "
            "`topology_report` as `voxel_precision`.",
            metrics={
                "tree_length": (BranchDetectionMetric, {"part": "tree_length"}),
                "branches": (BranchDetectionMetric, {"part": "branches"}),
            },
            stated={"min_share": 0.8, "min_branch_vox": 5, "largest_only": True, "border": "open"},
            left_open={"connectivity": "full"},
            spatial_dims=(3,),
        ),
        "pitfalls": EvaluationProtocol(
            title="Berger et al. 2024, Pitfalls",
            source="Berger, Lux, Weers et al., 'Pitfalls of topology-aware image segmentation' (arXiv 2412.14619), "
            "recommendations: Betti number error and Betti matching error, each dimension on its own, instead of VOI "
            "and Rand; connectivity chosen for the data and stated; artifacts of the labels removed or reported (see "
            "`monai_topo.check_label`). Whole images and an open border are our reading. The published code counts "
            "components that touch the border in dimension 1 if the foreground is 8-connected; here they count in "
            "dimension 0. The essential component, which the authors' Betti matching omits, counts too.",
            metrics={**_BETTI_ERRORS, "betti_matching_error_{k}": (BettiMatchingMetric, {"part": "error"})},
            left_open={"connectivity": "full", "border": "open"},
        ),
    }
)


def describe_protocol(name: str, **settings: Any) -> dict[str, Any]:
    """Describe a protocol for a report: its name, title and source, and all settings, stated and left open.

    Raises:
        ValueError: If there is no such protocol, or a setting contradicts it.
    """
    check_choice("protocol", name, tuple(PROTOCOLS))
    protocol = PROTOCOLS[name]
    chosen = protocol.settings(name, settings)
    by_source = {
        "stated": {setting: chosen[setting] for setting in protocol.stated},
        "left_open": {setting: chosen[setting] for setting in protocol.left_open},
    }
    return {"name": name, "title": protocol.title, "source": protocol.source, **by_source}


def protocol_metrics(name: str, *, spatial_dims: int = 2, **settings: Any) -> dict[str, TopologyMetric]:
    """Make the metrics of a published evaluation, with its patches, border, connectivity and averaging.

    A number is comparable with a published one only if these settings are the same, and papers often do not state them
    all. `PROTOCOLS[name].stated` are those that the source states, `PROTOCOLS[name].left_open` are the others with the
    values used here, and `PROTOCOLS[name].source` says what is known, what is measured elsewhere and what differs.

    The protocols: `"hu2019"` (Betti number error over random patches), `"cldice"` (Shit et al. 2021), `"topomortar"`
    (whole image), `"topomortar_128"` (grid of 128 x 128), `"topcow"` (average over the classes that are present, clDice
    of their union; 3D), `"atm22"` (tree length and branches detected; 3D), `"pitfalls"` (Betti number and Betti
    matching error per dimension). Each number is averaged over the classes of a case, then over cases, as `aggregate`
    does by default.

    Args:
        name: Name of the protocol.
        spatial_dims: Number of spatial axes of the images, 2 or 3.
        settings: Values for settings that the protocol leaves open, such as `num_patches` or `connectivity`.

    Returns:
        The metrics by the names of their numbers, such as `"betti_error_1"`. Call them with binarized batch-first
        tensors; each documents its empty cases.

    Raises:
        ValueError: If there is no such protocol, it is not defined for that number of axes, or a setting contradicts
            it.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 128, 256)
        >>> label[..., 20, 10:240] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 50:60] = 0
        >>> metrics = protocol_metrics("topomortar_128")
        >>> {name: round(metric(prediction, label).item(), 3) for name, metric in metrics.items()}
        {'betti_error_0': 0.5, 'betti_error_1': 0.0, 'cldice': 0.978}
    """
    check_choice("protocol", name, tuple(PROTOCOLS))
    protocol = PROTOCOLS[name]
    if spatial_dims not in protocol.spatial_dims:
        axes = " or ".join(map(str, protocol.spatial_dims))
        raise ValueError(
            f"Expected images with {axes} spatial axes, for which the protocol {name!r} is defined, "
            f"but got {spatial_dims}; choose another protocol."
        )
    chosen = protocol.settings(name, settings)
    metrics = {}
    for template, (metric, own) in protocol.metrics.items():
        known = {one.name for one in fields(metric)}
        common = {setting: value for setting, value in chosen.items() if setting in known}
        for k in range(spatial_dims) if "{k}" in template else (None,):
            of_dim: dict[str, Any] = {} if k is None else {"dim": k}
            metrics[template.format(k=k)] = metric(**common, **own, **of_dim)
    return metrics
