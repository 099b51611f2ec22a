"""The paired test of the choice against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from monai_topo.cleanup.cross_validation import paired_test


def test_paired_tests():
    generator = np.random.default_rng(0)
    differences = generator.normal(0.3, 1, 9)
    p_value, name = paired_test(differences)
    exact = stats.permutation_test(
        (differences, np.zeros(9)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=math.inf,
    )
    assert name == "sign flips"
    assert p_value == pytest.approx(exact.pvalue)
    many = generator.normal(0.3, 1, 20)
    assert paired_test(many) == (pytest.approx(stats.wilcoxon(many, alternative="greater").pvalue), "Wilcoxon")
    assert paired_test(np.zeros(9))[0] == 1
