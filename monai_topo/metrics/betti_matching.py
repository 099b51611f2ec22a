"""Betti matching: which topological features of prediction and label are the same, by location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import label_components
from monai_topo.metrics._base import DimensionMetric
from monai_topo.metrics._inputs import check_likelihoods, check_masks
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.induced_matching import BettiMatching, betti_matching


class BettiMatchingScores(NamedTuple):
    """Betti matching of every image, channel and dimension; each value `(B, C, d)` float32.

    Attributes:
        error: Betti matching error.
        matched: Number of features that prediction and label share.
        spurious: Number of features of the prediction only.
        missing: Number of features of the label only.
    """

    error: torch.Tensor
    matched: torch.Tensor
    spurious: torch.Tensor
    missing: torch.Tensor

    @property
    def precision(self) -> torch.Tensor:
        """Share of the predicted features that are matched; 0 / 0 is NaN, which MONAI's reductions ignore."""
        return self.matched / (self.matched + self.spurious)

    @property
    def recall(self) -> torch.Tensor:
        """Share of the label's features that are matched; 0 / 0 is NaN."""
        return self.matched / (self.matched + self.missing)

    @property
    def f1(self) -> torch.Tensor:
        """F1 score, 2 matched / (2 matched + spurious + missing); 0 / 0 is NaN."""
        return 2 * self.matched / (2 * self.matched + self.spurious + self.missing)


def compute_betti_matching(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    likelihood: bool = False,
    connectivity: Connectivity = "full",
    border: Border = "open",
) -> BettiMatchingScores:
    r"""Compute the Betti matching of every image, channel and dimension.

    Features of prediction and label are matched if they become the same feature in the union of both
    (:py:func:`monai_topo.betti_matching`): a missing loop and a false loop elsewhere are two errors, while the Betti
    number error sees none. Matched, spurious and missing features are the true positives, false positives and false
    negatives of topology; matched + spurious are the Betti numbers of the prediction, matched + missing those of the
    label. The error weights features by their persistence,

    $$\sum_{matched} 2 [(b - b')^2 + (d - d')^2] + \sum_{unmatched} (b - d)^2,$$

    which for two overlapping masks is the number of unmatched features.

    With `likelihood=True` the prediction is a likelihood map, matched at all thresholds at once. Then every
    fluctuation of the map is a feature, however weak, so the error is informative and the counts are not.

    The essential class counts too, as in `BettiMatchingLoss`. With `border="open"` it is a component, and a feature of
    every image that is not empty. Its share of the error is twice the squared difference of the maxima, which is 2 if
    exactly one of two masks is empty. In masks it is matched like all components, if both lie in one component of the
    union. With `border="foreground"` it is the hole inside the frame, which is not a feature of either image; its share
    is twice the squared difference of the minima. The authors' code omits it.

    No value is ever NaN. An empty prediction misses every feature of the label; two empty masks have no features.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, "Topologically faithful image segmentation via induced matching of
    persistence barcodes", ICML 2023 (arXiv 2211.15272), section 4, *Betti matching error*; 3D: arXiv 2407.04683.

    Cost: see `monai_topo.betti_matching`; a binary 128^3 volume takes one to two seconds. Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, or a likelihood map in [0, 1], `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype,
            any device.
        y: Binarized label of the same shape; with `likelihood=True` it may be soft.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        likelihood: Whether `y_pred` is a likelihood map; if not, values other than 0 and 1 are an error.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground, and features are relative to that frame).

    Returns:
        `BettiMatchingScores(error, matched, spurious, missing)`, each `(B, C', d)` float32 on the device of `y_pred`,
        C' = C or C - 1, d = 2 or 3. Never a MetaTensor.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 (in a likelihood: outside of [0, 1]) occur, or a setting
            is unknown.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 11)
        >>> label[..., 1:4, 1:4] = 1
        >>> label[..., 2, 2] = 0  # a ring on the left
        >>> scores = compute_betti_matching(label.flip(-1), label)  # the prediction has one on the right
        >>> scores.matched, scores.spurious, scores.missing  # not the same component, not the same loop
        (tensor([[[0., 0.]]]), tensor([[[1., 1.]]]), tensor([[[1., 1.]]]))
    """
    check_inputs = check_likelihoods if likelihood else check_masks
    pred, true = check_inputs(y_pred, y, include_background=include_background)
    # Masks in float32: the kernel reads float32 directly, while float64 has to be ranked first.
    images, labels = (x.flatten(0, 1).to(torch.float64 if likelihood else torch.float32) for x in (pred, true))
    matching = betti_matching(images, labels, connectivity=connectivity, border=border)
    error = matching.error(images, labels)
    matched, spurious, missing = _count_features(matching, len(images), images.ndim - 1)
    essential = [essential_class(maps, border=border) for maps in (images, labels)]
    error[:, essential[0].dim] += 2 * ((essential[0].values - essential[1].values) ** 2).sum(1)
    if border == "open":
        in_pred, in_true = (one.values[:, 0] > 0 for one in essential)
        same = in_pred & in_true
        if not likelihood:
            same &= matched[:, 0] < _count_common_components(images, labels, connectivity)
        for count, more in ((matched, same), (spurious, in_pred & ~same), (missing, in_true & ~same)):
            count[:, 0] += more
    scores = (error, matched, spurious, missing)
    return BettiMatchingScores(*(x.float().view(*pred.shape[:2], -1).to(y_pred.device) for x in scores))


