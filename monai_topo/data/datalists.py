"""Read Decathlon-style datalists, and check that all files that they name exist."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["DATALIST", "check_inside", "load_datalist", "read_section"]

#: The usual name of a datalist.
DATALIST = "datalist.json"
_MAX_LISTED = 10


def load_datalist(
    dataset_dir: str | os.PathLike[str],
    section: str,
    *,
    datalist: str = DATALIST,
    file_keys: Sequence[str] = ("image", "label"),
    allow_outside: bool = False,
) -> list[dict[str, str]]:
    """Load one section of a Decathlon-style datalist with absolute paths, and check that all its files exist.

    Args:
        dataset_dir: Folder of the data; relative paths in the datalist start here.
        section: Key of the section, such as `"training"` or `"validation"`.
        datalist: Path of the datalist, absolute or relative to `dataset_dir`.
        file_keys: Keys for which every entry has to name a file (or the folder of a DICOM series), such as a `"mask"`
            in addition to image and label.
        allow_outside: Whether files may lie outside `dataset_dir`. A datalist from elsewhere could name any file of
            this machine; the files that are links in the folder are not followed by this check.

    Returns:
        One dictionary per entry, in the datalist's order, with the absolute path of an existing file or folder for each
        of `file_keys`. Other keys (such as the name of a subject) are left out.

    Raises:
        FileNotFoundError: If the folder, the datalist, or files that it names do not exist (the first ten are named).
        ValueError: If the datalist is not JSON, has no such section, or the section is empty or has an entry without a
            file name for one of `file_keys`; if files lie outside `dataset_dir` and that is not allowed.

    Cost: One file-system query per file; no image is read.
    """
    folder = Path(dataset_dir).expanduser().absolute()
    path = folder / datalist
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected `dataset_dir` to be a folder, but got {folder}, which does not exist.")
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected `dataset_dir` to hold the datalist {datalist!r}, but got {folder} without it; "
            "write one with write_synthetic_dataset, or name yours with `datalist`."
        )
    entries = [
        _files(entry, file_keys, f"entry {i} of section {section!r} of {path}")
        for i, entry in enumerate(read_section(path, section))
    ]
    cases = [{key: str(folder / file) for key, file in entry.items()} for entry in entries]
    if not allow_outside:
        where = f"section {section!r} of {path}"
        check_inside(folder, [file for case in cases for file in case.values()], where, "--allow_outside True")
    missing = [file for case in cases for file in case.values() if not Path(file).exists()]
    if missing:
        more = f", ... ({len(missing)} files)" if len(missing) > _MAX_LISTED else ""
        raise FileNotFoundError(
            f"Expected the files of section {section!r} of {path} to exist, but got none at "
            f"{', '.join(missing[:_MAX_LISTED])}{more}."
        )
    return cases


def check_inside(folder: Path, files: Sequence[str | os.PathLike[str]], where: str, option: str) -> None:
    """Check that all files lie in a folder, by their names; links in the folder are not followed.

    Args:
        folder: Folder of the data.
        files: Their paths.
        where: What names them, for the message.
        option: Option that allows others, for the message.

    Raises:
        ValueError: If some lie outside.
    """
    inside = Path(os.path.abspath(folder))
    outside = [str(file) for file in files if not Path(os.path.abspath(file)).is_relative_to(inside)]
    if outside:
        raise ValueError(
            f"Expected the files of {where} to lie in {folder}, but got {len(outside)} outside, {outside[0]} first; "
            f"move or link them there or, if you trust the datalist, set {option}."
        )


def read_section(path: Path, section: str) -> list[Any]:
    """Read the entries of one section of a datalist as they are.

    Raises:
        ValueError: If the datalist is not JSON, has no such section, or the section is empty.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # both a JSONDecodeError and a UnicodeDecodeError
        raise ValueError(f"Expected {path} to be a JSON file, but got: {error}.") from error
    sections = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
    if section not in sections:
        raise ValueError(
            f"Expected {path} to hold a list {section!r}, but got only {sections}; add one, or rename one."
        )
    entries: list[Any] = content[section]
    if not entries:
        raise ValueError(f"Expected section {section!r} of {path} to hold cases, but got an empty list.")
    return entries


def _files(entry: Any, keys: Sequence[str], where: str) -> dict[str, str]:
    files = {key: entry[key] for key in keys if isinstance(entry, dict) and entry.get(key)}
    if len(files) != len(keys) or not all(isinstance(file, str) for file in files.values()):
        raise ValueError(f"Expected {where} to name a file for {' and for '.join(map(repr, keys))}, but got {entry!r}.")
    return files
