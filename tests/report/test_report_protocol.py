"""`report --protocol`: numbers of a published evaluation, its settings on the page, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo import PROTOCOLS, topology_report
from monai_topo.__main__ import main


@pytest.fixture
def two_cases(tmp_path):
    label = np.pad(ladder(), ((0, 100), (0, 100)))
    for name, prediction in (("a", label), ("b", broken(label))):
        save_picture(tmp_path / "label" / f"{name}.png", label)
        save_picture(tmp_path / "pred" / f"{name}.png", prediction)
    return tmp_path


def report(folder, *options):
    command = ["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "r.html")]
    return main([*command, "--worst", "0", *options])


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if 2 in protocol.spatial_dims])
def test_numbers_are_columns_and_the_settings_are_stated(two_cases, name):
    assert report(two_cases, "--protocol", name) == 0
    content = json.loads((two_cases / "r.json").read_text())
    label = np.pad(ladder(), ((0, 100), (0, 100)))
    expected = topology_report(broken(label).astype(float), label, protocol=name)
    worst = next(case for case in content["cases"] if case["case"] == "b")
    keys = [key for key in expected if key.startswith("protocol_")]
    assert keys
    assert [worst[key] for key in keys] == pytest.approx([expected[key] for key in keys])
    assert content["protocol"]["name"] == name
    page = (two_cases / "r.html").read_text()
    assert f"protocol <b>{PROTOCOLS[name].title}</b>" in page
    assert all(f'data-name="{key}"' in page for key in keys)
    open_here = ", num patches 100, seed 0, connectivity full, border open" if name in ("hu2019", "cldice") else ""
    assert open_here in page


def test_topcow_in_3d(tmp_path):
    label = ladder((12, 40, 60))
    save_volume(tmp_path / "label" / "v.nii.gz", label)
    save_volume(tmp_path / "pred" / "v.nii.gz", broken(label))
    assert report(tmp_path, "--protocol", "topcow") == 0
    [case] = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert case["protocol_betti_error_0"] == case["betti_error_0"] == 1
    assert case["protocol_cldice"] == pytest.approx(case["cldice"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--protocol", "hu"], "Expected --protocol to be one of 'hu2019', 'cldice', 'topomortar'"),
        (["--protocol", "topomortar", "--border", "foreground"], "Expected `border` to be 'open', as the protocol"),
        (["--protocol", "topcow"], "Expected images with 3 spatial axes"),
    ],
)
def test_impossible_protocols_write_nothing(two_cases, capsys, options, sentence):
    assert report(two_cases, *options) == 2
    assert sentence in capsys.readouterr().err
    assert not (two_cases / "r.html").exists()
