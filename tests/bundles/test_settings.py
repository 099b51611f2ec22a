"""Impossible settings are refused in one sentence before the first epoch."""

from __future__ import annotations

import re
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import MEMBRANES, VESSELS, Training, in_process, last_line
from monai.bundle import ConfigWorkflow

from monai_topo.bundle import UserError, check_sizes, check_space, check_training_settings, start_run


@pytest.mark.slow
def test_an_unknown_setting_is_noticed(tmp_path: Path) -> None:
    run = VESSELS.run(["train.json", "smoke.json"], tmp_path, epoch=1)
    assert last_line(run) == (
        "Error: Expected every setting to be one of train.json, but got 'epoch', which nothing reads; "
        "did you mean 'epochs'?"
    )
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


@in_process
@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        (
            ["train.json"],
            {"bundle_root": "elsewhere"},
            r"Expected `bundle_root` to be the bundle's folder.*--bundle_root",
        ),
        (["train.json"], {"dataset_dir": "nowhere"}, r"Expected `dataset_dir` to be a folder, but got .*nowhere"),
        (["train.json"], {"run_dir": "run"}, r"Expected `run_dir` to be a new folder.*--resume run"),
        (["train.json"], {"resume": "data"}, r"Expected `resume` to be the folder of a run, but got 'data'"),
        (["train.json"], {"my_own": 3}, r"but got 'my_own', which nothing reads"),
        (["train.json", "smoke.json"], {"my_own": 3}, r"but got 'my_own', which nothing reads"),
        (["train.json", "evaluate.json"], {"ckpt_path": "none.pt"}, r"trained model, but got 'none\.pt'"),
        (["inference.json"], {"ckpt_path": "none.pt"}, r"trained model, but got 'none\.pt'"),
        (["inference.json"], {"epochs": 3, "ckpt_path": "run/model.pt"}, r"but got 'epochs', which nothing reads"),
        (
            ["inference.json", "smoke.json"],
            {"images": "*.jpg", "ckpt_path": "run/model.pt", "channels": [4, 8, 8, 8]},
            r"but got '\*\.jpg', which finds none",
        ),
    ],
)
def test_runs_are_refused_in_process_too(
    files: list[str],
    settings: dict[str, Any],
    sentence: str,
    trainings: dict[str, Training],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = trainings[MEMBRANES.name]
    assert shared.process.returncode == 0
    monkeypatch.chdir(shared.home)
    places = {"bundle_root": str(MEMBRANES.root), "dataset_dir": "data"}
    sizes = {"patch_size": [32, 48], "topology_patch_size": 16} if files == ["train.json"] else {}
    paths = [str(MEMBRANES.configs / name) for name in files]
    run = ConfigWorkflow(paths, logging_file=False, **{**places, **sizes, **settings})
    run.initialize()
    with pytest.raises((RuntimeError, UserError)) as caught:  # MONAI wraps ours in its own
        run.run()
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    assert re.search(sentence, str(cause))


GOOD_TRAINING: dict[str, Any] = {
    "epochs": 4,
    "warmup_epochs": 2,
    "val_interval": 1,
    "batch_size": 2,
    "topology_weight": 0.01,
    "topology_ratio": None,
    "learning_rate": 0.001,
    "lr_warmup_epochs": 0,
    "accumulation_steps": 1,
    "patience": None,
    "matching": "wasserstein",
    "support": 0.2,
    "connectivity": "full",
    "border": "foreground",
}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "Expected `epochs` to be a whole number of at least 1, but got 0"),
        ({"epochs": "four"}, "Expected `epochs` to be a whole number of at least 1, but got 'four'"),
        ({"warmup_epochs": 5}, "Expected `warmup_epochs` to be at most `epochs`, 4, but got 5"),
        ({"val_interval": 1.5}, "Expected `val_interval` to be a whole number"),
        ({"batch_size": True}, "Expected `batch_size` to be a whole number"),
        ({"topology_weight": -1}, "Expected `topology_weight` to be a number at least 0, but got -1"),
        ({"topology_weight": float("nan")}, "Expected `topology_weight` to be a number"),
        ({"topology_ratio": 0}, "Expected `topology_ratio` to be a number above 0, but got 0"),
        ({"topology_ratio": "one"}, "Expected `topology_ratio` to be a number above 0, but got 'one'"),
        ({"topology_ratio": 1.0, "topology_weight": 0}, "Expected `topology_ratio` to be null with topology_weight 0"),
        ({"learning_rate": 0}, "Expected `learning_rate` to be a number above 0, but got 0"),
        ({"lr_warmup_epochs": -1}, "Expected `lr_warmup_epochs` to be a whole number of at least 0, but got -1"),
        ({"accumulation_steps": 0}, "Expected `accumulation_steps` to be a whole number of at least 1, but got 0"),
        ({"patience": 0}, "Expected `patience` to be a whole number of at least 1, but got 0"),
        ({"support": 1}, "Expected `support` to be a number at least 0 and below 1, but got 1"),
        ({"support": None}, "Expected `support` to be a number at least 0 and below 1, but got None"),
        ({"matching": "best"}, r"Expected `matching` to be one of 'wasserstein', 'rank'.*, but got 'best'"),
        ({"connectivity": 8}, r"Expected `connectivity` to be 'full' .* or 'face' \(4, 6\), but got 8"),
        ({"border": "closed"}, r"Expected `border` to be one of 'open', 'foreground', but got 'closed'"),
    ],
)
def test_impossible_training_settings(settings: dict[str, Any], sentence: str) -> None:
    check_training_settings(**GOOD_TRAINING)
    with pytest.raises(UserError, match=sentence):
        check_training_settings(**{**GOOD_TRAINING, **settings})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"patch_size": 128}, r"Expected `patch_size` to be 2 whole numbers such as \[128, 128\], but got 128"),
        ({"patch_size": [64, 64, 64]}, r"Expected `patch_size` to be 2 whole numbers"),
        ({"patch_size": [100, 128]}, r"multiples of 8, .* but got \[100, 128\]; set --patch_size '\[96, 128\]'"),
        ({"topology_patch_size": 129}, r"at most `patch_size`, \[128, 128\], but got 129"),
        (
            {"topology_patch_size": [64, 64, 64]},
            r"Expected `topology_patch_size` to be a whole number, 2 of them, or null",
        ),
        ({"sliding_window_overlap": 1}, r"`sliding_window_overlap` to be a fraction from 0 to below 1, but got 1"),
        ({"strides": [[2, 2], [2, 2, 2]]}, r"Expected each of the `strides` to be a whole number or 2 of them"),
        (
            {"strides": [[2, 1], [2, 2]], "patch_size": [66, 66], "topology_patch_size": 8},
            r"multiples of \[4, 2\], .* but got \[66, 66\]; set --patch_size '\[64, 66\]'",
        ),
    ],
)
def test_impossible_sizes(settings: dict[str, Any], sentence: str) -> None:
    good = {"patch_size": [128, 128], "topology_patch_size": 64, "strides": [2, 2, 2], "spatial_dims": 2}
    check_sizes(**good)
    check_sizes(**{**good, "topology_patch_size": None})
    with pytest.raises(UserError, match=sentence):
        check_sizes(**{**good, **settings})


def test_patches_of_anisotropic_networks() -> None:
    sizes: dict[str, Any] = {"patch_size": [64, 32, 4], "topology_patch_size": [32, 32, 4], "spatial_dims": 3}
    check_sizes(**sizes, strides=[[2, 2, 1], [2, 2, 2], [2, 2, 2]])
    with pytest.raises(UserError, match="multiples of 8"):
        check_sizes(**sizes, strides=[2, 2, 2])


def test_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "free")
    network = torch.nn.Linear(2**18, 4, bias=False)  # 4 MiB, so 48 MiB and 50 MiB
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(98 * 2**20))
    check_space(tmp_path / "not" / "yet", network)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(98 * 2**20 - 1))
    with pytest.raises(UserError, match=r"Expected 98 MiB to be free .*free some space, or set another --output_dir"):
        check_space(tmp_path / "not" / "yet", network)


def test_a_run_starts_only_from_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Expected to be called from a bundle's configuration"):
        start_run(tmp_path)
