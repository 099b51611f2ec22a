"""Pictures of a validation: what is missing and what is spurious, for the eye and for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import IgniteInfo, min_version, optional_import
from numpy.typing import NDArray

from monai_topo._files import whole_file
from monai_topo._ranks import rank
from monai_topo.handlers.loss_components import WeightedLoss
from monai_topo.structure_errors import structure_errors, widened

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")
Figure, _ = optional_import("matplotlib.figure", name="Figure")

__all__ = ["PredictionPictures", "error_picture"]

Colours = NDArray[np.float32]
Panel = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Okabe and Ito's colours, told apart by colour-blind readers too.
_MISSING, _SPURIOUS = (0.835, 0.369, 0.0), (0.337, 0.706, 0.914)
_BACKGROUND, _FOREGROUND = 0.12, 0.75


def error_picture(prediction: Mask, label: Mask) -> Colours:
    """Draw a prediction in grey, what it misses in orange and what is spurious in blue; `(H, W, 3)` in [0, 1].

    Volumes are projected along their shortest axis. The marks are widened by two voxels, to be seen.
    """
    missing, spurious = (widened(_projected(mask), by_vox=2) for mask in structure_errors(prediction, label))
    grey = np.where(_projected(prediction), _FOREGROUND, _BACKGROUND).astype(np.float32)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[missing] = _MISSING
    picture[spurious] = _SPURIOUS
    return picture


class PredictionPictures:
    """Pictures of validation cases: input, label, and predictions at the moments that matter.

    Attached to an evaluator whose batch and output hold `image`, `label` and a binary `pred`, channel first, one
    channel of label and prediction. After every validation a PNG file is written anew, whole, with a row a case:
    input, label, and the predictions at the end of the warm-up (the last one made while the topology term was off), at
    the best validation and at the latest. Without a loss there is one prediction. TensorBoard gets the same panels one
    by one.

    MONAI's readers put x first, so pictures are transposed here to lie as their files do.

    Args:
        path: of the PNG file.
        summary_writer: a TensorBoard SummaryWriter; none without.
        loss: the `TopologyAwareLoss` of the training; without one there is no warm-up.
        max_cases: number of cases that are drawn, the first ones.
        titles: name -> metric: per-case values of these metrics stand above each prediction.
        case_score: makes a score a case, higher is better, of the per-case values of all metrics (name -> `(N, C)`).
            With it the worst cases are drawn rather than the first, without a loss only. Costs the memory of the
            pictures of all cases, 9 bytes a pixel.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        summary_writer: Any = None,
        loss: WeightedLoss | None = None,
        max_cases: int = 4,
        titles: Mapping[str, str] | None = None,
        case_score: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        if case_score is not None and loss is not None:
            raise ValueError(
                "Expected `case_score` without `loss`, but got both; a training draws the same cases always."
            )
        self.path = Path(path)
        self.summary_writer = summary_writer
        self.loss = loss
        self.max_cases = max_cases
        self.titles = dict(titles or {})
        self.case_score = case_score
        self.fixed: list[list[tuple[str, Panel]]] = []
        self.moments: dict[str, tuple[int, list[tuple[str, Panel]]]] = {}
        self._pictures: list[Panel] = []
        self._cases: list[int] = []
        self._num_fixed = 0

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator; of several processes the first draws, of its own cases."""
        if rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.completed)

    def started(self, engine: Any) -> None:
        """Begin a validation."""
        self._pictures = []
        if self.case_score is not None:
            self.fixed = []
        self._num_fixed = len(self.fixed)

    def iteration_completed(self, engine: Any) -> None:
        """Draw the cases of a batch while they are at hand."""
        for case in engine.state.output:
            number = len(self._pictures)
            if number >= self.max_cases and self.case_score is None:
                return
            label = _array(case["label"])[0] > 0.5
            if number >= self._num_fixed:
                grey = np.where(_projected(label), _FOREGROUND, _BACKGROUND).astype(np.float32)
                image = _image_colours(_array(case["image"]))
                self.fixed.append([("input", _as_bytes(image)), ("label", _as_bytes(_in_colours(grey)))])
            self._pictures.append(_as_bytes(error_picture(_array(case["pred"])[0] > 0.5, label)))

    def completed(self, engine: Any) -> None:
        """Keep the predictions if the moment matters, and write them out."""
        epoch = engine.state.epoch
        if self.case_score is not None:
            self._keep_worst(engine.state.metric_details)
        cases = self._cases if self.case_score is not None else range(len(self._pictures))
        drawn = [(self._title(engine, case), picture) for case, picture in zip(cases, self._pictures, strict=True)]
        if self.loss is None:
            self.moments = {"prediction": (epoch, drawn)}
        else:
            if self.loss.weight == 0:
                self.moments["end of warm-up"] = (epoch, drawn)
            if engine.state.best_metric_epoch == epoch:
                self.moments["best"] = (epoch, drawn)
            self.moments["latest"] = (epoch, drawn)
        self._write_tensorboard(epoch)
        self._write_png()

    def state_dict(self) -> dict[str, Any]:
        """Return the predictions at the moments that matter, as tensors of bytes."""
        return {
            name: (epoch, [(title, torch.from_numpy(picture)) for title, picture in drawn])
            for name, (epoch, drawn) in self.moments.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from these moments."""
        self.moments = {
            name: (epoch, [(title, _array(picture)) for title, picture in drawn])
            for name, (epoch, drawn) in state.items()
        }

    def _keep_worst(self, details: Mapping[str, Any]) -> None:
        assert self.case_score is not None
        scores = np.asarray([float(score) for score in self.case_score(details)])[: len(self._pictures)]
        self._cases = [int(case) for case in np.argsort(scores, kind="stable")[: self.max_cases]]
        self.fixed = [self.fixed[case] for case in self._cases]
        self._pictures = [self._pictures[case] for case in self._cases]

    def _title(self, engine: Any, case: int) -> str:
        details = engine.state.metric_details
        values = [
            f"{name} {float(details[key][case].mean()):.3g}" for name, key in self.titles.items() if key in details
        ]
        return ", ".join(values)

    def _write_tensorboard(self, epoch: int) -> None:
        if self.summary_writer is None:
            return
        for case, picture in enumerate(self._pictures):
            panels = [("prediction", picture)]
            if case >= self._num_fixed:
                panels += self.fixed[case]
            for name, panel in panels:
                self.summary_writer.add_image(f"case_{case}/{name}", panel, epoch, dataformats="HWC")
        self.summary_writer.flush()

    def _write_png(self) -> None:
        columns: dict[int, tuple[str, list[tuple[str, Panel]]]] = {}
        for name, (epoch, drawn) in self.moments.items():
            columns[epoch] = (f"{columns[epoch][0]} = {name}" if epoch in columns else name, drawn)
        rows = [list(fixed) for fixed in self.fixed]
        for epoch, (name, drawn) in sorted(columns.items()):
            heading = name if self.loss is None else f"{name}, epoch {epoch}"
            for row, (title, picture) in zip(rows, drawn, strict=True):
                row.append((f"{heading}\n{title}", picture))
        if rows:
            _save_panels(self.path, rows)


