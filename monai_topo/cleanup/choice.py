"""Choice of a clean-up on validation cases."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_at_least
from monai_topo.cleanup.cases import read_cases
from monai_topo.cleanup.cross_validation import CrossValidatedScores, cross_validate
from monai_topo.cleanup.evaluation import Score, SettingEvaluator
from monai_topo.cleanup.grid import CaseFeatures, least_likelihood, make_grid, measure_features
from monai_topo.cleanup.progress import search_progress
from monai_topo.cleanup.scores import Instances, Scorer
from monai_topo.cleanup.search import Search
from monai_topo.cleanup.settings import Setting
from monai_topo.persistence.reconnection import check_threshold
from monai_topo.transforms._base import Spacing
from monai_topo.transforms.clean_up import CleanUp

__all__ = ["CleanUpChoice", "choose_cleanup"]


@dataclass(frozen=True)
class CleanUpChoice:
    """A clean-up, and what it was chosen by.

    Attributes:
        cleanup: The chosen transform; the threshold alone if nothing is better.
        rows: One dictionary for `"raw"`, for the best of each kind (`"sizes"`, `"persistence"`, `"count"`,
            `"reconnection"`, if it has candidates) and for `"chosen"`: `name`, `settings` in words, and the means over
            the cases of the metric (under its name), `dice` and `betti_error_k`.
        best: The transforms of the rows, by name.
        cross_validated: Raw and cleaned cases, each cleaned by a setting chosen without the case.
        is_better_than_raw: Whether the cross-validated metric improves on raw by more than chance, p < 0.05; False with
            fewer than 5 cases, which are too few to know.
        notes: Sentences on what was not tried.
        chosen_by: The metric, its tolerance, and the numbers of cases and of tried settings.
    """

    cleanup: CleanUp
    rows: list[dict[str, Any]]
    best: dict[str, CleanUp]
    cross_validated: CrossValidatedScores
    is_better_than_raw: bool
    notes: list[str]
    chosen_by: dict[str, Any]

    def table(self) -> str:
        """Return the rows as a table in plain text, the notes, and the sentence of the cross-validation."""
        names = [name for name in self.rows[0] if name != "settings"]
        lines = [[*names, "settings"]]
        lines += [[*(_format(row[name]) for name in names), row["settings"]] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*text, *self.notes, self.cross_validated.sentence()])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that `CleanUp.load` reads, atomically; `"chosen_by"` records the choice."""
        validated = asdict(self.cross_validated)
        summary = {name: validated[name] for name in ("num_folds", "mean_difference", "p_value", "test")}
        chosen_by = {
            **self.chosen_by,
            "is_better_than_raw": self.is_better_than_raw,
            "cross_validated": {name: None if value != value else value for name, value in summary.items()},
        }
        text = json.dumps({**self.cleanup.to_dict(), "chosen_by": chosen_by}, indent=2, allow_nan=False) + "\n"
        with atomic_write(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def choose_cleanup(
    cases: Iterable[tuple[Any, Any]],
    *,
    metric: str = "betti_matching_error",
    dice_lost: float = 0.5,
    threshold: float = 0.5,
    connectivity: Connectivity = "full",
    border: Border = "open",
    instances: Instances = "foreground",
    spacing: Spacing = None,
    progress: bool = True,
) -> CleanUpChoice:
    """Choose the clean-up of predictions that is best on validation cases.

    The best setting is the one with the best mean of the metric among those that lose at most `dice_lost` points of
    mean Dice. Candidates are: sizes and persistences between those of the false and of the true components and holes;
    the number of components, if all labels have the same; and reconnection with a few limits on path length and
    likelihood. First each kind of step is searched alone, one setting after another; then the best of the kinds are
    combined; then the best combination is varied by one step of the grid along each axis, twice at most. A persistence
    is limited to components and holes that are not larger than the largest one that it removed in the given cases
    (`max_simplified_size`), since in other images a vessel or a cell may be as weak as a speck or a pinhole here.

    The whole choice is cross-validated: it is repeated without one case (or, of more than 12, without one of 10 folds
    of consecutive cases), candidates included, and its result applied to what was left out. Persistence and
    reconnection are tried only if all predictions are likelihoods.

    Args:
        cases: Pairs of prediction and label, `(H, W)` or `(D, H, W)`, arrays or tensors: a likelihood in [0, 1] or a
            mask, and a label of 0 and 1. Read once, and held in memory.
        metric: Number of :py:func:`monai_topo.topology_report` that has a direction, except for the distances between
            diagrams.
        dice_lost: Points of Dice (hundredths), of the mean over cases, that a setting may lose against raw.
        threshold: Foreground is above it; at least 0 and less than 1.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        instances: Objects of VOI, Rand error and detection: components of the `"foreground"` or the `"background"`.
        spacing: None for sizes in voxels; `"affine"` reads the voxel size from MetaTensors; numbers give it in
            millimeters, one per axis.
        progress: Whether to show a progress bar, if tqdm is installed.

    Returns:
        The choice. Two empty masks have Dice 1. Cases with a metric of NaN for raw are left out of its mean, and a
        setting is refused if it makes the metric of another case NaN.

    Raises:
        UserError: If there is no case, shapes differ, a value is NaN or outside [0, 1], all labels are empty, or the
            metric is NaN in all cases.
        ValueError: If a setting is not one of these.

    Cost: the choice tries about 50 settings (20 on masks), and cross-validation about as many again. For each of them
    and each case a clean-up is computed, and the metric if the mask is a new one. Cases run on
    `torch.get_num_threads()` threads. Memory: 5 bytes per voxel of all cases (with persistence 9, or more
    up to 256 MB), and per thread the work of a merge tree and of the metric on one case. Deterministic. Needs SciPy.

    Example:
        >>> import numpy as np
        >>> from monai_topo import choose_cleanup
        >>> label = np.zeros((12, 12))
        >>> label[2:5, 2:10] = 1
        >>> prediction = label.copy()
        >>> prediction[8, 8] = 1  # a speck
        >>> choice = choose_cleanup([(prediction, label)] * 5, progress=False)
        >>> choice.cleanup.min_component_size, choice.is_better_than_raw
        (2, True)
    """
    scorer = Scorer(metric, connectivity, border, instances)
    check_at_least("dice_lost", dice_lost)
    check_threshold(threshold)
    read, has_likelihoods = read_cases(cases, spacing)
    ndim = read[0].label.ndim
    scorer.check_ndim(ndim)
    fixed: dict[str, Any] = {
        "threshold": threshold,
        "connectivity": connectivity,
        "border": border,
        "spacing": spacing,
        "spatial_dims": ndim,
    }
    measure = partial(
        measure_features,
        threshold=threshold,
        connectivity=connectivity,
        border=border,
        has_likelihoods=has_likelihoods,
    )
    with search_progress(shown=progress) as bar:
        measured = [measure(case) for case in read]
        evaluator = SettingEvaluator(
            read,
            scorer,
            fixed,
            least_likelihood=least_likelihood(threshold),
            on_start=bar.extend,
            on_result=bar.advance,
        )
        if all(math.isnan(score.metric) for score in evaluator.evaluate([Setting()], range(len(read)))[Setting()]):
            raise UserError(f"Expected `metric` to apply to at least one case, but got NaN for {metric!r} in all.")

        def is_tried(setting: Setting) -> bool:
            return not setting.reconnects or sum(case.count_joined(setting) for case in measured) <= _MAX_JOINED

        def search(numbers: Sequence[int]) -> dict[str, Setting]:
            grid = make_grid(
                [measured[number] for number in numbers],
                threshold=threshold,
                has_likelihoods=has_likelihoods,
                in_voxels=spacing is None,
            )
            found = Search(evaluator, grid, numbers, dice_lost, is_tried).run()
            return {name: evaluator.limited(setting, numbers) for name, setting in found.items()}

        best = {"raw": Setting(), **search(range(len(read)))}
        validated = cross_validate(evaluator, lambda numbers: search(numbers)["chosen"], num_cases=len(read))
        rows = [_row(name, setting, evaluator, unit=_units(spacing, ndim)) for name, setting in best.items()]
    return CleanUpChoice(
        cleanup=best["chosen"].to_cleanup(**fixed),
        rows=rows,
        best={name: setting.to_cleanup(**fixed) for name, setting in best.items()},
        cross_validated=validated,
        is_better_than_raw=validated.is_improvement and best["chosen"] != Setting(),
        notes=_notes(measured, has_likelihoods=has_likelihoods),
        chosen_by={
            "metric": metric,
            "dice_lost": dice_lost,
            "num_cases": len(read),
            "num_settings": evaluator.num_settings,
            "num_cleaned": evaluator.num_cleaned,
        },
    )


#: Components that are joined at most, in all cases together: each takes milliseconds, for each setting.
_MAX_JOINED = 5000
_MASKS_ONLY = "Some predictions are masks: persistence and reconnection, which need likelihoods, were not tried."


def _notes(measured: Sequence[CaseFeatures], *, has_likelihoods: bool) -> list[str]:
    joined = sum(case.count_joined(Setting()) for case in measured)
    if not has_likelihoods:
        return [_MASKS_ONLY]
    if joined > _MAX_JOINED:
        return [
            f"The masks have {joined} components, more than {_MAX_JOINED}: reconnection was tried only together with "
            "steps that remove most of them."
        ]
    return []


def _row(name: str, setting: Setting, evaluator: SettingEvaluator, *, unit: tuple[str, str]) -> dict[str, Any]:
    scores: list[Score] = evaluator.evaluate([setting], range(len(evaluator.cases)))[setting]
    metric, dice = np.array(scores).T
    errors = evaluator.betti_errors(setting)
    return {
        "name": name,
        "settings": setting.describe(*unit),
        **{f"betti_error_{dim}": float(error) for dim, error in enumerate(errors)},
        "dice": float(dice.mean()),
        evaluator.scorer.metric: float(np.nanmean(metric)),
    }


def _units(spacing: Spacing, ndim: int) -> tuple[str, str]:
    return ("voxels", "voxels") if spacing is None else (f"mm^{ndim}", "mm")


def _format(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
