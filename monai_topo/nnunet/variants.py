"""Trainers with the other losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from torch import nn

from monai_topo._utils.validation import check_at_least
from monai_topo.losses import BettiMatchingLoss, ClDiceLoss, SCNPLoss, SkeletonRecallLoss
from monai_topo.nnunet.skeleton_target import AddSkeletonTarget
from monai_topo.nnunet.term import PenalizedLoss, TopologyTerm, WithoutExtraTarget, loss_settings
from monai_topo.nnunet.trainers import nnUNetTrainerTopology

__all__ = [
    "nnUNetTrainerTopologyBettiMatching",
    "nnUNetTrainerTopologyClDice",
    "nnUNetTrainerTopologySCNP",
    "nnUNetTrainerTopologySkeletonRecall",
]


class nnUNetTrainerTopologyBettiMatching(nnUNetTrainerTopology):  # noqa: N801 - nnU-Net's names
    """Train with nnU-Net's own loss and, after a warm-up, the Betti matching loss on the finest output."""

    topology_loss = BettiMatchingLoss
    topology_defaults: ClassVar[Mapping[str, Any]] = {"ratio": 1.0, "border": "foreground"}
    topology_bytes_per_voxel = 80


class nnUNetTrainerTopologyClDice(nnUNetTrainerTopology):  # noqa: N801
    """Train with nnU-Net's own loss and, after a warm-up, clDice with exact skeletons on the finest output."""

    topology_loss = ClDiceLoss
    topology_defaults: ClassVar[Mapping[str, Any]] = {"weight": 1.0}


class nnUNetTrainerTopologySCNP(nnUNetTrainerTopology):  # noqa: N801
    """Train with nnU-Net's own loss, and from the start also that of logits penalized by their worst neighbors."""

    topology_loss = SCNPLoss
    topology_defaults: ClassVar[Mapping[str, Any]] = {"weight": 1.0, "warm_up_epochs": 0, "kernel_size": 3}
    topology_overlap = False  # the term calls nnU-Net's own loss, which may be compiled and sums over processes

    def _make_topology_loss(self) -> nn.Module:
        return SCNPLoss(nn.Identity(), **self.topology.options)

    def _make_topology_term(self, base: nn.Module) -> nn.Module:
        of_one_output = base.get_submodule("loss") if self.enable_deep_supervision else base
        kernel_size = self.topology.options["kernel_size"]
        return PenalizedLoss(of_one_output, self.topology_channels, self.topology.classes, kernel_size=kernel_size)


class nnUNetTrainerTopologySkeletonRecall(nnUNetTrainerTopology):  # noqa: N801
    """Train with nnU-Net's own loss and skeleton recall on the finest output, from the start.

    The data workers make the tubed skeletons of the labels after the augmentation; `radius` is that of the tubes in
    voxels, and `batch` pools the images of a batch where nnU-Net's own Dice does so in this configuration; on several
    GPUs those of each GPU, while nnU-Net's Dice pools all.
    """

    topology_loss = SkeletonRecallLoss
    topology_defaults: ClassVar[Mapping[str, Any]] = {"weight": 1.0, "warm_up_epochs": 0, "radius": 2.0}

    def _topology_options(self) -> list[str]:
        return [*super()._topology_options(), "radius"]

    def _default_settings(self) -> dict[str, Any]:
        return {"batch": self.configuration_manager.batch_dice, **super()._default_settings()}

    def _make_topology_loss(self) -> nn.Module:
        options = dict(self.topology.options)
        check_at_least("radius", options.pop("radius"))
        return SkeletonRecallLoss(**options, **loss_settings(self.topology_channels, self.topology.classes))

    def _make_topology_term(self, base: nn.Module) -> nn.Module:
        return TopologyTerm(self._make_topology_loss(), self.topology_channels, target_at=-1)

    def _wrap_base(self, base: nn.Module) -> nn.Module:
        return WithoutExtraTarget(base)

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> ComposeTransforms:
        """Add the skeletons to nnU-Net's transforms of training samples."""
        radius = self.topology.options["radius"]
        skeletons = AddSkeletonTarget(self.topology_channels, self.topology.classes, radius)
        return ComposeTransforms([super().get_training_transforms(*args, **kwargs), skeletons])
