"""The study of clean-ups continues a run whose network is trained and whose cases are predicted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "study" / "clean_up.py"


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255 * values).astype(np.uint8)).save(path)


def test_clean_ups_chosen_on_validation_cases_are_measured_on_test_cases(tmp_path):
    data, run = tmp_path / "data" / "isbi2012", tmp_path / "out" / "isbi2012" / "weight_0"
    names = [f"{number:02d}.png" for number in range(20)]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        membrane = np.zeros((48, 60))
        membrane[rng.integers(8, 40)] = membrane[:, rng.integers(8, 50)] = 1
        likelihood = gaussian_filter(membrane, 0.6)
        likelihood[rng.integers(0, 48, 12), rng.integers(0, 60, 12)] = 0.9  # specks
        write(data / "images" / name, likelihood)
        write(data / "labels" / name, 1 - membrane)
        split = "validation" if number < 15 else "test"
        write(run / split / name.replace(".png", "_likelihood.png"), likelihood)
        (run / split / "finished").touch()
    (run / "finished").touch()
    cases = [{"image": f"images/{name}", "label": f"labels/{name}"} for name in names]
    (data / "datalist.json").write_text(json.dumps({"training": cases[:15], "validation": cases[15:]}))
    command = [sys.executable, str(SCRIPT), "isbi2012", "--weights", "0"]
    command += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    rows = pd.read_csv(run.parent / "clean_up.csv")
    assert rows.groupby("clean-up").size().to_dict() == {"raw": 5, "by size": 5, "reconnected": 5, "chosen": 5}
    errors = rows.groupby("clean-up").betti_matching_error.mean()
    assert errors["chosen"] <= errors["by size"] < errors["raw"] / 3
    assert (run / "cleanup.json").exists()
    assert (run.parent / "clean_up.md").read_text().count("\n") == 6
