"""Calls on a background thread, in order, each as the calling thread would make it: beside a GPU that is busy."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

_DEVICES_WITH_AUTOCAST = ("cpu", "cuda")

_executor: ThreadPoolExecutor | None = None
_of_worker = threading.local()


class SideStream(Protocol):
    """Queue of a device beside the current one: a transfer on it does not wait for what is queued later."""

    def current(self) -> AbstractContextManager[object]:
        """Make it the current stream of the thread that calls this."""

    def join(self, value: Tensor) -> None:
        """Let the current stream of the calling thread wait for it before it uses the value."""


class CudaStream:
    """A CUDA stream that begins after what is queued now, and may use some tensors."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.device = tensors[0].device
        self.stream = torch.cuda.Stream(self.device)
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        for tensor in tensors:
            if tensor.is_cuda:
                tensor.record_stream(self.stream)  # their memory is not used again before the stream is done

    def current(self) -> AbstractContextManager[object]:
        """Make it the current stream, and its device the current device, of this thread."""
        stack = ExitStack()
        stack.enter_context(torch.cuda.device(self.device))
        stack.enter_context(torch.cuda.stream(self.stream))
        return stack

    def join(self, value: Tensor) -> None:
        """Let the current stream of this thread wait for the value."""
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        value.record_stream(current)


def side_stream(tensors: Sequence[Tensor]) -> SideStream | None:
    """Make a stream on the device of the first tensor; None on a device without streams."""
    return CudaStream(tensors) if tensors[0].is_cuda else None


class BackgroundCall:
    """Call a function of tensors on the background thread.

    The call has the gradient mode, inference mode, autocast and context variables of the thread that makes it, so its
    result is the same, and connected to the graph of the tensors. Calls run one after another, in their order, since
    a function may have a state. A call that is made by another one runs at once.

    Args:
        function: Function that returns a tensor.
        tensors: Its arguments; the first one determines the device.
    """

    def __init__(self, function: Callable[..., Tensor], *tensors: Tensor) -> None:
        self._stream = side_stream(tensors)
        settings = _settings_of_thread()
        stream = self._stream

        def call() -> Tensor:
            with ExitStack() as stack:
                for make in settings:
                    stack.enter_context(make())
                stack.enter_context(nullcontext() if stream is None else stream.current())
                return function(*tensors)

        context = contextvars.copy_context()
        self._future: Future[Tensor]
        if getattr(_of_worker, "is_worker", False):
            self._future = Future()
            self._future.set_result(call())
        else:
            self._future = _the_executor().submit(context.run, call)

    def result(self) -> Tensor:
        """Wait for the result and return it; an error of the function is raised here."""
        value = self._future.result()
        if self._stream is not None:
            self._stream.join(value)
        return value

    def wait(self) -> None:
        """Wait until the call has ended, in whatever way."""
        wait([self._future])


def _settings_of_thread() -> list[Callable[[], AbstractContextManager[object]]]:
    """Return what makes the settings of torch that belong to a thread those of the calling one."""
    has_gradient, is_inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    settings: list[Callable[[], AbstractContextManager[object]]] = [
        partial(torch.inference_mode, is_inference),
        partial(torch.set_grad_enabled, has_gradient),
    ]
    for device in filter(torch.is_autocast_enabled, _DEVICES_WITH_AUTOCAST):
        dtype, is_cached = torch.get_autocast_dtype(device), torch.is_autocast_cache_enabled()
        settings.append(partial(torch.autocast, device, dtype=dtype, cache_enabled=is_cached))
    return settings


def _the_executor() -> ThreadPoolExecutor:
    global _executor
    if _executor is None:
        _executor = ThreadPoolExecutor(1, "monai_topo", initializer=lambda: setattr(_of_worker, "is_worker", True))
        # Ctrl-C while the thread starts would leave it out of those that Python ends at exit: so it starts before work.
        _executor.submit(lambda: None).result()
    return _executor


def _forget_executor() -> None:
    global _executor
    _executor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_executor)  # a child process has no thread of its parent
