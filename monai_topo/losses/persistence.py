"""The persistence loss: squared distance between the persistence diagrams of a likelihood and of a binary label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.losses._log_odds import LogOdds
from monai_topo.losses._matched_features import MatchedFeatureLoss, essential_voxels
from monai_topo.masks.components import betti_numbers
from monai_topo.persistence.critical_sets import critical_set_loss, critical_set_targets
from monai_topo.persistence.essential import EssentialClass, essential_class
from monai_topo.persistence.feature_matching import (
    Matching,
    MatchResult,
    PredictedFeatures,
    match_by_location,
    match_by_value,
)
from monai_topo.persistence.pairs import PersistencePairs, persistence_pairs

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

    Source: Hu, Li, Samaras, Chen, "Topology-Preserving Deep Image Segmentation", NeurIPS 2019 (arXiv 1906.05404),
    section 3. There: dimension 1 of 2D patches of 65 x 65 behind a collar of foreground (`border="foreground"`),
    matching by rank of persistence (`matching="rank"`) and a switch-on after a warm-up (`TopologyAwareLoss`). Here
    also: all dimensions, 3D, the exact matching, both connectivities, the essential class.

    Args:
        matching: `"wasserstein"` (exact) or `"rank"` (by persistence) match by value and ignore the location, see
            :py:func:`monai_topo.persistence.match_by_value`. `"spatial"` matches a feature only with the label feature
            in which it lies, see :py:func:`monai_topo.persistence.match_by_location`.
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

    def per_image(self, images: Tensor, labels: Tensor, log_odds: LogOdds | None = None) -> Tensor:
        """Compute the loss of every patch: `(N, *spatial)` likelihoods and labels in, `(N,)` out."""
        # Likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss.
        on_cpu = images.detach().cpu()
        pairs = persistence_pairs(
            on_cpu,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            min_persistence=self.min_persistence,
            num_threads=self.num_threads,
        )
        essential = essential_class(images, border=self.border, prefer=labels)
        values = torch.cat((essential.values, pairs.values(images)))
        features = _with_essential(essential, pairs, values)
        match = self._match(features, essential.dim, on_cpu, labels)

        voxels = torch.cat((essential_voxels(essential), torch.stack((pairs.birth, pairs.death), dim=1)))
        birth, death = values.unbind(1)
        matched = match.matched.nonzero()[:, 0]
        on_device = matched.to(values.device)
        to_label = self.matched_cost(
            values[on_device], values.new_tensor([1.0, 0.0]), features.image[matched], voxels[matched], log_odds
        )
        cost = ((birth - death) ** 2 / 2).index_put((on_device,), to_label)
        cost = cost.masked_fill(match.ignored.to(values.device), 0)
        loss = (match.missing / 2).to(images)
        if self.gradient != "critical":
            # The essential classes, which come first, keep the gradient at their one critical voxel.
            of_essential, of_pairs = cost.split((len(images), len(pairs)))
            cost = torch.cat((of_essential, of_pairs.detach()))
            loss = loss + self._critical_set_surrogate(pairs, match, images, on_cpu, labels)
        return loss.index_add(0, features.image.to(images.device), cost)

    def _match(self, features: PredictedFeatures, essential_dim: int, images: Tensor, labels: Tensor) -> MatchResult:
        dims = self.dims_of(labels)
        if self.matching == "spatial":
            return match_by_location(
                features,
                labels,
                greatest=images.flatten(1).amax(1),
                dims=dims,
                connectivity=self.connectivity,
                border=self.border,
                min_label_size=self.min_label_size,
            )
        # The essential classes are matched with each other; the rest of the diagrams is matched by value.
        num_true, has_essential = self._label_features(labels)
        group = features.image * num_true.shape[1] + features.dim
        rest = slice(len(labels), None)
        matched = match_by_value(features.values[rest], group[rest], num_true.flatten(), matching=self.matching)
        matched = torch.cat((has_essential, matched))
        ignored = ~torch.isin(features.dim, torch.tensor(dims))
        num_true[:, essential_dim] += has_essential.long()
        num_matched = torch.bincount(features.image[matched & ~ignored], minlength=len(labels))
        return MatchResult(matched, ignored, num_true[:, dims].sum(1) - num_matched)

    def _label_features(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many label features have a pair, `(N, d)`, and which labels have an essential one, `(N,)` bool."""
        numbers = betti_numbers(labels, connectivity=self.connectivity, border=self.border)
        if self.border == "foreground":
            return numbers, ~labels.flatten(1).all(1).cpu()
        has_essential = numbers[:, 0] > 0
        numbers[:, 0] -= has_essential.long()
        return numbers, has_essential

    def _critical_set_surrogate(
        self, pairs: PersistencePairs, match: MatchResult, images: Tensor, on_cpu: Tensor, labels: Tensor
    ) -> Tensor:
        """Return a zero whose gradient pulls all voxels that keep births and deaths from their targets."""
        values = pairs.values(on_cpu)
        matched, ignored = (of_features[len(images) :, None] for of_features in (match.matched, match.ignored))
        targets = torch.where(matched, values.new_tensor([1.0, 0.0]), values.mean(1, keepdim=True))
        raise_to, lower_to = critical_set_targets(
            on_cpu,
            pairs,
            torch.where(ignored, values, targets),
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


def _with_essential(essential: EssentialClass, pairs: PersistencePairs, values: Tensor) -> PredictedFeatures:
    """Return the essential class of every image, then all pairs."""
    image = torch.arange(len(essential.voxel))
    # An essential class has one critical voxel. It stands for birth and death; no matching reads the other one.
    return PredictedFeatures(
        torch.cat((image, pairs.image)),
        torch.cat((torch.full_like(image, essential.dim), pairs.dim)),
        torch.cat((essential.voxel, pairs.birth)),
        torch.cat((essential.voxel, pairs.death)),
        values.detach().cpu(),
    )
