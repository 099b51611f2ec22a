"""`python -m monai_topo labels`: conventions, counts of accidents, and recommended settings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_cases import ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.masks.label_check import check_label
from monai_topo.report.conventions import LabelValues, guess_convention


def labels(folder, *options):
    status = main(["labels", str(folder / "label"), "--out", str(folder / "out" / "labels.html"), *options])
    return status, json.loads((folder / "out" / "labels.json").read_text())


def values(counts, number=None, whole=True):
    return LabelValues(counts, number or len(counts), whole, sum(counts.values()))


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        ([{0: 90, 1: 10}, {0: 80, 255: 20}], "nonzero"),  # mixed, each of one value
        ([{0: 22, 255: 78}, {0: 25, 255: 75}], "0"),  # inverted
        ([{0: 100}], "nonzero"),  # empty
        ([{1: 90, 2: 10}], "2"),
        ([{0: 900, 255: 98, 8: 2}, {0: 900, 255: 100}], ">127.5"),  # a stray value
        ([{0: 98, 255: 900, 8: 2}], "<127.5"),
        ([{0: 60, 1: 20, 2: 10, 3: 10}], ">0"),  # classes
        ([dict.fromkeys(range(30), 10)], "boundary"),
    ],
)
def test_conventions(found, rule):
    assert guess_convention([values(counts) for counts in found]).rule == rule


def test_soft_labels_are_thresholded_in_the_middle():
    assert guess_convention([values({0.0: 50, 0.25: 20, 1.0: 30}, whole=False)]).rule == ">0.5"


def test_numbers_are_those_of_check_label(tmp_path):
    label = ladder()
    label[2, 2] = True  # a speck
    label[29, 20] = False  # a pinhole
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "label" / "b.png", ladder())
    status, content = labels(tmp_path)
    assert status == 0
    expected = check_label(label)
    first = content["cases"][0]
    assert first["case"] == "a.png"
    for name in ("b0_full", "b1_face", "specks", "pinholes", "border_components", "voxels_changed", "b1_cleaned"):
        assert first[name] == expected[name], name
    assert content["summary"]["specks"]["mean"] == 0.5
    advice = {one["setting"]: one for one in content["advice"]["2D"]}
    assert advice[""]["why"].startswith("1 of 2 labels have specks or pinholes: 1 specks and 1 pinholes, 2 voxels")
    assert advice["topology_patch_size"]["value"] == "[60,40]"


def test_inverted_labels_and_diagonal_lines_determine_the_settings(tmp_path):
    label = np.zeros((70, 80), dtype=bool)
    for i in range(5, 60):
        label[i, i : i + 1] = True  # a line that steps from corner to corner
    save_picture(tmp_path / "label" / "a.png", ~label)
    status, content = labels(tmp_path)
    advice = {one["setting"]: one["value"] for one in content["advice"]["2D"]}
    assert status == 0
    assert advice == {"label_foreground": "0", "connectivity": "full", "border": "foreground"}
    page = (tmp_path / "out" / "labels.html").read_text()
    assert "--label_foreground 0 --connectivity full --border foreground" in page
    assert content["cases"][0]["b0_face"] == 55


def test_a_gap_that_steps_from_corner_to_corner_favors_face_connectivity(tmp_path):
    label = np.ones((70, 80), dtype=bool)
    label[np.arange(5, 60), np.arange(5, 60)] = False  # with full connectivity 55 holes, with face one
    save_picture(tmp_path / "label" / "a.png", label)
    _, content = labels(tmp_path, "--label-foreground", "nonzero")
    assert [content["cases"][0][name] for name in ("b1_full", "b1_face")] == [55, 1]
    assert content["advice"]["2D"][1]["value"] == "face"


def test_volumes_pictures_and_broken_files(tmp_path):
    save_volume(tmp_path / "label" / "v.nii.gz", ladder((3, 40, 60)), (1, 1, 4))  # thin: not treated as colors
    save_picture(tmp_path / "label" / "p.png", ladder())
    (tmp_path / "label" / "x.nii").write_text("nothing")
    status, content = labels(tmp_path)
    assert status == 1
    assert [sentence for sentence in content["left_out"] if "x.nii" in sentence] == content["left_out"] != []
    assert set(content["advice"]) == {"2D", "3D"}
    page = (tmp_path / "out" / "labels.html").read_text()
    assert page.count("<article") == 2
    assert "vessel_3d_segmentation" in page


def test_counts_of_drive_agree_with_published_ones(shared_data, tmp_path):
    out = tmp_path / "labels.html"
    assert main(["labels", str(shared_data / "drive" / "labels"), "--out", str(out), "--worst", "0"]) == 0
    summary = json.loads(out.with_suffix(".json").read_text())["summary"]
    assert [round(summary[name]["mean"], 1) for name in ("b0_full", "b1_full")] == [3.5, 61.2]
    assert summary["b0_face"]["mean"] > 400


def test_labels_of_isbi_are_recognized_as_inverted(shared_data, tmp_path):
    out = tmp_path / "labels.html"
    folder = shared_data / "isbi2012" / "labels"
    assert main(["labels", str(folder), "--out", str(out), "--worst", "0", "--label-files", "*0*.png"]) == 0
    assert json.loads(out.with_suffix(".json").read_text())["convention"]["rule"] == "0"
