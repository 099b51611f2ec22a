"""The command `cleanup`: choose a clean-up on predictions with labels, and write it to a file."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from monai_topo._utils.commands import add_command
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo.cleanup import choose_cleanup
from monai_topo.data.case_files import has_spacing
from monai_topo.report.case_sources import find_cases
from monai_topo.report.cli import (
    FORMATS,
    NNUNET_CLASSES,
    SOURCE,
    add_key,
    add_label_foreground,
    add_masks,
    add_metric_settings,
    add_nnunet,
    add_pattern,
    add_prediction_values,
    add_section,
    guard_report,
)
from monai_topo.report.files import Case
from monai_topo.report.reading import read_case
from monai_topo.transforms._base import Spacing

__all__ = ["add_cleanup_command", "choose_from_files"]

_SUMMARY = "choose a clean-up of predictions: small components, holes, persistence, reconnection"
_DESCRIPTION = f"""\
Choose the clean-up that brings predictions closest to their labels, among those that lose hardly any Dice, and write
it to a file that `CleanUp.load` reads. A table compares raw predictions, the best of each kind of clean-up, and the
chosen one. Cross-validation over the cases shows whether the choice is better than chance. Use cases that the network
was not trained on, and report numbers of other cases.

Files: {FORMATS}. Predictions and labels are found and paired as by `report`.

Example: %(prog)s likelihoods data/datalist.json --connectivity full --out cleanup.json"""


def add_cleanup_command(commands: Any, epilog: str) -> None:
    """Add the command `cleanup`."""
    parser = add_command(commands, "cleanup", _SUMMARY, _DESCRIPTION, epilog)
    parser.add_argument("predictions", metavar="PREDICTIONS", help=SOURCE)
    parser.add_argument("labels", metavar="LABELS", help=SOURCE)
    parser.add_argument(
        "--out", default="cleanup.json", type=_json, metavar="JSON", help="output file (default: cleanup.json)"
    )
    files = parser.add_argument_group("files")
    add_pattern(files, "prediction", "*_likelihood.nii.gz")
    add_pattern(files, "label", "*.nii.gz")
    add_masks(files, "before they are cleaned up")
    add_section(files, "'validation' if it exists, otherwise the only section")
    add_key(files, "prediction", "pred")
    add_key(files, "label", "label")
    add_key(files, "mask", "mask", optional=True)
    add_nnunet(files, "probabilities let the clean-up use persistence and reconnection")
    meaning = parser.add_argument_group("values of the files")
    add_label_foreground(meaning, None, NNUNET_CLASSES)
    add_prediction_values(meaning)
    meaning.add_argument(
        "--mm",
        action="store_true",
        help="sizes and lengths in mm instead of voxels: voxel size from NIfTI, NRRD and MetaImage headers, also when "
        "the clean-up is applied",
    )
    meaning.add_argument(
        "--spacing-mm",
        type=float,
        metavar="MM",
        help="sizes and lengths in mm, with voxels of this edge along all axes of all images, also when the clean-up "
        "is applied",
    )
    choice = parser.add_argument_group("choice")
    choice.add_argument(
        "--metric",
        default="betti_matching_error",
        help="column of the report by which the clean-up is chosen (default: betti_matching_error)",
    )
    choice.add_argument(
        "--dice-lost",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="hundredths of the mean Dice that the clean-up may lose (default: 0.5)",
    )
    add_metric_settings(choice)
    parser.set_defaults(
        run=guard_report("monai_topo.report.cleanup_command", "choose_from_files", interrupted="Nothing is written.")
    )


def choose_from_files(options: argparse.Namespace) -> int:
    """Choose, print the table and write the file, and return the exit status (see `python -m monai_topo --help`)."""
    if not 0 <= options.dice_lost < math.inf:
        raise UserError(f"Expected --dice-lost to be finite and at least 0, but got {options.dice_lost:g}.")
    cases, alone = find_cases(options)
    classes = list(dict.fromkeys(case.label_class.name for case in cases if case.label_class is not None))
    if len(classes) > 1:
        raise UserError(
            f"Expected one class to choose a clean-up for, but got {', '.join(classes)}: name one by --classes."
        )
    without = [case.label for case in cases if options.mm and not has_spacing(case.label)]
    if without:
        raise UserError(
            f"Expected labels in a format with a voxel size for --mm, but got {without[0]}: set --spacing-mm instead, "
            "or measure sizes in voxels."
        )
    with as_user_error(TypeError, ValueError, rename=("`metric`", "--metric")):
        choice = choose_cleanup(
            _read_cases(options, cases),
            metric=options.metric,
            dice_lost=options.dice_lost,
            threshold=options.threshold,
            connectivity=options.connectivity,
            border=options.border,
            instances=options.instances,
            spacing=_spacing(options),
        )
    choice.save(options.out)
    print(choice.table())
    print(f"Clean-up chosen on {len(cases)} cases: {options.out}.")
    for sentence in alone:
        print(f"  left out: {sentence}", file=sys.stderr)
    return 1 if alone else 0


def _read_cases(options: argparse.Namespace, cases: list[Case]) -> Iterator[tuple[MetaTensor, torch.Tensor]]:
    for case in cases:
        images = read_case(
            case,
            label_foreground=options.label_foreground or "nonzero",
            prediction_foreground=options.prediction_foreground,
            likelihood_max=options.likelihood_max,
            spacing_mm=None,
        )
        affine = torch.diag(torch.tensor([*images.spacing_mm, 1.0], dtype=torch.float64))
        yield MetaTensor(torch.from_numpy(images.prediction), affine=affine), torch.from_numpy(images.label)


def _spacing(options: argparse.Namespace) -> Spacing:
    if options.mm and options.spacing_mm is not None:
        raise UserError("Expected --mm or --spacing-mm, but got both: choose where the voxel size comes from.")
    if options.spacing_mm is not None and not 0 < options.spacing_mm < math.inf:
        raise UserError(f"Expected --spacing-mm to be positive, but got {options.spacing_mm:g}.")
    return "affine" if options.mm else options.spacing_mm


def _json(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".json" or path.is_dir():
        raise argparse.ArgumentTypeError(f"Expected a file name that ends in .json, but got {text!r}.")
    return path
