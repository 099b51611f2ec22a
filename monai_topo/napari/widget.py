"""The dock widget of the plug-in: choose layers, compare them, and go to an error by a click in the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Points
from napari.qt.threading import thread_worker
from napari.utils import DirectLabelColormap
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from monai_topo._utils.errors import UserError
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS, StructureError
from monai_topo.napari.comparison import GROUPS, Comparison, compare
from monai_topo.visualize import ERROR_COLORS

__all__ = ["TopologyErrors"]

_WORDS = ("pred", "label")  # in the names of layers
_HIDDEN = ("ends",)  # they do not change the topology
_PAIR_COLORS = np.array(["#e69f00", "#cc79a7", "#0072b2"])  # by dimension
_WINDOW_VOX, _WINDOW_PIXELS = 40, 500  # a click zooms in until the error and its surroundings fill the window


class TopologyErrors(QWidget):
    """Widget that compares two layers of a viewer.

    Args:
        napari_viewer: The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.comparison: Comparison | None = None
        self._added: list[Any] = []
        self._chosen: dict[str, Any] = {}
        self._transform: dict[str, Any] = {}
        self._to_world: Any = None
        self._worker: Any = None
        self._build()
        for name in ("inserted", "removed", "renamed"):
            getattr(self.viewer.layers.events, name).connect(self._list_layers)
        self._list_layers()

    def _build(self) -> None:
        self.prediction, self.label = QComboBox(), QComboBox()
        self.threshold, self.min_persistence = (_number(value) for value in (0.5, 0.1))
        self.connectivity, self.border = QComboBox(), QComboBox()
        self.connectivity.addItems(["full", "face"])
        self.border.addItems(["open", "foreground"])
        for word, box in zip(_WORDS, (self.prediction, self.label), strict=True):
            box.activated.connect(lambda _, word=word, box=box: self._choose(word, box))
        form = QFormLayout()
        for name, field in (
            ("prediction", self.prediction),
            ("label", self.label),
            ("threshold", self.threshold),
            ("connectivity", self.connectivity),
            ("border", self.border),
            ("pairs above persistence", self.min_persistence),
        ):
            form.addRow(name, field)
        self.button = QPushButton("Compare")
        self.button.clicked.connect(self.start)
        self.status = QLabel("Choose the layers of a prediction and its label.")
        self.status.setWordWrap(True)
        self.errors = _table(["size", "kind", "voxel"])
        self.errors.currentCellChanged.connect(lambda row, *_: self._go_to_row(row))
        self.errors.cellClicked.connect(lambda row, _: self._go_to_row(row))
        self.metrics = _table(["metric", "value"])
        tabs = QTabWidget()
        tabs.addTab(self.errors, "errors")
        tabs.addTab(self.metrics, "metrics")
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for part in (self.button, self.status, tabs):
            layout.addWidget(part)

    def _list_layers(self, event: Any = None) -> None:
        """Offer the image and label layers of the viewer, without those of this widget; keep what the user chose."""
        layers = [one for one in self.viewer.layers if isinstance(one, (Image, Labels)) and one not in self._added]
        taken: list[Any] = []
        for word, box in zip(_WORDS, (self.prediction, self.label), strict=True):
            box.clear()
            for one in layers:
                box.addItem(one.name, one)
            chosen = self._chosen.get(word)
            wanted = chosen if chosen in layers else _guess([one for one in layers if one not in taken], word)
            box.setCurrentIndex(layers.index(wanted) if wanted in layers else -1)
            taken.append(wanted)

    def _choose(self, word: str, box: Any) -> None:
        self._chosen[word] = box.currentData()

    def start(self) -> None:
        """Compare the chosen layers in another thread; layers, list and metrics follow."""
        prediction, label = self.prediction.currentData(), self.label.currentData()
        problem = _find_problem(prediction, label)
        if problem:
            self.status.setText(problem)
            return
        self._transform = {
            name: getattr(prediction, name) for name in ("scale", "translate", "rotate", "shear", "affine", "units")
        }
        self._to_world = prediction.data_to_world
        self.button.setEnabled(False)
        self.status.setText("Comparing ...")
        self._worker = thread_worker(_compare)(
            prediction.data,  # possibly on disk: the other thread reads it
            label.data,
            threshold=self.threshold.value(),
            connectivity=self.connectivity.currentText(),
            border=self.border.currentText(),
            min_persistence=self.min_persistence.value(),
        )
        self._worker.returned.connect(self._show)
        self._worker.finished.connect(lambda: self.button.setEnabled(True))
        self._worker.start()

    def _show(self, comparison: Comparison | str) -> None:
        if isinstance(comparison, str):
            self.status.setText(comparison)
            return
        self.comparison = comparison
        for layer in self._added:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._added = [self._labels_of(group) for group in GROUPS if comparison.count(group)]
        if len(comparison.pairs.voxels):
            self._added.append(self._points())
        for layer in self._added:
            self.viewer.add_layer(layer)
        self._fill_tables(comparison)
        changes = sum(error.kind not in GROUPS["ends"] for error in comparison.errors)
        self.status.setText(f"{changes} errors change the topology; a click in the list goes there.")

    def _labels_of(self, group: str) -> Any:
        assert self.comparison is not None
        colors: dict[int | None, str] = {None: "transparent", 0: "transparent"}
        colors |= {kind: ERROR_COLORS[kind] for kind in GROUPS[group]}
        return Labels(
            self.comparison.group_map(group),
            name=f"{group}: {self.comparison.count(group)}",
            colormap=DirectLabelColormap(color_dict=colors),
            opacity=0.9,
            visible=group not in _HIDDEN,
            **self._transform,
        )

    def _points(self) -> Any:
        assert self.comparison is not None
        voxels, features = self.comparison.pairs
        return Points(
            voxels,
            features=features,
            name=f"persistence pairs: {len(voxels) // 2}",
            symbol=np.where(features["event"] == "birth", "disc", "x"),
            face_color=_PAIR_COLORS[features["dimension"]],
            border_width=0,
            size=2,
            **self._transform,
        )

    def _fill_tables(self, comparison: Comparison) -> None:
        self.errors.blockSignals(True)
        rows = [
            (error.voxels, STRUCTURE_ERRORS[error.kind], ", ".join(map(str, error.at))) for error in comparison.errors
        ]
        _fill(self.errors, rows)
        for row, error in enumerate(comparison.errors):
            self.errors.item(row, 0).setData(Qt.ItemDataRole.UserRole, row)  # the user may sort by another column
            self.errors.item(row, 1).setToolTip(f"from {error.start} to {error.stop}")
        self.errors.setSortingEnabled(True)
        self.errors.blockSignals(False)
        _fill(self.metrics, [(name, f"{value:.4g}") for name, value in comparison.report.items()])

    def _go_to_row(self, row: int) -> None:
        item = self.errors.item(row, 0)
        if item is not None and self.comparison is not None:
            self.go_to(self.comparison.errors[item.data(Qt.ItemDataRole.UserRole)])

    def go_to(self, error: StructureError) -> None:
        """Move the slices and the center of the camera to an error, and zoom in if it is small in the window."""
        at = np.asarray(self._to_world(error.at), dtype=float)
        steps = np.abs(np.asarray(self._transform["scale"], dtype=float))
        # The layers may have fewer axes than the viewer, which then are its last ones.
        point = np.asarray(self.viewer.dims.point, dtype=float)
        point[-len(at) :] = at
        self.viewer.dims.point = tuple(point)
        displayed = list(self.viewer.dims.displayed)
        camera = self.viewer.scene.camera
        camera.center = tuple(point[displayed])
        extent = max((np.subtract(error.stop, error.start) * steps).max() * 2, _WINDOW_VOX * steps.max())
        camera.zoom = max(camera.zoom, _WINDOW_PIXELS / extent)


