"""All topology metrics of one case in one flat dictionary, one row of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.caching import result_cache
from monai_topo._utils.typing import DUAL, Border, Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.masks.components import betti_numbers, betti_of_mask, components
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_below_one, ratio
from monai_topo.metrics.adapted_rand import compute_adapted_rand
from monai_topo.metrics.betti_matching import compute_betti_matching
from monai_topo.metrics.cldice import compute_cldice
from monai_topo.metrics.component_detection import compute_component_detection
from monai_topo.metrics.diagram_distance import Points, persistence_diagrams, wasserstein_distance
from monai_topo.metrics.diu import compute_diu
from monai_topo.metrics.protocols import protocol_metrics
from monai_topo.metrics.skeleton_recall import compute_skeleton_recall
from monai_topo.metrics.variation_of_information import compute_variation_of_information

Numbers = dict[str, float]

# One voxel keeps the topology. The second one also keeps the order in which voxels of equal value enter a filtration,
# and so the choice among equally good matches: the kernel counts neighbors of a higher value.
_MARGIN_VOX = 2


def topology_report(
    prediction: Any,
    label: Any,
    *,
    threshold: float = 0.5,
    connectivity: Connectivity = "full",
    border: Border = "open",
    instances: Literal["foreground", "background"] = "foreground",
    spacing_mm: float | Sequence[float] = 1.0,
    tolerance_mm: float = 0.0,
    tube_vox: int = 2,
    min_iou: float = 0.5,
    protocol: str | None = None,
) -> Numbers:
    """Measure the topology of one segmented case by every metric of `monai_topo.metrics`.

    Results that several metrics need are computed once: Betti numbers, the components of prediction and label, their
    skeletons. Each number is that of its `compute_*` function with the same settings, which documents definition,
    source and empty cases; NaN means not applicable. State the settings with the numbers: each of them changes some.

    Args:
        prediction: Likelihood in [0, 1] or binary mask, `(H, W)` or `(D, H, W)`, tensor or array. Only the diagram
            distances use the likelihood; all other metrics use `prediction > threshold`.
        label: Binary label, 0 and 1, of the same shape.
        threshold: Likelihood above which a voxel is foreground.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition of Betti numbers, Betti matching, DIU and diagrams: `"open"` (nothing lies outside)
            or `"foreground"` (everything outside is foreground).
        instances: What is split, merged and detected: components of the `"foreground"`, or of the `"background"` (the
            cells between membranes).
        spacing_mm: Voxel spacing for `tolerance_mm`, one number or one per axis.
        tolerance_mm: Largest distance of a centerline voxel to the other mask that clDice accepts.
        tube_vox: Number of dilations of the skeleton for skeleton recall.
        min_iou: Intersection over union above which components match in the detection.
        protocol: Name of a published evaluation, see :py:func:`monai_topo.protocol_metrics`; its numbers are added. An
            impossible name, number of axes, connectivity or border of the protocol is refused.

    Returns:
        Flat dictionary of floats, in this order, where k is a dimension, 0 to d - 1:

        - `bk_pred`, `bk_label`, `betti_error_k` and their sum `betti_error`, `euler_error`, `diu_k` and `diu`;
        - `betti_matching_error_k`, `topology_matched_k`, `topology_spurious_k`, `topology_missing_k`, their sums
          without `_k`, and `topology_f1_k`, `topology_f1`, from Betti matching of the masks;
        - `cldice`, `topology_precision`, `topology_sensitivity`, `skeleton_recall`;
        - `voi_split`, `voi_merge`, `voi` (bits, voxels without true instance ignored), `adapted_rand_error`,
          `adapted_rand_precision`, `adapted_rand_recall`;
        - `true_positives`, `false_positives`, `false_negatives`, `component_precision`, `component_recall`,
          `component_f1`; `dice`, `voxel_precision`, `voxel_recall`, for comparison with the topology metrics;
        - `bottleneck_k`, `wasserstein_k` (order 2): distances between the diagrams of likelihood and label;
        - `protocol_NAME`: with `protocol`, each of its numbers, such as `protocol_betti_error_1`.

    Raises:
        ImportError: If scipy or scikit-image is not installed (`pip install 'monai_topo[metrics]'`).
        ValueError: If shapes differ or are not those of an image, values are out of range, or a setting is impossible.

    Cost: that of all metrics without what they share, for the voxels of the box around the foreground of prediction and
    label: the background around it has no effect, so it is cropped first. What needs the whole image is measured on it:
    `instances="background"`, metrics of a protocol on patches, and the diagrams of a likelihood that is not 0 there.
    For masks, about 90 bytes and one microsecond per voxel of the box; Betti matching takes most of both.

    Example:
        >>> import torch
        >>> label = torch.zeros(9, 14)
        >>> label[2:7, 2:12] = 1
        >>> label[4, 4:10] = 0
        >>> likelihood = 0.9 * label
        >>> likelihood[4:, 7] = 0.2  # the ring is broken
        >>> report = topology_report(likelihood, label)
        >>> [report[key] for key in ("betti_error_0", "betti_error_1", "diu", "component_f1")]
        [0.0, 1.0, 1.0, 1.0]
    """
    check_below_one("threshold", threshold)
    check_choice("instances", instances, ("foreground", "background"))
    likelihood, label_map = _to_batch("prediction", prediction), _to_batch("label", label)
    _check_values(likelihood, label_map)
    whole = _Masks(likelihood > threshold, label_map.bool())
    pred, true = masks = whole.crop()
    settings: dict[str, Any] = {"connectivity": connectivity, "border": border}
    metrics = {} if protocol is None else protocol_metrics(protocol, spatial_dims=true.ndim - 2, **settings)
    with result_cache():
        return {
            **_count_features(pred, true, settings),
            **_by_dimension("diu", compute_diu(pred, true, **settings)),
            **_match_features(pred, true, settings),
            **_compare_centerlines(pred, true, tube_vox, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm),
            **_compare_instances(*(whole if instances == "background" else masks), instances, connectivity, min_iou),
            **_compare_voxels(pred, true),
            **_compare_diagrams(likelihood, whole.true, settings),
            **_follow_protocol(masks, whole, metrics),
        }


class _Masks(NamedTuple):
    """Prediction and label as bool tensors, `(1, 1, *spatial)`."""

    pred: Tensor
    true: Tensor

    def crop(self) -> _Masks:
        """Crop both to the box around their foreground."""
        box = foreground_box((self.pred | self.true)[0, 0].numpy(), margin_vox=_MARGIN_VOX)
        return _Masks(*(mask[0, 0][box].contiguous()[None, None] for mask in self))


def _follow_protocol(masks: _Masks, whole: _Masks, metrics: Mapping[str, TopologyMetric]) -> Numbers:
    """Compute the numbers of a protocol; the patches of a metric lie in the whole image."""
    has_patches = {name: getattr(metric, "patch_size", None) is not None for name, metric in metrics.items()}
    values = {
        name: torch.as_tensor(metric(*(whole if has_patches[name] else masks))) for name, metric in metrics.items()
    }
    return {f"protocol_{name}": value.item() for name, value in values.items()}


def _to_batch(name: str, image: Any) -> Tensor:
    """Convert an image to a `(1, 1, *spatial)` tensor on the CPU."""
    tensor = torch.as_tensor(image if isinstance(image, Tensor) else np.asarray(image))
    if tensor.ndim not in (2, 3):
        raise ValueError(
            f"Expected `{name}` to have shape (H, W) or (D, H, W), but got {tuple(tensor.shape)}; "
            "report one case and class at a time."
        )
    return tensor.detach().as_subclass(Tensor).cpu()[None, None]


def _check_values(likelihood: Tensor, true: Tensor) -> None:
    if likelihood.shape != true.shape:
        raise ValueError(
            f"Expected `label` to have the shape of `prediction`, {tuple(likelihood.shape[2:])}, "
            f"but got {tuple(true.shape[2:])}."
        )
    if not ((likelihood >= 0).all() and (likelihood <= 1).all()):
        raise ValueError(
            "Expected `prediction` to hold values in [0, 1], but got others or NaN; apply a sigmoid or softmax first."
        )
    if not torch.equal(true.bool().to(true.dtype), true):
        raise ValueError(
            "Expected `label` to hold only 0 and 1, but got other values; see `monai_topo.data.foreground_mask`."
        )


def _count_features(pred: Tensor, true: Tensor, settings: dict[str, Any]) -> Numbers:
    of_pred, of_true = betti_numbers(torch.cat([pred, true]).flatten(0, 1), **settings)
    error = (of_pred - of_true).abs()
    signs = torch.tensor([1, -1, 1])[: len(error)]
    return {
        **_with_index("b{}_pred", of_pred),
        **_with_index("b{}_label", of_true),
        **_with_index("betti_error_{}", error),
        "betti_error": float(error.sum()),
        "euler_error": float((signs * (of_pred - of_true)).sum().abs()),
    }


def _with_index(name: str, values: Tensor) -> Numbers:
    return {name.format(k): float(value) for k, value in enumerate(values)}


def _by_dimension(name: str, values: Tensor) -> Numbers:
    return {**_with_index(name + "_{}", values[0, 0]), name: float(values.sum())}


def _match_features(pred: Tensor, true: Tensor, settings: dict[str, Any]) -> Numbers:
    scores = compute_betti_matching(pred, true, **settings)
    matched, wrong = (float(x.sum()) for x in (2 * scores.matched, scores.spurious + scores.missing))
    return {
        **_by_dimension("betti_matching_error", scores.error),
        **_by_dimension("topology_matched", scores.matched),
        **_by_dimension("topology_spurious", scores.spurious),
        **_by_dimension("topology_missing", scores.missing),
        **_with_index("topology_f1_{}", scores.f1[0, 0]),
        "topology_f1": ratio(matched, matched + wrong),
    }


def _compare_centerlines(pred: Tensor, true: Tensor, tube_vox: int, **distances: Any) -> Numbers:
    cldice = compute_cldice(pred, true, **distances)
    return {
        "cldice": cldice.cldice.item(),
        "topology_precision": cldice.precision.item(),
        "topology_sensitivity": cldice.sensitivity.item(),
        "skeleton_recall": compute_skeleton_recall(pred, true, tube_vox=tube_vox).item(),
    }


def _compare_instances(
    pred: Tensor, true: Tensor, instances: str, connectivity: Connectivity, min_iou: float
) -> Numbers:
    if instances == "background":
        pred, true, connectivity = ~pred, ~true, DUAL[connectivity]
    ids = [torch.from_numpy(components(mask[0, 0].numpy(), connectivity)[0])[None, None] for mask in (pred, true)]
    voi = compute_variation_of_information(*ids, instances="given")
    rand = compute_adapted_rand(*ids, instances="given")
    detection = compute_component_detection(*ids, instances="given", min_iou=min_iou)
    numbers = {
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "voi": voi.total,
        "adapted_rand_error": rand.error,
        "adapted_rand_precision": rand.precision,
        "adapted_rand_recall": rand.recall,
        "true_positives": detection.true_positives,
        "false_positives": detection.false_positives,
        "false_negatives": detection.false_negatives,
        "component_precision": detection.precision,
        "component_recall": detection.recall,
        "component_f1": detection.f1,
    }
    return {name: number.item() for name, number in numbers.items()}


def _compare_voxels(pred: Tensor, true: Tensor) -> Numbers:
    hits, found, wanted = (float(mask.sum()) for mask in (pred & true, pred, true))
    return {
        "dice": ratio(2 * hits, found + wanted),
        "voxel_precision": ratio(hits, found),
        "voxel_recall": ratio(hits, wanted),
    }


def _compare_diagrams(likelihood: Tensor, true: Tensor, settings: dict[str, Any]) -> Numbers:
    """Measure what `compute_diagram_distance` does, but both orders from the same diagrams."""
    box = foreground_box(((likelihood > 0) | true)[0, 0].numpy(), margin_vox=_MARGIN_VOX)
    values, mask = likelihood[0, 0][box].contiguous(), true[0, 0][box]
    of_true = _diagrams_of_mask(mask, settings)
    if values.dtype == torch.bool or torch.equal(values.bool().to(values.dtype), values):
        of_pred = _diagrams_of_mask(values.bool(), settings)
    else:
        (of_pred,) = persistence_diagrams(values[None], **settings)
    return {
        f"{name}_{k}": wasserstein_distance(points, true_points, order=order)
        for name, order in (("bottleneck", float("inf")), ("wasserstein", 2.0))
        for k, (points, true_points) in enumerate(zip(of_pred, of_true, strict=True))
    }


def _diagrams_of_mask(mask: Tensor, settings: dict[str, Any]) -> list[Points]:
    """Return the diagrams of a mask: each of its features is born at 1 and dies at 0."""
    return [np.tile((1.0, 0.0), (number, 1)) for number in betti_of_mask(mask.numpy(), **settings)]
