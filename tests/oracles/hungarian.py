"""The matching of a diagram with a binary label by the Hungarian method."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def hungarian_cost(values: np.ndarray, num_true: int) -> float:
    """Return the squared 2-Wasserstein distance to `num_true` points at (1, 0), from the full cost matrix."""
    p = len(values)
    cost = np.zeros((p + num_true, p + num_true))
    for i, (birth, death) in enumerate(values):
        cost[i, :num_true] = (birth - 1) ** 2 + death**2
        cost[i, num_true:] = (birth - death) ** 2 / 2
    cost[p:, :num_true] = 0.5
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())
