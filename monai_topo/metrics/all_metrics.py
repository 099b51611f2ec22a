"""All topology metrics of one case in one flat dictionary, a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.caching import result_cache
from monai_topo._utils.typing import DUAL, Border, Connectivity
from monai_topo.masks.components import betti_numbers, components
from monai_topo.metrics import (
    compute_adapted_rand,
    compute_betti_matching,
    compute_cldice,
    compute_component_detection,
    compute_diu,
    compute_skeleton_recall,
    compute_variation_of_information,
)
from monai_topo.metrics._inputs import ratio
from monai_topo.metrics.diagram_distance import _diagrams, _distance

__all__ = ["topology_report"]

Numbers = dict[str, float]


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
) -> Numbers:
    """Measure the topology of one segmented case by every metric of `monai_topo.metrics`.

    What several metrics need is computed once: Betti numbers, the components of prediction and label, their skeletons.
    Each number is that of its `compute_*` function with the same settings, where its definition, source and empty cases
    are told; NaN means not applicable. Give the settings with the numbers: all of them change some.

    Args:
        prediction: likelihood in [0, 1] or binary mask, `(H, W)` or `(D, H, W)`, tensor or array. Only the diagram
            distances look at the likelihood itself; everything else at `prediction > threshold`.
        label: binary, 0 and 1, of the same shape.
        threshold: above it a voxel is foreground.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: what lies outside the image, `"open"` (nothing) or `"foreground"`; for Betti numbers, DIU and diagrams.
        instances: what is split, merged and detected: components of the `"foreground"`, or of the `"background"` (the
            cells between membranes).
        spacing_mm: voxel spacing, one number or one an axis, for `tolerance_mm`.
        tolerance_mm: of clDice: how far from the other mask a centerline voxel may lie.
        tube_vox: of skeleton recall: dilations of the skeleton.
        min_iou: of detection: intersection over union above which components match.

    Returns:
        Flat dictionary of floats, in this order; k stands for the dimensions, 0 to d-1:

        - `bk_pred`, `bk_label`, `betti_error_k` and their sum `betti_error`, `euler_error`, `diu_k` and `diu`;
        - `betti_matching_error_k`, `topology_matched_k`, `topology_spurious_k`, `topology_missing_k`, their sums
          without `_k`, and `topology_f1_k`, `topology_f1`, from Betti matching of the masks;
        - `cldice`, `topology_precision`, `topology_sensitivity`, `skeleton_recall`;
        - `voi_split`, `voi_merge`, `voi` (bits, voxels without true instance left out), `adapted_rand_error`,
          `adapted_rand_precision`, `adapted_rand_recall`;
        - `true_positives`, `false_positives`, `false_negatives`, `component_precision`, `component_recall`,
          `component_f1`; `dice`, `voxel_precision`, `voxel_recall`, to see how little they say of the rest;
        - `bottleneck_k`, `wasserstein_k` (order 2): distances between the diagrams of likelihood and label.

    Raises:
        ImportError: if scipy or scikit-image is missing (`pip install 'monai_topo[metrics]'`).
        ValueError: if shapes differ or are no image's, a value is none of the above, or a setting is impossible.

    Cost: that of the single metrics less what they share; skeletons and, in 3D, persistence pairs take most of it.

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
    likelihood, true = _as_batch("prediction", prediction), _as_batch("label", label)
    _check(likelihood, true, threshold)
    pred, true = likelihood > threshold, true.bool()
    setting: dict[str, Any] = {"connectivity": connectivity, "border": border}
    with result_cache():
        return {
            **_counts(pred, true, setting),
            **_per_dimension("diu", compute_diu(pred, true, **setting)),
            **_matching(pred, true, setting),
            **_centerlines(pred, true, tube_vox, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm),
            **_instances(pred, true, instances, connectivity, min_iou),
            **_voxels(pred, true),
            **_diagram_distances(likelihood, true, setting),
        }


def _as_batch(name: str, image: Any) -> Tensor:
    """`(1, 1, *spatial)` CPU tensor of an image."""
    tensor = torch.as_tensor(image if isinstance(image, Tensor) else np.asarray(image))
    if tensor.ndim not in (2, 3):
        raise ValueError(
            f"Expected `{name}` to have shape (H, W) or (D, H, W), but got {tuple(tensor.shape)}; "
            "report one case and class at a time."
        )
    return tensor.detach().as_subclass(Tensor).cpu()[None, None]


