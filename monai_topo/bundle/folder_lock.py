"""One run per folder: a lock of the operating system, which ends with the process however that ends."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

from filelock import FileLock, Timeout

from monai_topo._utils.errors import UserError

__all__ = ["lock_folder", "unlock_folder"]

LOCK_FILES = (".lock", ".lock.json")
# Workers of a data loader, which hold the lock of a killed process too, notice within 5 seconds that it is gone.
_WAIT_SECONDS = 8
_held: dict[Path, FileLock] = {}


def lock_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and lock it for this process, until `unlock_folder` or the end of the process.

    Args:
        folder: Folder of a run or of predictions.

    Raises:
        UserError: If another process has locked it, or it cannot be written to.
    """
    path = Path(folder).resolve()
    if path in _held:
        return
    lock_file, owner_file = (path / name for name in LOCK_FILES)
    lock = FileLock(lock_file, thread_local=False)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_WAIT_SECONDS)
        owner = {"process": os.getpid(), "machine": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        owner_file.write_text(json.dumps(owner), encoding="utf-8")
    except Timeout as error:
        raise UserError(
            f"Expected {folder} to be used by one run at a time, but got one that {_describe(owner_file)} has used; "
            "wait until that run has ended, end it, or choose another folder."
        ) from error
    except OSError as error:
        lock.release()
        raise UserError(f"Expected {folder} to be a folder to write to, but got: {error}.") from error
    _held[path] = lock


def _describe(owner_file: Path) -> str:
    try:
        owner = json.loads(owner_file.read_text(encoding="utf-8"))
        return f"process {owner['process']} on {owner['machine']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def unlock_folder(folder: str | os.PathLike[str]) -> None:
    """Unlock a folder that this process has locked; otherwise nothing happens."""
    path = Path(folder).resolve()
    if (lock := _held.pop(path, None)) is not None:
        (path / LOCK_FILES[1]).unlink(missing_ok=True)
        lock.release()