def _save_panels(path: Path, rows: list[list[tuple[str, Panel]]]) -> None:
    height, width = rows[0][0][1].shape[:2]
    panel_width = 3.4
    size = (panel_width * len(rows[0]), (panel_width * height / width + 0.5) * len(rows) + 0.3)
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, panels in zip(axes, rows, strict=True):
        for place, (title, picture) in zip(row, panels, strict=True):
            place.imshow(picture, interpolation="nearest")
            place.set_title(title, fontsize=9)
            place.set_axis_off()
    figure.supxlabel("orange: missing in the prediction   blue: spurious in the prediction", fontsize=9)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished)


def _array(data: Any) -> NDArray[Any]:
    return data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)


def _projected(volume: NDArray[Any]) -> NDArray[Any]:
    """The greatest value along the shortest axis of a volume, and y before x, as pictures have it."""
    plane = volume if volume.ndim == 2 else volume.max(axis=int(np.argmin(volume.shape)))
    return plane.T


def _image_colours(image: NDArray[Any]) -> Colours:
    """A channel-first image in colours, its 1st to 99th percentile stretched to [0, 1]; three channels are RGB."""
    channels = image if len(image) == 3 else image[:1]
    low, high = np.percentile(channels, (1, 99))
    stretched = np.clip((channels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    planes = [_projected(channel) for channel in stretched]
    return np.stack(planes, axis=2) if len(planes) == 3 else _in_colours(planes[0])


def _as_bytes(picture: Colours) -> Panel:
    return np.rint(255 * picture).astype(np.uint8)


def _in_colours(grey: NDArray[Any]) -> Colours:
    return np.repeat(grey[..., None], 3, axis=2)
