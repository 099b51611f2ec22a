"""The plug-in in a real napari viewer; on Linux without a display, `xvfb-run` provides one."""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from napari_cases import tree

import monai_topo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of napari's own imports are not ours
    napari = pytest.importorskip("napari", reason="needs napari: pip install 'monai_topo[napari]' 'napari[all]'")
    npe2 = pytest.importorskip("npe2")
    pytest.importorskip("qtpy.QtWidgets", reason="needs Qt: pip install 'napari[all]'", exc_type=Exception)
    pytest.importorskip("napari.qt.threading")
pytestmark = [
    pytest.mark.skipif(
        sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"),
        reason="napari draws with OpenGL, which needs a display: xvfb-run python -m pytest ...",
    ),
    pytest.mark.filterwarnings("ignore"),
]

SCALE, MOVED = (3.0, 0.5, 0.75), (10.0, -20.0, 5.0)
MANIFEST = Path(monai_topo.__file__).parent / "napari.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "napari.md"


@pytest.fixture
def viewer():
    viewer = napari.Viewer(show=False)
    yield viewer
    viewer.close()


@pytest.fixture
def opened(viewer):
    """Open a prediction and a label with voxels that are no cubes and begin elsewhere than the world."""
    prediction, label = tree()
    viewer.add_image(np.random.default_rng(0).random(label.shape), name="scan", scale=SCALE, translate=MOVED)
    viewer.add_labels(label, name="label", scale=SCALE, translate=MOVED)
    viewer.add_labels(prediction, name="prediction", scale=SCALE, translate=MOVED)
    return viewer


def install():
    """Register the plug-in in an environment where the package is not installed with its entry points."""
    plugins = npe2.PluginManager.instance()
    plugins.discover()
    if "monai_topo" not in plugins._manifests:
        plugins.register(npe2.PluginManifest.from_file(MANIFEST))


def dock(viewer):
    """Open the widget as the menu does."""
    install()
    _, widget = viewer.window.add_plugin_dock_widget("monai_topo", "Topology errors")
    return widget


def process_events():
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()


def compare(widget):
    """Press the button, and wait for the thread and what it shows."""
    widget.button.click()
    end = time.monotonic() + 120
    while not widget.button.isEnabled() and time.monotonic() < end:
        process_events()
        time.sleep(0.01)
    process_events()
    assert widget.button.isEnabled()


def by_name(viewer):
    return {layer.name.partition(":")[0]: layer for layer in viewer.layers}


