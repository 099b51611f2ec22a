"""Dear results that several functions need of the same array: computed once within a block, and not kept beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")

_results: ContextVar[dict[Any, tuple[Array, Any]] | None] = ContextVar("results", default=None)


@contextmanager
def shared_results() -> Iterator[None]:
    """Within the block, functions marked by `computed_once` keep their result for each array; nobody may change it."""
    token = _results.set({})
    try:
        yield
    finally:
        _results.reset(token)


def computed_once(function: Callable[..., Result]) -> Callable[..., Result]:
    """Mark a function of one array and of hashable settings, whose result may be shared.

    Outside of `shared_results` it is computed each time.
    """

    @wraps(function)
    def shared(array: Array, *args: Any, **kwargs: Any) -> Result:
        results = _results.get()
        if results is None:
            return function(array, *args, **kwargs)
        # By memory, not by object: every function makes its own view of a mask. Keeping the view keeps the memory.
        settings = args, tuple(kwargs.items())
        key = function, settings, array.__array_interface__["data"][0], array.shape, array.strides, array.dtype
        if key not in results:
            results[key] = array, function(array, *args, **kwargs)
        result: Result = results[key][1]
        return result

    return shared
