"""Betti matching: which features of two images are the same one, by place, through what both have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import complex_settings, dims_mask, finite_array, kernel
from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, packed_pairs

__all__ = ["BettiMatching", "betti_matching"]


@dataclass(frozen=True)
class BettiMatching:
    """Persistence pairs of a batch of predictions and of their labels, and which belong together.

    The classes that never end are matched with each other; they are the `essential` of both.

    Attributes:
        prediction: pairs of the predictions.
        label: pairs of the labels.
        matched: `(M, 2)` int64 on the CPU, a pair of `prediction` and one of `label` (of the same image and
            dimension), sorted. A pair is in one match at most.
    """

    prediction: PersistencePairs
    label: PersistencePairs
    matched: Tensor

    def unmatched_prediction(self) -> Tensor:
        """`(P,)` bool, pairs of the predictions without a partner: spurious features."""
        return _others(len(self.prediction), self.matched[:, 0])

    def unmatched_label(self) -> Tensor:
        """`(L,)` bool, pairs of the labels without a partner: missing features."""
        return _others(len(self.label), self.matched[:, 1])

    def error(self, predictions: Tensor, labels: Tensor) -> Tensor:
        r"""Betti matching error by dimension, without the classes that never end.

        $\sum_{matched} 2 [(b - b')^2 + (d - d')^2] + \sum_{unmatched} (b - d)^2$ over the features of both images:
        twice the squared distance, as the authors of the matching normalize it.

        Args:
            predictions: `(N, *spatial)`, the images that were matched.
            labels: of the same shape.

        Returns:
            `(N, d)`, of the dtype and on the device of `predictions`, differentiable in both images.

        Raises:
            ValueError: if the images have another number or size.
        """
        dims, device = predictions.ndim - 1, predictions.device
        values, targets = self.prediction.values(predictions), self.label.values(labels)
        in_prediction, in_label = self.matched.to(device).T
        distance = 2 * ((values[in_prediction] - targets[in_label].to(values)) ** 2).sum(1)
        error = values.new_zeros(len(predictions) * dims)
        groups = [pairs.image * dims + pairs.dim for pairs in (self.prediction, self.label)]
        error = error.index_add(0, groups[0].to(device)[in_prediction], distance)
        for group, ends, left in (
            (groups[0], values, self.unmatched_prediction()),
            (groups[1], targets, self.unmatched_label()),
        ):
            left = left.to(ends.device)
            persistence = (ends[left, 0] - ends[left, 1]) ** 2
            error = error.index_add(0, group.to(device)[left.to(device)], persistence.to(error))
        return error.view(-1, dims)


def betti_matching(
    predictions: Tensor,
    labels: Tensor,
    *,
    filtration: Filtration = "superlevel",
    connectivity: Connectivity = "full",
    border: Border = "open",
    dims: Sequence[int] | None = None,
    num_threads: int | None = None,
) -> BettiMatching:
    """Match the topological features of two images by where they are.

    Both images are compared with their union: at each threshold, what is there in one or the other. Every class of an
    image goes to a class of the union; two features are matched where they become the same class there and live at the
    same time. So a component is matched with one that it touches, a loop with one that it could be deformed into
    inside the union, and features in different places are never matched.

    Binary masks, likelihoods and a mix of both will do. Voxels of equal value enter by the other image's value, then
    those with fewer higher neighbors first, then by index; components that end at one threshold are matched only where
    they lie in one component of the union, so that binary masks are matched by place too. Loops and cavities that end
    at one threshold are matched one by one; where several are joined by the union, which of them is matched follows
    the order of voxels.

    Args:
        predictions: `(N, H, W)` or `(N, D, H, W)`, any floating dtype and device, finite, on the same scale as labels.
        labels: of the same shape.
        filtration: `"superlevel"`: large values enter first; `"sublevel"`: small values first, and the union is the
            lesser value.
        connectivity: of the features that the filtration adds: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6).
        border: `"open"`, or `"foreground"`: outside the images everything belongs to the features; see
            `persistence_pairs`.
        dims: dimensions to match, all by default. Leaving out dimension 1 in 3D saves most of the work.
        num_threads: images computed at the same time, `torch.get_num_threads()` by default; the result never depends
            on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        Pairs and matches; see `BettiMatching`. The pairs have the values of `persistence_pairs`; among voxels of equal
        value another one may be critical.

    Raises:
        TypeError: if an image is no floating tensor.
        ValueError: if the shapes differ or are not one of the above, a value is not finite, or a setting is unknown.

    Cost: in 2D that of sorting, three times; in 3D dimension 1 takes four matrix reductions. Most where two different
    likelihoods are matched, least where one image is binary. About 80 bytes a voxel for each image in work.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, "Topologically faithful image segmentation via induced matching of
    persistence barcodes", ICML 2023 (arXiv 2211.15272), section 3; 3D in Stucki, Bürgin, Paetzold, Bauer, "Efficient
    Betti matching enables topology-aware 3D segmentation via persistent homology", 2024 (arXiv 2407.04683). Here also:
    both connectivities, the foreground border, ties by place.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[1.0, 1.0, 0.0, 0.0, 1.0, 1.0]]])
        >>> prediction = torch.tensor([[[0.9, 0.8, 0.1, 0.7, 0.2, 0.6]]])
        >>> matching = betti_matching(prediction, label)
        >>> matching.prediction.values(prediction)
        tensor([[0.7000, 0.1000],
                [0.6000, 0.2000]])
        >>> matching.matched  # the first, which the component on the right touches: together they end at 0.1
        tensor([[0, 0]])
    """
    check_images(predictions)
    check_images(labels)
    if predictions.shape != labels.shape:
        raise ValueError(
            f"Expected `labels` to have the shape of `predictions`, {tuple(predictions.shape)}, "
            f"but got {tuple(labels.shape)}."
        )
    check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
    of_prediction, of_label = finite_array(predictions), finite_array(labels)
    if of_prediction.dtype != of_label.dtype:
        of_prediction, of_label = of_prediction.astype(np.float64), of_label.astype(np.float64)
    prediction, label, in_prediction, in_label = kernel.betti_matching(
        of_prediction,
        of_label,
        **complex_settings(filtration, connectivity, border),
        dims=dims_mask(dims, predictions.ndim - 1),
        num_threads=check_num_threads(num_threads),
    )
    return BettiMatching(
        packed_pairs(prediction, of_prediction, filtration, border),
        packed_pairs(label, of_label, filtration, border),
        torch.from_numpy(np.stack((in_prediction, in_label), axis=1)),
    )


def _others(count: int, chosen: Tensor) -> Tensor:
    others = torch.ones(count, dtype=torch.bool)
    others[chosen] = False
    return others
