"""The command `monai-topo nnunet`: how nnU-Net finds the trainers, and whether it works on this machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from monai_topo._utils.commands import add_command, guard
from monai_topo.nnunet.folder import check_nnunet, trainer_folder

__all__ = ["add_nnunet_command", "run_command"]

TRAINERS = {
    "nnUNetTrainerTopology": "persistence with spatial matching",
    "nnUNetTrainerTopologyBettiMatching": "Betti matching",
    "nnUNetTrainerTopologyClDice": "clDice with exact skeletons",
    "nnUNetTrainerTopologySCNP": "nnU-Net's own loss of logits penalized by their neighbors",
    "nnUNetTrainerTopologySkeletonRecall": "skeleton recall",
}
_FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
_DESCRIPTION = """\
Print what nnU-Net needs to find our trainers, and a command that trains with one of them. With --check, plan, train and
predict a tiny synthetic data set (one to two minutes on a CPU).

Example: %(prog)s --check --trainer nnUNetTrainerTopologyBettiMatching"""


def add_nnunet_command(commands: Any, epilog: str) -> None:
    """Add the command `nnunet`."""
    summary = "train inside nnU-Net: the folder for nnUNet_extTrainer, a ready command, and a check"
    parser = add_command(commands, "nnunet", summary, _DESCRIPTION, epilog)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--folder", action="store_true", help="print the folder for nnUNet_extTrainer and nothing else")
    what.add_argument("--check", action="store_true", help="plan, train and predict with the trainer")
    parser.add_argument("--trainer", default="nnUNetTrainerTopology", choices=TRAINERS, help="default: %(default)s")
    parser.add_argument(
        "--device", default=None, choices=("cpu", "cuda", "mps"), help="device of the check (default: cuda or cpu)"
    )
    parser.set_defaults(run=guard("monai_topo.nnunet.nnunet_command", "run_command", "Nothing is left."))


def run_command(options: argparse.Namespace) -> int:
    """Print the folder, train the check, or describe the trainers; return the exit status."""
    check_nnunet()
    if options.folder:
        print(trainer_folder())
        return 0
    if options.check:
        return _check(options)
    print(_describe(options.trainer))
    return 0


def _check(options: argparse.Namespace) -> int:
    import torch

    from monai_topo.nnunet.check import check_trainer

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    print(f"Training {options.trainer} on {device}, about a minute ...", flush=True)
    print(check_trainer(options.trainer, device=device))
    return 0


def _describe(trainer: str) -> str:
    others = os.environ.get("nnUNet_extTrainer", "")  # noqa: SIM112 - nnU-Net's name
    folders = list(dict.fromkeys([*filter(None, others.split(os.pathsep)), str(trainer_folder())]))
    lines = [
        "nnU-Net finds the trainers through this variable, in training and in prediction:",
        f'  export nnUNet_extTrainer="{os.pathsep.join(folders)}"',
        "Train as always, with the name of a trainer:",
        f"  nnUNetv2_train DATASET CONFIGURATION FOLD -tr {trainer}",
        "Trainers:",
        *(f"  {name:36} {loss}" for name, loss in TRAINERS.items()),
        "Settings: topology.json beside the plans, or variables such as nnUNet_topology_weight=0.1.",
    ]
    for name in _FOLDERS:
        value = os.environ.get(name)
        missing = "" if value and Path(value).is_dir() else " (which does not exist)" if value else ""
        lines.append(f"{name}: {value or 'not set, nnU-Net needs it'}{missing}")
    return "\n".join(lines)
