"""Figures of docs/transforms.md: an image or label before and after each transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from figures.common import BLUE, GREEN, IMAGES, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW
from monai_topo import transforms
from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS

# Background, then one color per label or kind of error.
COLORS = ["#1f1f1f", VERMILION, ORANGE, YELLOW, BLUE, SKY_BLUE, GREEN, PURPLE, "#ffffff"]

Draw = Callable[[Axes], Any]
FigureOf = tuple[str, list[tuple[str, Draw]]]  # the name of a transform, and a row of panels with their titles


def save(path: Path, panels: Sequence[tuple[str, Draw]]) -> None:
    """Draw and save a row of panels."""
    figure = Figure(figsize=(3.4 * len(panels), 2.9), layout="constrained", dpi=100)
    for place, (title, draw) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(place)
        place.set_title(title, fontsize=10)
    figure.savefig(path)


def gray(image: Any, **limits: float) -> Draw:
    """Draw an image in gray, without axes."""

    def draw(place: Axes) -> None:
        place.imshow(np.asarray(image)[-1], cmap="gray", interpolation="nearest", **limits)
        place.set_axis_off()

    return draw


def ids(labels: Any) -> Draw:
    """Draw labels in colors that differ between neighbors."""

    def draw(place: Axes) -> None:
        values = np.asarray(labels)[0].astype(int)
        shown = np.where(values > 0, 1 + values % (len(COLORS) - 2), 0)
        place.imshow(shown, cmap=ListedColormap(COLORS), vmin=0, vmax=len(COLORS) - 1, interpolation="nearest")
        place.set_axis_off()

    return draw


def likelihood(image: np.ndarray) -> np.ndarray:
    """Return a likelihood like that of an undertrained network."""
    contrast = gaussian_filter(image, 1) - gaussian_filter(image, 9)
    return (1 / (1 + np.exp(3 - 30 * contrast)))[None].astype(np.float32)


def make_all(folder: Path = IMAGES / "transforms") -> None:
    """Draw all figures of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    image, label = synthetic_vessels((120, 160), seed=7, num_trees=1, num_branches=9, loops=2, gaps=0.1, noise=0.04)
    electron, membrane = synthetic_membranes((120, 160), seed=3, cell_size=26)
    image, label, electron, membrane = (array[None] for array in (image, label, electron, membrane))
    probability = likelihood(image[0])
    figures = (_of_labels(label, membrane), _of_likelihoods(probability), _of_pairs(image, label, probability))
    for name, panels in chain(*figures):
        save(folder / f"{name}.png", panels)


def _of_labels(label: np.ndarray, membrane: np.ndarray) -> Iterator[FigureOf]:
    yield "Skeletonize", [("label", gray(label)), ("Skeletonize", gray(transforms.Skeletonize()(label)))]
    yield "TubedSkeleton", [("label", gray(label)), ("radius 1.5", gray(transforms.TubedSkeleton(radius=1.5)(label)))]
    noise = np.random.default_rng(0).random(label.shape)
    dirty = np.where(noise < 0.006, 1 - label, label)
    clean = transforms.RepairLabel(min_component=9, min_hole=9)(dirty)
    yield "RepairLabel", [("label with specks and pinholes", gray(dirty)), ("RepairLabel", gray(clean))]
    thin = transforms.Skeletonize()(label)
    both = transforms.MakeWellComposed()(thin)
    zoom = (slice(None), slice(30, 70), slice(40, 95))
    yield "MakeWellComposed", [("thin label", gray(thin[zoom])), ("MakeWellComposed", gray(both[zoom]))]
    inverted = 255 * (1 - membrane)
    mask = transforms.LabelToForeground(foreground=0)(inverted)
    yield "LabelToForeground", [("0 is membrane, 255 is cell", gray(inverted)), ("LabelToForeground", gray(mask))]
    cells = transforms.MembraneToInstances()(membrane)
    yield "MembraneToInstances", [("membrane", gray(membrane)), ("MembraneToInstances", ids(cells))]
    walls = transforms.InstancesToMembrane(radius=1.5)(cells)
    yield "InstancesToMembrane", [("instances", ids(cells)), ("InstancesToMembrane", gray(walls))]
    patch = membrane[:, 30:70, 40:95]
    padded = transforms.RelativePad(width=3)(patch)
    yield "RelativePad", [("patch of a membrane", gray(patch)), ("RelativePad", gray(padded))]
    corrupt = transforms.RandTopologyError(prob=1, num_errors=9, radius=(1.5, 3.0), reach=25).set_random_state(2)
    yield "RandTopologyError", [("label", gray(label)), ("mode 'label'", gray(corrupt(label)))]


