"""The progress bar of a choice, which ends full, and the cases, which are read once."""

from __future__ import annotations

import re

import numpy as np
import pytest

from monai_topo import choose_cleanup


def test_each_case_is_read_once_and_the_bar_ends_full(capfd: pytest.CaptureFixture[str]) -> None:
    label = np.zeros((12, 20), dtype=bool)
    label[3:6, 2:18] = True
    prediction = label.copy()
    prediction[9, 4:7] = True
    read = []

    def cases():
        for number in range(3):
            read.append(number)
            yield prediction, label

    choose_cleanup(cases())
    assert read == [0, 1, 2]
    done, total = re.findall(r"choosing a clean-up: .* (\d+)/(\d+) \[", capfd.readouterr().err)[-1]
    assert done == total
    assert int(total) > 20
    choose_cleanup(cases(), progress=False)
    assert capfd.readouterr().err == ""
