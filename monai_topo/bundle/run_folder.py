"""The folder of a run: its name, its settings, its lock and its log."""

from __future__ import annotations

import json
import logging
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import broadcast_from_rank0, rank
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.formats import check_format, format_stamp
from monai_topo._utils.io import atomic_write, remove_unfinished
from monai_topo.bundle.folder_lock import lock_folder
from monai_topo.bundle.settings import FORMAT, running_config

__all__ = ["CHANGES_NO_RESULT", "new_run_dir", "relative_path", "start_run", "stored_warnings"]

_MODEL, _STATE, _CONFIG = "model.pt", "checkpoint.pt", "config.json"
#: Settings that may differ in a resumed run, since they change no result: paths, and what MONAI adds. Those of the
#: machine change its last bits or its random transforms only, see `_OF_THE_MACHINE`.
CHANGES_NO_RESULT = {
    *("resume", "run_dir", "output_dir", "bundle_root", "dataset_dir", "synthetic_dir", "ckpt_path"),
    *("num_workers", "cpu_threads", "device", "checkpoint_interval", "_meta_", "_requirements_"),
    *("determine_cleanup", "cleanup_units", "cleanup_voxels"),
    "allow_outside",
    FORMAT,
}
_OF_THE_MACHINE = ("num_workers", "cpu_threads", "device")


class _RecordStore(logging.Handler):
    """Store warnings, to repeat them where they are not overlooked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


_logger = logging.getLogger(__name__)
#: Warnings of the checks before a run.
stored_warnings = _RecordStore()
logging.getLogger("monai_topo.bundle").addHandler(stored_warnings)


def new_run_dir(output_dir: str | os.PathLike[str], resume: str | os.PathLike[str] | None = None) -> str:
    """Create a new folder for a run, named after the time; of several processes, the first one creates it.

    Args:
        output_dir: Folder of the runs.
        resume: Folder of a run to resume; then no folder is created.

    Returns:
        The path of the new folder, or `resume`.

    Raises:
        UserError: If the folder cannot be created.
    """
    if resume is not None:
        return str(resume)
    try:
        result: str | UserError = _create_run_dir(output_dir) if rank() == 0 else ""
    except UserError as error:
        result = error
    result = broadcast_from_rank0(result)  # an error too, or the other processes would wait forever
    if isinstance(result, UserError):
        raise result
    return result


def _create_run_dir(output_dir: str | os.PathLike[str]) -> str:
    name = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 1000):
        folder = Path(output_dir) / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"Expected `output_dir` to be a folder to write to, but got: {error}") from error
        return str(folder)
    raise UserError(
        f"Expected `output_dir` to have a free name for a run, but got {output_dir} with 999 of this second."
    )


def start_run(run_dir: str | os.PathLike[str], resume: str | os.PathLike[str] | None = None) -> None:
    """Write the settings of a run to its folder (`config.json`), and start its log there (`log.txt`).

    Args:
        run_dir: Folder of the run.
        resume: The same folder if the run is resumed, for which its settings must be unchanged; otherwise None.

    The folder is locked until the run ends: another process that starts a run in it is refused.

    Raises:
        UserError: If the folder holds another run's model, which is never overwritten; if there is no run to resume,
            its settings differ, or a newer version wrote it; if another process has a run in the folder.
    """
    folder, config = Path(run_dir), running_config().get()
    if resume is not None:
        if Path(resume).resolve() != folder.resolve():
            raise UserError(f"Expected `resume` and `run_dir` to be one folder, but got {resume} and {folder}.")
        _check_resumed(folder, config)
    elif (folder / _MODEL).exists() or (folder / _STATE).exists():
        raise UserError(
            f"Expected `run_dir` to be a new folder, but got {str(folder)!r}, which holds a model; name another one, "
            f"or pass --resume {shlex.quote(str(folder))} to continue that run."
        )
    if rank() > 0:
        return
    lock_folder(folder)
    remove_unfinished(folder)
    if resume is None:
        with atomic_write(folder / _CONFIG) as unfinished:
            content = {**config, FORMAT: format_stamp()}
            unfinished.write_text(json.dumps(content, indent=4, default=str) + "\n", encoding="utf-8")
    log = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logging.getLogger().addHandler(log)
    for record in stored_warnings.records:  # logged before there was a file
        log.handle(record)
    if resume is not None:
        print("Resuming from the saved state." if (folder / _STATE).exists() else "No epoch was finished yet.")
    print(f"All results of this run are written to {relative_path(folder)}.")


def _check_resumed(folder: Path, config: Mapping[str, Any]) -> None:
    try:
        former = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Expected `resume` to be the folder of a run, but got {str(folder)!r}: {error}.") from error
    with as_user_error(ValueError):
        check_format(folder, former.get(FORMAT))
    now = json.loads(json.dumps(dict(config), default=str))
    for name in sorted(former.keys() | now.keys()):
        if name not in CHANGES_NO_RESULT and former.get(name) != now.get(name):
            raise UserError(
                f"Expected a resumed run to keep its settings, but got another `{name}`, {_shorten(now.get(name))} for "
                f"{_shorten(former.get(name))}; use its own: --config_file {relative_path(folder / _CONFIG)}."
            )
    if other := [name for name in _OF_THE_MACHINE if former.get(name) != now.get(name)]:
        _logger.warning(
            "The run goes on with another %s than it began with: its result is not bit for bit that of a run without "
            "interruption.",
            " and ".join(f"`{name}`" for name in other),
        )


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def relative_path(path: Path) -> str:
    """Format a path relative to the current folder if it is inside."""
    absolute, here = path.resolve(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
