"""Make the pictures of docs/transforms.md, before and after each transform: `python docs/transform_pictures.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from monai_topo import transforms
from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS

IMAGES = Path(__file__).parent / "images" / "transforms"
# Okabe and Ito's colors, which color-blind readers can distinguish; 0 is the background.
COLORS = ["#1f1f1f", "#d55e00", "#e69f00", "#f0e442", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#ffffff"]

Draw = Callable[[Axes], Any]


def save(name: str, panels: Sequence[tuple[str, Draw]]) -> None:
    """Save a row of panels."""
    figure = Figure(figsize=(3.4 * len(panels), 2.9), layout="constrained", dpi=100)
    for axes, (title, draw) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes)
        axes.set_title(title, fontsize=10)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / f"{name}.png")


def gray(image: Any, **limits: float) -> Draw:
    """Draw an image in gray, without axes."""

    def draw(axes: Axes) -> None:
        axes.imshow(np.asarray(image)[-1], cmap="gray", interpolation="nearest", **limits)
        axes.set_axis_off()

    return draw


def ids(labels: Any) -> Draw:
    """Draw labels in colors that differ between neighbors."""

    def draw(axes: Axes) -> None:
        values = np.asarray(labels)[0].astype(int)
        colors = np.where(values > 0, 1 + values % (len(COLORS) - 2), 0)
        axes.imshow(colors, cmap=ListedColormap(COLORS), vmin=0, vmax=len(COLORS) - 1, interpolation="nearest")
        axes.set_axis_off()

    return draw


def likelihood(image: np.ndarray) -> np.ndarray:
    """Make a likelihood map as an undertrained network gives it."""
    contrast = gaussian_filter(image, 1) - gaussian_filter(image, 9)
    return (1 / (1 + np.exp(3 - 30 * contrast)))[None].astype(np.float32)


def make_all() -> None:
    """Make every picture."""
    image, label = synthetic_vessels((120, 160), seed=7, num_trees=1, num_branches=9, loops=2, gaps=0.1, noise=0.04)
    electron, membrane = synthetic_membranes((120, 160), seed=3, cell_size=26)
    image, label, electron, membrane = (array[None] for array in (image, label, electron, membrane))
    probability = likelihood(image[0])
    _of_labels(label, membrane)
    _of_likelihoods(probability)
    _of_pairs(image, label, probability)


def _of_labels(label: np.ndarray, membrane: np.ndarray) -> None:
    save("Skeletonize", [("label", gray(label)), ("Skeletonize", gray(transforms.Skeletonize()(label)))])
    save("TubedSkeleton", [("label", gray(label)), ("radius 1.5", gray(transforms.TubedSkeleton(radius=1.5)(label)))])
    noise = np.random.default_rng(0).random(label.shape)
    dirty = np.where(noise < 0.006, 1 - label, label)
    clean = transforms.RepairLabel(min_component=9, min_hole=9)(dirty)
    save("RepairLabel", [("label with specks and pinholes", gray(dirty)), ("RepairLabel", gray(clean))])
    thin = transforms.Skeletonize()(label)
    both = transforms.MakeWellComposed()(thin)
    zoom = (slice(None), slice(30, 70), slice(40, 95))
    save("MakeWellComposed", [("thin label", gray(thin[zoom])), ("MakeWellComposed", gray(both[zoom]))])
    inverted = 255 * (1 - membrane)
    mask = transforms.LabelToForeground(foreground=0)(inverted)
    save("LabelToForeground", [("0 is membrane, 255 is cell", gray(inverted)), ("LabelToForeground", gray(mask))])
    cells = transforms.MembraneToInstances()(membrane)
    save("MembraneToInstances", [("membrane", gray(membrane)), ("MembraneToInstances", ids(cells))])
    walls = transforms.InstancesToMembrane(radius=1.5)(cells)
    save("InstancesToMembrane", [("instances", ids(cells)), ("InstancesToMembrane", gray(walls))])
    patch = membrane[:, 30:70, 40:95]
    padded = transforms.RelativePad(width=3)(patch)
    save("RelativePad", [("patch of a membrane", gray(patch)), ("RelativePad", gray(padded))])
    corrupt = transforms.RandTopologyError(prob=1, num_errors=9, radius=(1.5, 3.0), reach=25).set_random_state(2)
    save("RandTopologyError", [("label", gray(label)), ("mode 'label'", gray(corrupt(label)))])


def _of_likelihoods(probability: np.ndarray) -> None:
    simple = transforms.PersistenceSimplify(min_persistence=0.4)(probability)
    save("PersistenceSimplify", [("likelihood", gray(probability)), ("min_persistence 0.4", gray(simple))])
    joined = transforms.ReconnectComponents(max_path_length=40, min_likelihood=0.005, min_component_size=9)(probability)
    masks = [("likelihood", gray(probability)), ("> 0.5", gray(probability > 0.5))]
    paths = np.where(probability > 0.5, 4, 2 * (joined > 0.5).numpy())  # the paths in another color
    save("ReconnectComponents", [*masks, ("ReconnectComponents > 0.5", ids(paths))])
    clean = transforms.CleanUp(min_component_size=30, min_hole_size=10)(probability)
    save("CleanUp", [*masks, ("CleanUp by size", gray(clean))])
    heat = transforms.CriticalVoxelMap(sigma=1.5, min_persistence=0.05)(probability).numpy()
    save(
        "CriticalVoxelMap",
        [("likelihood", gray(probability)), ("births of components", gray(heat[:1])), ("of loops", gray(heat[2:3]))],
    )
    diagram = transforms.PersistenceDiagram(num_pairs=200)(probability).numpy()[0]
    curves = transforms.BettiCurve()(probability).numpy()[0]
    pictures = transforms.PersistenceImage(num_rows=40, num_columns=40)(probability).numpy()[0]
    landscapes = transforms.PersistenceLandscape()(probability).numpy()[0]
    start = ("likelihood", gray(probability))

    def points(axes: Axes) -> None:
        for dim, (color, marker) in enumerate((("#0072b2", "o"), ("#d55e00", "^"))):
            axes.scatter(*diagram[dim].T, s=14, c=color, marker=marker, label=f"dimension {dim}")
        axes.plot([0, 1], [0, 1], c="0.6", lw=0.8)
        axes.set(xlabel="birth", ylabel="death")
        axes.legend(fontsize=8)

    def curve(axes: Axes) -> None:
        for dim, color in enumerate(("#0072b2", "#d55e00")):
            axes.plot(np.linspace(0, 1, 100), curves[dim], c=color, label=f"Betti number {dim}")
        axes.set(xlabel="threshold")
        axes.legend(fontsize=8)

    def picture(axes: Axes) -> None:
        axes.imshow(pictures[1] ** 0.5, origin="lower", extent=(0, 1, 0, 1), cmap="viridis")
        axes.set(xlabel="birth", ylabel="persistence")

    def landscape(axes: Axes) -> None:
        axes.plot(np.linspace(0, 1, 100), landscapes[1].T)
        axes.set(xlabel="threshold")

    save("PersistenceDiagram", [start, ("PersistenceDiagram", points)])
    save("BettiCurve", [start, ("BettiCurve", curve)])
    save("PersistenceImage", [start, ("PersistenceImage, loops (root)", picture)])
    save("PersistenceLandscape", [start, ("PersistenceLandscape, loops", landscape)])


def _of_pairs(image: np.ndarray, label: np.ndarray, probability: np.ndarray) -> None:
    prediction = (probability > 0.5).astype(np.float32)
    wrong = transforms.TopologyErrorMap()(prediction, label).numpy()[0]

    def errors(axes: Axes) -> None:
        axes.imshow(0.6 * label[0], cmap="gray", vmin=0, vmax=1)
        for number, name in STRUCTURE_ERRORS.items():
            rows, columns = np.nonzero(wrong == number)
            if len(rows):
                axes.scatter(columns, rows, s=4, c=COLORS[number], label=name, linewidths=0)
        axes.legend(fontsize=6, loc="lower left", markerscale=2)
        axes.set_axis_off()

    save("TopologyErrorMap", [("prediction", gray(prediction)), ("wrong structures over the label", errors)])
    vessels = transforms.Vesselness(sigmas=[1.5, 3.0])(image)
    save("Vesselness", [("image", gray(image)), ("Vesselness", gray(vessels))])
    fade = transforms.RandTopologyError(prob=1, num_errors=8, radius=(2.0, 4.0), reach=25, mode="image", contrast=1)
    fade.set_random_state(0)
    faded = fade(image, label)
    save("RandTopologyError_image", [("image", gray(image)), ("mode 'image': the label stays", gray(faded))])
    boxes = []
    for around in ("skeleton", "thin_places"):
        crop = transforms.RandCropByTopology((24, 24), 12, around=around, uniform=0).set_random_state(1)
        crop.randomize(crop.weights(label))
        boxes.append((f"around {around.replace('_', ' ')}", _patches(label, np.array(crop.centers))))
    save("RandCropByTopology", [("label", gray(label)), *boxes])


def _patches(label: np.ndarray, centers: np.ndarray) -> Draw:
    def draw(axes: Axes) -> None:
        axes.imshow(label[0], cmap="gray")
        for row, column in centers:
            sides = np.array([[-12, -12], [-12, 12], [12, 12], [12, -12], [-12, -12]])
            axes.plot(column + sides[:, 1], row + sides[:, 0], c="#e69f00", lw=1.2)
        axes.set_axis_off()

    return draw


if __name__ == "__main__":
    make_all()
