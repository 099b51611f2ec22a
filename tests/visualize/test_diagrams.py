"""Matched persistence diagrams: which features are drawn as matched, spurious and missing."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_topo.visualize import draw_diagram, match_diagrams


def test_diagram_separates_matched_spurious_and_missing_features():
    label = torch.zeros(9, 30)
    label[3:6, 2:6] = label[3:6, 12:16] = label[3:6, 24:28] = 1
    likelihood = 0.01 * torch.ones(9, 30)
    likelihood[3:6, 2:6] = 0.9
    likelihood[3:6, 12:16] = 0.4  # weak, but present
    likelihood[0, 19:21] = 0.7  # elsewhere
    components, holes = match_diagrams(likelihood, label)
    assert components.matched.round(3).tolist() == [[0.4, 0.01]]  # the first one is the essential component
    assert components.spurious.round(3).tolist() == [[0.7, 0.01]]
    assert components.missing.tolist() == [[1.0, 0.0]]
    assert not len(holes.matched) + len(holes.spurious) + len(holes.missing)


def test_a_drawn_diagram_counts_in_its_legend_and_omits_noise():
    label = torch.zeros(9, 30)
    label[3:6, 2:6] = 1
    likelihood = 0.9 * label
    likelihood[0, 20], likelihood[8, 25] = 0.7, 0.005
    axes = Figure(figsize=(3, 3), layout="constrained").subplots()
    draw_diagram(axes, match_diagrams(likelihood, label)[0], title="components", threshold=0.5)
    axes.figure.canvas.draw()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["1 spurious", "0 matched", "0 missing"]
    assert axes.get_title() == "components\n1 below 0.01 left out"
    assert axes.get_window_extent().width > 100  # matplotlib's layout has not failed
