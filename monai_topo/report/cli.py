"""Command-line options of the reports."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from monai_topo._utils.commands import add_command, guard
from monai_topo._utils.typing import Border, Connectivity

_PACKAGES = {
    "jinja2": "jinja2",
    "matplotlib.figure": "matplotlib",
    "PIL": "pillow",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "tqdm": "tqdm",
}
FORMATS = "NIfTI, NRRD, MetaImage, TIFF, PNG, JPEG, BMP, GIF; 2D or 3D"
SOURCE = "a folder, a file, or a datalist (.json)"
NNUNET_CLASSES = "default: each class of nnU-Net's dataset.json, without one 'nonzero'; "

_REPORT_SUMMARY = "compare predictions with labels: all topology metrics for each case, and pictures of the worst cases"
_REPORT_DESCRIPTION = f"""\
Compare predictions with labels by all topology metrics and write one HTML page with a sortable table, distributions,
and pictures of the worst cases, in which each error has a color and a number. The page works offline. The same
numbers are written to a .csv file (one row per case) and a .json file (all details) next to it.

Files: {FORMATS}. A prediction and a label belong together
if their files have the same name, in any folders and formats; endings such as _mask, _pred, _likelihood, _label are
ignored. A datalist also names images; its labels and masks are matched by the names of their images too.

Example: %(prog)s predictions data/datalist.json --images data/datalist.json --out report.html"""


def add_report_command(commands: Any, epilog: str) -> None:
    """Add the command `report`."""
    parser = add_command(commands, "report", _REPORT_SUMMARY, _REPORT_DESCRIPTION, epilog)
    parser.add_argument("predictions", metavar="PREDICTIONS", help=SOURCE)
    parser.add_argument("labels", metavar="LABELS", help=SOURCE)
    _add_output(parser, "report.html", "cases")
    limited = "give a case up whose measurement takes longer, and go on with the others (default: no limit)"
    parser.add_argument("--time-limit", type=_at_least_one, metavar="SECONDS", help=limited)
    bounded = "leave a case out that takes more memory, by estimate (default: the free memory divided by --jobs)"
    parser.add_argument("--max-memory", type=float, metavar="GIB", help=bounded)
    parser.add_argument(
        "--export",
        type=Path,
        metavar="DIR",
        help="folder for the errors of each case: a label volume with the case's own affine (NIfTI, for NRRD files "
        "NRRD too), points for 3D Slicer (.mrk.json, RAS mm), a color table, and one CSV file of all errors",
    )
    files = parser.add_argument_group("files")
    add_pattern(files, "prediction", "*_mask.png")
    add_pattern(files, "label", "*.nii.gz")
    add_masks(files, "before all metrics")
    files.add_argument(
        "--images",
        metavar="IMAGES",
        help=f"segmented images: {SOURCE}; shown next to the errors, without effect on the metrics",
    )
    add_pattern(files, "image", "*.tif")
    files.add_argument(
        "--second-labels",
        metavar="LABELS",
        help=f"labels by another person: {SOURCE}; measured like predictions, and shown beside them",
    )
    add_pattern(files, "second-label", "*_manual2.gif")
    add_section(files, "'validation' if it exists, otherwise the only section")
    add_key(files, "prediction", "pred")
    add_key(files, "label", "label")
    add_key(files, "mask", "mask", optional=True)
    add_key(files, "image", "image", optional=True)
    add_key(files, "second-label", "second_label", optional=True)
    add_nnunet(files, "this shows how close each feature is to disappearing")
    meaning = parser.add_argument_group("values of the files")
    add_label_foreground(meaning, None, NNUNET_CLASSES)
    add_prediction_values(meaning)
    _add_spacing(meaning)
    meaning.add_argument(
        "--cleanup",
        metavar="FILE",
        help="settings of a clean-up (.json): also measure the cleaned predictions, and show which errors the clean-up "
        "fixed, left and made",
    )
    metrics = parser.add_argument_group("metrics")
    add_metric_settings(metrics)
    metrics.add_argument(
        "--tolerance-mm", type=float, default=0.0, metavar="MM", help="tolerance of clDice in mm (default: 0)"
    )
    metrics.add_argument(
        "--protocol",
        metavar="NAME",
        help="add the numbers of a published evaluation, computed as stated there: hu2019, cldice, topomortar, "
        "topomortar_128, topcow, atm22 or pitfalls",
    )
    page = parser.add_argument_group("page")
    page.add_argument("--worst", type=int, default=8, metavar="N", help="number of cases with pictures (default: 8)")
    page.add_argument(
        "--worst-by",
        default="betti_matching_error",
        metavar="METRIC",
        help="column of the table that ranks the cases (default: betti_matching_error)",
    )
    parser.set_defaults(run=guard_report("monai_topo.report.case_pages", "report_predictions"))


_LABELS_SUMMARY = (
    "check labels before training: convention, connectivity, specks, pinholes, and settings for the bundle"
)
_LABELS_DESCRIPTION = f"""\
Check labels before training and write one HTML page: which convention they follow, how much their topology depends on
the connectivity, on specks and on pinholes, what touches the border, and which settings of the bundle fit them. The
same numbers are written to a .csv file (one row per label) and a .json file next to it.

Files: {FORMATS}.

