"""`python -m monai_topo report`: numbers, files and exit status."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.report import case_pages, cases
from monai_topo.report.files import Case


def report(tmp_path, *options, predictions="pred", labels="label"):
    out = tmp_path / "out" / "report.html"
    return main(["report", str(tmp_path / predictions), str(tmp_path / labels), "--out", str(out), *options])


def content(tmp_path):
    return json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.fixture
def two_cases(tmp_path):
    """A picture with three errors, and one without."""
    label = ladder()
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "label" / "b.png", label)
    save_picture(tmp_path / "pred" / "a_mask.png", label)
    save_picture(tmp_path / "pred" / "b_mask.png", broken(label))
    return tmp_path


def test_numbers_are_those_of_topology_report(two_cases):
    assert report(two_cases) == 0
    expected = topology_report(broken(ladder()).astype(float), ladder())
    worst, best = content(two_cases)["cases"]
    assert (worst["case"], best["case"]) == ("b", "a")
    for name, value in expected.items():
        assert worst[name] == pytest.approx(value, nan_ok=True) or (worst[name] is None and math.isnan(value)), name
    with (two_cases / "out" / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["b", "a"]
    assert float(rows[0]["betti_error"]) == expected["betti_error"]
    assert content(two_cases)["summary"]["dice"]["mean"] == pytest.approx((1 + expected["dice"]) / 2)
    page = (two_cases / "out" / "report.html").read_text()
    assert f'<td data-value="{expected["dice"]}"' in page  # by which the page sorts
    assert '<td data-value="nan"' not in page


def test_errors_are_counted_numbered_and_placed(two_cases):
    report(two_cases)
    worst, best = content(two_cases)["cases"]
    counts = ["breaks", "bridges", "missing_components", "spurious_components", "missing_holes", "spurious_holes"]
    assert [worst[name] for name in counts] == [1, 0, 0, 1, 0, 1]
    assert [best[name] for name in counts] == [0] * 6
    errors = {error["kind"]: error for error in worst["errors"]}
    assert errors["spurious component"]["at_xyz"] == [21, 36]
    assert errors["spurious hole"]["at_xyz"] == [20, 29]
    assert [error["number"] for error in worst["errors"]] == list(range(1, len(worst["errors"]) + 1))


def test_volumes_have_x_first_and_their_spacing(tmp_path):
    label = ladder((12, 40, 60))
    save_volume(tmp_path / "label" / "v.nii.gz", label, (1, 1, 3))
    save_volume(tmp_path / "pred" / "v_pred.nii.gz", broken(label), (1, 1, 3))
    assert report(tmp_path) == 0
    [case] = content(tmp_path)["cases"]
    assert case["size"] == [60, 40, 12]
    errors = {error["kind"]: error for error in case["errors"]}
    assert errors["spurious component"]["at_xyz"] == [21, 36, 4]
    assert (case["b1_label"], case["b1_pred"], case["b2_pred"]) == (2, 1, 1)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("projected along") == 3
    assert 'viewBox="0 0 60.0 36.0"' in page  # across y: layers are three times as thick


def test_likelihoods_are_thresholded_and_have_diagrams(tmp_path):
    label = ladder()
    save_picture(tmp_path / "label" / "a.png", label)
    likelihood = np.where(label, 0.8, 0.1)
    likelihood[17:21, 28:36] = 0.4  # a break, but not at 0.3
    save_picture(tmp_path / "pred" / "a.png", likelihood)
    assert report(tmp_path) == 0
    [case] = content(tmp_path)["cases"]
    assert (case["prediction"], case["breaks"], case["betti_error"]) == ("likelihood / 255", 1, 1)
    assert "persistence diagrams of" in (tmp_path / "out" / "report.html").read_text()
    assert report(tmp_path, "--threshold", "0.3") == 0
    assert content(tmp_path)["cases"][0]["betti_error"] == 0


def test_the_page_explains_why_masks_have_no_diagram(two_cases):
    report(two_cases)
    page = (two_cases / "out" / "report.html").read_text()
    assert "Masks have no informative persistence diagram" in page
    assert "persistence diagrams of" not in page


def test_options_reach_the_metrics(tmp_path):
    label = np.zeros((20, 30), dtype=bool)
    label[5:10, 5:10] = label[10:15, 10:15] = True  # touch at a corner
    save_picture(tmp_path / "label" / "a.png", ~label)
    save_picture(tmp_path / "pred" / "a.png", label)
    options = ["--label-foreground", "0", "--connectivity", "face"]
    assert report(tmp_path, *options, "--border", "foreground", "--instances", "background") == 0
    [case] = content(tmp_path)["cases"]
    expected = topology_report(
        label.astype(float), label, connectivity="face", border="foreground", instances="background"
    )
    assert (case["b0_label"], case["dice"]) == (2, 1)
    assert (case["b1_label"], case["true_positives"]) == (expected["b1_label"], expected["true_positives"])


def test_broken_and_unpaired_files_are_named_counted_and_skipped(two_cases, capfd):
    (two_cases / "label" / "c.png").write_text("no picture")
    save_picture(two_cases / "pred" / "c.png", ladder())
    save_picture(two_cases / "label" / "d.png", ladder((41, 60)))
    save_picture(two_cases / "pred" / "d.png", ladder())
    save_picture(two_cases / "label" / "e.png", ladder())
    assert report(two_cases) == 1
    left_out = content(two_cases)["left_out"]
    assert [next(name for name in "cde" if f"{name}.png" in sentence) for sentence in left_out] == ["c", "d", "e"]
    assert "same shape" in left_out[1]
    assert content(two_cases)["measured"] == 2
    out = capfd.readouterr().out
    assert "2 cases measured, 3 left out" in out
    assert all(sentence in out for sentence in left_out)
    assert "3 files were left out" in (two_cases / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--threshold", "1.5"], "--threshold to be at least 0"),
        (["--worst-by", "beauty"], "--worst-by to be a column"),
        (["--label-foreground", "7"], "one case that can be measured"),
        (["--worst", "-1"], "--worst to be at least 0"),
        (["--mask-files", "*.png"], "--masks along with --mask-files"),
        (["--image-key", "scan"], "--images along with --image-files or --image-key"),
        (["--mask-key", "fov"], "--masks along with --mask-files or --mask-key"),
    ],
)
def test_impossible_settings_write_nothing(two_cases, capsys, options, sentence):
    assert report(two_cases, *options) == 2
    assert sentence in capsys.readouterr().err
    assert not (two_cases / "out" / "report.html").exists()


@pytest.mark.parametrize(("shape", "ending"), [((40, 60), ".png"), ((12, 40, 60), ".nii.gz")])
def test_nothing_counts_outside_of_a_mask(tmp_path, shape, ending):
    save = save_picture if ending == ".png" else save_volume
    label, inside = ladder(shape), np.zeros(shape, dtype=bool)
    inside[..., 5:33, 14:52] = True  # leaves the speck below outside, and ends of the rails
    likelihood = np.where(broken(label), 0.8, 0.2)
    save(tmp_path / "pred" / f"a{ending}", likelihood)
    save(tmp_path / "label" / f"a{ending}", label)
    save(tmp_path / "masks" / f"a_mask{ending}", inside)
    assert report(tmp_path, "--masks", str(tmp_path / "masks")) == 0
    [case] = content(tmp_path)["cases"]
    expected = topology_report(np.where(inside, likelihood, 0), label & inside)
    for name, value in expected.items():
        assert case[name] == pytest.approx(value, rel=1e-6, nan_ok=True) or math.isnan(value), name
    assert (case["breaks"], case["spurious_components"]) == (1, 0)
    assert case["mask_file"].endswith(f"a_mask{ending}")
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"metrics within masks <code>{tmp_path / 'masks'}</code>" in page
    assert "outside the mask" in page


def test_inverted_labels_are_cleared_and_not_filled(tmp_path):
    label, inside = ladder(), np.zeros((40, 60), dtype=bool)
    inside[:, 20:] = True
    save_picture(tmp_path / "label" / "a.png", ~label)
    save_picture(tmp_path / "pred" / "a.png", label)
    save_picture(tmp_path / "masks" / "a.png", inside)
    assert report(tmp_path, "--label-foreground", "0", "--masks", str(tmp_path / "masks")) == 0
    [case] = content(tmp_path)["cases"]
    assert (case["dice"], case["b1_label"], case["b1_pred"]) == (1, 1, 1)


def test_cases_without_their_mask_are_left_out_and_named(two_cases):
    save_picture(two_cases / "masks" / "b.png", np.ones((40, 60)))
    assert report(two_cases, "--masks", str(two_cases / "masks")) == 1
    assert [case["case"] for case in content(two_cases)["cases"]] == ["b"]
    save_picture(two_cases / "masks" / "a.png", np.ones((40, 61)))
    assert report(two_cases, "--masks", str(two_cases / "masks")) == 1
    [sentence] = content(two_cases)["left_out"]
    assert f"{two_cases / 'masks' / 'a.png'} to have the same shape, but got (60, 40) and (61, 40)" in sentence


def test_a_mask_is_among_the_files_that_a_result_depends_on(tmp_path):
    case = Case("a", tmp_path / "p.png", tmp_path / "l.png")
    assert cases.measured_files(case) == [tmp_path / "p.png", tmp_path / "l.png"]
    assert cases.measured_files(case._replace(mask=tmp_path / "m.png")) == [
        *cases.measured_files(case),
        tmp_path / "m.png",
    ]


@pytest.mark.parametrize("options", ["--out report.txt", "--jobs 0", "--connectivity 18", "--thresh 0"])
def test_the_parser_refuses_unknown_values(two_cases, options):
    with pytest.raises(SystemExit) as refused:
        report(two_cases, *options.split())
    assert refused.value.code == 2


def test_worst_by_and_number_of_pictures(two_cases):
    assert report(two_cases, "--worst", "1", "--worst-by", "dice") == 0
    page = (two_cases / "out" / "report.html").read_text()
    assert page.count("<article") == 1
    assert 'id="case-1"' in page
    assert [case["case"] for case in content(two_cases)["cases"]] == ["b", "a"]


@pytest.mark.slow
def test_two_processes_get_the_metrics_of_one(two_cases):
    report(two_cases)
    alone = content(two_cases)
    assert report(two_cases, "--jobs", "2", "--worst", "0") == 0
    both = content(two_cases)
    assert both["cases"] == alone["cases"]


@pytest.fixture
def measured(monkeypatch):
    """The names of the cases, as they are measured."""
    names = []

    def measure_case(case, settings, **memory):
        names.append(case.name)
        return cases.measure_case(case, settings)

    monkeypatch.setattr(case_pages, "measure_case", measure_case)
    return names


def test_finished_cases_of_an_interrupted_run_are_not_measured_again(two_cases, measured, monkeypatch):
    def interrupted(case, settings, **memory):
        if case.name == "b":
            raise KeyboardInterrupt
        return cases.measure_case(case, settings)

    with monkeypatch.context() as patch:
        patch.setattr(case_pages, "measure_case", interrupted)
        assert report(two_cases) == 130
    assert not (two_cases / "out" / "report.html").exists()
    unfinished = two_cases / "out" / "report.unfinished.jsonl"
    with unfinished.open("a") as file:
        file.write('{"key": "half a li')
    assert report(two_cases) == 0
    assert measured == ["b"]
    assert content(two_cases)["measured"] == 2
    assert not unfinished.exists()
    assert report(two_cases, "--threshold", "0.4") == 0
    assert measured == ["b", "a", "b"]


def test_after_a_failure_only_what_was_mended_is_measured(two_cases, measured, capsys):
    truncated = two_cases / "pred" / "b_mask.png"
    whole = truncated.read_bytes()
    truncated.write_bytes(whole[:40])
    assert report(two_cases) == 1
    assert "only the cases that failed are measured again" in capsys.readouterr().out
    truncated.write_bytes(whole)
    assert report(two_cases) == 0
    assert measured == ["a", "b", "b"]
    assert content(two_cases)["measured"] == 2
    assert not (two_cases / "out" / "report.unfinished.jsonl").exists()


def test_a_failed_page_keeps_the_previous_one(two_cases, monkeypatch):
    report(two_cases)
    before = (two_cases / "out" / "report.html").read_bytes()
    monkeypatch.setattr("monai_topo._utils.io.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert report(two_cases, "--threshold", "0.4") == 2
    assert (two_cases / "out" / "report.html").read_bytes() == before
    assert {path.name for path in (two_cases / "out").iterdir()} == {
        "report.html", "report.csv", "report.json", "report.unfinished.jsonl",
    }  # fmt: skip


def test_help_describes_commands_and_exit_status(capsys):
    for arguments in (["--help"], ["report", "--help"], ["labels", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "exit status" in capsys.readouterr().out
