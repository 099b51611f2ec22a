"""Probabilities that nnU-Net has saved: likelihoods for `report` and `cleanup`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from nnunet_reports import PREDICTED, REGIONS, TRUE, report, rows_of, write_dataset

from monai_topo.__main__ import main
from monai_topo.data.nnunet_folders import find_dataset, read_probabilities
from monai_topo.metrics.all_metrics import topology_report


def test_a_likelihood_is_above_a_half_where_its_class_wins(tmp_path):
    write_dataset(tmp_path)
    artery, vein = find_dataset(tmp_path).classes.values()
    probabilities = np.array([[[[0.2, 0.5]]], [[[0.45, 0.3]]], [[[0.35, 0.2]]]])  # background, artery, vein
    np.savez_compressed(tmp_path / "x.npz", probabilities=probabilities)
    assert read_probabilities(tmp_path / "x.npz", artery).ravel() == pytest.approx([0.45 / 0.8, 0.3 / 0.8])
    assert read_probabilities(tmp_path / "x.npz", vein).ravel() == pytest.approx([0.35 / 0.8, 0.2 / 0.7])
    assert read_probabilities(tmp_path / "x.npz", vein).shape == (1, 2)  # nnU-Net's pictures have one slice
    write_dataset(tmp_path, REGIONS)
    vessels, _ = find_dataset(tmp_path).classes.values()
    np.savez_compressed(tmp_path / "x.npz", probabilities=probabilities[1:])
    assert read_probabilities(tmp_path / "x.npz", vessels).ravel() == pytest.approx([0.45, 0.3])


def save_probabilities(path, segmentation, certainty=0.9):
    """Save probabilities as nnU-Net does, of three classes, axes (z, y, x)."""
    of_class = [np.where(segmentation == value, certainty, (1 - certainty) / 2) for value in range(3)]
    np.savez_compressed(path, probabilities=np.stack(of_class).astype(np.float32))


def test_saved_probabilities_are_likelihoods(tmp_path, raw, predictions):
    save_probabilities(predictions / "a_001.npz", PREDICTED)
    save_probabilities(predictions / "b_002.npz", TRUE)
    assert report(tmp_path, predictions, raw / "labelsTr", "--probabilities", "--classes", "artery") == 0
    row = next(row for row in rows_of(tmp_path) if row["case"] == "a_001")
    likelihood = np.where(PREDICTED == 1, 0.9 / 0.95, np.where(PREDICTED == 2, 0.05 / 0.95, 0.05 / 0.95))
    expected = topology_report(likelihood.astype(np.float32), TRUE == 1)
    assert row["prediction"] == "probabilities"
    for metric in ("dice", "betti_matching_error", "wasserstein_0"):
        assert float(row[metric]) == pytest.approx(expected[metric]), metric


def test_probabilities_of_another_segmentation_are_refused(tmp_path, raw, predictions, capsys):
    save_probabilities(predictions / "a_001.npz", TRUE[:, :, ::-1])
    save_probabilities(predictions / "b_002.npz", TRUE[1:])
    assert report(tmp_path, predictions, raw / "labelsTr", "--probabilities") == 2
    error = capsys.readouterr().err
    assert "a_001.npz to belong to" in error
    assert "b_002.npz to have the shape of" in error


def test_a_clean_up_is_chosen_for_one_class(tmp_path, raw, predictions, capsys):
    out = tmp_path / "cleanup.json"
    arguments = ["cleanup", str(predictions), str(raw / "labelsTr"), "--out", str(out)]
    assert main(arguments) == 2
    assert "Expected one class to choose a clean-up for, but got artery, vein" in capsys.readouterr().err
    assert main([*arguments, "--classes", "artery"]) == 0
    assert "persistence and reconnection, which need likelihoods, were not tried" in capsys.readouterr().out
    assert json.loads(out.read_text())["min_component_size"] > 0  # the speck is an artery
    for name, segmentation in (("a_001", PREDICTED), ("b_002", TRUE)):
        save_probabilities(predictions / f"{name}.npz", segmentation)
    assert main([*arguments, "--classes", "artery", "--probabilities"]) == 0
    assert "were not tried" not in capsys.readouterr().out
