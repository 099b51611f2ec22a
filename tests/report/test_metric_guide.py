"""The column guide: every number of a case has a column with a title and a meaning."""

from __future__ import annotations

import numpy as np
import pytest
from report_cases import broken, ladder

from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.report.cases import error_column
from monai_topo.report.metric_guide import group_columns, key_columns


@pytest.mark.parametrize("shape", [(40, 60), (12, 40, 60)], ids=["2D", "3D"])
def test_every_number_has_one_column(shape):
    label = ladder(shape)
    likelihood = np.where(broken(label), 0.8, 0.1).astype(np.float32)
    names = [*map(error_column, STRUCTURE_ERRORS), *topology_report(likelihood, label)]
    groups = group_columns(names)
    columns = [column for group in groups for column in group.columns]
    assert sorted(column.name for column in columns) == sorted(names)
    assert all(column.title and column.meaning and "{" not in column.title + column.meaning for column in columns)
    assert {column.better for column in columns} == {"lower", "higher", ""}
    assert len(key_columns(groups)) == 14
