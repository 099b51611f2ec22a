"""Search for the best setting: each kind of step alone, their combinations, and the neighborhood of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, get_args

import numpy as np

from monai_topo.cleanup.evaluation import SettingEvaluator
from monai_topo.cleanup.grid import Grid
from monai_topo.cleanup.settings import Setting
from monai_topo.transforms._clean_up_steps import Keep

__all__ = ["KINDS", "Search"]

#: The settings of each kind of step.
KINDS: dict[str, tuple[str, ...]] = {
    "sizes": ("min_component_size", "min_hole_size"),
    "persistence": ("min_persistence",),
    "count": ("num_components", "keep"),
    "reconnection": ("max_path_length", "min_likelihood"),
}
_RAW = Setting()
_MAX_ROUNDS = 2


@dataclass
class Search:
    """Search on some of the cases.

    Args:
        evaluator: Computes the scores.
        grid: Candidates of these cases.
        cases: Their numbers.
        dice_lost: Points of Dice that a setting may lose.
        is_tried: Which settings may be tried.
    """

    evaluator: SettingEvaluator
    grid: Grid
    cases: Sequence[int]
    dice_lost: float
    is_tried: Callable[[Setting], bool]

    def run(self) -> dict[str, Setting]:
        """Return the best setting of each kind that has candidates, and of all, `"chosen"`.

        A coordinate descent over the grid, not its product: each setting is tried with the others fixed.
        """
        best = self._best_of_each_kind()
        changed = [(kind, setting) for kind, setting in best.items() if setting != _RAW]
        groups = (group for size in range(2, len(changed) + 1) for group in combinations(changed, size))
        chosen = self.best([*best.values(), *map(_merge, groups)])
        for _ in range(_MAX_ROUNDS):
            before = chosen
            chosen = self.best([before, *self._neighbors(before)])
            if chosen == before:
                break
        return {**best, "chosen": chosen}

    def best(self, settings: Iterable[Setting]) -> Setting:
        """Return the setting with the best mean metric among those that lose little Dice, or raw.

        Of equal ones it is the one with the greater Dice, then with fewer steps, then without a
        number of components, then with smaller limits.
        """
        dice = self.evaluator.dice([_RAW, *filter(self.is_tried, settings)], self.cases)
        least = np.mean(dice[_RAW]) - self.dice_lost / 100 - 1e-11
        scores = self.evaluator.evaluate_contenders(
            [one for one in dice if one == _RAW or np.mean(dice[one]) >= least], self.cases
        )
        applicable = ~np.isnan([score.metric for score in scores[_RAW]])

        def key(setting: Setting) -> tuple[Any, ...]:
            metric, dice = np.array(scores[setting]).T
            # No case may become one that the metric does not apply to: it would leave the mean.
            mean = metric[applicable].mean() if applicable.any() else np.nan
            refused = setting != _RAW and np.isnan(mean)
            value = 0.0 if np.isnan(mean) else round(float(self.evaluator.scorer.sign * mean), 9)
            limits = [-1.0 if limit is None else limit for limit in setting[:-2]]
            return (
                refused,
                value,
                -round(float(dice.mean()), 9),
                setting.num_steps,
                setting.num_components or 0,
                limits,
                setting.keep,
            )

        return min(scores, key=key)

    def _best_of_each_kind(self) -> dict[str, Setting]:
        axes = self.grid.axes
        best = {"sizes": self._descend(_RAW, KINDS["sizes"], rounds=2)}
        if "min_persistence" in axes:
            best["persistence"] = self._descend(_RAW, KINDS["persistence"], rounds=1)
        if self.grid.num_components is not None:
            keeps: tuple[Keep, ...] = get_args(Keep) if "min_persistence" in axes else ("largest",)
            counts = [Setting(num_components=self.grid.num_components, keep=keep) for keep in keeps]
            best["count"] = self.best([_RAW, *counts])
        if "max_path_length" in axes:
            start = Setting(
                max_path_length=_middle(axes["max_path_length"]), min_likelihood=_middle(axes["min_likelihood"])
            )
            if self.is_tried(start):
                best["reconnection"] = self.best([_RAW, self._descend(start, KINDS["reconnection"], rounds=1)])
        return best

    def _descend(self, setting: Setting, names: Sequence[str], *, rounds: int) -> Setting:
        """Choose one setting after another from all its candidates."""
        for _ in range(rounds):
            before = setting
            for name in names:
                setting = self.best([_canonical(setting._replace(**{name: value})) for value in self.grid.axes[name]])
                if name == "max_path_length" and not setting.reconnects:
                    return setting
            if setting == before:
                break
        return setting

    def _neighbors(self, setting: Setting) -> list[Setting]:
        """Return the settings one step along one axis away."""
        neighbors = []
        for name, values in self.grid.axes.items():
            at = values.index(getattr(setting, name)) if getattr(setting, name) in values else 0
            for value in values[max(at - 1, 0) : at + 2]:
                neighbor = setting._replace(**{name: value})
                if neighbor.reconnects and not setting.reconnects:
                    neighbor = neighbor._replace(min_likelihood=_middle(self.grid.axes["min_likelihood"]))
                neighbors.append(_canonical(neighbor))
        return neighbors


def _middle(values: Sequence[Any]) -> Any:
    return values[len(values) // 2]


def _merge(group: Iterable[tuple[str, Setting]]) -> Setting:
    parts = {name: getattr(setting, name) for kind, setting in group for name in KINDS[kind]}
    return _canonical(_RAW._replace(**parts))


def _canonical(setting: Setting) -> Setting:
    """Return the setting without values that have no effect."""
    if setting.max_path_length is None:
        setting = setting._replace(min_likelihood=0.0)
    return setting
