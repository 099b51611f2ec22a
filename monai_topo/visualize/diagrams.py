"""Persistence diagrams of a likelihood map, matched with the diagrams of its label."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.persistence.induced_matching import betti_matching

__all__ = ["MatchedDiagram", "draw_diagram", "match_diagrams"]

Points = NDArray[np.float64]


class MatchedDiagram(NamedTuple):
    """Features of one dimension of a likelihood map, split by whether the label has a feature at the same location.

    Attributes:
        matched: `(M, 2)` float64, birth and death of the predicted features that are matched with a label feature.
        spurious: `(S, 2)`, of the predicted features without a match.
        missing: `(L, 2)`, of the label features without a match; (1, 0) for all features of a mask.
    """

    matched: Points
    spurious: Points
    missing: Points


def match_diagrams(
    likelihood: Tensor, label: Tensor, *, connectivity: Connectivity = "full", border: Border = "open"
) -> list[MatchedDiagram]:
    """Match the persistence diagram of a likelihood map with that of its label spatially.

    Args:
        likelihood: `(H, W)` or `(D, H, W)`, floating.
        label: Mask or likelihood of the same shape.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).

    Returns:
        One diagram per dimension, 0 to d-1. The essential class is left out, since it always exists.

    Uses :py:func:`monai_topo.betti_matching`, which documents the matching and its cost.
    """
    images, labels = likelihood[None], label[None].to(likelihood)
    matching = betti_matching(images, labels, connectivity=connectivity, border=border)
    predicted_points = matching.prediction.values(images).double().numpy()
    label_points = matching.label.values(labels).double().numpy()
    dim, label_dim = matching.prediction.dim, matching.label.dim
    spurious, missing = matching.unmatched_prediction(), matching.unmatched_label()
    return [
        MatchedDiagram(
            predicted_points[(~spurious & (dim == k)).numpy()],
            predicted_points[(spurious & (dim == k)).numpy()],
            label_points[(missing & (label_dim == k)).numpy()],
        )
        for k in range(likelihood.ndim)
    ]


def draw_diagram(
    axes: Any, diagram: MatchedDiagram, *, title: str, threshold: float | None = None, min_persistence: float = 0.01
) -> None:
    """Draw a diagram on matplotlib axes: birth on the x axis, death on the y axis, perfect features at bottom right.

    Args:
        axes: `matplotlib.axes.Axes`.
        diagram: Diagram from :py:func:`match_diagrams`.
        title: Title above the diagram.
        threshold: Threshold of the mask. The features of the mask, born above it and dead below it, lie within the
            dotted corner.
        min_persistence: Predicted features whose persistence is not larger are left out as noise; the title states
            their number.
    """
    axes.fill_between([0, 1], [0, 1], 1, color="#f1f2f4", linewidth=0)
    axes.plot([0, 1], [0, 1], color="#9aa0a8", linewidth=0.8)
    if threshold is not None:
        axes.plot([threshold, threshold, 1], [0, threshold, threshold], ":", color="#9aa0a8", linewidth=1)
    hidden = 0
    for points, name, style in (
        (diagram.spurious, "spurious", {"marker": "x", "color": "#0072b2", "markersize": 5}),
        (diagram.matched, "matched", {"marker": "o", "color": "#6b7178", "markersize": 5, "markeredgewidth": 0}),
    ):
        lasting = points[:, 0] - points[:, 1] > min_persistence
        hidden += int(np.count_nonzero(~lasting))
        birth, death = points[lasting].T
        _plot_points(axes, birth, death, label=f"{lasting.sum()} {name}", alpha=0.75, **style)
    birth, death = diagram.missing.T
    square = {"marker": "s", "color": "#d55e00", "markerfacecolor": "none", "markersize": 9}
    _plot_points(axes, birth, death, label=f"{len(birth)} missing", **square)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="birth", ylabel="death", aspect="equal")
    left_out = f"\n{hidden} below {min_persistence:g} left out" if hidden else ""
    axes.set_title(title + left_out, fontsize=9)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _plot_points(axes: Any, birth: Points, death: Points, **style: Any) -> None:
    # Points at the corner must not be cut off; but without points, an unclipped line breaks matplotlib's layout.
    axes.plot(birth, death, linestyle="", clip_on=not len(birth), **style)
