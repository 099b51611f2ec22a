"""Scores of settings on cases, each computed once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.packed_masks import pack_mask, unpack_mask
from monai_topo._utils.typing import Mask
from monai_topo.cleanup.cases import Case
from monai_topo.cleanup.scores import Scorer, dice
from monai_topo.cleanup.settings import Setting
from monai_topo.masks.components import betti_of_mask
from monai_topo.transforms._clean_up_steps import CleanUpSteps

__all__ = ["Score", "SettingEvaluator"]

#: Memory for simplified likelihoods of all cases together, but at least one of each is kept.
_SIMPLIFIED_BYTES = 2**28
#: Number of a case, and what identifies a mask of it.
MaskKey = tuple[int, bytes]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Score(NamedTuple):
    """Metric and Dice of a setting on a case."""

    metric: float
    dice: float


class _Cleaned(NamedTuple):
    """A cleaned case: its Dice, and what identifies the mask."""

    dice: float
    mask: bytes


class SettingEvaluator:
    """Clean cases up by settings and score the masks.

    A case is cleaned once per setting, and the metric is computed once per case and mask: many settings give the same
    mask. Both run on `torch.get_num_threads()` threads.

    Args:
        cases: The cases.
        scorer: The metric.
        fixed: Settings of the clean-up that all candidates share.
        least_likelihood: The least `min_likelihood` of all settings to come.
        on_start: Called with a number of results, cleaned or scored cases, that are computed next.
        on_result: Called after each of them.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        scorer: Scorer,
        fixed: dict[str, Any],
        *,
        least_likelihood: float,
        on_start: Callable[[int], object],
        on_result: Callable[[], object],
    ) -> None:
        self.cases, self.scorer, self.fixed = cases, scorer, fixed
        self.on_start, self.on_result = on_start, on_result
        shared = {name: fixed[name] for name in ("threshold", "connectivity", "border")}
        num_simplified = max(1, _SIMPLIFIED_BYTES // sum(case.prediction.nbytes for case in cases))
        self._steps = [
            CleanUpSteps(
                case.prediction[0],
                spacing=None if fixed["spacing"] is None else case.spacing,
                least_likelihood=least_likelihood,
                num_simplified=num_simplified,
                **shared,
            )
            for case in cases
        ]
        self._cleaned: dict[tuple[Setting, int], _Cleaned] = {}
        self._metric: dict[MaskKey, float] = {}
        self._packed: dict[MaskKey, bytes] = {}  # until they are scored
        self._betti: dict[MaskKey, list[int]] = {}
        self._bound: dict[MaskKey, float] = {}  # what the metric is not below
        self._betti_of_label = self._map(lambda case: self._count(case.label), cases)

    @property
    def num_cleaned(self) -> int:
        """Number of times that a case was cleaned up."""
        return len(self._cleaned)

    @property
    def num_settings(self) -> int:
        """Number of settings that were tried on one case at least."""
        return len({setting for setting, _ in self._cleaned})

    def dice(self, settings: Iterable[Setting], cases: Sequence[int]) -> dict[Setting, list[float]]:
        """Return the Dice of each setting on each of the cases, given by number."""
        settings = list(dict.fromkeys(settings))
        todo = {case: [setting for setting in settings if (setting, case) not in self._cleaned] for case in cases}
        self.on_start(sum(map(len, todo.values())))
        self._map(self._clean, todo.items())
        return {setting: [self._cleaned[setting, case].dice for case in cases] for setting in settings}

    def evaluate(self, settings: Iterable[Setting], cases: Sequence[int]) -> dict[Setting, list[Score]]:
        """Return the scores of each setting on each of the cases."""
        dice = self.dice(settings, cases)
        self._score_all(self._mask_of(setting, case) for setting in dice for case in cases)
        return {setting: self._scores(setting, cases) for setting in dice}

    def evaluate_contenders(self, settings: Iterable[Setting], cases: Sequence[int]) -> dict[Setting, list[Score]]:
        """Return the scores of at least those settings whose mean metric is the best one.

        Of some metrics a bound is known that costs less: the metric is computed where the bounds are lowest first, and
        not at all for a setting whose bounds show that it is worse than another one.
        """
        masks = {setting: [self._mask_of(setting, case) for case in cases] for setting in self.dice(settings, cases)}
        if not self.scorer.has_bound:
            return self.evaluate(masks, cases)
        while True:
            # The metric where it is known, and its bound elsewhere.
            sums = {
                setting: sum(self._metric.get(mask, self._bound[mask]) for mask in masks[setting]) for setting in masks
            }
            unknown = {
                setting: [mask for mask in of_cases if mask not in self._metric] for setting, of_cases in masks.items()
            }
            lowest = min((sums[setting] for setting in masks if not unknown[setting]), default=math.inf)
            contenders = [setting for setting in masks if unknown[setting] and sums[setting] <= lowest + 1e-6]
            if not contenders:
                return {setting: self._scores(setting, cases) for setting in masks if not unknown[setting]}
            self._score_all(unknown[min(contenders, key=sums.__getitem__)][: 4 * torch.get_num_threads()])

    def limited(self, setting: Setting, cases: Sequence[int]) -> Setting:
        """Return the setting with the size of the largest change by persistence in these cases as its limit.

        Elsewhere a persistence that removed specks and pinholes here may remove a vessel, or fill a cell.
        """
        if not setting.min_persistence:
            return setting
        largest = self._map(lambda case: self._steps[case].largest_change(setting.min_persistence), cases)
        return setting._replace(max_simplified_size=max(largest))

    def betti_errors(self, setting: Setting) -> NDArray[np.float64]:
        """Return the mean error of each Betti number over all cases."""
        cases = range(len(self.cases))
        self.dice([setting], cases)
        errors = [np.subtract(self._betti[self._mask_of(setting, case)], self._betti_of_label[case]) for case in cases]
        return np.asarray(np.abs(errors).mean(0))

    def _mask_of(self, setting: Setting, case: int) -> MaskKey:
        return case, self._cleaned[setting, case].mask

    def _scores(self, setting: Setting, cases: Sequence[int]) -> list[Score]:
        return [Score(self._metric[self._mask_of(setting, case)], self._cleaned[setting, case].dice) for case in cases]

    def _map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return list(pool.map(function, items))

    def _clean(self, item: tuple[int, Sequence[Setting]]) -> None:
        """Clean up one case, which no other thread does at the same time."""
        case, settings = item
        # In this order settings that begin alike share their first steps.
        for setting in sorted(settings, key=lambda setting: tuple(-1.0 if x is None else x for x in setting[:5])):
            mask = self._steps[case].mask(**setting.to_steps())
            packed = pack_mask(mask)
            key = case, hashlib.blake2b(packed).digest()
            self._cleaned[setting, case] = _Cleaned(dice(mask, self.cases[case].label), key[1])
            if key not in self._betti:
                self._packed[key] = packed
                self._betti[key] = self._count(mask)
                self._bound[key] = self.scorer.bound(self._betti[key], self._betti_of_label[case])
            self.on_result()
        self._steps[case].release()

    def _count(self, mask: Mask) -> list[int]:
        return betti_of_mask(mask, self.fixed["connectivity"], self.fixed["border"])

    def _score_all(self, masks: Iterable[MaskKey]) -> None:
        todo = list(dict.fromkeys(mask for mask in masks if mask not in self._metric))
        self.on_start(len(todo))
        self._map(self._score, todo)

    def _score(self, key: MaskKey) -> None:
        label = self.cases[key[0]].label
        self._metric[key] = self.scorer.score(unpack_mask(self._packed.pop(key), label.shape), label)
        self.on_result()
