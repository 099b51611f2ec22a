"""`report --second-labels`: a second person's labels, measured as predictions are and shown beside the model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo import topology_report
from monai_topo.__main__ import main


def report(folder, *options):
    command = ["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "r.html")]
    return main([*command, "--worst", "1", "--second-labels", str(folder / "second"), *options])


def content(folder):
    return json.loads((folder / "r.json").read_text())


def second(label):
    other = label.copy()
    other[..., 5:7, 40:42] = True  # one speck
    return other


@pytest.fixture
def six_cases(tmp_path):
    label = ladder()
    for number in range(6):
        save_picture(tmp_path / "label" / f"{number}.png", label)
        save_picture(tmp_path / "pred" / f"{number}_mask.png", broken(label) if number > 1 else label)
        save_picture(tmp_path / "second" / f"{number}_manual2.png", second(label) if number in (1, 2) else label)
    return tmp_path


@pytest.mark.parametrize("shape", [(40, 60), (12, 40, 60)], ids=["2D", "3D"])
def test_second_labels_are_measured_like_predictions(tmp_path, shape):
    label = ladder(shape)
    save, ending = (save_picture, ".png") if len(shape) == 2 else (save_volume, ".nii.gz")
    for kind, mask in (("label", label), ("pred", broken(label)), ("second", second(label))):
        save(tmp_path / kind / f"v{ending}", mask)
    assert report(tmp_path) == 0
    [case] = content(tmp_path)["cases"]
    expected = topology_report(second(label).astype(float), label)
    for name in ("betti_error_0", "dice", "cldice", "topology_precision", "voi", "betti_matching_error"):
        assert case[f"human_{name}"] == pytest.approx(expected[name]), name
    assert case["human_spurious_components"] == 1
    assert (case["breaks"], case["human_breaks"]) == (1, 0)
    assert not any(name.startswith(("human_bottleneck", "human_wasserstein")) for name in case)
    assert case["second_label_file"].endswith(f"v{ending}")


def test_model_and_person_stand_side_by_side(six_cases):
    assert report(six_cases) == 0
    found = {one["name"]: one for one in content(six_cases)["human"]}
    errors = found["betti_error"]
    assert (errors["cases"], errors["model"], errors["human"]) == (6, 4 / 6, 2 / 6)
    assert (errors["cases_model_better"], errors["cases_human_better"]) == (1, 3)
    assert errors["model_interval"][0] < errors["model"] < errors["model_interval"][1]
    assert errors["human_interval"][0] < errors["human"] <= errors["human_interval"][1]
    dice = found["dice"]
    means = [np.mean([case[name] for case in content(six_cases)["cases"]]) for name in ("dice", "human_dice")]
    assert [dice["model"], dice["human"]] == pytest.approx(means)
    page = (six_cases / "r.html").read_text()
    assert "Model and second person" in page
    assert page.count('class="other"') == sum(one["better"] != "" for one in found.values())
    assert "second person, mean" in page


def test_only_cases_with_both_count_and_the_others_are_named(six_cases, capfd):
    (six_cases / "second" / "3_manual2.png").unlink()
    save_picture(six_cases / "second" / "none.png", ladder())
    assert report(six_cases) == 0
    assert "1 of 6 cases have no second label: 3." in capfd.readouterr().err
    found = {one["name"]: one for one in content(six_cases)["human"]}
    assert (found["betti_error"]["cases"], found["betti_error"]["model"]) == (5, 3 / 5)
    lacking = next(case for case in content(six_cases)["cases"] if case["case"] == "3")
    assert "human_dice" not in lacking
    assert lacking["second_label_file"] is None


def test_masks_and_rules_hold_for_second_labels_too(tmp_path):
    label, inside = ladder(), np.ones((40, 60), dtype=bool)
    inside[:8] = False  # the speck of the second person lies outside
    for kind, mask in (("label", ~label), ("pred", label), ("second", ~second(label))):
        save_picture(tmp_path / kind / "a.png", mask)
    save_picture(tmp_path / "masks" / "a.png", inside)
    assert report(tmp_path, "--label-foreground", "0") == 0
    assert content(tmp_path)["cases"][0]["human_betti_error_0"] == 1
    assert report(tmp_path, "--label-foreground", "0", "--masks", str(tmp_path / "masks")) == 0
    assert content(tmp_path)["cases"][0]["human_betti_error_0"] == 0
    assert content(tmp_path)["cases"][0]["human_dice"] == 1


def test_a_second_label_of_another_shape_is_named(six_cases):
    save_picture(six_cases / "second" / "4_manual2.png", ladder((41, 60)))
    assert report(six_cases) == 1
    [sentence] = content(six_cases)["left_out"]
    assert "4_manual2.png to have the same shape" in sentence


def test_a_changed_second_label_counts_as_a_new_case(six_cases, monkeypatch):
    from monai_topo.report import case_pages, cases

    def interrupted(case, settings, **memory):
        if case.name == "1":
            raise KeyboardInterrupt
        return cases.measure_case(case, settings)

    monkeypatch.setattr(case_pages, "measure_case", interrupted)
    assert report(six_cases) == 130
    save_picture(six_cases / "second" / "0_manual2.png", second(ladder()))
    monkeypatch.undo()
    assert report(six_cases) == 0
    assert next(c for c in content(six_cases)["cases"] if c["case"] == "0")["human_betti_error"] == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["other"], "Expected second labels and labels of the same names"),
        (["0_manual1", "0_manual2"], "--second-label-files"),
    ],
)
def test_second_labels_that_fit_no_label_write_nothing(six_cases, capsys, names, sentence):
    for path in (six_cases / "second").iterdir():
        path.unlink()
    for name in names:
        save_picture(six_cases / "second" / f"{name}.png", ladder())
    assert report(six_cases) == 2
    assert sentence in capsys.readouterr().err
    assert not (six_cases / "r.html").exists()


def test_options_of_second_labels_need_second_labels(six_cases, capsys):
    command = ["report", str(six_cases / "pred"), str(six_cases / "label"), "--out", str(six_cases / "r.html")]
    assert main([*command, "--second-label-files", "*.png"]) == 2
    assert "--second-labels along with --second-label-files or --second-label-key" in capsys.readouterr().err


def test_classes_of_nnunet_are_compared_one_by_one(tmp_path):
    label = ladder((10, 40, 60))
    classes = np.where(np.arange(60) < 40, 1, 2)
    for kind, mask in (("label", label), ("pred", label), ("second", second(label))):
        save_volume(tmp_path / kind / "a_001.nii.gz", mask * classes)
    names = {"background": 0, "artery": 1, "vein": 2}
    dataset = {"channel_names": {"0": "CT"}, "labels": names, "file_ending": ".nii.gz"}
    (tmp_path / "label" / "dataset.json").write_text(json.dumps(dataset))
    assert report(tmp_path) == 0
    found = {case["class"]: case["human_betti_error_0"] for case in content(tmp_path)["cases"]}
    assert found == {"artery": 0, "vein": 1}  # the speck is a vein
