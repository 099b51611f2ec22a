"""Results of finished cases: found again only for the same settings and files."""

import math

from monai_topo._utils.finished import FinishedCases


def test_other_settings_and_changed_files_count_as_new(tmp_path):
    file = tmp_path / "a.png"
    file.write_text("one")
    FinishedCases(tmp_path / "r.html", {"threshold": 0.5}).add([file], {"dice": float("nan")})
    again = FinishedCases(tmp_path / "r.html", {"threshold": 0.5})
    assert math.isnan(again.get([file])["dice"])
    assert FinishedCases(tmp_path / "r.html", {"threshold": 0.4}).get([file]) is None
    file.write_text("other")
    assert again.get([file]) is None
