"""The persistence loss: squared distance between the persistence diagrams of a likelihood and of a binary label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.losses._persistence_base import PersistenceBasedLoss
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


class PersistenceLoss(PersistenceBasedLoss):
    r"""Make the topology of a foreground likelihood that of its label, in 2D and 3D.

    The likelihood is filtered by superlevel sets: a component (dimension 0), loop (1) or cavity (2) is born at a high
    value `b` and dies at a lower `d`. A feature of the label is born at 1 and dies at 0. Then

    .. math:: L = \sum_{matched} \left[(b - 1)^2 + d^2\right] + \sum_{unmatched} \tfrac{1}{2} (b - d)^2 + \tfrac{1}{2} m

    over all dimensions, where `m` counts the true features without a partner (they add no gradient). With
    `matching="wasserstein"` this is the squared 2-Wasserstein distance of the two diagrams. Its gradient reaches
    critical voxels only: two a feature, where breaks, false bridges and holes are; `gradient="structure"` spreads it.

    One class never ends, and counts like any other. With `border="open"` it is the last component, born at the greatest
    likelihood and, by convention, dead at 0: it is matched if the label has any foreground, so an empty prediction is
    pulled up and a false one pulled down. With `border="foreground"` it is the hole of the frame, born with the frame
    at 1 and dead at the least likelihood: matched if the label has any background. Empty, full and constant
    predictions thus have a gradient too. With `matching="spatial"` its one voxel has to lie in a true component (hole)
    like that of any other, which it wins, being the most persistent; the greatest value outside of the label, and the
    least inside, are wrong. What a label has and a map shows no sign of then has no gradient: it is the pixel loss
    that makes a first sign of it.

    Source: Hu, Li, Samaras, Chen, "Topology-Preserving Deep Image Segmentation", NeurIPS 2019 (arXiv 1906.05404),
    section 3. There: dimension 1 of 2D patches of 65 x 65 behind a collar of foreground (`border="foreground"`),
    matching by rank of persistence (`matching="rank"`) and a switch-on after a warm-up (`TopologyAwareLoss`). Here
    also: all dimensions, 3D, the exact matching, both connectivities, the class that never ends.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a label of class indices to one-hot channels.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation; the result must be a likelihood in [0, 1].
        matching: `"wasserstein"` (exact) or `"rank"` (by persistence), both blind to where a feature lies (see
            `monai_topo.persistence.feature_matching.match_by_value`), or `"spatial"`: with the true feature that it lies in or on, by the
            rules of `monai_topo.persistence.feature_matching.match_by_location`.
        gradient: `"critical"`: that of the value, at critical voxels only. `"structure"`: the same value, but every
            voxel that keeps a birth or death from its target is pulled there as the critical one is: the path across a
            break, the way out of a false hole, the whole of a false component; see
            `monai_topo.persistence.critical_sets.critical_set_targets` (in 3D, surfaces that would have to be cut or closed keep their
            critical voxel). `"structure_towards_label"`: of these, no voxel is pulled away from its label. An unmatched
            feature is pulled to the diagonal from both ends, so a piece cut off by a break is joined *and* erased, a
            speck erased *and* joined; with the label only the right one happens.
        dims: dimensions that count, all by default.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: the patch is all there is; `"foreground"`: outside everything is foreground, so that a
            membrane or vessel cut by the patch border closes there.
        min_persistence: predicted features of at most this persistence are left alone.
        min_label_size: with `matching="spatial"`: components and holes of the label of fewer voxels (in a patch: of
            their part in it) are taken for artefacts, neither demanded nor punished: they are not missed, and nothing
            is asked of the predicted features that lie in them. In 3D the loops of a component go with it; a thin
            tunnel through a large component stays.
        saturation: likelihoods up to it are taken for 0, and those from one minus it on for 1: a network's background,
            which a sigmoid never brings to 0, becomes a plateau, and plateaus cost next to nothing (0.001: 0.5 s
            instead of 3.1 for a noisy vessel likelihood of 128^3).
            Exact for the map so changed; what is changed gets no gradient. 0: the map as it is.
        patch_size: the loss is the mean over a grid of patches of this size (one number or one an axis); the last
            patch of an axis is shifted inwards. None: the whole image. Patches keep the cost of matching features that
            lie far apart away, and the number of features small.
        num_threads: patches computed at the same time, `torch.get_num_threads()` by default.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class.
        ignore_index: voxels where the label has this value lie outside, as the border says; they get no gradient.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for a setting that is not one of the above; at the call for an input that is not finite, not in
            [0, 1], not 2D or 3D, smaller than the patch, and for a label that is not binary.

    Cost: persistence on the CPU (see `persistence_pairs`), one transfer of the likelihood to it; the gradient is one
    gather. Ties between voxels are broken by index, so value and gradient are deterministic.

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

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        matching: Matching = "wasserstein",
        gradient: Gradient = "critical",
        dims: Sequence[int] | None = None,
        connectivity: Connectivity = "full",
        border: Border = "open",
        min_persistence: float = 0.0,
        min_label_size: int = 0,
        saturation: float = 0.0,
        patch_size: int | Sequence[int] | None = None,
        num_threads: int | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        weight: Sequence[float] | float | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(
            include_background,
            to_onehot_y,
            sigmoid,
            softmax,
            other_act,
            dims=dims,
            connectivity=connectivity,
            border=border,
            saturation=saturation,
            patch_size=patch_size,
            num_threads=num_threads,
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
        )
        check_choice("matching", matching, get_args(Matching))
        check_choice("gradient", gradient, get_args(Gradient))
        if min_label_size < 0:
            raise ValueError(f"Expected `min_label_size` to be at least 0 voxels, but got {min_label_size!r}.")
        if min_label_size and matching != "spatial":
            raise ValueError(
                f"Expected `matching` to be 'spatial' with `min_label_size`, but got {matching!r}: other matchings do "
                "not know which predicted features belong to a small true one."
            )
        self.matching: Matching = matching
        self.gradient: Gradient = gradient
        self.min_persistence = check_at_least("min_persistence", min_persistence)
        self.min_label_size = min_label_size

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of every patch: `(N, *spatial)` likelihoods and labels in, `(N,)` out."""
        # likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss
        pairs = persistence_pairs(
            images,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            min_persistence=self.min_persistence,
            num_threads=self.num_threads,
        )
        essential = essential_class(images, border=self.border, prefer=labels)
        values = torch.cat((essential.values, pairs.values(images)))
        features = _with_essential(essential, pairs, values)
        found = self._match(features, essential.dim, images, labels)

        birth, death = values.unbind(1)
        to_true, to_diagonal = (birth - 1) ** 2 + death**2, (birth - death) ** 2 / 2
        cost = torch.where(found.matched.to(values.device), to_true, to_diagonal)
        cost = cost.masked_fill(found.ignored.to(values.device), 0)
        loss = (found.missing / 2).to(images)
        if self.gradient != "critical":
            pairs_start = len(images)  # the essential classes, which come first, have one voxel and no critical set
            cost = torch.cat((cost[:pairs_start], cost[pairs_start:].detach()))
            loss = loss + self._critical_set_surrogate(pairs, found, images, labels)
        return loss.index_add(0, features.image.to(images.device), cost)

    def _match(self, features: PredictedFeatures, essential_dim: int, images: Tensor, labels: Tensor) -> MatchResult:
        dims = self.dims_of(labels)
        if self.matching == "spatial":
            return match_by_location(
                features,
                labels,
                greatest=images.detach().flatten(1).amax(1).cpu(),
                dims=dims,
                connectivity=self.connectivity,
                border=self.border,
                min_label_size=self.min_label_size,
            )
        # The essential classes are matched with each other, which leaves one true feature less for the others.
        num_true, like = self._true_features(labels)
        group = features.image * num_true.shape[1] + features.dim
        rest = slice(len(labels), None)
        matched = match_by_value(features.values[rest], group[rest], num_true.flatten(), matching=self.matching)
        matched = torch.cat((like, matched))
        ignored = ~torch.isin(features.dim, torch.tensor(dims))
        num_true[:, essential_dim] += like.long()
        count = torch.bincount(features.image[matched & ~ignored], minlength=len(labels))
        return MatchResult(matched, ignored, num_true[:, dims].sum(1) - count)

    def _true_features(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Number of true features that have a pair, `(N, d)`, and whether there is an essential one, `(N,)` bool."""
        numbers = betti_numbers(labels, connectivity=self.connectivity, border=self.border)
        if self.border == "foreground":
            return numbers, ~labels.flatten(1).all(1).cpu()
        like = numbers[:, 0] > 0
        numbers[:, 0] -= like.long()
        return numbers, like

    def _critical_set_surrogate(
        self, pairs: PersistencePairs, found: MatchResult, images: Tensor, labels: Tensor
    ) -> Tensor:
        """A zero with the gradient of all voxels that keep births and deaths from where the matching wants them."""
        values = pairs.values(images.detach())
        matched, ignored = (side[len(images) :, None].to(values.device) for side in (found.matched, found.ignored))
        targets = torch.where(matched, values.new_tensor([1.0, 0.0]), values.mean(1, keepdim=True))
        rise, fall = critical_set_targets(
            images,
            pairs,
            torch.where(ignored, values, targets),
            connectivity=self.connectivity,
            border=self.border,
            num_threads=self.num_threads,
        )
        if self.gradient == "structure_towards_label":
            rise = torch.where(labels > 0, rise, images.detach())
            fall = torch.where(labels > 0, images.detach(), fall)
        cost = critical_set_loss(images, rise, fall)
        return cost - cost.detach()


def _with_essential(essential: EssentialClass, pairs: PersistencePairs, values: Tensor) -> PredictedFeatures:
    """The essential class of every image, then all pairs."""
    image = torch.arange(len(essential.voxel))
    # An essential class has one critical voxel, which stands for both: no matching looks at the other.
    return PredictedFeatures(
        torch.cat((image, pairs.image)),
        torch.cat((torch.full_like(image, essential.dim), pairs.dim)),
        torch.cat((essential.voxel, pairs.birth)),
        torch.cat((essential.voxel, pairs.death)),
        values.detach().cpu(),
    )
