"""The metrics of the choice are those of the topology report."""

from __future__ import annotations

import numpy as np
import pytest

from monai_topo import topology_report
from monai_topo.cleanup.scores import Scorer, dice
from monai_topo.report.metric_guide import group_columns


@pytest.mark.parametrize("shape", [(24, 30), (10, 12, 14)])
@pytest.mark.parametrize("settings", [{}, {"connectivity": "face", "border": "foreground", "instances": "background"}])
def test_metrics_are_those_of_topology_report(shape, settings):
    generator = np.random.default_rng(1)
    label, prediction = (
        np.kron(generator.random([n // 2 for n in shape]) < p, np.ones([2] * len(shape))) > 0 for p in (0.4, 0.5)
    )
    report = topology_report(prediction, label, **settings)
    groups = group_columns(report)
    columns = {column.name: column for group in groups for column in group.columns}
    tested = 0
    for name, value in report.items():
        if not columns[name].better or name.startswith(("bottleneck", "wasserstein")):
            continue
        scorer = Scorer(
            name,
            settings.get("connectivity", "full"),
            settings.get("border", "open"),
            settings.get("instances", "foreground"),
        )
        assert scorer.score(prediction, label) == pytest.approx(value, nan_ok=True), name
        assert scorer.sign == {"lower": 1, "higher": -1}[columns[name].better], name
        tested += 1
    assert tested > 30
    assert dice(prediction, label) == pytest.approx(report["dice"])
