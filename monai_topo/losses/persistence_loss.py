"""The persistence loss: squared distance between the persistence diagrams of a likelihood and of a binary label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_topo._inputs import LikelihoodLoss
from monai_topo._patches import check_patch_settings, crop, patch_slices
from monai_topo.matching import Matching, match_to_binary
from monai_topo.persistence import Border, Connectivity, PersistencePairs, betti_numbers, persistence_pairs
from monai_topo.structures import lift_structures, structure_cost

__all__ = ["PersistenceLoss"]

Gradient = Literal["critical", "structure", "structure_towards_label"]


class PersistenceLoss(LikelihoodLoss):
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
    predictions thus have a gradient too.

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
        matching: `"wasserstein"` (exact) or `"rank"` (by persistence); see `monai_topo.matching.match_to_binary`.
        gradient: `"critical"`: that of the value, at critical voxels only. `"structure"`: the same value, but every
            voxel that keeps a birth or death from its target is pulled there as the critical one is: the path across a
            break, the way out of a false hole, the whole of a false component; see
            `monai_topo.structures.lift_structures` (in 3D, surfaces that would have to be cut or closed keep their
            critical voxel). `"structure_towards_label"`: of these, no voxel is pulled away from its label. An unmatched
            feature is pulled to the diagonal from both ends, so a piece cut off by a break is joined *and* erased, a
            speck erased *and* joined; with the label only the right one happens.
        dims: dimensions that count, all by default.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: the patch is all there is; `"foreground"`: outside everything is foreground, so that a
            membrane or vessel cut by the patch border closes there.
        min_persistence: predicted features of at most this persistence are left alone.
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
        if gradient not in get_args(Gradient):
            raise ValueError(f"Expected `gradient` to be one of {get_args(Gradient)}, but got {gradient!r}.")
        check_patch_settings(patch_size, num_patches=None)
        self.matching: Matching = matching
        self.gradient: Gradient = gradient
        self.dims = None if dims is None else tuple(dims)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.min_persistence = min_persistence
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
        spatial_dims = images.ndim - 1
        dims = range(spatial_dims) if self.dims is None else sorted(set(self.dims))
        # likelihood map -> persistence pairs with their critical voxels -> matching with the label -> loss
        pairs = self._pairs(images)
        values = pairs.values(images)
        num_true = self._true_features(labels)
        group = pairs.image * spatial_dims + pairs.dim
        matched = match_to_binary(values.detach().cpu(), group, num_true.flatten(), matching=self.matching)
        missing = num_true[:, dims].sum(1) - torch.bincount(pairs.image[matched], minlength=len(images))

        birth, death = values.unbind(1)
        cost = torch.where(matched.to(values.device), (birth - 1) ** 2 + death**2, (birth - death) ** 2 / 2)
        loss = (missing / 2).to(images).index_add(0, pairs.image.to(images.device), cost)
        if self.gradient != "critical":
            loss = loss.detach() + self._structure_force(images, labels, pairs, matched)
        if (0 if self.border == "open" else spatial_dims - 1) in dims:
            loss = loss + self._never_ending(pairs, images, labels)
        return loss

    def _structure_force(self, images: Tensor, labels: Tensor, pairs: PersistencePairs, matched: Tensor) -> Tensor:
        """A zero with the gradient of all voxels that keep births and deaths from where the matching wants them."""
        values = pairs.values(images.detach())
        middle = values.mean(1, keepdim=True).expand(-1, 2)
        targets = torch.where(matched.to(values.device)[:, None], values.new_tensor([1.0, 0.0]), middle)
        rise, fall = lift_structures(
            images,
            pairs,
            targets,
            connectivity=self.connectivity,
            border=self.border,
            num_threads=self.num_threads,
        )
        if self.gradient == "structure_towards_label":
            rise = torch.where(labels > 0, rise, images.detach())
            fall = torch.where(labels > 0, images.detach(), fall)
        cost = structure_cost(images, rise, fall)
        return cost - cost.detach()

    def _true_features(self, labels: Tensor) -> Tensor:
        """Number of true features that end, `(N, d)`."""
        numbers = betti_numbers(labels, connectivity=self.connectivity, border=self.border)
        if self.border == "open":
            numbers[:, 0] -= (numbers[:, 0] > 0).long()
        return numbers

    def _never_ending(self, pairs: PersistencePairs, images: Tensor, labels: Tensor) -> Tensor:
        """Cost of the class that never ends, matched with its like in the label or with none; `(N,)`."""
        flat, flat_labels = images.flatten(1), labels.flatten(1)
        if self.border == "open":
            strength = flat.gather(1, pairs.essential.to(images.device)[:, None])[:, 0]  # birth; dies at 0
            in_label = flat_labels.any(1)
        else:
            strength = 1 - flat.min(1).values  # 1 - death; born at 1
            in_label = ~flat_labels.all(1)
        return torch.where(in_label, (strength - 1) ** 2, strength**2 / 2)
