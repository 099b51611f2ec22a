"""The folder in which nnU-Net finds the trainers, and whether the installed nnU-Net can look there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from monai_topo._utils.optional import require

__all__ = ["check_nnunet", "trainer_folder"]

_PACKAGE = "nnunetv2>=2.8"


def trainer_folder() -> Path:
    """Return the folder for nnU-Net's environment variable `nnUNet_extTrainer`.

    nnU-Net imports every file of that folder as a module of its own and forgets it afterwards. So the folder holds one
    file that only names the trainers; they are ordinary classes of `monai_topo.nnunet.trainers`.
    """
    return Path(__file__).parent / "extension"


def check_nnunet() -> None:
    """Check that nnU-Net is installed, can be imported, and searches for trainers outside of itself.

    Raises:
        ImportError: If it is not so; the sentence says what to install.
    """
    require("nnunetv2", _PACKAGE, "nnunet")
    if find_spec("nnunetv2.paths") is None or not hasattr(
        require("nnunetv2.paths", _PACKAGE, "nnunet"), "nnUNet_extTrainer"
    ):
        raise ImportError(
            f"Expected {_PACKAGE}, which searches the folders of nnUNet_extTrainer for trainers, but got an older one: "
            "pip install --upgrade 'monai_topo[nnunet]'."
        )
    try:
        import torchvision  # noqa: F401 - nnU-Net's search imports all of its own trainers, some of which need it
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"Expected a torchvision that was built for torch {torch.__version__}, which nnU-Net imports, but got "
            f"{error}: install both together, from the same place."
        ) from error
