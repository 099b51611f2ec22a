"""The scripts of the pages on training loops: in one process, continued from a checkpoint, and in two processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet
from nnunet_runs import python_path

from monai_topo import BettiErrorMetric
from monai_topo.data import synthetic_vessels

DOCS = Path(__file__).resolve().parents[2] / "docs"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]

pytestmark = pytest.mark.slow


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package}: pip install '.[loops]'")


class Script:
    """The Python of a page as `train.py` in a folder, and runs of it."""

    def __init__(self, page: str, folder: Path) -> None:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        self.folder = folder
        (folder / "train.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)))

    def run(self, *words: str, **variables: str) -> str:
        """Run Python with these words, on the CPU, and return its output."""
        settings = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **variables}
        settings["PYTHONPATH"] = python_path()  # Lightning imports torchvision where it is installed
        run = subprocess.run(
            [sys.executable, *words],
            **{"cwd": self.folder, "env": {**os.environ, **settings}, "text": True},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "check": False, "timeout": 600},
        )
        assert run.returncode == 0, run.stdout[-3000:]
        return run.stdout

    def main(self, arguments: str, **variables: str) -> str:
        """Call `main` of the script in a script of its own, which processes of Lightning start again."""
        (self.folder / "start.py").write_text(
            f"import train\n\nif __name__ == '__main__':\n    train.main({arguments})\n"
        )
        return self.run("start.py", **variables)


def betti_error(state: dict[str, torch.Tensor], seeds: range) -> float:
    """Compute the error of a trained network over all validation cases, in one process."""
    network = UNet(2, 1, 1, channels=(8, 16, 32), strides=(2, 2), norm="INSTANCE")
    network.load_state_dict({name.removeprefix("module.").removeprefix("network."): state[name] for name in state})
    metric = BettiErrorMetric()
    with torch.no_grad():
        for seed in seeds:
            image, label = (
                torch.from_numpy(array)[None, None].float() for array in synthetic_vessels((48, 64), seed=seed)
            )
            metric(network.eval()(image) > 0, label)
    return float(metric.aggregate())


def epochs_of(output: str) -> list[tuple[float, str]]:
    """Return the error and the parts of the loss of each epoch that the script has printed."""
    return [(float(error), parts) for error, parts in re.findall(r"^epoch \d+: Betti error (\S+), (.*)$", output, re.M)]


@pytest.mark.parametrize(("words", "steps"), [([], 8), (TORCHRUN, 4)], ids=["one process", "two processes"])
def test_plain_loop(tmp_path, words, steps):
    script = Script("torch_loop", tmp_path)
    epochs = epochs_of(script.run(*words, "train.py"))
    assert ["topology" in parts for _, parts in epochs] == [False, False, True, True]
    saved = torch.load(tmp_path / "checkpoint.pt")
    assert saved["loss"]["gradient_ratio.steps"] == steps  # of two epochs
    # The network was trained and evaluated in bfloat16 only in the training steps.
    assert epochs[-1][0] == pytest.approx(betti_error(saved["network"], range(8, 12)))
    assert epochs[-1][0] < epochs[0][0]


@needs("accelerate")
def test_accelerate(tmp_path):
    script = Script("accelerate", tmp_path)
    cpu = {"ACCELERATE_USE_CPU": "true"}
    epochs = epochs_of(script.run("train.py", **cpu))
    assert ["topology" in parts for _, parts in epochs] == [False, False, True, True]
    assert steps_of(tmp_path) == 16
    assert epochs[-1][0] == pytest.approx(betti_error(weights_of(tmp_path), range(16, 20)))
    script.main("epochs=1, warm_up=0, resume=True", **cpu)
    assert steps_of(tmp_path) == 16 + 8

    epochs = epochs_of(script.run(*TORCHRUN, "train.py", ACCELERATE_MIXED_PRECISION="bf16", **cpu))
    assert len(epochs) == 4  # printed by one of two processes
    assert steps_of(tmp_path) == 8
    assert "topology" in epochs[-1][1]


def steps_of(folder: Path) -> int:
    return int(torch.load(folder / "checkpoint" / "custom_checkpoint_0.pkl")["gradient_ratio.steps"])


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "checkpoint" / "model.safetensors")


@needs("lightning")
def test_lightning(tmp_path):
    script = Script("lightning", tmp_path)
    first = script.main("accelerator='cpu'")
    assert lightning_steps(tmp_path) == 8
    assert "'val/matching_error': " in first
    assert "'train/factor': " in first
    script.main("5, ckpt_path='checkpoints/last.ckpt', accelerator='cpu'")
    assert lightning_steps(tmp_path) == 8 + 4


@needs("lightning")
def test_lightning_in_two_processes(tmp_path):
    output = Script("lightning", tmp_path).main("accelerator='cpu', devices=2, strategy='ddp', precision='32'")
    assert lightning_steps(tmp_path) == 4
    (error,) = re.findall(r"'val/betti_error': (\S+?)[,}]", output)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    network = {name: value for name, value in state.items() if name.startswith("network.")}
    assert float(error) == pytest.approx(betti_error(network, range(8, 12)))


def lightning_steps(folder: Path) -> int:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)
    return int(checkpoint["state_dict"]["loss.gradient_ratio.steps"])
