"""Pictures of a validation: what is missing and what is spurious, as a PNG file and for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import IgniteInfo, min_version, optional_import
from numpy.typing import NDArray

from monai_topo._utils.distributed import rank
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.handlers.loss_components import WeightedLoss
from monai_topo.handlers.panels import Panel, error_panel, image_panel, legend_panel, mask_panel, save_panels

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["PredictionPictures"]


class PredictionPictures:
    """Draw validation cases: image, label, and the predictions of the selected epochs.

    Attach to an evaluator whose batch and output hold `image`, `label` and a binary `pred`, channel first, label and
    prediction with one channel. After every validation a PNG file is replaced atomically. It has one row per case:
    image, label, and the prediction of the latest validation without topology term (the end of the warm-up), of the
    best validation and of the latest validation. Without a loss there is one prediction. Colors mark missing or
    spurious components, breaks, bridges, and missing or spurious holes, see
    :py:func:`monai_topo.masks.structure_errors.classify_errors`; a legend explains them. TensorBoard gets the same
    panels one by one.

    MONAI's readers put x first, so pictures are transposed to the orientation of their files.

    Args:
        path: Path of the PNG file.
        summary_writer: TensorBoard SummaryWriter, or None.
        loss: `TopologyAwareLoss` of the training run; without a loss there is no warm-up.
        max_cases: Number of cases to draw, the first ones.
        titles: Mapping of names to metrics, whose values for the case stand above each prediction.
        case_score: Function that computes one score per case, higher is better, from the per-case values of all metrics
            (name -> `(N, C)`). With it the worst cases are drawn instead of the first; only without a loss. Needs the
            memory of the pictures of all cases, 9 bytes per pixel.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        step_of_epoch: Function that converts an epoch to a step of TensorBoard; the default is the epoch.

    Raises:
        ValueError: If both `case_score` and `loss` are given.
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
        connectivity: Connectivity = "full",
        border: Border = "open",
        step_of_epoch: Callable[[int], int] = int,
    ) -> None:
        if case_score is not None and loss is not None:
            raise ValueError(
                "Expected `case_score` without `loss`, but got both; a training run always draws the same cases."
            )
        self.path = Path(path)
        self.summary_writer = summary_writer
        self.loss = loss
        self.max_cases = max_cases
        self.titles = dict(titles or {})
        self.case_score = case_score
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.step_of_epoch = step_of_epoch
        self.fixed: list[list[tuple[str, Panel]]] = []
        self.snapshots: dict[str, tuple[int, list[tuple[str, Panel]]]] = {}
        self._pictures: list[Panel] = []
        self._cases: list[int] = []
        self._num_fixed = 0
        self._spatial_dims = 2

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator; in a distributed run rank 0 draws, its own cases only."""
        if rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.completed)

    def started(self, engine: Any) -> None:
        """Start a validation."""
        self._pictures = []
        if self.case_score is not None:
            self.fixed = []
        self._num_fixed = len(self.fixed)

    def iteration_completed(self, engine: Any) -> None:
        """Draw the cases of a batch while they are available."""
        for case in engine.state.output:
            number = len(self._pictures)
            if number >= self.max_cases and self.case_score is None:
                return
            label = _to_array(case["label"])[0] > 0.5
            if number >= self._num_fixed:
                self.fixed.append([("input", image_panel(_to_array(case["image"]))), ("label", mask_panel(label))])
            pred = _to_array(case["pred"])[0] > 0.5
            self._pictures.append(error_panel(pred, label, connectivity=self.connectivity, border=self.border))
            self._spatial_dims = label.ndim

    def completed(self, engine: Any) -> None:
        """Keep the predictions of the selected epochs, and write the pictures."""
        epoch = engine.state.epoch
        if self.case_score is not None:
            self._keep_worst(engine.state.metric_details)
        cases = self._cases if self.case_score is not None else range(len(self._pictures))
        drawn = [(self._title(engine, case), picture) for case, picture in zip(cases, self._pictures, strict=True)]
        self._write_tensorboard(epoch)
        if self.loss is None:
            self.snapshots = {"prediction": (epoch, drawn)}
        else:
            if self.loss.weight == 0:
                self.snapshots["topology term off"] = (epoch, drawn)
            if engine.state.best_metric_epoch == epoch:
                self.snapshots["best"] = (epoch, drawn)
            self.snapshots["latest"] = (epoch, drawn)
        self._write_png()

    def state_dict(self) -> dict[str, Any]:
        """Return the pictures of the selected epochs as tensors of bytes."""
        return {
            name: (epoch, [(title, torch.from_numpy(picture)) for title, picture in drawn])
            for name, (epoch, drawn) in self.snapshots.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with these pictures."""
        self.snapshots = {
            name: (epoch, [(title, _to_array(picture)) for title, picture in drawn])
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
            f"{name} {_format(float(details[key][case].mean()))}" for name, key in self.titles.items() if key in details
        ]
        return ", ".join(values)

    def _write_tensorboard(self, epoch: int) -> None:
        if self.summary_writer is None:
            return
        panels = {f"case_{case}/prediction": picture for case, picture in enumerate(self._pictures)}
        if not self.snapshots:  # the first validation, also of a resumed training run
            panels |= {f"case_{case}/{name}": panel for case, fixed in enumerate(self.fixed) for name, panel in fixed}
            panels["legend"] = legend_panel(self._spatial_dims)
        for tag, panel in panels.items():
            self.summary_writer.add_image(tag, panel, self.step_of_epoch(epoch), dataformats="HWC")
        self.summary_writer.flush()

    def _write_png(self) -> None:
        columns: dict[int, tuple[str, list[tuple[str, Panel]]]] = {}
        for name, (epoch, drawn) in self.snapshots.items():
            columns[epoch] = (f"{columns[epoch][0]} = {name}" if epoch in columns else name, drawn)
        rows = [list(fixed) for fixed in self.fixed]
        for epoch, (name, drawn) in sorted(columns.items()):
            heading = name if self.loss is None else f"{name}, epoch {epoch}"
            for row, (title, picture) in zip(rows, drawn, strict=True):
                row.append((f"{heading}\n{title}", picture))
        if rows:
            save_panels(self.path, rows, self._spatial_dims)


def _format(value: float) -> str:
    """Format a number for a title: integers in full, others with three significant digits."""
    return f"{value:.0f}" if value.is_integer() else f"{value:#.3g}"


def _to_array(data: Any) -> NDArray[Any]:
    return data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
