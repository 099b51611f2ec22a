"""`python -m monai_topo report --cleanup`: raw and cleaned numbers, and the fate of each error."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo import topology_report
from monai_topo.__main__ import main
from monai_topo.transforms import CleanUp

SIZES = {"min_component_size": 30, "min_hole_size": 5}


def report(tmp_path, *options, **cleanup):
    CleanUp(**cleanup).save(tmp_path / "cleanup.json")
    out = tmp_path / "out" / "report.html"
    folders = [str(tmp_path / name) for name in ("pred", "label")]
    return main(["report", *folders, "--out", str(out), "--cleanup", str(tmp_path / "cleanup.json"), *options])


def content(tmp_path):
    return json.loads((tmp_path / "out" / "report.json").read_text())


def fates(case):
    raw = {error["kind"]: error["after_cleanup"] for error in case["errors"]}
    return raw, [error["kind"] for error in case["cleaned_errors"] if error["is_new"]]


@pytest.fixture
def one_case(tmp_path):
    """A break, a speck of 9 pixels and a pinhole; and an islet of the label that the prediction has."""
    label = ladder()
    label[35:38, 50:53] = True
    prediction = broken(ladder()) | label & (np.arange(60) >= 50)
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "pred" / "a.png", prediction)
    return tmp_path, prediction, label


def test_errors_are_fixed_left_and_made_by_place(one_case):
    folder, _, _ = one_case
    assert report(folder, **SIZES) == 0
    [case] = content(folder)["cases"]
    raw, made = fates(case)
    expected = {"spurious component": "fixed", "spurious hole": "fixed", "break": "left"}
    assert {kind: raw[kind] for kind in expected} == expected
    assert made == ["missing component"]  # the true islet is as small as the speck
    counts = {count.pop("kind"): count for count in content(folder)["cleaned"]["errors"]}
    assert counts["break"] == {"raw": 1, "fixed": 0, "left": 1, "made": 0, "cleaned": 1}
    assert counts["spurious hole"] == {"raw": 1, "fixed": 1, "left": 0, "made": 0, "cleaned": 0}
    assert counts["missing component"] == {"raw": 0, "fixed": 0, "left": 0, "made": 1, "cleaned": 1}


def test_cleaned_numbers_are_those_of_the_transform(one_case):
    folder, prediction, label = one_case
    report(folder, "--border", "foreground", **SIZES, border="foreground")
    cleaned = CleanUp(**SIZES, border="foreground")(prediction[None].astype(np.uint8))[0]
    expected = topology_report(np.asarray(cleaned, dtype=float), label, border="foreground")
    [case] = content(folder)["cases"]
    for name in ("dice", "betti_error", "b0_pred", "betti_matching_error", "cldice"):
        assert case[f"cleaned_{name}"] == pytest.approx(expected[name]), name
        assert case[name] == pytest.approx(topology_report(prediction * 1.0, label, border="foreground")[name]), name
    assert not [name for name in case if name.startswith(("cleaned_bottleneck", "cleaned_wasserstein"))]
    with (folder / "out" / "report.csv").open() as file:
        [row] = csv.DictReader(file)
    assert float(row["cleaned_dice"]) == pytest.approx(expected["dice"])
    [dice] = [one for one in content(folder)["cleaned"]["metrics"] if one["name"] == "dice"]
    assert (dice["raw"], dice["cleaned"]) == pytest.approx((case["dice"], case["cleaned_dice"]))
    assert (dice["cases_better"], dice["cases_worse"]) == (
        int(dice["cleaned"] > dice["raw"]),
        int(dice["cleaned"] < dice["raw"]),
    )


def test_the_page_shows_both_side_by_side(one_case):
    folder, _, _ = one_case
    report(folder, **SIZES)
    page = (folder / "out" / "report.html").read_text()
    assert "Raw and cleaned" in page
    assert "<figcaption>raw</figcaption>" in page
    assert "<figcaption>cleaned</figcaption>" in page
    assert "made by the clean-up" in page
    assert "min component size <b>30</b>" in page
    assert page.count("; <b>fixed</b>") == 2


def test_reconnection_of_likelihoods_fixes_a_break(tmp_path):
    label = ladder()
    likelihood = np.where(label, 0.9, 0.05)
    likelihood[17:21, 28:36] = 0.3
    likelihood[8:31, 45:46] = likelihood[8:11, 20:26] = 0.2
    likelihood[:, 26:28] = 0.05  # the left part is apart but for the path of likelihood 0.3
    likelihood[8:11, 26:28] = 0.3
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "pred" / "a.png", likelihood)
    assert report(tmp_path, reconnect={"min_likelihood": 0.15}) == 0
    found = content(tmp_path)["cleaned"]["errors"]
    [breaks] = [count for count in found if count["kind"] == "break"]
    assert breaks["fixed"] >= 1
    assert breaks["raw"] == breaks["fixed"] + breaks["left"]


def test_nothing_changes_without_a_clean_up(one_case):
    folder, _, _ = one_case
    out = folder / "out" / "report.html"
    main(["report", str(folder / "pred"), str(folder / "label"), "--out", str(out)])
    assert "cleaned" not in content(folder)
    assert not [name for name in content(folder)["cases"][0] if "clean" in name]
    assert "Raw and cleaned" not in out.read_text()


def test_sizes_in_mm_use_the_spacing_of_the_case(tmp_path):
    label = ladder((12, 40, 60))
    save_volume(tmp_path / "label" / "v.nii.gz", label, (1, 1, 3))
    save_volume(tmp_path / "pred" / "v.nii.gz", broken(label), (1, 1, 3))
    # The speck has 27 voxels of 3 mm^3.
    for size, fate in ((80, "left"), (82, "fixed")):
        assert report(tmp_path, "--worst", "0", min_component_size=size, spacing="affine") == 0
        raw, _ = fates(content(tmp_path)["cases"][0])
        assert raw["spurious component"] == fate


def test_volumes_have_a_cleaned_view_next_to_each_view(tmp_path):
    label = ladder((12, 40, 60))
    save_volume(tmp_path / "label" / "v.nii.gz", label)
    save_volume(tmp_path / "pred" / "v.nii.gz", broken(label))
    assert report(tmp_path, **SIZES, spatial_dims=3) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<figcaption>raw, projected along") == page.count("<figcaption>cleaned, projected along") == 1


def test_another_border_is_mentioned(one_case, capfd):
    folder, _, _ = one_case
    assert report(folder, **SIZES, border="foreground") == 0
    [warning] = content(folder)["warnings"]
    assert "has border foreground, the metrics have border open" in warning
    assert warning in capfd.readouterr().out


@pytest.mark.parametrize(
    ("cleanup", "sentence"),
    [
        ({"spatial_dims": 3}, "for 2 spatial axes, but got one for 3"),
        ({"connectivity": "face"}, "with connectivity 'full', but got 'face'"),
        ({"min_component_size": 5, "spacing": "affine"}, "a voxel size for a clean-up with sizes in mm"),
        ({"min_persistence": 0.1}, "a likelihood for `min_persistence`, but got a mask"),
    ],
    ids=["dimension", "connectivity", "no spacing", "mask"],
)
def test_clean_ups_that_do_not_fit_are_refused_and_nothing_is_written(cleanup, sentence, one_case, capfd):
    folder, _, _ = one_case
    assert report(folder, **cleanup) == 2
    assert sentence in capfd.readouterr().err
    assert not (folder / "out").exists()


def test_files_that_hold_no_clean_up_are_named(one_case, capfd):
    folder, _, _ = one_case
    for text, sentence in (("{}", "Expected the settings of a clean-up"), ("[", "other.json"), (None, "other.json")):
        other = folder / "other.json"
        other.unlink(missing_ok=True)
        if text is not None:
            other.write_text(text)
        assert report(folder, "--cleanup", str(other)) == 2
        error = capfd.readouterr().err
        assert sentence in error
        assert "other.json" in error
    assert not (folder / "out").exists()
