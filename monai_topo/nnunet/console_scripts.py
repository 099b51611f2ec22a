"""Run nnU-Net's console scripts, such as `nnUNetv2_train`, in a process with nnU-Net's environment variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_topo.nnunet.folder import trainer_folder

__all__ = ["nnunet_environment", "run_console_scripts"]

# One process for all commands, since nnU-Net's import takes seconds; each is called as its console script calls it.
_SCRIPT = """
import json, os, sys
from importlib.metadata import entry_points
for words in json.loads(sys.argv[1]):
    print("$", *words, flush=True)
    while "=" in words[0]:
        name, _, os.environ[name] = words.pop(0).partition("=")
    sys.argv[:] = words
    (command,) = entry_points(group="console_scripts", name=words[0])
    command.load()()
"""


def nnunet_environment(folder: Path) -> dict[str, str]:
    """Return the environment of this process, with nnU-Net's folders within another and our trainers."""
    folders = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    return {**os.environ, **folders, "nnUNet_extTrainer": str(trainer_folder())}


def run_console_scripts(
    commands: Sequence[Sequence[object]], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run nnU-Net's commands one after another, up to the first that fails.

    Args:
        commands: Words of each command as in a shell: variables of its own, such as `"nnUNet_n_proc_DA=0"`, the name of
            a console script, such as `"nnUNetv2_train"`, and its arguments.
        environment: Environment variables.

    Returns:
        The finished process, with the output of all commands.
    """
    words = json.dumps([list(map(str, command)) for command in commands])
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, words],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
