"""The Betti matching loss: features of likelihood and label matched by location, through their union."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_topo._utils.patches import crop
from monai_topo.losses._matched_features import MatchedFeatureLoss
from monai_topo.persistence.betti_distance import betti_distance
from monai_topo.persistence.patch_features import PatchBatch, PatchFeatures

__all__ = ["BettiMatchingLoss"]


class BettiMatchingLoss(MatchedFeatureLoss):
    r"""Penalize features of a likelihood without a counterpart in the label at the same location, and vice versa.

    With the superlevel filtration, features `(b, d)` of the likelihood are matched with features `(b', d')` of the
    label (see :py:func:`monai_topo.persistence.betti_matching`), in 2D and 3D, and

    .. math:: L = \sum_{matched} 2 \left[(b - b')^2 + (d - d')^2\right] + \sum_{unmatched} (b - d)^2

    over the dimensions that count. The unmatched features are those of the likelihood and those of the label; the
    latter add 1 each and no gradient. The gradient reaches the critical voxels of the likelihood. With
    `penalty="cross_entropy"` a matched feature costs :math:`-\log b - \log(1 - d)`: those of a label are born at 1 and
    die at 0. (If a label is empty, the essential class has the target 0 for its birth, and costs `-log(1 - b)`.)

    Likelihood and label each have one essential class. With `border="open"` it is the component born at the greatest
    value, and it dies at 0; with `border="foreground"` it is the hole that the frame surrounds, born at 1, and it dies
    at the least value. The two essential classes are matched with each other and add twice the squared difference of
    these values. So an empty prediction is pulled up, and a false one is pulled down where the label is empty.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, ICML 2023 (arXiv 2211.15272), section 3.3, in the normalization of the
    authors' code (twice the squared distance); 3D: arXiv 2407.04683. There: face connectivity, no border, whole patches
    of 48 x 48. Here also: full connectivity (the default, as in the whole package), the foreground border, the
    essential class. Support and cross-entropy: Berger et al., 2026 (sparse Betti matching).

    Args and errors are those of :py:class:`MatchedFeatureLoss`, :py:class:`PersistenceBasedLoss` and
    :py:class:`LikelihoodLoss`.

    Cost: about twice that of the persistence pairs of the likelihood in 2D, and in 3D without dimension 1; else two to
    four times. The matching is that of :py:func:`monai_topo.persistence.betti_matching` where it is unique. It may be
    another one where values are equal, or where one voxel is the birth or the death of two features: of equal features
    those on the label come first, then those of lower index, so value and gradient are deterministic.

    Example:
        >>> import torch
        >>> ring = torch.zeros(1, 1, 5, 11)
        >>> ring[..., 1:4, 1:4] = 1
        >>> ring[..., 2, 2] = 0
        >>> in_place, elsewhere = 0.9 * ring, 0.9 * ring.flip(-1)  # the same loop, in the label's place and in another
        >>> BettiMatchingLoss()(in_place, ring), BettiMatchingLoss()(elsewhere, ring)
        (tensor(0.0400), tensor(1.8300))
    """

    def matched_features(self, batch: PatchBatch) -> PatchFeatures:
        """Compute the features of all patches, and match them with those of the labels."""
        return betti_distance(batch, connectivity=self.connectivity, border=self.border, dims=self.dims)

    def targets(self, batch: PatchBatch, features: PatchFeatures) -> Tensor:
        """Return birth and death of the label feature that each feature is matched with, `(P, 2)`, on the CPU."""
        targets = super().targets(batch, features).clone()
        # The essential class of a label that is empty (with `border="foreground"`: full) has the opposite value.
        flat = torch.stack([crop(batch.labels, patch).flatten(1) for patch in batch.slices()], dim=1)
        end, value = (0, flat.amax(2)) if self.border == "open" else (1, flat.amin(2))
        targets[features.first[:-1], end] = value.flatten().to(targets)
        return targets
