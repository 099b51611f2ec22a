"""Trainers for nnU-Net: `nnUNetv2_train ... -tr nnUNetTrainerTopology`; `python -m monai_topo nnunet` tells how.

nnU-Net finds them through its environment variable `nnUNet_extTrainer`, see
:py:func:`monai_topo.nnunet.folder.trainer_folder`. This package itself imports without nnU-Net, `trainers` does not.
"""
