"""`report` and `cleanup` on nnU-Net's folders as they are: classes, regions, ignored voxels, folds."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from nnunet_reports import CLASSES, PREDICTED, REGIONS, TRUE, report, rows_of, write_dataset
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo._utils.finished import FinishedCases
from monai_topo.data.nnunet_folders import find_dataset
from monai_topo.metrics.all_metrics import topology_report


def content_of(tmp_path):
    return json.loads((tmp_path / "out.json").read_text())


def dice_of(tmp_path):
    return {(row["case"], row["class"]): float(row["dice"]) for row in rows_of(tmp_path)}


def expected_dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_there_is_a_row_per_case_and_class_with_its_own_numbers(tmp_path, raw, predictions):
    assert report(tmp_path, predictions, raw / "labelsTr") == 0
    rows = {(row["case"], row["class"]): row for row in rows_of(tmp_path)}
    assert set(rows) == {(case, name) for case in ("a_001", "b_002") for name in ("artery", "vein")}
    for name, value in (("artery", 1), ("vein", 2)):
        expected = topology_report((value == PREDICTED).astype(float), value == TRUE)
        for metric in ("dice", "betti_error_0", "betti_matching_error", "cldice"):
            assert float(rows["a_001", name][metric]) == pytest.approx(expected[metric]), (name, metric)
        assert float(rows["b_002", name]["betti_matching_error"]) == 0
    assert float(rows["a_001", "artery"]["betti_matching_error"]) > float(rows["a_001", "vein"]["betti_matching_error"])


def test_the_page_summarizes_each_class(tmp_path, raw, predictions):
    report(tmp_path, predictions, raw / "labelsTr")
    content, page = content_of(tmp_path), (tmp_path / "out.html").read_text()
    dice = dice_of(tmp_path)
    for name in ("artery", "vein"):
        mean = (dice["a_001", name] + dice["b_002", name]) / 2
        assert content["summary_by_class"][name]["dice"]["mean"] == pytest.approx(mean)
    assert "<h2>By class</h2>" in page
    assert "<h3>a_001, artery</h3>" in page  # the worst case has a picture
    assert content["classes"] == ["artery", "vein"]


def test_a_single_class_needs_no_table_of_classes(tmp_path, raw, predictions):
    assert report(tmp_path, predictions, raw / "labelsTr", "--classes", "vein") == 0
    assert {row["class"] for row in rows_of(tmp_path)} == {"vein"}
    assert "By class" not in (tmp_path / "out.html").read_text()
    assert "summary_by_class" not in content_of(tmp_path)


def test_regions_overlap(tmp_path, raw, predictions):
    write_dataset(raw, REGIONS)
    write_dataset(predictions, REGIONS)
    assert report(tmp_path, predictions, raw / "labelsTr") == 0
    dice = dice_of(tmp_path)
    assert dice["a_001", "vessels"] == pytest.approx(expected_dice(PREDICTED > 0, TRUE > 0))
    assert dice["a_001", "vein"] == pytest.approx(expected_dice(PREDICTED == 2, TRUE == 2))


def test_ignored_voxels_do_not_count(tmp_path, raw, predictions):
    labels = {**CLASSES, "ignore": 3}
    write_dataset(raw, labels)
    write_dataset(predictions, labels)
    differs = PREDICTED != TRUE
    assert differs.any()
    save_volume(raw / "labelsTr" / "a_001.nii.gz", np.where(differs, 3, TRUE))
    assert report(tmp_path, predictions, raw / "labelsTr") == 0
    assert dice_of(tmp_path)["a_001", "artery"] == 1


def test_the_first_channel_of_an_image_is_shown(tmp_path, raw, predictions):
    for images in (raw / "imagesTr", raw):
        assert report(tmp_path, predictions, raw / "labelsTr", "--images", images) == 0
        files = {case["case"]: case["image_file"] for case in content_of(tmp_path)["cases"]}
        assert files == {name: str(raw / "imagesTr" / f"{name}_0000.nii.gz") for name in ("a_001", "b_002")}


def test_test_cases_are_paired_with_the_labels_of_test_cases(tmp_path, raw):
    write_dataset(tmp_path / "test")
    save_volume(tmp_path / "test" / "c_003.nii.gz", PREDICTED)
    assert report(tmp_path, tmp_path / "test", raw) == 0
    assert {case["label_file"] for case in content_of(tmp_path)["cases"]} == {str(raw / "labelsTs" / "c_003.nii.gz")}


def test_a_label_without_a_prediction_is_named(tmp_path, raw, predictions, capsys):
    (predictions / "b_002.nii.gz").unlink()
    assert report(tmp_path, predictions, raw / "labelsTr") == 1
    assert "b_002.nii.gz: a label without a prediction." in capsys.readouterr().out


@pytest.fixture
def model(tmp_path):
    """A trained model with the validations of two folds, and what else lies in its folders."""
    model = tmp_path / "results" / "Dataset001_Vessels" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    write_dataset(model)
    for fold, (name, prediction) in enumerate((("a_001", PREDICTED), ("b_002", TRUE))):
        save_volume(model / f"fold_{fold}" / "validation" / f"{name}.nii.gz", prediction)
        (model / f"fold_{fold}" / "validation" / "summary.json").write_text("{}")
        save_picture(model / f"fold_{fold}" / "progress.png", np.zeros((4, 5)))
    save_volume(model / "crossval_results_folds_0_1" / "a_001.nii.gz", TRUE)
    return model


def test_a_cross_validation_is_one_report_with_its_folds(tmp_path, raw, model, capsys):
    save_volume(raw / "labelsTr" / "d_004.nii.gz", TRUE)  # of a fold that is not trained
    assert report(tmp_path, model, raw) == 0
    assert {(row["case"], row["fold"]) for row in rows_of(tmp_path)} == {("a_001", "0"), ("b_002", "1")}
    by_fold = content_of(tmp_path)["summary_by_fold"]
    assert by_fold["1"]["dice"]["mean"] == 1 > by_fold["0"]["dice"]["mean"]
    assert "<h2>By fold</h2>" in (tmp_path / "out.html").read_text()
    assert "2 of 3 labels have a prediction, in fold 0, 1." in capsys.readouterr().err


@pytest.mark.parametrize("part", ["fold_0", "fold_0/validation"])
def test_one_fold_is_enough(tmp_path, raw, model, part):
    assert report(tmp_path, model / part, raw / "labelsTr") == 0
    assert {(row["case"], row["fold"]) for row in rows_of(tmp_path)} == {("a_001", "0")}


def test_an_unfinished_validation_is_named(tmp_path, raw, model, capsys):
    (model / "fold_1" / "validation" / "summary.json").unlink()
    assert report(tmp_path, model, raw) == 1
    assert "fold_1/validation: nnU-Net has not finished this validation" in capsys.readouterr().out


def test_labels_of_the_preprocessed_data_set_and_listed_labels_are_found(tmp_path, raw, predictions):
    preprocessed = tmp_path / "preprocessed" / "Dataset001_Vessels"
    write_dataset(preprocessed)
    (raw / "labelsTr").rename(preprocessed / "gt_segmentations")
    for labels in (preprocessed, preprocessed / "gt_segmentations"):
        assert report(tmp_path, predictions, labels) == 0
        assert len(rows_of(tmp_path)) == 4
    listed = {
        name: {"label": f"../preprocessed/Dataset001_Vessels/gt_segmentations/{name}.nii.gz", "images": []}
        for name in ("a_001", "b_002")
    }
    write_dataset(tmp_path / "listed", dataset=listed)
    assert report(tmp_path, predictions, tmp_path / "listed") == 0
    assert len(rows_of(tmp_path)) == 4


def test_pictures_of_nnunet(tmp_path):
    raw, predictions = tmp_path / "raw" / "Dataset002_Cells", tmp_path / "out"
    write_dataset(raw, {"background": 0, "membrane": 1}, ".png")
    write_dataset(predictions, {"background": 0, "membrane": 1}, ".png")
    save_picture(raw / "labelsTr" / "x.png", ladder(), greatest=1)
    save_picture(predictions / "x.png", broken(ladder()), greatest=1)
    assert report(tmp_path, predictions, raw / "labelsTr") == 0
    assert dice_of(tmp_path) == {("x", "membrane"): pytest.approx(expected_dice(broken(ladder()), ladder()))}


def test_a_rule_for_the_foreground_makes_one_row_per_case(tmp_path, raw, predictions):
    assert report(tmp_path, predictions, raw / "labelsTr", "--label-foreground", ">0") == 0
    rows = rows_of(tmp_path)
    assert [row["case"] for row in rows] == ["a_001", "b_002"]
    assert "class" not in rows[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--classes", "bone"], "--classes to name classes of .*artery, vein, but got bone"),
        (["--classes", "vein", "--label-foreground", "2"], "for --classes, .*with --label-foreground"),
        (["--probabilities"], "a_001.npz for --probabilities, .*train with --npz"),
    ],
)
def test_wrong_options_end_with_a_sentence(tmp_path, raw, predictions, capsys, options, sentence):
    assert report(tmp_path, predictions, raw / "labelsTr", *options) == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_classes_need_a_data_set_of_nnunet(tmp_path, capsys):
    save_picture(tmp_path / "pred" / "x.png", ladder())
    save_picture(tmp_path / "label" / "x.png", ladder())
    assert report(tmp_path, tmp_path / "pred", tmp_path / "label", "--classes", "vein") == 2
    assert "Expected folders of nnU-Net for --classes, but got others: no dataset.json." in capsys.readouterr().err


def test_predictions_of_another_data_set_are_refused(tmp_path, raw, predictions, capsys):
    write_dataset(predictions, {"background": 0, "artery": 2, "vein": 1})
    assert report(tmp_path, predictions, raw / "labelsTr") == 2
    assert "Expected predictions and labels of one data set" in capsys.readouterr().err


def test_the_json_file_of_the_decathlon_is_not_that_of_nnunet(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "liver"}, "training": []}))
    assert find_dataset(tmp_path) is None


def test_a_folder_beside_a_data_set_is_not_its_part(tmp_path, raw):
    (raw / "other").mkdir()
    assert find_dataset(raw / "other") is None
    assert find_dataset(raw / "imagesTr").path == raw / "dataset.json"


def test_finished_cases_are_those_of_their_class(tmp_path):
    store = FinishedCases(tmp_path / "out.html", {})
    store.add([tmp_path / "a"], {"dice": 1}, "artery")
    again = FinishedCases(tmp_path / "out.html", {})
    assert again.get([tmp_path / "a"], "artery") == {"dice": 1}
    assert again.get([tmp_path / "a"], "vein") is None
