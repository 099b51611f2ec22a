"""The persistence loss: squared distance between the persistence diagrams of a likelihood and of a binary label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from monai_topo._utils.patches import Slices
from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.losses._log_odds import LogOdds
from monai_topo.losses._matched_features import MatchedFeatureLoss
from monai_topo.losses._persistence_base import PersistenceBasedLoss
from monai_topo.persistence.critical_sets import critical_set_loss, critical_set_targets
from monai_topo.persistence.feature_matching import Matching
from monai_topo.persistence.patch_features import PatchBatch, PatchFeatures, patch_costs
from monai_topo.persistence.persistence_distance import persistence_distance

__all__ = ["PersistenceLoss"]

Gradient = Literal["critical", "structure", "structure_towards_label"]


@dataclass(eq=False, repr=False, kw_only=True)
class PersistenceLoss(MatchedFeatureLoss):
    r"""Penalize the distance between the persistence diagrams of a foreground likelihood and of its label.

    The likelihood is filtered by superlevel sets, in 2D and 3D: a component (dimension 0), loop (1) or cavity (2) is
    born at a high value `b` and dies at a lower value `d`. A feature of the label is born at 1 and dies at 0. Then

    .. math:: L = \sum_{matched} \left[(b - 1)^2 + d^2\right] + \sum_{unmatched} \tfrac{1}{2} (b - d)^2 + \tfrac{1}{2} m

    over the dimensions that count, where `m` is the number of label features without a partner (they add no gradient).
    With `matching="wasserstein"` this is the squared 2-Wasserstein distance of the two diagrams. Its gradient reaches
    critical voxels only, two per feature, where breaks, false bridges and holes are; `gradient="structure"` spreads it.
    With `penalty="cross_entropy"` a matched feature costs :math:`-\tfrac{1}{2} \left[\log b + \log(1 - d)\right]`.

    The essential class counts like any other. With `border="open"` it is the component born at the greatest likelihood,
    and by convention it dies at 0. It is matched if the label has any foreground, so an empty prediction is pulled up
    and a false one pulled down. With `border="foreground"` it is the hole that the frame surrounds, born with the frame
    at 1, and it dies at the least likelihood. It is matched if the label has any background. Empty, full and constant
    predictions thus have a gradient too. With `matching="spatial"` its one critical voxel has to lie in a component
    (hole) of the label, like that of any other feature. As the most persistent feature it is then matched. It is not
    matched if the greatest likelihood lies outside the label or, with `border="foreground"`, the least one inside. A
    label feature without any counterpart in the prediction receives no gradient: the pixel loss has to create it first.

    The rule of `matching="spatial"`: a predicted component (dimension 0) belongs to the label's component that contains
    its birth voxel, its peak. A predicted hole (dimension d-1) belongs to the label's hole that contains its death
    voxel, its deepest point. Of the features that belong to one feature of the label the most persistent one is
    matched, and the first one of equal ones. The others, and features that belong to none, are not matched. A loop in
    3D (dimension 1) fills no region. It belongs to the label's component that contains its birth voxel, where its ring
    closes, provided that its death voxel, where its inside closes, is background. Each component takes as many loops as
    it has itself, the most persistent ones. Within one component with several loops the rule is blind: a surplus loop
    along true vessels can take the place of a missing one. On large plateaus of the greatest value the birth voxel of a
    loop may lie in another component. Loops that are born at that value and are not matched with their own component
    take a place that is still free in any component of their image.

    Source: Hu, Li, Samaras, Chen, "Topology-Preserving Deep Image Segmentation", NeurIPS 2019 (arXiv 1906.05404),
    section 3. There: dimension 1 of 2D patches of 65 x 65 behind a collar of foreground (`border="foreground"`),
    matching by rank of persistence (`matching="rank"`) and a switch-on after a warm-up (`TopologyAwareLoss`). Here
    also: all dimensions, 3D, the exact matching, both connectivities, the essential class.

    Args:
        matching: `"wasserstein"` (exact) or `"rank"` (by persistence) match by value and ignore the location, see
            :py:func:`monai_topo.persistence.match_by_value`. `"spatial"` matches a feature only with the label feature
            in which it lies, by the rule above.
        gradient: `"critical"`: the gradient of the value, at critical voxels only. `"structure"`: the same value, but
            every voxel that keeps a birth or death from its target is pulled like the critical one: the path across a
            break, the way out of a false hole, the whole of a false component, see
            :py:func:`monai_topo.persistence.critical_set_targets` (in 3D, features that need a cut or closed surface
            keep their critical voxel). `"structure_towards_label"`: as `"structure"`, but no voxel is pulled away from
            its label. An unmatched feature is pulled to the diagonal from both ends, so with `"structure"` a piece cut
            off by a break and a speck are both joined and erased. Towards the label, the piece is only joined and the
            speck only erased.
        min_persistence: Predicted features of at most this persistence are ignored.
        min_label_size: With `matching="spatial"`, components and holes of the label with fewer voxels (in a patch:
            fewer voxels within it) are treated as annotation artifacts and ignored: missing them costs nothing, and
            predicted features inside them cost nothing either. In 3D the loops of an ignored component are ignored
            too; a thin tunnel through a large component is not.

    `penalty` is an argument of :py:class:`MatchedFeatureLoss`; which features are matched does not depend on it, and
    `"cross_entropy"` needs `gradient="critical"`, since the targets along structures are those of a squared distance.
    The remaining arguments and the errors are those of :py:class:`PersistenceBasedLoss` and :py:class:`LikelihoodLoss`.

    Cost: persistence on the CPU (see :py:func:`monai_topo.persistence.persistence_pairs`), with one transfer of the
    likelihood; the gradient is one gather. Ties between voxels are broken by index, so value and gradient are
    deterministic.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> broken = (0.8 * label + 0.1).requires_grad_()
        >>> with torch.no_grad():
        ...     broken[..., 2, 3] = 0.3
        >>> PersistenceLoss()(broken, label).backward()
        >>> broken.grad[0, 0, 2]  # the break, in the middle, is pulled up, the surplus component down
        tensor([-0.2000,  0.0000,  0.0000, -0.6000,  0.6000,  0.0000,  0.0000])
    """

    matching: Matching = "wasserstein"
    gradient: Gradient = "critical"
    min_persistence: float = 0.0
    min_label_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("matching", self.matching, get_args(Matching))
        check_choice("gradient", self.gradient, get_args(Gradient))
        check_at_least("min_persistence", self.min_persistence)
        check_at_least("min_label_size", self.min_label_size)
        if self.min_label_size and self.matching != "spatial":
            raise ValueError(
                f"Expected `matching` to be 'spatial' with `min_label_size`, but got {self.matching!r}: the other "
                "matchings do not know which predicted features belong to a small label feature."
            )
        if self.penalty != "squared" and self.gradient != "critical":
            raise ValueError(
                f"Expected `gradient` to be 'critical' with penalty={self.penalty!r}, but got {self.gradient!r}: "
                "the targets along structures are those of a squared distance."
            )

    def per_patch(
        self, images: Tensor, labels: Tensor, patches: Sequence[Slices], log_odds: LogOdds | None = None
    ) -> Tensor:
        """Compute the loss of every patch of `(N, *spatial)` likelihoods and labels, those of an image in turn."""
        if self.gradient == "critical":
            return super().per_patch(images, labels, patches, log_odds)
        return PersistenceBasedLoss.per_patch(self, images, labels, patches)

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of every patch: `(N, *spatial)` likelihoods and labels in, `(N,)` out."""
        features = self.matched_features(PatchBatch(images, labels, num_threads=self.num_threads))
        # The essential class, which has one critical voxel, keeps its gradient there.
        at_critical_voxels = features.derivatives.masked_fill(features.is_pair[:, None], 0)
        loss = patch_costs(images, replace(features, derivatives=at_critical_voxels))
        return loss + self._critical_set_surrogate(features, images, labels)

    def matched_features(self, batch: PatchBatch) -> PatchFeatures:
        """Compute the features of all patches, and match them with those of the labels."""
        # Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> cost.
        return persistence_distance(
            batch,
            matching=self.matching,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            min_persistence=self.min_persistence,
            min_label_size=self.min_label_size,
        )

    def _critical_set_surrogate(self, features: PatchFeatures, images: Tensor, labels: Tensor) -> Tensor:
        """Return a zero whose gradient pulls all voxels that keep births and deaths from their targets."""
        on_cpu, pairs = images.detach().cpu(), features.pairs(images)
        values = pairs.values(on_cpu)
        targets = torch.where(
            features.matched[features.is_pair, None], values.new_tensor([1.0, 0.0]), values.mean(1, keepdim=True)
        )
        raise_to, lower_to = critical_set_targets(
            on_cpu,
            pairs,
            torch.where(features.ignored[features.is_pair, None], values, targets),
            connectivity=self.connectivity,
            border=self.border,
            num_threads=self.num_threads,
        )
        raise_to, lower_to = raise_to.to(images), lower_to.to(images)
        if self.gradient == "structure_towards_label":
            raise_to = torch.where(labels > 0, raise_to, images.detach())
            lower_to = torch.where(labels > 0, images.detach(), lower_to)
        cost = critical_set_loss(images, raise_to, lower_to)
        return cost - cost.detach()
