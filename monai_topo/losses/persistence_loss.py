"""The persistence loss: squared distance between the persistence diagrams of a likelihood and of a binary label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_topo._inputs import LikelihoodLoss
from monai_topo._patches import check_patch_settings, crop, patch_slices
from monai_topo.matching import Features, Matched, Matching, match_to_binary, match_to_places
from monai_topo.persistence import Border, Connectivity, PersistencePairs, betti_numbers, persistence_pairs

__all__ = ["PersistenceLoss"]


class PersistenceLoss(LikelihoodLoss):
    r"""Make the topology of a foreground likelihood that of its label, in 2D and 3D.

    The likelihood is filtered by superlevel sets: a component (dimension 0), loop (1) or cavity (2) is born at a high
    value `b` and dies at a lower `d`. A feature of the label is born at 1 and dies at 0. Then

    .. math:: L = \sum_{matched} \left[(b - 1)^2 + d^2\right] + \sum_{unmatched} \tfrac{1}{2} (b - d)^2 + \tfrac{1}{2} m

    over all dimensions, where `m` counts the true features without a partner (they add no gradient). With
    `matching="wasserstein"` this is the squared 2-Wasserstein distance of the two diagrams. Gradients reach critical
    voxels only: two a feature, where breaks, false bridges and holes are.

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
            `monai_topo.matching.match_to_binary`), or `"spatial"`: with the true feature that it lies in or on, by the
            rules of `monai_topo.matching.match_to_places`.
        dims: dimensions that count, all by default.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: the patch is all there is; `"foreground"`: outside everything is foreground, so that a
            membrane or vessel cut by the patch border closes there.
        min_persistence: predicted features of at most this persistence are left alone.
        min_label_size: with `matching="spatial"`: components and holes of the label of fewer voxels (in a patch: of
            their part in it) are taken for artefacts, neither demanded nor punished: they are not missed, and nothing
            is asked of the predicted features that lie in them. In 3D the loops of a component go with it; a thin
            tunnel through a large component stays.
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
        dims: Sequence[int] | None = None,
        connectivity: Connectivity = "full",
        border: Border = "open",
        min_persistence: float = 0.0,
        min_label_size: int = 0,
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
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
        )
        if matching not in get_args(Matching):
            raise ValueError(f"Expected `matching` to be one of {get_args(Matching)}, but got {matching!r}.")
        if min_label_size < 0:
            raise ValueError(f"Expected `min_label_size` to be at least 0 voxels, but got {min_label_size!r}.")
        if min_label_size and matching != "spatial":
            raise ValueError(
                f"Expected `matching` to be 'spatial' with `min_label_size`, but got {matching!r}: other matchings do "
                "not know which predicted features belong to a small true one."
            )
        check_patch_settings(patch_size, num_patches=None)
        self.matching: Matching = matching
        self.dims = None if dims is None else tuple(dims)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.min_persistence = min_persistence
        self.min_label_size = min_label_size
        self.patch_size = patch_size
        self.num_threads = num_threads
        self.outside_value = 1.0 if border == "foreground" else 0.0
        # One voxel through the kernel's door: a wrong setting stops here, not after the warm-up.
        self._pairs(torch.zeros(1, 1, 1, 1))

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Mean of the loss over patches, `(B, C)`."""
        slices = patch_slices(likelihood.shape[2:], patch_size=self.patch_size, num_patches=None, seed=0)
        images = torch.stack([crop(likelihood, patch) for patch in slices], dim=2)
        labels = torch.stack([crop(target, patch) for patch in slices], dim=2)
        loss = self._per_image(images.flatten(0, 2), labels.flatten(0, 2))
        return loss.view(images.shape[:3]).mean(2)

    def _pairs(self, images: Tensor) -> PersistencePairs:
        return persistence_pairs(
            images,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            min_persistence=self.min_persistence,
            num_threads=self.num_threads,
        )

    def _per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of every patch: `(N, *spatial)` likelihoods and labels in, `(N,)` out."""
        # likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss
        image, dim, birth, death, values = self._features(images, labels)
        features = Features(image, dim, birth, death, values.detach().cpu())
        found = self._match(features, images, labels)

        birth_value, death_value = values.unbind(1)
        to_true = (birth_value - 1) ** 2 + death_value**2
        to_diagonal = (birth_value - death_value) ** 2 / 2
        cost = torch.where(found.matched.to(values.device), to_true, to_diagonal)
        cost = cost.masked_fill(found.left_alone.to(values.device), 0)
        return (found.missing / 2).to(images).index_add(0, image.to(images.device), cost)

    def _features(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The class that never ends of every image, then all pairs: image, dimension, critical voxels and values."""
        pairs = self._pairs(images)
        flat, is_open = images.flatten(1), self.border == "open"
        # Of several least voxels the last is the one that enters last.
        voxel = pairs.essential if is_open else flat.shape[1] - 1 - flat.detach().flip(1).argmin(1).cpu()
        # In a constant image any voxel may be said to be the extreme one: rather one of the label.
        wanted = labels.flatten(1) == (1 if is_open else 0)
        free = wanted.any(1) & (flat.amin(1) == flat.amax(1))
        voxel = torch.where(free.cpu(), wanted.int().argmax(1).cpu(), voxel)
        value = flat.gather(1, voxel.to(flat.device)[:, None])
        values = torch.cat((value, torch.zeros_like(value)) if is_open else (torch.ones_like(value), value), dim=1)
        image = torch.arange(len(images))
        dim = torch.full_like(image, self._never_ending_dim(labels))
        # It has one critical voxel only, which stands for both; no matching looks at the other.
        return (
            torch.cat((image, pairs.image)),
            torch.cat((dim, pairs.dim)),
            torch.cat((voxel, pairs.birth)),
            torch.cat((voxel, pairs.death)),
            torch.cat((values, pairs.values(images))),
        )

    def _never_ending_dim(self, labels: Tensor) -> int:
        return 0 if self.border == "open" else labels.ndim - 2

    def _match(self, features: Features, images: Tensor, labels: Tensor) -> Matched:
        dims = range(labels.ndim - 1) if self.dims is None else sorted(set(self.dims))
        if self.matching == "spatial":
            return match_to_places(
                features,
                labels,
                greatest=images.detach().flatten(1).amax(1).cpu(),
                dims=dims,
                connectivity=self.connectivity,
                border=self.border,
                min_label_size=self.min_label_size,
            )
        # The class that never ends is matched with its like, and leaves one true feature less for the others.
        num_true, like = self._true_features(labels)
        group = features.image * num_true.shape[1] + features.dim
        rest = slice(len(labels), None)
        matched = match_to_binary(features.values[rest], group[rest], num_true.flatten(), matching=self.matching)
        matched = torch.cat((like, matched))
        left_alone = ~torch.isin(features.dim, torch.tensor(list(dims)))
        num_true[:, self._never_ending_dim(labels)] += like.long()
        count = torch.bincount(features.image[matched & ~left_alone], minlength=len(labels))
        return Matched(matched, left_alone, num_true[:, dims].sum(1) - count)

    def _true_features(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Number of true features that end, `(N, d)`, and whether there is one that never does, `(N,)` bool."""
        numbers = betti_numbers(labels, connectivity=self.connectivity, border=self.border)
        if self.border == "foreground":
            return numbers, ~labels.flatten(1).all(1).cpu()
        like = numbers[:, 0] > 0
        numbers[:, 0] -= like.long()
        return numbers, like