def test_the_manifest_is_valid_and_declared_and_read_without_importing_torch():
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.name == "monai_topo"
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((MANIFEST.parent.parent / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["napari.manifest"] == {manifest.name: f"monai_topo:{MANIFEST.name}"}
    assert any(one.startswith("napari") for one in project["optional-dependencies"]["napari"])


def test_layers_of_prediction_and_label_are_guessed_by_name(opened):
    widget = dock(opened)
    assert (widget.prediction.currentText(), widget.label.currentText()) == ("prediction", "label")
    assert [widget.label.itemText(i) for i in range(widget.label.count())] == ["scan", "label", "prediction"]
    opened.add_labels(np.zeros((7, 30, 44), int), name="late")
    assert widget.label.findText("late") >= 0
    assert widget.label.currentText() == "label"
    opened.layers["late"].name = "later"
    assert widget.label.findText("later") >= 0
    # What the user chose stays chosen.
    widget.label.setCurrentText("later")
    widget.label.activated.emit(widget.label.currentIndex())
    opened.add_labels(np.zeros((7, 30, 44), int), name="label again")
    assert widget.label.currentText() == "later"
    opened.layers.remove("later")
    assert widget.label.findText("later") == -1
    assert widget.label.currentText() == "label"


def test_layers_of_other_names_are_guessed_in_their_order_and_closing_leaves_the_viewer_usable(viewer):
    prediction, label = tree()
    install()
    docked, widget = viewer.window.add_plugin_dock_widget("monai_topo", "Topology errors")
    viewer.add_image(label * 1.0, name="scan")
    assert (widget.prediction.currentText(), widget.label.currentText()) == ("", "")
    viewer.add_labels(prediction, name="one")
    viewer.add_labels(label, name="two")
    assert (widget.prediction.currentText(), widget.label.currentText()) == ("one", "two")
    viewer.window.remove_dock_widget(docked)
    process_events()
    viewer.add_labels(label, name="three")


def test_each_group_of_errors_is_a_layer_at_the_place_of_the_prediction(opened):
    widget = dock(opened)
    compare(widget)
    layers = by_name(opened)
    names = [layer.name for layer in opened.layers]
    assert names[3:] == ["breaks: 1", "bridges: 1", "specks: 1", "holes: 1", names[-1]]
    assert names[-1].startswith("persistence pairs: ")
    for group in ("breaks", "bridges", "specks", "holes"):
        assert layers[group].scale.tolist() == list(SCALE)
        assert layers[group].translate.tolist() == list(MOVED)
        np.testing.assert_array_equal(layers[group].data, widget.comparison.group_map(group))
    assert np.argwhere(layers["holes"].data).tolist() == [[3, 23, 9]]
    color = layers["holes"].get_color(8)
    np.testing.assert_allclose(color[:3], [0x00 / 255, 0xB3 / 255, 0x86 / 255], atol=0.01)
    pairs = layers["persistence pairs"]
    assert set(pairs.features["event"]) == {"birth", "death"}
    assert [3, 23, 9] in pairs.data.astype(int).tolist()  # the cavity dies where the hole is filled
    assert len(pairs.data) == len(widget.comparison.pairs.voxels)
    # A second comparison replaces the layers, and they are never offered as its input.
    compare(widget)
    assert len(opened.layers) == len(names)
    assert widget.prediction.count() == 3


def test_a_click_in_the_list_goes_to_the_error(opened):
    widget = dock(opened)
    compare(widget)
    table = widget.errors
    assert table.rowCount() == 4
    sizes = [int(table.item(row, 0).text()) for row in range(4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert table.item(3, 1).text() == "spurious hole"
    table.cellClicked.emit(3, 1)
    at = np.array([3, 23, 9]) * SCALE + MOVED
    np.testing.assert_allclose(opened.dims.point, at)
    np.testing.assert_allclose(opened.camera.center[-2:], at[1:])
    zoom = opened.camera.zoom
    opened.camera.zoom = 100 * zoom
    # Sorted by kind, a row still leads to its own error.
    table.sortItems(1)
    assert table.item(0, 1).text() == "break"
    table.setCurrentCell(0, 0)
    at = np.array(next(error.at for error in widget.comparison.errors if error.kind == 2)) * SCALE + MOVED
    np.testing.assert_allclose(opened.dims.point, at)
    assert opened.camera.zoom == 100 * zoom  # never zooms out
    opened.dims.ndisplay = 3
    table.sortItems(0)
    table.cellClicked.emit(0, 0)
    np.testing.assert_allclose(opened.camera.center, np.array([3, 23, 9]) * SCALE + MOVED)


def test_the_metrics_are_those_of_the_layers_with_the_settings(opened):
    touching = opened.layers["prediction"].data.copy()
    touching[6, 0, 0] = touching[5, 1, 1] = 1  # one component or two, and at the border
    opened.layers["prediction"].data = touching
    widget = dock(opened)
    masks = [opened.layers[name].data > 0 for name in ("prediction", "label")]
    for connectivity, border, components in (("full", "open", 5), ("face", "open", 6), ("full", "foreground", 4)):
        widget.connectivity.setCurrentText(connectivity)
        widget.border.setCurrentText(border)
        compare(widget)
        cells = [
            [widget.metrics.item(row, column).text() for column in (0, 1)] for row in range(widget.metrics.rowCount())
        ]
        expected = monai_topo.topology_report(*masks, connectivity=connectivity, border=border)
        assert dict(cells) == {name: f"{value:.4g}" for name, value in expected.items()}
        assert expected["b0_pred"] == components  # by hand: two bars in two pieces, block, speck, and the new voxels


def test_likelihoods_in_2d_with_a_rotated_grid(viewer):
    prediction, label = (mask[3] for mask in tree())
    turned = np.array([[0.6, -0.8], [0.8, 0.6]])
    place = {"scale": (0.5, 2.0), "rotate": turned, "translate": (3.0, 4.0)}
    viewer.add_image(0.8 * prediction, name="pred", **place)
    viewer.add_labels(label, name="truth", **place)
    widget = dock(viewer)
    widget.threshold.setValue(0.7)
    compare(widget)
    row = next(row for row in range(widget.errors.rowCount()) if widget.errors.item(row, 1).text() == "spurious hole")
    widget.errors.cellClicked.emit(row, 0)
    at = turned @ (np.array([23, 9]) * [0.5, 2.0]) + [3.0, 4.0]
    np.testing.assert_allclose(viewer.camera.center[-2:], at)
    assert widget.comparison.pairs.features["birth"].max() == np.float32(0.8)
    widget.threshold.setValue(0.85)
    compare(widget)
    assert widget.comparison.report["b0_pred"] == 0


def test_impossible_choices_are_named_in_a_sentence(viewer):
    widget = dock(viewer)
    widget.button.click()
    assert widget.status.text().startswith("Expected two layers, a prediction and its label")
    prediction, label = tree()
    viewer.add_labels(prediction, name="prediction")
    viewer.add_labels(label[:, :-1], name="label")
    widget.button.click()
    assert "to have the same shape" in widget.status.text()
    viewer.layers.remove("label")
    viewer.add_labels(label, name="label", scale=(1, 1, 1.1))
    widget.button.click()
    assert "to lie on the same place" in widget.status.text()
    viewer.layers.remove("prediction")
    viewer.layers["label"].scale = (1, 1, 1)
    viewer.add_image(np.stack([label * 10] * 3, axis=-1).astype(np.uint8), rgb=True, name="prediction")
    widget.button.click()
    assert "got one in colors" in widget.status.text()
    viewer.layers.remove("prediction")
    viewer.add_image(prediction * 3.0 - 1.5, name="prediction")
    compare(widget)
    assert "likelihoods from 0 to 1" in widget.status.text()
    assert widget.errors.rowCount() == 0


def test_the_script_of_the_page_opens_the_widget(monkeypatch):
    install()
    [script] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    prediction, label = tree()
    given = {"image": label * 1.0, "label": label, "likelihood": 0.9 * prediction, "spacing_mm": SCALE}
    monkeypatch.setattr(napari, "run", lambda: None)  # it would wait for a person to close the window
    exec(compile(script, str(PAGE), "exec", dont_inherit=True), given)
    viewer = given["viewer"]
    assert [layer.name for layer in viewer.layers] == ["image", "label", "prediction"]
    [name] = viewer.window.dock_widgets
    assert name.startswith("Topology errors")
    viewer.close()