def _count_common_components(images: torch.Tensor, labels: torch.Tensor, connectivity: Connectivity) -> torch.Tensor:
    """Count the components of the union of two masks that contain voxels of both, `(N,)`."""
    components = label_components(images + labels > 0, connectivity=connectivity).numpy()
    counts = []
    for numbers, *masks in zip(components, images.numpy() > 0, labels.numpy() > 0, strict=True):
        has_both = np.ones(numbers.max() + 1, dtype=bool)
        for mask in masks:
            has_voxel = np.zeros_like(has_both)
            has_voxel[numbers[mask]] = True
            has_both &= has_voxel
        counts.append(int(has_both.sum()))
    return torch.tensor(counts)


def _count_features(matching: BettiMatching, images: int, dims: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count matched, spurious and missing features, the essential class excepted; each `(N, d)`."""

    def count(image: torch.Tensor, dim: torch.Tensor) -> torch.Tensor:
        return torch.bincount(image * dims + dim, minlength=images * dims).view(images, dims)

    prediction, label, both = matching.prediction, matching.label, matching.matched[:, 0]
    spurious, missing = matching.unmatched_prediction(), matching.unmatched_label()
    return (
        count(prediction.image[both], prediction.dim[both]),
        count(prediction.image[spurious], prediction.dim[spurious]),
        count(label.image[missing], label.dim[missing]),
    )


@dataclass(kw_only=True, eq=False)
class BettiMatchingMetric(
    DimensionMetric,
    compute=compute_betti_matching,
    parts=(*BettiMatchingScores._fields, "precision", "recall", "f1"),
):
    """Collect Betti matching, one part of it, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_betti_matching`. Called with binarized
    (or, with `likelihood=True`, likelihood) batch-first tensors or with lists of channel-first tensors it returns
    `(B, C)` float32.

    Args:
        dim: Homology dimension, 0 to d - 1; None sums errors and counts over all dimensions, before rates are computed.
        part: `"error"` (lower is better), the counts `"matched"`, `"spurious"` or `"missing"`, or the topology
            `"precision"` matched / (matched + spurious), `"recall"` matched / (matched + missing) or `"f1"`
            2 matched / (2 matched + spurious + missing). A rate 0 / 0 is NaN, "not applicable".

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 3] = 0  # a gap: two components, of which one is matched
        >>> BettiMatchingMetric(part="precision", dim=0)(prediction, label)
        tensor([[0.5000]])
    """

    likelihood: bool = False
    part: Literal["error", "matched", "spurious", "missing", "precision", "recall", "f1"] = "error"

    def select(self, result: BettiMatchingScores) -> torch.Tensor:
        """Select the part of the scores of one dimension, or of their sums over all dimensions."""
        scores = BettiMatchingScores(*(DimensionMetric.select(self, values) for values in result))
        part: torch.Tensor = getattr(scores, self.part)
        return part