def _of_likelihoods(probability: np.ndarray) -> Iterator[FigureOf]:
    simple = transforms.PersistenceSimplify(min_persistence=0.4)(probability)
    yield "PersistenceSimplify", [("likelihood", gray(probability)), ("min_persistence 0.4", gray(simple))]
    masks = [("likelihood", gray(probability)), ("> 0.5", gray(probability > 0.5))]
    yield "ReconnectComponents", [*masks, ("ReconnectComponents > 0.5", ids(_joined(probability)))]
    clean = transforms.CleanUp(min_component_size=30, min_hole_size=10)(probability)
    yield "CleanUp", [*masks, ("CleanUp by size", gray(clean))]
    heat = transforms.CriticalVoxelMap(sigma=1.5, min_persistence=0.05)(probability).numpy()
    births = [("births of components", gray(heat[:1])), ("births of loops", gray(heat[2:3]))]
    yield "CriticalVoxelMap", [("likelihood", gray(probability)), *births]
    diagram = transforms.PersistenceDiagram(num_pairs=200)(probability).numpy()[0]
    curves = transforms.BettiCurve()(probability).numpy()[0]
    pictures = transforms.PersistenceImage(num_rows=40, num_columns=40)(probability).numpy()[0]
    landscapes = transforms.PersistenceLandscape()(probability).numpy()[0]
    start = ("likelihood", gray(probability))

    def points(place: Axes) -> None:
        for dim, (color, marker) in enumerate(((BLUE, "o"), (VERMILION, "^"))):
            place.scatter(*diagram[dim].T, s=14, c=color, marker=marker, label=f"dimension {dim}")
        place.plot([0, 1], [0, 1], c="0.6", lw=0.8)
        place.set(xlabel="birth", ylabel="death")
        place.legend(fontsize=8)

    def curve(place: Axes) -> None:
        for dim, color in enumerate((BLUE, VERMILION)):
            place.plot(np.linspace(0, 1, 100), curves[dim], c=color, label=f"Betti number {dim}")
        place.set(xlabel="threshold")
        place.legend(fontsize=8)

    def picture(place: Axes) -> None:
        place.imshow(pictures[1] ** 0.5, origin="lower", extent=(0, 1, 0, 1), cmap="viridis")
        place.set(xlabel="birth", ylabel="persistence")

    def landscape(place: Axes) -> None:
        place.plot(np.linspace(0, 1, 100), landscapes[1].T)
        place.set(xlabel="threshold")

    yield "PersistenceDiagram", [start, ("PersistenceDiagram", points)]
    yield "BettiCurve", [start, ("BettiCurve", curve)]
    yield "PersistenceImage", [start, ("PersistenceImage, loops (root)", picture)]
    yield "PersistenceLandscape", [start, ("PersistenceLandscape, loops", landscape)]


def _joined(probability: np.ndarray) -> np.ndarray:
    """Return a mask whose joined components have their paths in another color."""
    joined = transforms.ReconnectComponents(max_path_length=40, min_likelihood=0.005, min_component_size=9)(probability)
    return np.where(probability > 0.5, 4, 2 * (joined > 0.5).numpy())


def _of_pairs(image: np.ndarray, label: np.ndarray, probability: np.ndarray) -> Iterator[FigureOf]:
    prediction = (probability > 0.5).astype(np.float32)
    wrong = transforms.TopologyErrorMap()(prediction, label).numpy()[0]

    def errors(place: Axes) -> None:
        place.imshow(0.6 * label[0], cmap="gray", vmin=0, vmax=1)
        for number, name in STRUCTURE_ERRORS.items():
            rows, columns = np.nonzero(wrong == number)
            if len(rows):
                place.scatter(columns, rows, s=4, c=COLORS[number], label=name, linewidths=0)
        place.legend(fontsize=6, loc="lower left", markerscale=2)
        place.set_axis_off()

    yield "TopologyErrorMap", [("prediction", gray(prediction)), ("wrong structures over the label", errors)]
    joined = _joined(probability)
    for name, rows, columns in (("right", slice(66, 120), slice(20, 82)), ("wrong", slice(0, 54), slice(74, 160))):
        zoom = (slice(None), rows, columns)
        parts = [("label", gray(label[zoom])), ("likelihood", gray(probability[zoom])), (name, ids(joined[zoom]))]
        yield f"ReconnectComponents_{name}", parts
    vessels = transforms.Vesselness(sigmas=[1.5, 3.0])(image)
    yield "Vesselness", [("image", gray(image)), ("Vesselness", gray(vessels))]
    fade = transforms.RandTopologyError(prob=1, num_errors=8, radius=(2.0, 4.0), reach=25, mode="image", contrast=1)
    fade.set_random_state(0)
    faded = fade(image, label)
    yield "RandTopologyError_image", [("image", gray(image)), ("mode 'image': the label stays", gray(faded))]
    boxes = []
    for around in ("skeleton", "thin_places"):
        crop = transforms.RandCropByTopology((24, 24), 12, around=around, uniform=0).set_random_state(1)
        crop.randomize(crop.weights(label))
        boxes.append((f"around {around.replace('_', ' ')}", _patches(label, np.array(crop.centers))))
    yield "RandCropByTopology", [("label", gray(label)), *boxes]


def _patches(label: np.ndarray, centers: np.ndarray) -> Draw:
    def draw(place: Axes) -> None:
        place.imshow(label[0], cmap="gray")
        for row, column in centers:
            sides = np.array([[-12, -12], [-12, 12], [12, 12], [12, -12], [-12, -12]])
            place.plot(column + sides[:, 1], row + sides[:, 0], c=ORANGE, lw=1.2)
        place.set_axis_off()

    return draw
