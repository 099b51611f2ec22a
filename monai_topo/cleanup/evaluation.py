"""Scores of settings on cases, each computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo.cleanup.cases import Case
from monai_topo.cleanup.scores import Scorer, dice
from monai_topo.cleanup.settings import Setting
from monai_topo.masks.components import betti_of_mask
from monai_topo.persistence.reconnection import is_mask
from monai_topo.transforms.persistence_simplify import PersistenceSimplify

__all__ = ["Score", "SettingEvaluator"]


class Score(NamedTuple):
    """Metric and Dice of a setting on a case."""

    metric: float
    dice: float


class SettingEvaluator:
    """Clean cases up by settings and score the masks.

    A score is computed once per case and setting, and the metric once per case and mask: many settings give the same
    mask. Cases run on `torch.get_num_threads()` threads.

    Args:
        cases: The cases.
        scorer: The metric.
        fixed: Settings of the clean-up that all candidates share.
        on_start: Called with a number of cleaned cases that are computed next.
        on_case: Called after each of them.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        scorer: Scorer,
        fixed: dict[str, Any],
        *,
        on_start: Callable[[int], object],
        on_case: Callable[[], object],
    ) -> None:
        self.cases, self.scorer, self.fixed = cases, scorer, fixed
        self.on_start, self.on_case = on_start, on_case
        self._scores: dict[tuple[Setting, int], Score] = {}
        self._by_mask: dict[tuple[int, bytes], Score] = {}
        #: The last simplified likelihood of each case, with its persistence.
        self._simplified: dict[int, tuple[float, NDArray[np.float32]]] = {}

    @property
    def num_cleaned(self) -> int:
        """Number of times that a case was cleaned up."""
        return len(self._scores)

    @property
    def num_settings(self) -> int:
        """Number of settings that were tried on one case at least."""
        return len({setting for setting, _ in self._scores})

    def evaluate(self, settings: Sequence[Setting], cases: Sequence[int]) -> dict[Setting, list[Score]]:
        """Return the scores of each setting on each of the cases, given by number."""
        settings = list(dict.fromkeys(settings))
        todo = {case: [setting for setting in settings if (setting, case) not in self._scores] for case in cases}
        self.on_start(sum(map(len, todo.values())))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for case, scores in zip(todo, pool.map(self._evaluate_case, todo, todo.values()), strict=True):
                self._scores.update({(setting, case): score for setting, score in scores.items()})
        return {setting: [self._scores[setting, case] for case in cases] for setting in settings}

    def mask(self, setting: Setting, case: int) -> Mask:
        """Return the cleaned mask of a case."""
        image = self.cases[case].prediction
        if setting.min_persistence > 0:
            simplified = self._simplify(case, setting.min_persistence)
            if not is_mask(simplified):  # a mask would be refused by the other steps
                image, setting = simplified, setting._replace(min_persistence=0.0)
        affine = torch.diag(torch.tensor([*self.cases[case].spacing, 1.0], dtype=torch.float64))
        cleaned = setting.to_cleanup(**self.fixed)(MetaTensor(torch.from_numpy(image), affine=affine))
        mask: Mask = np.asarray(cleaned)[0] > 0
        return mask

    def _simplify(self, case: int, persistence: float) -> NDArray[np.float32]:
        known, simplified = self._simplified.get(case, (0.0, self.cases[case].prediction))
        if known != persistence:
            topology = {name: self.fixed[name] for name in ("connectivity", "border")}
            transform = PersistenceSimplify(min_persistence=persistence, **topology)
            simplified = np.asarray(transform(self.cases[case].prediction))
            self._simplified[case] = persistence, simplified
        return simplified

    def betti_errors(self, setting: Setting) -> NDArray[np.float64]:
        """Return the mean error of each Betti number over all cases."""
        topology = {name: self.fixed[name] for name in ("connectivity", "border")}
        errors = []
        for number, case in enumerate(self.cases):
            found, wanted = (betti_of_mask(mask, **topology) for mask in (self.mask(setting, number), case.label))
            errors.append(np.abs(np.subtract(found, wanted)))
        means: NDArray[np.float64] = np.mean(errors, axis=0)
        return means

    def _evaluate_case(self, case: int, settings: Sequence[Setting]) -> dict[Setting, Score]:
        scores = {}
        # In this order a simplified likelihood is used by all settings that share it.
        for setting in sorted(settings, key=lambda setting: setting.min_persistence):
            scores[setting] = self._score(self.mask(setting, case), case)
            self.on_case()
        return scores

    def _score(self, mask: Mask, case: int) -> Score:
        key = case, hashlib.blake2b(np.packbits(mask).tobytes()).digest()
        if key not in self._by_mask:
            label = self.cases[case].label
            self._by_mask[key] = Score(self.scorer.score(mask, label), dice(mask, label))
        return self._by_mask[key]
