"""Cases of nnU-Net's folders: one per case and class, with the fold of a cross-validation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from monai_topo._utils.errors import UserError
from monai_topo.data.nnunet_folders import LabelClass, NnunetDataset, NnunetFile, find_dataset
from monai_topo.report.files import Case, FoundFile, pair_files, strip_endings

__all__ = ["dataset_of", "find_images", "find_nnunet_cases"]


def dataset_of(predictions: str, labels: str) -> NnunetDataset | None:
    """Return nnU-Net's data set of the labels or predictions; None if both are something else.

    Raises:
        UserError: If the two have different classes.
    """
    of_labels, of_predictions = (
        find_dataset(source) if Path(source).is_dir() else None for source in (labels, predictions)
    )
    if of_labels and of_predictions and of_labels.values() != of_predictions.values():
        raise UserError(
            f"Expected predictions and labels of one data set, but got the classes {of_predictions.values()} in "
            f"{of_predictions.path} and {of_labels.values()} in {of_labels.path}."
        )
    return of_labels or of_predictions


def find_images(dataset: NnunetDataset, source: str) -> list[FoundFile]:
    """Find the images of a data set, by the names of their cases."""
    return _found(dataset.images(Path(source).absolute()), "images", dataset, source)


def find_nnunet_cases(
    dataset: NnunetDataset,
    predictions: str,
    labels: str,
    *,
    masks: Sequence[FoundFile] | None = None,
    images: Sequence[FoundFile] | None = None,
    second_labels: Sequence[FoundFile] | None = None,
    classes: Sequence[str] | None = None,
    with_probabilities: bool = False,
) -> tuple[list[Case], list[str]]:
    """Find the cases of a data set, one per case and class.

    Predictions of a cross-validation, those of a trained model or of its folds, need not cover all labels; how many
    they cover is printed.

    Args:
        dataset: Data set of the classes.
        predictions: Folder of predictions, a trained model, or one of its folds.
        labels: Folder of labels, or a data set with its labels of training and test cases.
        masks: Fields of view, as for :py:func:`monai_topo.report.files.pair_files`.
        images: Images to show.
        second_labels: Labels by another person.
        classes: Names of the classes that count; None for all.
        with_probabilities: Whether the probabilities next to the predictions are the predictions.

    Returns:
        The cases, and a sentence for each file that is left out.

    Raises:
        UserError: If there are no files, a class is unknown, probabilities are missing, or names do not match.
    """
    predicted = dataset.predictions(Path(predictions).absolute())
    fold_of = {file.path: file.fold for file in predicted}
    found = _found(predicted, "predictions", dataset, predictions)
    true = _labels_of(dataset, labels, {name for file in found for name in file.names})
    unfinished: list[str] = []
    if any(fold is not None for fold in fold_of.values()):
        covered = [file for file in true if {*file.names} & {name for one in found for name in one.names}]
        if covered and len(covered) < len(true):
            folds = ", ".join(sorted({str(fold) for fold in fold_of.values()}))
            print(f"{len(covered)} of {len(true)} labels have a prediction, in fold {folds}.", file=sys.stderr)
        true = covered or true
        unfinished = _unfinished({path.parent for path in fold_of})
    pairs, alone = pair_files(found, true, masks, images, second_labels)
    chosen = _choose(dataset, classes)
    cases = [
        case._replace(label_class=one, fold=fold_of[case.prediction], probabilities=probabilities)
        for case in pairs
        for probabilities in [_probabilities(case.prediction, dataset) if with_probabilities else None]
        for one in chosen
    ]
    return cases, alone + unfinished


def _labels_of(dataset: NnunetDataset, source: str, predicted: set[str]) -> list[FoundFile]:
    """Find labels; of the subfolders of a data set those count that have a label with a prediction."""
    by_folder = [
        [FoundFile(file.path, (strip_endings(Path(file.path.name)),)) for file in files]
        for files in dataset.labels(Path(source).absolute()).values()
    ]
    used = [files for files in by_folder if predicted & {name for file in files for name in file.names}]
    found = [file for files in used or by_folder for file in files]
    if not found:
        raise UserError(f"Expected labels that end in {dataset.file_ending!r} in {source}, but got none.")
    return found


def _found(files: Sequence[NnunetFile], what: str, dataset: NnunetDataset, source: str) -> list[FoundFile]:
    if not files:
        raise UserError(f"Expected {what} that end in {dataset.file_ending!r} in {source}, but got none.")
    return [FoundFile(file.path, (strip_endings(Path(file.case + dataset.file_ending)),)) for file in files]


def _choose(dataset: NnunetDataset, names: Sequence[str] | None) -> list[LabelClass]:
    unknown = [name for name in names or () if name not in dataset.classes]
    if unknown:
        raise UserError(
            f"Expected --classes to name classes of {dataset.path}, {', '.join(dataset.classes)}, but got "
            f"{', '.join(unknown)}."
        )
    return [one for name, one in dataset.classes.items() if names is None or name in names]


def _probabilities(prediction: Path, dataset: NnunetDataset) -> Path:
    path = prediction.with_name(prediction.name.removesuffix(dataset.file_ending) + ".npz")
    if not path.is_file():
        raise UserError(
            f"Expected the probabilities {path} for --probabilities, but got none: train with --npz, or predict with "
            "--save_probabilities."
        )
    return path


def _unfinished(folders: set[Path]) -> list[str]:
    """Return a sentence for each fold whose validation nnU-Net has not finished: it writes its summary last."""
    return [
        f"{folder}: nnU-Net has not finished this validation; run nnUNetv2_train with --val."
        for folder in sorted(folders)
        if not (folder / "summary.json").is_file()
    ]
