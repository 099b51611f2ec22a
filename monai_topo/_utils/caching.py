"""Dear results that several functions need of the same arrays: computed once within a block, and not kept beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch

Result = TypeVar("Result")
#: Results by function, arrays and settings; with the arrays, whose memory is kept as long.
Store = dict[Any, tuple[tuple[Any, ...], Any]]

_results: ContextVar[Store | None] = ContextVar("results", default=None)


@contextmanager
def result_cache(store: Store | None = None) -> Iterator[None]:
    """Within the block, functions marked by `cached` keep their result for their arrays; nobody may change them.

    Args:
        store: an empty dictionary, or one of a former block to go on with; None makes a new one.
    """
    token = _results.set({} if store is None else store)
    try:
        yield
    finally:
        _results.reset(token)


def cached(function: Callable[..., Result]) -> Callable[..., Result]:
    """Mark a function of arrays or tensors and of settings, whose result may be shared.

    Outside of `result_cache` it is computed each time.
    """

    @wraps(function)
    def shared(*args: Any, **settings: Any) -> Result:
        results = _results.get()
        if results is None:
            return function(*args, **settings)
        key = function, tuple(map(_identity, args)), tuple((name, _identity(value)) for name, value in settings.items())
        if key not in results:
            results[key] = args, function(*args, **settings)
        result: Result = results[key][1]
        return result

    return shared


def _identity(value: Any) -> Any:
    """What tells an argument from others: an array's memory, not the object, as every function makes its own view."""
    if isinstance(value, torch.Tensor):
        return value.data_ptr(), value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, np.ndarray):
        return value.__array_interface__["data"][0], value.shape, value.strides, value.dtype
    return tuple(map(_identity, value)) if isinstance(value, (list, tuple)) else value
