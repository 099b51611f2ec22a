"""The screenshot of docs/napari.md: `xvfb-run -a python docs/figures/napari_window.py docs/images/napari.png`."""

import sys
import time

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

from monai_topo.data import synthetic_vessels
from monai_topo.masks.skeletons import skeleton


def wrong_likelihood(label, rng):
    """Break vessels of a label at four places, make pinholes in two, and add four specks and two lines."""
    likelihood = 0.95 * gaussian_filter(label.astype(float), 0.8)
    line = np.argwhere(skeleton(label))

    def around(at, reach):
        return tuple(slice(max(int(index) - reach, 0), int(index) + reach + 1) for index in at)

    for at in rng.choice(line, 4):
        likelihood[around(at, 7)] *= 0.3
    for at in rng.choice(np.argwhere(gaussian_filter(label.astype(float), 5) < 0.01), 4):
        likelihood[around(at, 1)] = 0.8
    for at in rng.choice(line, 2):
        likelihood[tuple(at)] = 0.2
    for one, two in (rng.choice(line, 2) for _ in range(2)):
        for step in np.linspace(0, 1, 300):
            box = around(np.round(one + step * (two - one)), 1)
            likelihood[box] = np.maximum(likelihood[box], 0.7)
    return likelihood.astype(np.float32)


def main(path):
    """Compare in a real window, go to a break, and save the picture."""
    image, label = (np.asarray(one).squeeze() for one in synthetic_vessels((40, 112, 120), seed=3, radius=3.5)[:2])
    viewer = napari.Viewer()
    viewer.window.resize(1360, 860)
    viewer.add_image(image, name="image", scale=(2, 1, 1))
    viewer.add_labels((label > 0).astype(np.uint8), name="label", scale=(2, 1, 1), opacity=0.3)
    likelihood = wrong_likelihood(label > 0, np.random.default_rng(0))
    viewer.add_image(likelihood, name="prediction", scale=(2, 1, 1), visible=False)
    _, widget = viewer.window.add_plugin_dock_widget("monai_topo", "Topology errors")
    widget.button.click()
    while not widget.button.isEnabled():
        QApplication.processEvents()
        time.sleep(0.02)
    breaks = [row for row in range(widget.errors.rowCount()) if widget.errors.item(row, 1).text() == "break"]
    widget.errors.setCurrentCell(breaks[0], 0)
    viewer.scene.camera.zoom *= 0.75
    for _ in range(50):
        QApplication.processEvents()
        time.sleep(0.02)
    picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False))
    picture.convert("RGB").save(path, optimize=True)
    viewer.close()


if __name__ == "__main__":
    main(sys.argv[1])