def _compare(prediction: Any, label: Any, **settings: Any) -> Comparison | str:
    """Compare two layers; what does not fit is returned as a sentence, and napari shows other errors."""
    try:
        return compare(np.asarray(prediction), np.asarray(label), **settings)
    except UserError as error:
        return str(error)


def _find_problem(prediction: Any, label: Any) -> str:
    """Return why two layers cannot be compared, as a sentence, or ""."""
    if prediction is None or label is None or prediction is label:
        return "Expected two layers, a prediction and its label, but got fewer; open both, and choose them."
    for layer in (prediction, label):
        if layer.multiscale or getattr(layer, "rgb", False):
            kind = "one of several scales" if layer.multiscale else "one in colors"
            return f"Expected {layer.name!r} to be a layer of one channel and scale, but got {kind}."
    if prediction.data.shape != label.data.shape:
        return (
            f"Expected {prediction.name!r} and {label.name!r} to have the same shape, but got {prediction.data.shape} "
            f"and {label.data.shape}."
        )
    corners = [np.zeros(prediction.ndim), *np.diag(prediction.data.shape)]
    one, other = (np.array([layer.data_to_world(corner) for corner in corners]) for layer in (prediction, label))
    if not np.allclose(one, other, rtol=0, atol=1e-3 * float(np.min(np.abs(prediction.scale)))):
        return (
            f"Expected {prediction.name!r} and {label.name!r} to lie on the same place, but got other scales, "
            "translations or rotations; set them equal."
        )
    return ""


def _guess(layers: Sequence[Any], word: str) -> Any:
    """Guess a layer by its name, otherwise the first one with labels; None if there is none."""
    named = [layer for layer in layers if word in layer.name.lower()]
    masks = [
        layer for layer in layers if isinstance(layer, Labels) and not any(w in layer.name.lower() for w in _WORDS)
    ]
    return next(iter([*named, *masks]), None)


def _number(value: float) -> Any:
    box = QDoubleSpinBox()
    box.setRange(0, 0.99)
    box.setSingleStep(0.05)
    box.setValue(value)
    return box


def _table(columns: Sequence[str]) -> Any:
    table = QTableWidget(0, len(columns))
    table.setHorizontalHeaderLabels(list(columns))
    table.horizontalHeader().setStretchLastSection(True)
    table.verticalHeader().hide()
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    return table


def _fill(table: Any, rows: Sequence[Sequence[Any]]) -> None:
    table.setSortingEnabled(False)
    table.setRowCount(len(rows))
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            item = QTableWidgetItem()
            item.setData(Qt.ItemDataRole.DisplayRole, value)  # numbers are sorted as such
            table.setItem(row, column, item)
    table.resizeColumnsToContents()