def _check(likelihood: Tensor, true: Tensor, threshold: float) -> None:
    if likelihood.shape != true.shape:
        raise ValueError(
            f"Expected `label` to have the shape of `prediction`, {tuple(likelihood.shape[2:])}, "
            f"but got {tuple(true.shape[2:])}."
        )
    if not ((likelihood >= 0) & (likelihood <= 1)).all():
        raise ValueError(
            "Expected `prediction` to hold values in [0, 1], but got others or NaN; put a sigmoid or softmax before."
        )
    if not ((true == 0) | (true == 1)).all():
        raise ValueError(
            "Expected `label` to hold only 0 and 1, but got other values; see `monai_topo.data.foreground_mask`."
        )
    if not 0 <= threshold < 1:
        raise ValueError(f"Expected `threshold` to be at least 0 and below 1, but got {threshold!r}.")


def _counts(pred: Tensor, true: Tensor, setting: dict[str, Any]) -> Numbers:
    of_pred, of_true = betti_numbers(torch.cat([pred, true]).flatten(0, 1), **setting)
    error = (of_pred - of_true).abs()
    signs = torch.tensor([1, -1, 1])[: len(error)]
    return {
        **_numbered("b{}_pred", of_pred),
        **_numbered("b{}_label", of_true),
        **_numbered("betti_error_{}", error),
        "betti_error": float(error.sum()),
        "euler_error": float((signs * (of_pred - of_true)).sum().abs()),
    }


def _numbered(name: str, values: Tensor) -> Numbers:
    return {name.format(k): float(value) for k, value in enumerate(values)}


def _matching(pred: Tensor, true: Tensor, setting: dict[str, Any]) -> Numbers:
    scores = compute_betti_matching(pred, true, **setting)
    numbers: Numbers = {}
    for part, values in scores._asdict().items():
        numbers |= _per_dimension("betti_matching_error" if part == "error" else f"topology_{part}", values)
    spare, wrong = 2 * scores.matched[0, 0], (scores.spurious + scores.missing)[0, 0]
    numbers |= _numbered("topology_f1_{}", spare / (spare + wrong))
    numbers["topology_f1"] = ratio(float(spare.sum()), float((spare + wrong).sum()))
    return numbers


def _per_dimension(name: str, values: Tensor) -> Numbers:
    return {**_numbered(name + "_{}", values[0, 0]), name: float(values.sum())}


def _centerlines(pred: Tensor, true: Tensor, tube_vox: int, **distances: Any) -> Numbers:
    cldice = compute_cldice(pred, true, **distances)
    return {
        "cldice": cldice.cldice.item(),
        "topology_precision": cldice.precision.item(),
        "topology_sensitivity": cldice.sensitivity.item(),
        "skeleton_recall": compute_skeleton_recall(pred, true, tube_vox=tube_vox).item(),
    }


def _instances(pred: Tensor, true: Tensor, instances: str, connectivity: Connectivity, min_iou: float) -> Numbers:
    if instances not in ("foreground", "background"):
        raise ValueError(f"Expected `instances` to be 'foreground' or 'background', but got {instances!r}.")
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


def _voxels(pred: Tensor, true: Tensor) -> Numbers:
    hits, found, wanted = (float(mask.sum()) for mask in (pred & true, pred, true))
    return {
        "dice": ratio(2 * hits, found + wanted),
        "voxel_precision": ratio(hits, found),
        "voxel_recall": ratio(hits, wanted),
    }


def _diagram_distances(likelihood: Tensor, true: Tensor, setting: dict[str, Any]) -> Numbers:
    """As `compute_diagram_distance`, but both orders from the same pairs."""
    maps = torch.cat([likelihood.double(), true.double()]).flatten(0, 1)
    of_pred, of_true = _diagrams(maps, **setting)
    return {
        f"{name}_{k}": _distance(points, true_points, order=order)
        for name, order in (("bottleneck", float("inf")), ("wasserstein", 2.0))
        for k, (points, true_points) in enumerate(zip(of_pred, of_true, strict=True))
    }
