"""Cross-validation of a choice: what settings chosen on some cases do on the others, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from monai_topo._utils.optional import require
from monai_topo.cleanup.evaluation import Score, SettingEvaluator
from monai_topo.cleanup.settings import Setting

__all__ = ["CrossValidatedScores", "cross_validate"]

_MIN_CASES = 5  # with 4 the smallest p-value is 1/16
_MAX_EXACT = 12
_MAX_FOLDS = 10
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class CrossValidatedScores:
    """Raw predictions and cleaned ones, each cleaned by a setting that was chosen without the case.

    Attributes:
        num_folds: Number of parts that were left out in turn; each case alone for at most 12 cases.
        metric: Name of the metric.
        raw: The metric of each case with the threshold alone.
        chosen: The metric of each case with the setting chosen on the other folds.
        dice_raw: Dice of each case with the threshold alone.
        dice_chosen: Dice of each case with the setting chosen on the other folds.
        mean_difference: Mean of `chosen - raw` over the cases for which neither is NaN.
        p_value: Probability of an improvement as great or greater if cleaning made no difference: of a one-sided paired
            test on the cases. None if fewer than 5 cases can be compared.
        test: Name of the test: `"sign flips"` (exact, at most 12 cases), `"Wilcoxon"`, or `""`.
        is_improvement: Whether the mean has improved and the p-value is below 0.05.
    """

    num_folds: int
    metric: str
    raw: list[float]
    chosen: list[float]
    dice_raw: list[float]
    dice_chosen: list[float]
    mean_difference: float
    p_value: float | None
    test: str
    is_improvement: bool

    def sentence(self) -> str:
        """Return the result in one sentence."""
        cases = len(self.raw)
        if cases < 2:
            return "One case cannot be cross-validated: whether the choice is better than chance is unknown."
        known = ~np.isnan(np.subtract(self.chosen, self.raw))
        raw, chosen = (
            float(np.mean(np.array(values)[known])) if known.any() else math.nan for values in (self.raw, self.chosen)
        )
        numbers = f"{self.metric} {raw:.4g} raw, {chosen:.4g} cleaned"
        start = f"Cross-validated over {cases} cases in {self.num_folds} folds: {numbers}"
        if self.p_value is None:
            return (
                f"{start}; with fewer than {_MIN_CASES} cases to compare, whether the choice is better than chance "
                "is unknown."
            )
        test = f"(one-sided p = {self.p_value:.2g}, {self.test})"
        if self.is_improvement:
            return f"{start}: better than raw {test}."
        return f"{start}: not better than chance over the {cases} cases {test}."


def cross_validate(
    evaluator: SettingEvaluator, choose: Callable[[Sequence[int]], Setting], *, num_cases: int
) -> CrossValidatedScores:
    """Choose on all folds but one, and score on that one, in turn.

    Args:
        evaluator: Computes the scores.
        choose: Makes the whole choice, its grid included, on the cases of these numbers.
        num_cases: Number of cases. Up to 12 are left out one by one; more are divided into 10 folds of consecutive
            cases, since neighbors, such as slices of one volume, are often alike.
    """
    num_folds = num_cases if num_cases <= _MAX_EXACT else _MAX_FOLDS
    raw: list[Score] = []
    chosen: list[Score] = []
    if num_cases > 1:
        for fold in np.array_split(np.arange(num_cases), num_folds):
            others = [case for case in range(num_cases) if case not in fold]
            setting = choose(others)
            scores = evaluator.evaluate([Setting(), setting], fold.tolist())
            raw += scores[Setting()]
            chosen += scores[setting]
    else:
        raw = chosen = evaluator.evaluate([Setting()], [0])[Setting()]
    difference = np.array([one.metric - other.metric for one, other in zip(chosen, raw, strict=True)])
    known = difference[~np.isnan(difference)]
    mean = float(known.mean()) if len(known) else math.nan
    improvement = -evaluator.scorer.sign * known
    p_value, test = paired_test(improvement) if len(known) >= _MIN_CASES else (None, "")
    return CrossValidatedScores(
        num_folds=num_folds,
        metric=evaluator.scorer.metric,
        raw=[score.metric for score in raw],
        chosen=[score.metric for score in chosen],
        dice_raw=[score.dice for score in raw],
        dice_chosen=[score.dice for score in chosen],
        mean_difference=mean,
        p_value=p_value,
        test=test,
        is_improvement=p_value is not None and p_value < _SIGNIFICANT and bool(improvement.mean() > 0),
    )


def paired_test(improvement: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, str]:
    """Test whether paired differences are greater than 0 by more than chance.

    Returns:
        The one-sided p-value, and the name of the test: exact sign flips of the mean for at most 12 differences other
        than 0, and Wilcoxon's signed-rank test, which needs SciPy, for more.
    """
    changed = improvement[improvement != 0]
    if len(changed) <= _MAX_EXACT:
        sums = [float(np.dot(signs, changed)) for signs in product((1.0, -1.0), repeat=len(changed))]
        return float(np.mean(np.array(sums) >= changed.sum() - 1e-9 * np.abs(changed).sum())), "sign flips"
    stats = require("scipy.stats", "scipy")
    return float(stats.wilcoxon(changed, alternative="greater").pvalue), "Wilcoxon"
