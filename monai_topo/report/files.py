"""Find the files of a report in folders and datalists, and pair them with labels by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo.data.datalists import check_inside, read_section
from monai_topo.data.nnunet_folders import LabelClass

__all__ = ["Case", "FoundFile", "find_files", "pair_files", "strip_endings"]

_SUFFIXES = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif",
)  # fmt: skip
_ENDING = re.compile(
    r"[_\-. ](masks?|preds?|predictions?|likelihoods?|probs?|probability|segs?|segmentation|outputs?"
    r"|labels?|gt|ground_?truth|manual\d?|annotations?|trans)$",
    re.IGNORECASE,
)


class FoundFile(NamedTuple):
    """A file, and the names by which its partner may refer to it."""

    path: Path
    names: tuple[str, ...]


class Case(NamedTuple):
    """A prediction and its label, and, if they are given, its field of view, image and a second person's label.

    A case of an nnU-Net data set is one class of its files, and may come from a fold of a cross-validation and have
    saved probabilities.
    """

    name: str
    prediction: Path
    label: Path
    mask: Path | None = None
    image: Path | None = None
    label_class: LabelClass | None = None
    fold: str | None = None
    probabilities: Path | None = None
    second_label: Path | None = None


def find_files(
    source: str,
    *,
    pattern: str | None,
    key: str,
    section: str | None,
    all_sections: bool,
    allow_outside: bool = False,
) -> list[FoundFile]:
    """Find the images of a folder (including subfolders), the images of a datalist, or a single image.

    Args:
        source: Folder, datalist (`.json`) or image.
        pattern: Pattern of the files in a folder and its subfolders, such as `"*_mask.png"`; None for all images.
        key: Key of the files in a datalist.
        section: Section of a datalist; None for the default.
        all_sections: Whether the default is all sections, or `"validation"` if it exists and otherwise the only one.
        allow_outside: Whether a datalist may name files outside its own folder.

    Returns:
        The files in alphabetical order, or in the datalist's. The name of a file in a folder is its path relative to
        the folder, without suffix and ending (such as `_mask`). The names of a file in a datalist are its own and
        those of the entry's image and label.

    Raises:
        UserError: If no file is found, or a file is outside.
    """
    path = Path(source)
    if path.is_dir():
        return _find_in_folder(path, pattern)
    if not path.exists():
        raise UserError(f"Expected a folder, a datalist or an image, but got {source!r}, which does not exist.")
    if pattern is not None:
        raise UserError(f"Expected a folder to search for {pattern!r}, but got the file {source!r}.")
    if path.suffix.lower() != ".json":
        return [FoundFile(path, (strip_endings(Path(path.name)),))]
    found = _find_in_datalist(path, key, section, all_sections)
    if not allow_outside:
        with as_user_error(ValueError):
            check_inside(path.parent, [one.path for one in found], str(path), "--allow-outside")
    return found


def pair_files(
    predictions: Sequence[FoundFile],
    labels: Sequence[FoundFile],
    masks: Sequence[FoundFile] | None = None,
    images: Sequence[FoundFile] | None = None,
    second_labels: Sequence[FoundFile] | None = None,
) -> tuple[list[Case], list[str]]:
    """Pair predictions, and optional masks, images and second labels, with labels by name.

    A single file of a kind and a single label belong together regardless of their names. Folders count only if file
    names repeat.

    Args:
        predictions: Files from :py:func:`find_files`.
        labels: Files from :py:func:`find_files`.
        masks: Fields of view; None if there are none.
        images: Segmented images to show; None if there are none.
        second_labels: Labels by another person; None if there are none.

    Returns:
        The cases in the order of the labels, and a sentence for each label without a partner and each prediction
        without a label. A label may lack an image and a second label; extra masks, images and second labels are
        ignored.

    Raises:
        UserError: If two files of a kind have the same name, or no pair is found.
    """
    partners = {"prediction": _match_labels(predictions, labels, "prediction")}
    if masks is not None:
        partners["mask"] = _match_labels(masks, labels, "mask")
    image_partners = {} if images is None else _match_labels(images, labels, "image")
    second_partners = {} if second_labels is None else _match_labels(second_labels, labels, "second label")
    cases, alone = [], []
    for label in labels:
        lacking = [f"a {what}" for what, by_label in partners.items() if label not in by_label]
        if lacking:
            alone.append(f"{label.path}: a label without {' or '.join(lacking)}.")
        else:
            name, prediction = partners["prediction"][label]
            mask = partners["mask"][label][1] if masks is not None else None
            _, image = image_partners.get(label, (None, None))
            _, second = second_partners.get(label, (None, None))
            cases.append(Case(name, prediction, label.path, mask, image, second_label=second))
    taken = {path for _, path in partners["prediction"].values()}
    alone += [f"{one.path}: a prediction without a label." for one in predictions if one.path not in taken]
    return cases, alone


def _match_labels(
    found: Sequence[FoundFile], labels: Sequence[FoundFile], what: str
) -> dict[FoundFile, tuple[str, Path]]:
    """Map each label that has a partner among the found files to the common name and the partner's path."""
    if len(found) == len(labels) == 1:
        return {labels[0]: (labels[0].names[0], found[0].path)}
    by_folder = _names_repeat(found) or _names_repeat(labels)
    by_name = _index_by_name(found, what, by_folder)
    _index_by_name(labels, "label", by_folder)
    partners = {
        label: (names[0], by_name[names[0]].path)
        for label in labels
        if (names := [name for name in _names(label, by_folder) if name in by_name])
    }
    if not partners:
        one, other = (_names(several[0], by_folder)[0] for several in (found, labels))
        key = "pred" if what == "prediction" else what.replace(" ", "_")
        raise UserError(
            f"Expected {what}s and labels of the same names, but got none: one of {len(found)} {what}s is {one!r}, one "
            f"of {len(labels)} labels {other!r}. Rename some, or write a datalist with a {key!r} next to every "
            "'label', and pass it as both."
        )
    return partners


