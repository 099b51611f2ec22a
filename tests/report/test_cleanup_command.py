"""`python -m monai_topo cleanup`: files, table, exit status and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_cases import ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.cleanup import choose_cleanup
from monai_topo.report import cleanup_command
from monai_topo.transforms import CleanUp


def cleanup(folder, *options):
    out = folder / "out" / "cleanup.json"
    return main(["cleanup", str(folder / "pred"), str(folder / "label"), "--out", str(out), *options])


def settings(folder):
    return CleanUp.load(folder / "out" / "cleanup.json")


def with_speck(label):
    prediction = label.copy()
    prediction[..., 35:38, 20:22] = True
    return prediction


def likelihood():
    """Draw values that a picture in 8 bits can hold."""
    return (204 * with_speck(ladder()) + 51 * ladder()).astype(np.float32) / 255


@pytest.fixture
def pictures(tmp_path):
    for number in range(5):
        save_picture(tmp_path / "label" / f"{number}.png", ladder())
        save_picture(tmp_path / "pred" / f"{number}_pred.png", likelihood())
    return tmp_path


def test_choice_is_that_of_python(pictures, capsys):
    assert cleanup(pictures) == 0
    expected = choose_cleanup([(likelihood(), ladder())] * 5, progress=False)
    assert settings(pictures).to_dict() == expected.cleanup.to_dict()
    printed = capsys.readouterr().out
    assert printed.startswith(expected.table())
    assert "better than raw (one-sided p = 0.031, sign flips)" in printed
    assert printed.endswith(f"Clean-up chosen on 5 cases: {pictures / 'out' / 'cleanup.json'}.\n")


def test_options_are_those_of_the_choice(pictures):
    options = ["--connectivity", "face", "--border", "foreground", "--metric", "cldice", "--dice-lost", "2"]
    assert cleanup(pictures, *options, "--threshold", "0.4", "--spacing-mm", "0.5") == 0
    chosen = settings(pictures)
    assert (chosen.connectivity, chosen.border, chosen.threshold, chosen.spacing) == ("face", "foreground", 0.4, 0.5)
    record = json.loads((pictures / "out" / "cleanup.json").read_text())["chosen_by"]
    assert (record["metric"], record["dice_lost"]) == ("cldice", 2.0)


def test_millimeters_of_headers(tmp_path):
    label = ladder((10, 40, 60))
    for number in range(2):
        save_volume(tmp_path / "label" / f"{number}.nii.gz", label, spacing=(0.5, 0.5, 2.0))
        save_volume(tmp_path / "pred" / f"{number}.nii.gz", with_speck(label), spacing=(0.5, 0.5, 2.0))
    assert cleanup(tmp_path, "--mm") == 0
    chosen = settings(tmp_path)
    assert (chosen.spacing, chosen.spatial_dims) == ("affine", 3)
    speck = 10 * 3 * 2 * 0.5  # mm^3
    assert speck < chosen.min_component_size <= label.sum() * 0.5


def test_what_lies_outside_of_the_field_of_view_has_no_effect(pictures, capsys):
    """Specks outside of it, which are larger than the one inside."""
    inside = np.ones((40, 60), dtype=bool)
    inside[:, :8] = False
    outside = likelihood()
    outside[2:38, 1:4] = 1
    for number in range(5):
        save_picture(pictures / "pred" / f"{number}_pred.png", outside)
        save_picture(pictures / "fov" / f"{number}_mask.png", inside)
    cleared = [(likelihood() * inside, ladder() * inside)] * 5
    assert cleanup(pictures, "--masks", str(pictures / "fov"), "--mask-files", "*_mask.png") == 0
    expected = choose_cleanup(cleared, progress=False)
    assert settings(pictures).to_dict() == expected.cleanup.to_dict()
    assert capsys.readouterr().out.startswith(expected.table())
    without = choose_cleanup([(outside, ladder())] * 5, progress=False)
    assert without.cleanup.min_component_size > 108 > expected.cleanup.min_component_size


def test_a_field_of_view_that_is_missing_is_named(pictures, capsys):
    (pictures / "fov").mkdir()
    save_picture(pictures / "fov" / "0_mask.png", ladder())
    assert cleanup(pictures, "--masks", str(pictures / "fov")) == 1
    assert "1.png: a label without a mask" in capsys.readouterr().err
    assert cleanup(pictures, "--mask-files", "*.png") == 2
    assert "Expected --masks along with --mask-files" in capsys.readouterr().err


def test_a_file_without_a_partner_is_named(pictures, capsys):
    (pictures / "pred" / "4_pred.png").unlink()
    assert cleanup(pictures) == 1
    assert "4.png: a label without a prediction." in capsys.readouterr().err
    assert settings(pictures).min_component_size > 0


def spoil_shape(folder):
    save_picture(folder / "pred" / "3_pred.png", ladder()[1:])


def spoil_labels(folder):
    for path in (folder / "label").iterdir():
        save_picture(path, 0 * ladder())


def empty_folder(folder):
    for path in (folder / "pred").iterdir():
        path.unlink()


def write_nan(folder):
    for path in (folder / "pred").iterdir():
        path.unlink()
    for number in range(5):
        volume = np.where(ladder((10, 40, 60)), np.nan, 0.5)
        save_volume(folder / "pred" / f"{number}.nii.gz", volume)
        (folder / "label" / f"{number}.png").unlink()
        save_volume(folder / "label" / f"{number}.nii.gz", ladder((10, 40, 60)))


@pytest.mark.parametrize(
    ("spoil", "options", "sentence"),
    [
        (empty_folder, [], "in the folder"),
        (spoil_shape, [], "to have the same shape"),
        (spoil_labels, [], "Expected a label with foreground, but got 5 empty ones"),
        (write_nan, [], "to hold finite values, but got NaN"),
        (None, ["--metric", "beti"], "Expected --metric to be one of betti_matching_error, "),
        (None, ["--dice-lost", "-1"], "Expected --dice-lost to be finite"),
        (None, ["--threshold", "1"], "Expected `threshold` to be at least 0"),
        (None, ["--spacing-mm", "0"], "Expected --spacing-mm to be positive"),
        (None, ["--mm"], "0.png: set --spacing-mm instead"),
        (None, ["--spacing-mm", "1", "--mm"], "--mm"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(pictures, capsys, spoil, options, sentence):
    if spoil is not None:
        spoil(pictures)
    assert cleanup(pictures, *options) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error[error.index("Error: ") :].count("\n") == 1
    assert not (pictures / "out").exists()


def test_output_is_a_json_file(pictures):
    with pytest.raises(SystemExit):
        main(["cleanup", str(pictures / "pred"), str(pictures / "label"), "--out", str(pictures / "cleanup.html")])


def test_interrupted(pictures, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cleanup_command, "choose_cleanup", interrupt)
    assert cleanup(pictures) == 130
    assert "Interrupted. Nothing is written." in capsys.readouterr().err
