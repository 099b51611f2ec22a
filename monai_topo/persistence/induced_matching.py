"""Betti matching: match the persistence features of two images by location, through a common comparison filtration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_topo._utils.kernel import complex_settings, dims_mask, finite_array, kernel
from monai_topo._utils.typing import Border, Connectivity, Filtration
from monai_topo._utils.validation import check_images, check_num_threads, check_topology_settings
from monai_topo.persistence.pairs import PersistencePairs, pack_pairs

__all__ = ["BettiMatching", "betti_matching"]


@dataclass(frozen=True)
class BettiMatching:
    """Persistence pairs of a batch of predictions and of their labels, and the matches between them.

    The essential classes are matched with each other; they are the `essential` of both.

    Attributes:
        prediction: Pairs of the predictions.
        label: Pairs of the labels.
        matched: `(M, 2)` int64 on the CPU, indices of a pair of `prediction` and of one of `label` (of the same image
            and dimension), sorted. A pair has at most one match.
    """

    prediction: PersistencePairs
    label: PersistencePairs
    matched: Tensor

    def unmatched_prediction(self) -> Tensor:
        """Return which pairs of the predictions have no partner (spurious features), `(P,)` bool."""
        return _unmatched(len(self.prediction), self.matched[:, 0])

    def unmatched_label(self) -> Tensor:
        """Return which pairs of the labels have no partner (missing features), `(L,)` bool."""
        return _unmatched(len(self.label), self.matched[:, 1])

    def error(self, predictions: Tensor, labels: Tensor) -> Tensor:
        r"""Compute the Betti matching error by dimension, without the essential classes.

        $\sum_{matched} 2 [(b - b')^2 + (d - d')^2] + \sum_{unmatched} (b - d)^2$ over the features of both images:
        twice the squared distance, in the normalization of the authors of the matching.

        Args:
            predictions: `(N, *spatial)`, the images that were matched.
            labels: Labels of the same shape.

        Returns:
            `(N, d)`, of the dtype and on the device of `predictions`, differentiable in both images.

        Raises:
            ValueError: If the images have another number or size.
        """
        dims, device = predictions.ndim - 1, predictions.device
        values, targets = self.prediction.values(predictions), self.label.values(labels)
        in_prediction, in_label = self.matched.to(device).T
        distance = 2 * ((values[in_prediction] - targets[in_label].to(values)) ** 2).sum(1)
        group = (self.prediction.image * dims + self.prediction.dim).to(device)[in_prediction]
        error = self.unmatched_error(predictions, labels)
        return error.view(-1).index_add(0, group, distance).view(-1, dims)

    def unmatched_error(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """Compute the part of `error` that is due to unmatched features, by dimension, `(N, d)`."""
        dims = predictions.ndim - 1
        error = predictions.new_zeros(len(predictions) * dims)
        for pairs, images, left in (
            (self.prediction, predictions, self.unmatched_prediction()),
            (self.label, labels, self.unmatched_label()),
        ):
            ends = pairs.values(images)[left.to(images.device)]
            persistence = (ends[:, 0] - ends[:, 1]) ** 2
            group = (pairs.image * dims + pairs.dim)[left]
            error = error.index_add(0, group.to(error.device), persistence.to(error))
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
    """Match the topological features of two images by location.

    Both images are compared with the comparison filtration of their union: at each threshold, the voxels that are in
    the sub- or superlevel set of one image or of the other. Every class of an image maps to a class of the union. Two
    features are matched if they map to the same class and are alive at the same time. So a component is matched with a
    component that it touches, a loop with a loop that it could be deformed into inside the union, and features at
    different locations are never matched.

    Both images may be binary masks or likelihoods. Voxels of equal value enter by the other image's value, then those
    with fewer higher neighbors first, then by index. Components that die at one threshold are matched only if they lie
    in one component of the union, so that binary masks are matched by location too. Loops and cavities that die at one
    threshold are matched one by one; if the union joins several of them, the order of the voxels determines which one
    is matched.

    Args:
        predictions: `(N, H, W)` or `(N, D, H, W)`, any floating-point dtype and device, finite, on the same scale as
            the labels.
        labels: Labels of the same shape.
        filtration: `"superlevel"`: large values enter first; `"sublevel"`: small values first, and the union is the
            minimum of both images.
        connectivity: Connectivity of the sub- or superlevel sets, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the
            complement has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground), see `persistence_pairs`.
        dims: Dimensions to match, all by default. Leaving out dimension 1 in 3D saves most of the work.
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default; the result never
            depends on it. The GIL is released, and Ctrl-C stops a call.

    Returns:
        Pairs and matches, see `BettiMatching`. The pairs have the values of `persistence_pairs`; among voxels of equal
        value another one may be critical.

    Raises:
        TypeError: If an image is not a floating-point tensor.
        ValueError: If the shapes differ or are wrong, a value is not finite, or a setting is wrong.

    Cost: in 2D up to three sorts of the voxels; in 3D dimension 1 takes three or four matrix reductions. Two
    likelihoods are the most expensive case, a binary image the cheapest. About 80 bytes per voxel for each image that
    is computed at the same time.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, "Topologically faithful image segmentation via induced matching of
    persistence barcodes", ICML 2023 (arXiv 2211.15272), section 3; 3D in Stucki, Bürgin, Paetzold, Bauer, "Efficient
    Betti matching enables topology-aware 3D segmentation via persistent homology", 2024 (arXiv 2407.04683). Here also:
    both connectivities, the foreground border, ties by location.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[1.0, 1.0, 0.0, 0.0, 1.0, 1.0]]])
        >>> prediction = torch.tensor([[[0.9, 0.8, 0.1, 0.7, 0.2, 0.6]]])
        >>> matching = betti_matching(prediction, label)
        >>> matching.prediction.values(prediction)
        tensor([[0.7000, 0.1000],
                [0.6000, 0.2000]])
        >>> matching.matched  # the first, which touches the right component of the label
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
        pack_pairs(prediction, of_prediction, filtration, border),
        pack_pairs(label, of_label, filtration, border),
        torch.from_numpy(np.stack((in_prediction, in_label), axis=1)),
    )


def _unmatched(count: int, matched: Tensor) -> Tensor:
    unmatched = torch.ones(count, dtype=torch.bool)
    unmatched[matched] = False
    return unmatched