def _find_in_folder(folder: Path, pattern: str | None) -> list[FoundFile]:
    files = [path for path in sorted(folder.rglob(pattern or "*")) if path.is_file()]
    if pattern is None:
        hidden = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
        files = [path for path in hidden if path.name.lower().endswith(_SUFFIXES)]
    if not files:
        wanted = f"files like {pattern!r}" if pattern else f"images ({', '.join(_SUFFIXES)})"
        raise UserError(f"Expected {wanted} in the folder {folder}, but got none.")
    return [FoundFile(path, (strip_endings(path.relative_to(folder)),)) for path in files]


def _find_in_datalist(path: Path, key: str, section: str | None, all_sections: bool) -> list[FoundFile]:
    found = []
    for name in _section_names(path, section, all_sections):
        with as_user_error(ValueError):
            entries = read_section(path, name)
        for number, entry in enumerate(entries):
            file = entry.get(key) if isinstance(entry, Mapping) else None
            if not isinstance(file, str):
                raise UserError(
                    f"Expected entry {number} of section {name!r} of {path} to name a file as {key!r}, "
                    f"but got {entry!r}."
                )
            named = (entry.get(other) for other in (key, "image", "label"))
            names = (strip_endings(Path(name)) for name in named if isinstance(name, str))
            found.append(FoundFile(path.parent / file, tuple(dict.fromkeys(names))))
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


def strip_endings(path: Path) -> str:
    """Return a file's path without suffix and endings, with slashes."""
    name = path.name
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), path.suffix)
    name = name[: len(name) - len(suffix)]
    while (shorter := _ENDING.sub("", name)) not in (name, ""):
        name = shorter
    return path.with_name(name).as_posix() if name else path.as_posix()


def _names(found: FoundFile, by_folder: bool) -> list[str]:
    return [name if by_folder else name.rpartition("/")[2] for name in found.names]


def _names_repeat(found: Sequence[FoundFile]) -> bool:
    return max(Counter(one.names[0].rpartition("/")[2] for one in found).values()) > 1


def _index_by_name(found: Sequence[FoundFile], what: str, by_folder: bool) -> dict[str, FoundFile]:
    by_name: dict[str, FoundFile] = {}
    for one in found:
        for name in dict.fromkeys(_names(one, by_folder)):
            if name in by_name:
                raise UserError(
                    f"Expected one {what} named {name!r}, but got {by_name[name].path} and {one.path}; choose by "
                    f"--{what.replace(' ', '-')}-files, such as '*{one.path.name[len(name.rpartition('/')[2]) :]}'."
                )
            by_name[name] = one
    return by_name
