"""The study: weights are chosen on the tuning split only; one command runs, keeps its results and resumes."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from monai_topo.data import synthetic_membranes

STUDY = Path(__file__).resolve().parents[2] / "docs" / "study"


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))
    return importlib.import_module("runs")


def row(method, weight, dice, error, split="tune", seed=0):
    errors = {"patch_betti_error_0": error / 4, "patch_betti_error_1": 3 * error / 4}
    return {"method": method, "weight": weight, "seed": seed, "split": split, "case": 1, "dice": dice, **errors}


def test_the_weight_with_fewest_tuning_errors_is_chosen_among_those_that_keep_dice(runs):
    cases = [
        row("CE + Dice", 0.0, 0.8, 2.0),
        row("a", 0.1, 0.81, 1.5),
        row("a", 0.3, 0.796, 1.0),
        row("a", 1.0, 0.794, 0.5),  # 0.006 lower Dice is too much
        row("b", 0.1, 0.7, 0.2),
        row("b", 0.3, 0.75, 0.3),  # both lose too much: the one that loses less is chosen
        row("a", 0.1, 0.9, 0.0, split="test"),
        row("a", 0.1, 0.9, 0.0, seed=1),
    ]
    assert runs.choose_weights(pd.DataFrame(cases)) == {"a": 0.3, "b": 0.3}


@pytest.mark.slow
def test_one_command_runs_a_set_and_the_next_start_finds_it_done(runs, tmp_path):
    for folder in ("images", "accurate", "noisy"):
        (tmp_path / "topomortar" / "train" / folder).mkdir(parents=True)
    for number in range(10):
        image, label = synthetic_membranes((136, 150), seed=number)
        gray = (255 * np.clip(image, 0, 1)).astype(np.uint8)
        pictures = {"images": np.stack([gray] * 3, -1), "accurate": 255 * label.astype(np.uint8)}
        pictures["noisy"] = np.roll(pictures["accurate"], 1, axis=0)
        for folder, picture in pictures.items():
            Image.fromarray(picture).save(tmp_path / "topomortar" / "train" / folder / f"{number:03}.png")
    command = [sys.executable, str(STUDY), "topomortar_noisy", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    command += ["--methods", "persistence, spatial", "--weights", "0.3", "--seeds", "1"]
    command += ["--warmup-steps", "2", "--steps", "2", "--jobs", "2"]

    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    results = tmp_path / "out" / "topomortar_noisy"
    cases = pd.read_csv(results / "cases.csv")
    assert cases.groupby(["method", "weight", "split"]).size().to_dict() == {
        ("CE + Dice", 0.0, "test"): 3,
        ("CE + Dice", 0.0, "tune"): 2,
        ("persistence, spatial", 0.3, "test"): 3,
        ("persistence, spatial", 0.3, "tune"): 2,
    }
    assert cases.dice.between(0, 1).all()
    assert (pd.read_csv(results / "runs.csv").peak_mib > 100).all()
    assert json.loads((results / "about.json").read_text())["steps"] == 2
    with np.load(results / "examples.npz") as examples:
        assert examples.files == ["CE + Dice", "persistence, spatial"]
        assert all(examples[name].shape == (136, 150, 3) for name in examples.files)
        assert (examples["CE + Dice"] != examples["persistence, spatial"]).any()
    written = (results / "cases.csv").stat().st_mtime_ns

    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.stdout == first.stdout
    assert "persistence, spatial | 0.3 | 1 |" in second.stdout
    assert (results / "cases.csv").stat().st_mtime_ns == written

    with pytest.raises(SystemExit, match="Expected the lengths of the runs"):
        runs.Results(results).begin({"warmup_steps": 2, "steps": 3})
