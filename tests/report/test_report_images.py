"""`python -m monai_topo report --images`: the segmented image is shown at the errors and changes no metric."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo.__main__ import main


def report(folder, *options):
    out = folder / "report.html"
    status = main(["report", str(folder / "pred"), str(folder / "label"), "--out", str(out), *options])
    return status, json.loads(out.with_suffix(".json").read_text()), out.read_text()


def pictures(page, before):
    """Decode the PNG files of the page that follow a text."""
    found = re.findall(re.escape(before) + r'="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int) for data in found]


def ramp(shape):
    """Increase to the right and, more slowly, downwards and inwards, so that no symmetry hides a transposition."""
    grids = np.meshgrid(*(np.linspace(0, 1, length) for length in shape), indexing="ij")
    return sum(weight * grid for weight, grid in zip((0.1, 0.2, 0.7)[-len(shape) :], grids, strict=True))


@pytest.fixture(params=[(40, 60), (12, 40, 60)], ids=["2D", "3D"])
def case(request, tmp_path):
    save, ending = (save_picture, ".png") if len(request.param) == 2 else (save_volume, ".nii.gz")
    label = ladder(request.param)
    save(tmp_path / "label" / f"a{ending}", label)
    save(tmp_path / "pred" / f"a_mask{ending}", broken(label))
    save(tmp_path / "images" / f"a{ending}", ramp(request.param))
    return tmp_path


def test_the_image_is_shown_whole_and_at_each_error(case):
    _, before, _ = report(case)
    status, content, page = report(case, "--images", str(case / "images"))
    assert status == 0
    assert content["cases"][0].pop("image_file").startswith(str(case / "images"))
    assert before["cases"][0].pop("image_file") is None
    assert content["cases"] == before["cases"]

    shape = tuple(content["cases"][0]["size"])[::-1]
    image, (low, high) = ramp(shape), np.quantile(ramp(shape), [0.01, 0.99])
    image = image if image.ndim == 2 else image.max(axis=0)
    gray = 255 * np.clip((image - low) / (high - low), 0, 1)
    whole = pictures(page, 'class="raw" href')[0]
    assert whole.shape == (40, 60, 3)
    assert np.abs(whole - gray[..., None]).max() <= 2  # of 256
    closely = pictures(page, "<img src")
    assert len(closely) == 2 * 3  # overlay and image of a break, a speck and a pinhole
    for overlay, window in zip(closely[::2], closely[1::2], strict=True):
        assert overlay.shape == window.shape
        assert (np.diff(window[..., 0].mean(axis=0)) >= 0).all()
        assert np.ptp(window[..., 0]) > 20


def test_color_images_keep_their_colors(tmp_path):
    label = ladder()
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "pred" / "a.png", broken(label))
    colors = np.zeros((40, 60, 3), dtype=np.uint8)
    colors[:20, :, 0], colors[20:, :, 2] = 250, 200
    (tmp_path / "images").mkdir()
    Image.fromarray(colors).save(tmp_path / "images" / "a.png")
    _, _, page = report(tmp_path, "--images", str(tmp_path / "images" / "a.png"))
    [whole] = pictures(page, 'class="raw" href')
    assert whole[5, 5].tolist() == [255, 0, 0]
    assert whole[35, 50].tolist() == [0, 0, 204]  # 250 is white


def test_a_case_without_image_is_named_and_measured(case, capsys):
    [label], [prediction] = (list((case / folder).iterdir()) for folder in ("label", "pred"))
    (case / "label" / label.name.replace("a", "b", 1)).write_bytes(label.read_bytes())
    (case / "pred" / prediction.name.replace("a", "b", 1)).write_bytes(prediction.read_bytes())
    status, content, page = report(case, "--images", str(case / "images"))
    assert (status, len(content["cases"])) == (0, 2)
    assert "1 of 2 cases have no image: b." in capsys.readouterr().err
    assert page.count('class="raw"') == 1


def test_an_image_of_another_shape_is_reported_and_changes_no_metric(tmp_path):
    label = ladder()
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "pred" / "a.png", broken(label))
    save_picture(tmp_path / "images" / "a.png", ramp((40, 61)))
    status, content, page = report(tmp_path, "--images", str(tmp_path / "images"))
    assert (status, content["measured"]) == (0, 1)
    assert "to have the same shape, but got (60, 40) and (61, 40)" in page


def test_numbers_are_inside_the_picture_and_do_not_overlap(tmp_path):
    label = np.zeros((60, 90), dtype=bool)
    label[10:50:8] = True
    prediction = label.copy()
    prediction[:, ::7] = False  # breaks side by side, at the border too
    save_picture(tmp_path / "label" / "a.png", label)
    save_picture(tmp_path / "pred" / "a.png", prediction)
    _, content, page = report(tmp_path)
    width, height = map(float, re.search(r'class="view" viewBox="0 0 (\S+) (\S+)"', page).groups())
    texts = re.findall(r'<text x="(\S+)" y="(\S+)" font-size="(\S+)">(\d+)</text>', page)
    assert len(texts) == sum(not error["kind"].endswith("end") for error in content["cases"][0]["errors"]) > 40
    boxes = []
    for x, foot, size, number in texts:
        x, foot, size = float(x), float(foot), float(size)
        boxes.append((x, foot - 0.8 * size, x + 0.62 * size * len(number), foot + 0.2 * size))
    assert all(min(low_x, low_y) >= -0.1 for low_x, low_y, _, _ in boxes)
    assert all(high_x <= width + 0.1 and high_y <= height + 0.1 for _, _, high_x, high_y in boxes)
    shared = [
        max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        for i, a in enumerate(boxes)
        for b in boxes[:i]
    ]
    assert sum(area > 0.1 for area in shared) <= 2
