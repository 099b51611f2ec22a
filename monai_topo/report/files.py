"""Which files a report is on: found in folders and datalists, and all others paired with labels by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai_topo._utils.errors import UserError
from monai_topo.data.datasets import _section

__all__ = ["Case", "Found", "find_files", "paired"]

_SUFFIXES = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif",
)  # fmt: skip
_ENDING = re.compile(
    r"[_\-. ](masks?|preds?|predictions?|likelihoods?|probs?|probability|segs?|segmentation|outputs?"
    r"|labels?|gt|ground_?truth|manual\d?|annotations?|trans)$",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """A file, and the names by which its partner may know it."""

    path: Path
    names: tuple[str, ...]


class Case(NamedTuple):
    """A prediction, its label and, if they are given, its field of view and image; and what the case is called."""

    name: str
    prediction: Path
    label: Path
    mask: Path | None = None
    image: Path | None = None


def find_files(source: str, *, pattern: str | None, key: str, section: str | None, all_sections: bool) -> list[Found]:
    """Find the images of a folder (and the folders in it), of a datalist, or a single one.

    Args:
        source: the folder, the datalist (`.json`) or the image.
        pattern: which files of a folder, such as `"*_mask.png"`, which finds them in the folders in it too; all images
            without.
        key: under which a datalist names them.
        section: of a datalist; without, all of them or the one that is meant, `"validation"` if there is one.
        all_sections: which of the two.

    Returns:
        In alphabetical order, or in the datalist's. A file of a folder is known by its place in the folder, without
        suffix and ending; one of a datalist by its own name and by those of the entry's image and label.

    Raises:
        UserError: if there are none.
    """
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, pattern)
    if not path.exists():
        raise UserError(f"Expected a folder, a datalist or an image, but got {source!r}, which does not exist.")
    if pattern is not None:
        raise UserError(f"Expected a folder to look for {pattern!r} in, but got the file {source!r}.")
    if path.suffix.lower() != ".json":
        return [Found(path, (_bare(Path(path.name)),))]
    return _of_datalist(path, key, section, all_sections)


def paired(
    predictions: Sequence[Found],
    labels: Sequence[Found],
    masks: Sequence[Found] | None = None,
    images: Sequence[Found] | None = None,
) -> tuple[list[Case], list[str]]:
    """Pair predictions, and masks and images if there are any, with labels by name.

    Args:
        predictions: as found.
        labels: as found.
        masks: as found; None if nothing is to be left out.
        images: as found; None if none are to be shown.

    Returns:
        The cases in the order of the labels, and a sentence for each label that lacks a partner and each prediction
        without a label. A label may lack an image; masks and images to spare are passed over. A single file of a kind
        and a single label belong together whatever they are called. Folders count only where file names repeat.

    Raises:
        UserError: if two files of a kind go by one name, or no pair is found.
    """
    partners = {"prediction": _partners(predictions, labels, "prediction")}
    if masks is not None:
        partners["mask"] = _partners(masks, labels, "mask")
    of_images = {} if images is None else _partners(images, labels, "image")
    cases, alone = [], []
    for label in labels:
        lacking = [f"a {what}" for what, of_labels in partners.items() if label not in of_labels]
        if lacking:
            alone.append(f"{label.path}: a label without {' or '.join(lacking)}.")
        else:
            name, prediction = partners["prediction"][label]
            mask = partners["mask"][label][1] if masks is not None else None
            _, image = of_images.get(label, (None, None))
            cases.append(Case(name, prediction, label.path, mask, image))
    taken = {path for _, path in partners["prediction"].values()}
    alone += [f"{one.path}: a prediction without a label." for one in predictions if one.path not in taken]
    return cases, alone


def _partners(found: Sequence[Found], labels: Sequence[Found], what: str) -> dict[Found, tuple[str, Path]]:
    """Which of them belongs to a label, and by which name, for each label that has one."""
    if len(found) == len(labels) == 1:
        return {labels[0]: (labels[0].names[0], found[0].path)}
    by_folder = _repeat(found) or _repeat(labels)
    by_name = _by_name(found, what, by_folder)
    _by_name(labels, "label", by_folder)
    partners = {
        label: (names[0], by_name[names[0]].path)
        for label in labels
        if (names := [name for name in _names(label, by_folder) if name in by_name])
    }
    if not partners:
        one, other = (_names(several[0], by_folder)[0] for several in (found, labels))
        key = "pred" if what == "prediction" else what
        raise UserError(
            f"Expected {what}s and labels of the same names, but got none: one of {len(found)} {what}s is {one!r}, one "
            f"of {len(labels)} labels {other!r}. Rename some, or write a datalist with a {key!r} beside every 'label', "
            "and give it as both."
        )
    return partners


def _of_folder(folder: Path, pattern: str | None) -> list[Found]:
    files = [path for path in sorted(folder.rglob(pattern or "*")) if path.is_file()]
    if pattern is None:
        hidden = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
        files = [path for path in hidden if path.name.lower().endswith(_SUFFIXES)]
    if not files:
        wanted = f"files like {pattern!r}" if pattern else f"images ({', '.join(_SUFFIXES)})"
        raise UserError(f"Expected {wanted} in the folder {folder}, but got none.")
    return [Found(path, (_bare(path.relative_to(folder)),)) for path in files]


def _of_datalist(path: Path, key: str, section: str | None, all_sections: bool) -> list[Found]:
    found = []
    for name in _section_names(path, section, all_sections):
        for number, entry in enumerate(_entries(path, name)):
            file = entry.get(key) if isinstance(entry, Mapping) else None
            if not isinstance(file, str):
                raise UserError(
                    f"Expected entry {number} of section {name!r} of {path} to name a file as {key!r}, "
                    f"but got {entry!r}."
                )
            named = (entry.get(other) for other in (key, "image", "label"))
            known_by = (_bare(Path(name)) for name in named if isinstance(name, str))
            found.append(Found(path.parent / file, tuple(dict.fromkeys(known_by))))
    return found


def _section_names(path: Path, section: str | None, all_sections: bool) -> list[str]:
    if section is not None:
        return [section]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"Expected {path} to be a datalist in JSON, but got: {error}.") from error
    names = [
        name
        for name, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, list) and value and isinstance(value[0], Mapping)
    ]
    if all_sections and names:
        return names
    if "validation" in names:
        return ["validation"]
    if len(names) != 1:
        raise UserError(f"Expected one section of {path}, but got {names}; choose one by --section.")
    return names


def _entries(path: Path, section: str) -> Sequence[Any]:
    try:
        return _section(path, section)
    except ValueError as error:
        raise UserError(str(error)) from error


def _bare(path: Path) -> str:
    """A file's path without suffix and ending, with slashes."""
    name = path.name
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), path.suffix)
    name = name[: len(name) - len(suffix)]
    while (shorter := _ENDING.sub("", name)) not in (name, ""):
        name = shorter
    return path.with_name(name).as_posix() if name else path.as_posix()


def _names(found: Found, by_folder: bool) -> list[str]:
    return [name if by_folder else name.rpartition("/")[2] for name in found.names]


def _repeat(found: Sequence[Found]) -> bool:
    return max(Counter(one.names[0].rpartition("/")[2] for one in found).values()) > 1


def _by_name(found: Sequence[Found], what: str, by_folder: bool) -> dict[str, Found]:
    by_name: dict[str, Found] = {}
    for one in found:
        for name in dict.fromkeys(_names(one, by_folder)):
            if name in by_name:
                raise UserError(
                    f"Expected one {what} named {name!r}, but got {by_name[name].path} and {one.path}; choose by "
                    f"--{what}-files, such as '*{one.path.name[len(name.rpartition('/')[2]) :]}'."
                )
            by_name[name] = one
    return by_name