Example: %(prog)s data/labels --label-files '*.nii.gz' --out labels.html"""


def add_labels_command(commands: Any, epilog: str) -> None:
    """Add the command `labels`."""
    parser = add_command(commands, "labels", _LABELS_SUMMARY, _LABELS_DESCRIPTION, epilog)
    parser.add_argument("labels", metavar="LABELS", help=SOURCE)
    _add_output(parser, "labels.html", "labels")
    files = parser.add_argument_group("files")
    add_pattern(files, "label", "*.nii.gz")
    add_section(files, "all sections")
    add_key(files, "label", "label")
    meaning = parser.add_argument_group("values of the files")
    add_label_foreground(meaning, "auto", "'auto': detected from all labels; ")
    _add_spacing(meaning)
    topology = parser.add_argument_group("topology")
    _add_topology(topology)
    for option, name in (("component", "specks"), ("hole", "pinholes")):
        topology.add_argument(
            f"--min-{option}",
            type=float,
            default=10,
            metavar="SIZE",
            help=f"{option}s of fewer voxels are {name} (default: 10)",
        )
    page = parser.add_argument_group("page")
    page.add_argument("--worst", type=int, default=8, metavar="N", help="number of labels with pictures (default: 8)")
    parser.set_defaults(run=guard_report("monai_topo.report.label_pages", "report_labels"))


def _add_output(parser: argparse.ArgumentParser, default: str, what: str) -> None:
    parser.add_argument("--out", default=default, type=_page, metavar="HTML", help=f"output page (default: {default})")
    parser.add_argument(
        "--jobs",
        type=_at_least_one,
        default=1,
        metavar="N",
        help=f"number of processes that handle {what} in parallel (default: 1)",
    )


def add_pattern(group: Any, kind: str, example: str) -> None:
    """Add the option for the names of the files in a folder."""
    group.add_argument(
        f"--{kind}-files", metavar="PATTERN", help=f"pattern of the files in a folder, such as '{example}'"
    )


def add_masks(group: Any, moment: str) -> None:
    """Add the options for the files of fields of view."""
    group.add_argument(
        "--masks",
        metavar="MASKS",
        help=f"fields of view: {SOURCE}; prediction and label are cleared where a mask is 0, {moment}",
    )
    add_pattern(group, "mask", "*_mask.gif")


def add_section(group: Any, default: str) -> None:
    """Add the options for the section of a datalist, and for files outside its folder."""
    group.add_argument("--section", default=None, help=f"section of a datalist (default: {default})")
    group.add_argument(
        "--allow-outside", action="store_true", help="read files outside the datalist's folder; only if you trust it"
    )


def add_key(group: Any, kind: str, default: str, *, optional: bool = False) -> None:
    """Add the option for a key of a datalist."""
    group.add_argument(
        f"--{kind}-key",
        default=None if optional else default,
        metavar="KEY",
        help=f"key of the {kind} in a datalist (default: {default})",
    )


def add_nnunet(group: Any, purpose: str) -> None:
    """Add the options for folders of nnU-Net."""
    group.add_argument(
        "--classes", nargs="+", metavar="NAME", help="classes or regions of nnU-Net's dataset.json (default: all)"
    )
    group.add_argument(
        "--probabilities",
        action="store_true",
        help=f"read the probabilities that nnU-Net saved next to its segmentations as likelihoods; {purpose}",
    )


def add_label_foreground(group: Any, default: str | None, more: str) -> None:
    """Add the option for the foreground of labels."""
    group.add_argument(
        "--label-foreground",
        default=default,
        metavar="RULE",
        help=f"{more}'nonzero', a value such as 0, a threshold such as '>127', or 'boundary' between instance ids"
        + ("" if default is None else f" (default: {default})"),
    )


def add_prediction_values(group: Any) -> None:
    """Add the options for the meaning of predictions."""
    group.add_argument(
        "--prediction-foreground",
        default="auto",
        metavar="RULE",
        help="'auto': a file with 0 and one other value is a mask, any other file a likelihood; 'likelihood'; or a "
        "rule as for labels (default: auto)",
    )
    group.add_argument(
        "--likelihood-max",
        type=float,
        metavar="VALUE",
        help="value that represents likelihood 1 (default: 1, or 255 for files with values above 1)",
    )
    group.add_argument(
        "--threshold", type=float, default=0.5, help="likelihoods above it are foreground (default: 0.5)"
    )


def add_metric_settings(group: Any) -> None:
    """Add the options that most metrics depend on."""
    _add_topology(group)
    group.add_argument(
        "--instances",
        default="foreground",
        choices=("foreground", "background"),
        help="objects for VOI, Rand error and detection are the components of the foreground or of the background "
        "(cells between membranes) (default: foreground)",
    )


def _add_spacing(group: Any) -> None:
    group.add_argument(
        "--spacing-mm",
        type=float,
        nargs="+",
        metavar="MM",
        help="voxel size along x, y (, z) in mm (default: from NIfTI, NRRD and MetaImage headers, otherwise 1)",
    )


def _add_topology(group: Any) -> None:
    group.add_argument(
        "--connectivity",
        default="full",
        choices=get_args(Connectivity),
        help="connectivity of the foreground: full (8 in 2D, 26 in 3D) or face (4, 6) (default: full)",
    )
    group.add_argument(
        "--border",
        default="open",
        choices=get_args(Border),
        help="boundary condition: open (nothing lies outside) or foreground (everything outside is foreground) "
        "(default: open)",
    )


def _page(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"Expected a file name that ends in .html, but got {text!r}.")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"Expected the name of a file, but got the folder {text!r}.")
    return path


def _at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"Expected a whole number of at least 1, but got {text!r}.")
    return int(text)


def guard_report(
    module: str,
    function: str,
    interrupted: str = "Finished cases are kept; run the same command again to continue.",
) -> Callable[[argparse.Namespace], int]:
    """Wrap a command that needs the packages of the extra `report`; see `guard`."""
    return guard(module, function, interrupted, packages=_PACKAGES, extra="report")
