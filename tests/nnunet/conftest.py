"""nnU-Net's trainers in the process of a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunet_runs import NnunetProject, has_nnunet

from monai_topo.nnunet.settings import PREFIX


@pytest.fixture
def trainer_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[NnunetProject], Callable[..., Any]]:
    """Return a function that makes trainers as `nnUNetv2_train` makes them, with settings in the environment."""
    assert has_nnunet()
    from nnunetv2.run.run_training import get_trainer_from_args

    def of(project: NnunetProject) -> Callable[..., Any]:
        for name, value in {**project.environment, "nnUNet_results": str(tmp_path), "nnUNet_n_proc_DA": "0"}.items():
            if name.startswith("nnUNet"):
                monkeypatch.setenv(name, value)

        def make(
            name: str = "nnUNetTrainerTopology", configuration: str = project.configuration, **settings: Any
        ) -> Any:
            for setting, value in settings.items():
                monkeypatch.setenv(PREFIX + setting, json.dumps(value))
            return get_trainer_from_args(str(project.number), configuration, 0, name, device=torch.device("cpu"))

        return make

    return of
