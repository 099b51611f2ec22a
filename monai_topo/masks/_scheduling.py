"""Run the tasks of chunked masks on Dask, and find out which chunk an error comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from monai_topo._utils.optional import require
from monai_topo.masks._blocks import Index, WrongValuesError

__all__ = ["ChunkError", "compute_tasks"]


class ChunkError(RuntimeError):
    """A chunk that cannot be read or computed; the message names it."""


def compute_tasks(masks: Sequence[Any], tasks: Sequence[dict[Index, Any]], progress: bool) -> list[Any]:
    """Compute the tasks of several masks in one run of the scheduler.

    Args:
        masks: Masks of blocks, Dask arrays.
        tasks: For each mask, a task for each of its blocks, which needs the block and its upper neighbors.
        progress: Show a progress bar.

    Returns:
        The results, in the order of the tasks.

    Raises:
        WrongValuesError: If a block has other values than 0 and 1.
        ChunkError: If a block cannot be read or computed, or a worker was killed too often.
    """
    places = [(number, index) for number, of_mask in enumerate(tasks) for index in of_mask]
    flat = [task for of_mask in tasks for task in of_mask.values()]
    client = _client()
    if client is None:
        return _compute_here(masks, flat, progress)
    return _compute_on_cluster(client, masks, places, flat, progress)


def _client() -> Any:
    """Return the client of the cluster that Dask would use; None for its own schedulers."""
    found = getattr(require("dask", "Dask", extra="volumes").base.get_scheduler(), "__self__", None)
    return found if hasattr(found, "futures") else None


def _compute_here(masks: Sequence[Any], tasks: Sequence[Any], progress: bool) -> list[Any]:
    dask = require("dask", "Dask", extra="volumes")
    running: list[Any] = []

    def finish(graph: Any, state: Any, failed: bool) -> None:
        running.extend(state["running"] if failed else ())

    with require("dask.callbacks", "Dask", extra="volumes").Callback(finish=finish):
        try:
            if not progress:
                return list(dask.compute(*tasks))
            with require("dask.diagnostics", "Dask", extra="volumes").ProgressBar():
                return list(dask.compute(*tasks))
        except WrongValuesError:  # it names the block
            raise
        except Exception as error:
            indices = [key[1:] for key in running if isinstance(key, tuple)]
            _blame(error, masks, [(number, index) for number in range(len(masks)) for index in indices])
            raise


def _compute_on_cluster(
    client: Any, masks: Sequence[Any], places: Sequence[tuple[int, Index]], tasks: Sequence[Any], progress: bool
) -> list[Any]:
    distributed = require("distributed", "distributed", extra="volumes")
    futures = client.compute(list(tasks))
    try:
        if progress:
            distributed.progress(futures, notebook=False)
        return list(client.gather(futures))
    except distributed.scheduler.KilledWorker as error:
        at = f"chunk {error.task[1:]}" if isinstance(error.task, tuple) else "a chunk"
        raise ChunkError(
            f"Expected workers to live, but got {error.allowed_failures + 1} that were killed at {at}. Usually their "
            "memory ran out: use smaller chunks (`rechunk`), fewer threads per worker, or more memory."
        ) from error
    except WrongValuesError:
        raise
    except Exception as error:
        failed = [place for place, future in zip(places, futures, strict=True) if future.status == "error"]
        _blame(error, masks, _with_neighbors(masks, failed))
        raise
    finally:
        client.cancel([future for future in futures if not future.done()])


def _with_neighbors(masks: Sequence[Any], places: Sequence[tuple[int, Index]]) -> Iterator[tuple[int, Index]]:
    """Yield the blocks that the tasks at these places need: each block itself first."""
    yield from places
    seen = set(places)
    for number, index in places:
        grid = masks[number].numblocks
        for offset in range(1, 2 ** len(grid)):
            above = tuple(at + (offset >> axis & 1) for axis, at in enumerate(index))
            if (number, above) not in seen and all(at < last for at, last in zip(above, grid, strict=True)):
                seen.add((number, above))
                yield number, above


def _blame(error: Exception, masks: Sequence[Any], candidates: Any) -> None:
    """Compute the candidates again, one by one, and raise an error that names the first one that fails."""
    for number, index in candidates:
        mask = masks[number]
        if len(index) != mask.ndim or any(at >= last for at, last in zip(index, mask.numblocks, strict=True)):
            continue
        try:
            mask.blocks[index].compute()
        except Exception as again:
            which = f" of mask {number + 1}" if len(masks) > 1 else ""
            voxels = [f"{sum(axis[:at])}:{sum(axis[: at + 1])}" for at, axis in zip(index, mask.chunks, strict=True)]
            raise ChunkError(
                f"Expected every chunk{which} to be readable, but got an error in chunk {tuple(index)}, voxels "
                f"[{', '.join(voxels)}]: {type(again).__name__}: {again}"
            ) from error
