"""Cache expensive results within a `with` block: several functions need the same result of the same arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch

Result = TypeVar("Result")
#: Results by function, arrays and settings. The arrays are kept too, so that their memory is not used again.
Store = dict[Any, tuple[tuple[Any, ...], Any]]

_results: ContextVar[Store | None] = ContextVar("results", default=None)


@contextmanager
def result_cache(store: Store | None = None) -> Iterator[None]:
    """Cache the results of `cached` functions within a block; neither their arrays nor their results may be modified.

    Args:
        store: Empty dictionary, or the one of an earlier block to reuse its results; None makes a new one.
    """
    token = _results.set({} if store is None else store)
    try:
        yield
    finally:
        _results.reset(token)


def cached(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a function of arrays or tensors and of settings so that `result_cache` caches its results.

    Outside of `result_cache` the result is computed each time.
    """

    @wraps(function)
    def call(*args: Any, **settings: Any) -> Result:
        results = _results.get()
        if results is None:
            return function(*args, **settings)
        key = function, tuple(map(_identity, args)), tuple((name, _identity(value)) for name, value in settings.items())
        if key not in results:
            results[key] = args, function(*args, **settings)
        result: Result = results[key][1]
        return result

    return call


def _identity(value: Any) -> Any:
    """Return the identity of an argument: of an array its memory, not the object, since every function makes a view."""
    if isinstance(value, torch.Tensor):
        return value.data_ptr(), value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, np.ndarray):
        return value.__array_interface__["data"][0], value.shape, value.strides, value.dtype
    return tuple(map(_identity, value)) if isinstance(value, (list, tuple)) else value
