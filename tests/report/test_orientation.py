"""Predictions that fit their labels much better transposed, flipped or inverted are named, others are not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.report.orientation import describe_better_fit, find_better_fits

LABEL = ladder((60, 60)) & (np.arange(60) < 40)  # no symmetry


def report(tmp_path, *options):
    out = tmp_path / "report.html"
    status = main(["report", str(tmp_path / "pred"), str(tmp_path / "label"), "--out", str(out), *options])
    return status, out


def fits(prediction, label):
    return find_better_fits(prediction, label, np.ones_like(label))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (np.transpose, "transposed"),
        (np.flipud, "flipped along y"),
        (np.fliplr, "flipped along x"),
        (lambda mask: mask[::-1, ::-1], "flipped along x and y"),
        (lambda mask: np.rot90(mask, 1), "transposed and flipped along x"),
        (np.logical_not, "inverted"),
        (lambda mask: ~mask.T, "transposed and inverted"),
    ],
    ids=["transposed", "flipped along y", "flipped along x", "turned by 180", "turned by 90", "inverted", "both"],
)
def test_changed_pictures_are_named_on_the_page_and_the_terminal(change, name, tmp_path, capfd):
    for case in "abc":
        save_picture(tmp_path / "label" / f"{case}.png", LABEL)
        save_picture(tmp_path / "pred" / f"{case}_mask.png", change(broken(LABEL)))
    status, out = report(tmp_path)
    assert status == 0
    [warning] = json.loads(out.with_suffix(".json").read_text())["warnings"]
    assert warning.startswith(f"Predictions fit their labels much better {name} (mean Dice 0.9")
    assert "in 3 of 3 cases)" in warning
    assert f"Warning: {warning}" in capfd.readouterr().out
    page = out.read_text()
    assert page.index(f"better {name} (mean Dice") < page.index('class="cards"')


def test_dice_of_both_are_stated():
    dice = 2 * (LABEL & LABEL.T).sum() / (2 * LABEL.sum())
    found = fits(LABEL.T, LABEL)
    assert (found["dice"], found["better"]["transposed"]) == (dice, 1)
    assert f"(mean Dice 1.00 instead of {dice:.2f}, in 1 of 1 case)" in describe_better_fit([fits(LABEL.T, LABEL)])


def test_good_symmetric_empty_and_bad_predictions_are_not_named(tmp_path, capfd):
    ring = np.zeros((60, 60), dtype=bool)
    ring[20:40, 20:40] = True
    ring[25:35, 25:35] = False
    sparse = ~LABEL & (np.arange(60) % 8 == 0)  # finds an eighth of a label that fills most of the image
    noise = np.random.default_rng(0).random((60, 60)) < 0.2
    empty = np.zeros_like(LABEL)
    pairs = [
        (broken(LABEL), LABEL),
        (ring.T, ring),
        (np.roll(ring, 12), ring),
        (sparse, ~LABEL),
        (noise, LABEL),
        (noise, ~LABEL),
        (empty, LABEL),
        (empty, ~LABEL),
        (~empty, LABEL),
        (LABEL, empty),
        (empty, empty),
    ]
    for number, (prediction, label) in enumerate(pairs):
        assert not fits(prediction, label)["better"], number
        save_picture(tmp_path / "label" / f"{number}.png", label)
        save_picture(tmp_path / "pred" / f"{number}.png", prediction)
    status, out = report(tmp_path, "--worst", "0")
    assert status == 0
    assert json.loads(out.with_suffix(".json").read_text())["warnings"] == []
    assert "Warning" not in capfd.readouterr().out
    assert "much better" not in out.read_text()


def test_a_small_gain_of_dice_is_not_named():
    label = np.repeat([[True] * 45 + [False] * 15], 60, axis=0)
    noisy = label.T ^ (np.random.default_rng(0).random(label.shape) < 0.12)  # Dice 0.72 as it is, 0.91 transposed
    assert 0.7 < fits(noisy, label)["dice"] < 0.75
    assert not fits(noisy, label)["better"]


def test_half_of_the_cases_are_not_most():
    right, wrong = fits(LABEL, LABEL), fits(LABEL.T, LABEL)
    assert describe_better_fit([right, wrong]) is None
    assert "in 2 of 3 cases" in describe_better_fit([wrong, right, wrong])
    assert describe_better_fit([]) is None


def test_volumes_have_their_axes_named_x_first(tmp_path):
    label = ladder((24, 60, 60))
    save_volume(tmp_path / "label" / "v.nii.gz", label)
    save_volume(tmp_path / "pred" / "v.nii.gz", label.transpose(0, 2, 1)[:, ::-1])
    _, out = report(tmp_path)
    [warning] = json.loads(out.with_suffix(".json").read_text())["warnings"]
    assert "much better with x and y exchanged and flipped along x (mean Dice 1.00" in warning
    cube = np.zeros((40, 40, 40), dtype=bool)
    cube[3:7, 4:30, 10:14] = cube[3:20, 4:8, 10:14] = True
    for order, name in (((2, 0, 1), "with the axes in the order z, x, y"), ((2, 1, 0), "with x and z exchanged")):
        assert f"much better {name} (mean Dice 1.00" in describe_better_fit([fits(cube.transpose(order), cube)])


def test_large_volumes_are_sampled_alike():
    large = np.zeros((130, 260, 260), dtype=bool)
    large[60:80, 20:60, 10:200] = True
    found = fits(large.transpose(0, 2, 1), large)
    assert found["better"]["with x and y exchanged"] == 1
    assert found["dice"] == pytest.approx(40 * 40 / (40 * 190), abs=0.02)


def test_the_field_of_view_is_neither_inverted_nor_counted(tmp_path):
    inside = np.zeros((60, 60), dtype=bool)
    inside[:, :35] = True
    save_picture(tmp_path / "label" / "a.png", LABEL)
    save_picture(tmp_path / "pred" / "a.png", ~LABEL)
    save_picture(tmp_path / "mask" / "a.png", inside)
    _, out = report(tmp_path, "--masks", str(tmp_path / "mask"))
    [warning] = json.loads(out.with_suffix(".json").read_text())["warnings"]
    assert "much better inverted (mean Dice 1.00 instead of 0.00" in warning
    assert "--prediction-foreground 0" in warning
    assert report(tmp_path, "--prediction-foreground", "0")[0] == 0
    assert json.loads(out.with_suffix(".json").read_text())["warnings"] == []


def test_what_a_change_moves_out_of_the_field_of_view_does_not_count():
    inside = np.arange(60) < 45
    label = LABEL & inside & inside[:, None]
    prediction = label.T | ~inside
    found = find_better_fits(prediction, label, np.ones_like(label) & inside[:, None])
    assert found["better"]["transposed"] == 1


def test_a_transposed_picture_of_another_shape_is_refused_with_this_cause(tmp_path, capfd):
    save_picture(tmp_path / "label" / "a.png", ladder())
    save_picture(tmp_path / "pred" / "a.png", ladder().T)
    status, _ = report(tmp_path)
    assert status == 2
    assert "one of them seems to be transposed" in capfd.readouterr().err


def test_real_membranes_transposed_are_named_and_right_ones_are_not(shared_data, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    files = sorted((shared_data / "isbi2012" / "labels").iterdir())[:4]
    labels = [np.asarray(pillow.open(file)) == 0 for file in files]
    noise = np.random.default_rng(0)
    found = {"right": [], "transposed": []}
    for label in labels:
        prediction = label ^ (noise.random(label.shape) < 0.05)
        found["right"].append(fits(prediction, label))
        found["transposed"].append(fits(prediction.T, label))
    assert describe_better_fit(found["right"]) is None
    assert "much better transposed" in describe_better_fit(found["transposed"])
