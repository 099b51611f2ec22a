"""The file that nnU-Net finds through `nnUNet_extTrainer`: it names the trainers of `monai_topo.nnunet.trainers`."""

from monai_topo.nnunet.trainers import nnUNetTrainerTopology
from monai_topo.nnunet.variants import (
    nnUNetTrainerTopologyBettiMatching,
    nnUNetTrainerTopologyClDice,
    nnUNetTrainerTopologySCNP,
    nnUNetTrainerTopologySkeletonRecall,
)

__all__ = [
    "nnUNetTrainerTopology",
    "nnUNetTrainerTopologyBettiMatching",
    "nnUNetTrainerTopologyClDice",
    "nnUNetTrainerTopologySCNP",
    "nnUNetTrainerTopologySkeletonRecall",
]
