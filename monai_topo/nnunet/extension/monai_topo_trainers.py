"""The file that nnU-Net finds through `nnUNet_extTrainer`: it names the trainers of `monai_topo.nnunet.trainers`."""

from monai_topo.nnunet.error_hook import install_error_hook
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

install_error_hook()  # of the process of nnU-Net's command
