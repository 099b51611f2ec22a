"""Betti matching: which topological features of prediction and label are the same one, by place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.masks.components import label_components
from monai_topo.metrics._base import TopologyMetric, check_dim, of_dim
from monai_topo.metrics._inputs import binary_pair, likelihood_pair
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.induced_matching import BettiMatching, betti_matching

Part = Literal["error", "matched", "spurious", "missing", "precision", "recall", "f1"]


class BettiMatchingScores(NamedTuple):
    """Betti matching of every image, channel and dimension; each `(B, C, d)` float32.

    The error, and the numbers of features that both have, that only the prediction and that only the label has.
    """

    error: torch.Tensor
    matched: torch.Tensor
    spurious: torch.Tensor
    missing: torch.Tensor


def compute_betti_matching(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    connectivity: Connectivity = "full",
    border: Border = "open",
    likelihood: bool = False,
) -> BettiMatchingScores:
    r"""Compute the Betti matching of every image, channel and dimension.

    PredictedFeatures of prediction and label are matched where they become the same one in the union of the two
    (:py:func:`monai_topo.betti_matching`): a missing loop here and a false one there are two mistakes, where a Betti
    number error sees none. MatchResult, spurious and missing features are the true positives, false positives and false
    negatives of topology; matched + spurious are the Betti numbers of the prediction, matched + missing those of the
    label. The error weighs features by how long they live,

    $$\sum_{matched} 2 [(b - b')^2 + (d - d')^2] + \sum_{unmatched} (b - d)^2,$$

    which for two masks of some overlap is the number of unmatched features.

    With `likelihood=True` the prediction is a likelihood map, matched at all thresholds at once. Then every bump of the
    map is a feature, however weak, so the counts say little and the error much.

    The one class that never ends counts too, as in `BettiMatchingLoss`. With `border="open"` it is the last component,
    a feature of an image that is not empty; its share of the error is twice the squared difference of the greatest
    values, 2 where only one of two masks is empty. In masks it is matched as all components are, where both lie in one
    component of the union. With `border="foreground"` it is the hole of the frame, no feature of either; its share is
    twice the squared difference of the least values. The authors' code leaves it out.

    No value is ever NaN. An empty prediction misses every feature of the label, two empty masks have no feature.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, "Topologically faithful image segmentation via induced matching of
    persistence barcodes", ICML 2023 (arXiv 2211.15272), section 4, *Betti matching error*; 3D: arXiv 2407.04683.

    Cost: see `monai_topo.betti_matching`; a binary 128^3 volume takes one to two seconds. Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, or a likelihood map in [0, 1], `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype,
            any device.
        y: Binarized label of the same shape (with `likelihood=True` a soft one too).
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one.
        border: `"open"`: the image is all there is. `"foreground"`: everything outside it is foreground, and features
            are those relative to that frame.
        likelihood: Whether `y_pred` is a likelihood map; if not, values other than 0 and 1 are refused.

    Returns:
        `BettiMatchingScores(error, matched, spurious, missing)`, each `(B, C', d)` float32 on the device of `y_pred`,
        C' = C or C - 1, d = 2 or 3. Never a MetaTensor.

    Raises:
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values other than 0 and 1 (in a likelihood: outside of [0, 1]) occur, or a
            setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 11)
        >>> label[..., 1:4, 1:4] = 1
        >>> label[..., 2, 2] = 0  # a ring on the left
        >>> scores = compute_betti_matching(label.flip(-1), label)  # the prediction has one on the right
        >>> scores.matched, scores.spurious, scores.missing  # not the same component, not the same loop
        (tensor([[[0., 0.]]]), tensor([[[1., 1.]]]), tensor([[[1., 1.]]]))
    """
    door = likelihood_pair if likelihood else binary_pair
    pred, true = door(y_pred, y, include_background=include_background)
    # Masks in float32: the kernel reads that as it is, while float64 has to be ranked first.
    images, labels = (x.flatten(0, 1).to(torch.float64 if likelihood else torch.float32) for x in (pred, true))
    matching = betti_matching(images, labels, connectivity=connectivity, border=border)
    error = matching.error(images, labels)
    matched, spurious, missing = _counts(matching, len(images), images.ndim - 1)
    essential = [essential_class(maps, border=border) for maps in (images, labels)]
    error[:, essential[0].dim] += 2 * ((essential[0].values - essential[1].values) ** 2).sum(1)
    if border == "open":
        in_pred, in_true = (one.values[:, 0] > 0 for one in essential)
        same = in_pred & in_true
        if not likelihood:
            same &= matched[:, 0] < _common_components(images, labels, connectivity)
        for count, more in ((matched, same), (spurious, in_pred & ~same), (missing, in_true & ~same)):
            count[:, 0] += more

    def shaped(scores: torch.Tensor) -> torch.Tensor:
        return scores.float().view(*pred.shape[:2], -1).to(y_pred.device)

    return BettiMatchingScores(shaped(error), shaped(matched), shaped(spurious), shaped(missing))


def _common_components(images: torch.Tensor, labels: torch.Tensor, connectivity: Connectivity) -> torch.Tensor:
    """Components of the union of masks that hold voxels of both, `(N,)`."""
    components = label_components((images + labels > 0), connectivity=connectivity).flatten(1).long()
    count = torch.zeros(len(images), int(components.max()) + 1, 2, dtype=torch.bool)
    for side, masks in enumerate((images, labels)):
        image, voxel = masks.flatten(1).nonzero(as_tuple=True)
        count[image, components[image, voxel], side] = True
    return count.all(2).sum(1)


def _counts(matching: BettiMatching, images: int, dims: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """MatchResult, spurious and missing features that end, each `(N, d)`."""

    def count(image: torch.Tensor, dim: torch.Tensor) -> torch.Tensor:
        return torch.bincount(image * dims + dim, minlength=images * dims).view(images, dims)

    prediction, label, both = matching.prediction, matching.label, matching.matched[:, 0]
    spurious, missing = matching.unmatched_prediction(), matching.unmatched_label()
    return (
        count(prediction.image[both], prediction.dim[both]),
        count(prediction.image[spurious], prediction.dim[spurious]),
        count(label.image[missing], label.dim[missing]),
    )


class BettiMatchingMetric(TopologyMetric):
    """Collect Betti matching, one part of it, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_betti_matching`. Called with binarized
    (or, with `likelihood=True`, likelihood) batch-first tensors or with lists of channel-first ones it returns `(B, C)`
    float32.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        border: What lies outside the image, `"open"` (nothing) or `"foreground"`.
        likelihood: Whether predictions are likelihood maps rather than masks.
        part: `"error"` (lower is better), the counts `"matched"`, `"spurious"` or `"missing"`, or the topology
            `"precision"` matched / (matched + spurious), `"recall"` matched / (matched + missing) or `"f1"`
            2 matched / (2 matched + spurious + missing), each NaN, "not applicable", where nothing is to be divided.
        dim: Homology dimension, 0 to d - 1; None sums counts and errors over all dimensions (before rates are taken).
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible (at once), or does not suit an image (at the call).

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 3] = 0  # a gap: two components, of which one is matched
        >>> BettiMatchingMetric(part="precision", dim=0)(prediction, label)
        tensor([[0.5000]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        connectivity: Connectivity = "full",
        border: Border = "open",
        likelihood: bool = False,
        part: Part = "error",
        dim: int | None = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        check_choice("part", part, (*BettiMatchingScores._fields, *_RATES))
        check_dim(dim)
        self.part = part
        self.dim = dim
        super().__init__(
            compute_betti_matching,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            connectivity=connectivity,
            border=border,
            likelihood=likelihood,
        )

    def report(self, result: BettiMatchingScores) -> torch.Tensor:
        """Take the scores to the part and dimension that the metric collects."""
        scores = BettiMatchingScores(*(of_dim(values, self.dim) for values in result))
        rate = _RATES.get(self.part)
        values: torch.Tensor = getattr(scores, self.part) if rate is None else rate(scores)
        return values


# 0 / 0 is NaN, which MONAI's reductions leave out.
_RATES: dict[str, Callable[[BettiMatchingScores], torch.Tensor]] = {
    "precision": lambda scores: scores.matched / (scores.matched + scores.spurious),
    "recall": lambda scores: scores.matched / (scores.matched + scores.missing),
    "f1": lambda scores: 2 * scores.matched / (2 * scores.matched + scores.spurious + scores.missing),
}
