"""The cases that the options of a command name: from folders, datalists or nnU-Net's folders."""

from __future__ import annotations

import argparse

from monai_topo._utils.errors import UserError
from monai_topo.data.nnunet_folders import NnunetDataset
from monai_topo.report.files import Case, FoundFile, find_files, pair_files
from monai_topo.report.nnunet_cases import dataset_of, find_images, find_nnunet_cases

__all__ = ["find_cases"]

_OTHER_WAYS = {
    "prediction_files": None,
    "label_files": None,
    "label_foreground": None,
    "prediction_foreground": "auto",
    "likelihood_max": None,
}


def find_cases(options: argparse.Namespace) -> tuple[list[Case], list[str]]:
    """Find the cases of `report` and `cleanup`, and a sentence for each file that is left out.

    Folders of nnU-Net give one case per class, unless an option says how to find the files or what is foreground.

    Raises:
        UserError: If no cases are found, or options contradict each other.
    """
    dataset = _dataset(options)
    optional = _find_optional(options, dataset)
    if dataset is not None:
        return find_nnunet_cases(
            dataset,
            options.predictions,
            options.labels,
            classes=options.classes,
            with_probabilities=options.probabilities,
            **optional,
        )
    predictions = _find(options, options.predictions, options.prediction_files, options.prediction_key)
    labels = _find(options, options.labels, options.label_files, options.label_key)
    return pair_files(predictions, labels, **optional)


def _dataset(options: argparse.Namespace) -> NnunetDataset | None:
    """Return the data set of nnU-Net's folders; None if the files are found and read in another way."""
    given = [name for name, default in _OTHER_WAYS.items() if getattr(options, name) != default]
    dataset = None if given else dataset_of(options.predictions, options.labels)
    for name in ("classes", "probabilities"):
        if getattr(options, name) and dataset is None:
            reason = f"with --{given[0].replace('_', '-')} they are not read as such" if given else "no dataset.json"
            raise UserError(f"Expected folders of nnU-Net for --{name}, but got others: {reason}.")
    return dataset


def _find_optional(options: argparse.Namespace, dataset: NnunetDataset | None) -> dict[str, list[FoundFile]]:
    found: dict[str, list[FoundFile]] = {}
    for kind in ("mask", "image", "second_label"):
        source, pattern, key = (getattr(options, f"{kind}{end}", None) for end in ("s", "_files", "_key"))
        if source is None:
            if pattern is not None or key is not None:
                option = kind.replace("_", "-")
                raise UserError(f"Expected --{option}s along with --{option}-files or --{option}-key, but got none.")
        elif kind == "image" and pattern is None and dataset is not None and dataset_of(source, source) is not None:
            found["images"] = find_images(dataset, source)
        else:
            found[f"{kind}s"] = _find(options, source, pattern, key or kind)
    return found


def _find(options: argparse.Namespace, source: str, pattern: str | None, key: str) -> list[FoundFile]:
    return find_files(
        source,
        pattern=pattern,
        key=key,
        section=options.section,
        all_sections=False,
        allow_outside=options.allow_outside,
    )
