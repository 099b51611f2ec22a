"""A case that takes too long is given up and named, and the others are measured."""

from __future__ import annotations

import csv
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from report_cases import broken, ladder, save_picture

from monai_topo.__main__ import main
from monai_topo.bundle import UserError
from monai_topo.report import case_pages
from monai_topo.report.jobs import Failure, map_cases


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_call_is_given_up_after_the_limit_and_the_others_are_not(jobs: int) -> None:
    start = time.monotonic()
    found = dict(map_cases(time.sleep, [0, 90, 0, 1], jobs=jobs, title="sleeping", time_limit=3))
    assert time.monotonic() - start < 60
    assert found.pop(1) == Failure("90: took longer than --time-limit, 3 seconds, and is left out.")
    assert found == {0: None, 2: None, 3: None}
    time.sleep(3.2)  # a timer that is left over would end this process


@pytest.mark.slow
def test_the_page_names_the_case_and_has_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in "abc":
        save_picture(tmp_path / "label" / f"{case}.png", ladder())
        save_picture(tmp_path / "pred" / f"{case}.png", broken(ladder()))
    measure = case_pages.measure_case

    def slow(case: Any, settings: Any, **memory: Any) -> Any:
        try:
            time.sleep(90 if case.name == "b" else 0)
        except Exception:  # metrics have fallbacks, which must not catch the end of the time
            time.sleep(90)
        return measure(case, settings)

    command = ["report", str(tmp_path / "pred"), str(tmp_path / "label"), "--out", str(tmp_path / "report.html")]
    assert main([*command, "--worst", "0"]) == 0
    monkeypatch.setattr(case_pages, "measure_case", slow)
    start = time.monotonic()
    assert main([*command, "--worst", "0", "--time-limit", "5"]) == 1
    assert time.monotonic() - start < 60
    sentence = "b.png: took longer than --time-limit, 5 seconds, and is left out."
    assert sentence in capsys.readouterr().err
    assert sentence in (tmp_path / "report.html").read_text()
    with (tmp_path / "report.csv").open(newline="") as file:
        assert sorted(row["case"] for row in csv.DictReader(file)) == ["a", "c"]


def test_without_a_timer_the_limit_is_refused() -> None:
    caught: list[UserError] = []

    def limited() -> None:
        try:
            list(map_cases(time.sleep, [0], jobs=1, title="sleeping", time_limit=3))
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=limited)
    thread.start()
    thread.join()
    assert "Expected --time-limit only on Linux and macOS" in str(caught[0])


def test_a_limit_is_a_whole_number_of_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["report", "pred", "label", "--time-limit", "0"])
    assert "Expected a whole number of at least 1, but got '0'." in capsys.readouterr().err
