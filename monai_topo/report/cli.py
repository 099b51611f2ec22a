"""The command line of the reports: options, and what is done with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Border, Connectivity

_NEEDED = {
    "jinja2": "jinja2",
    "matplotlib.figure": "matplotlib",
    "PIL": "pillow",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "tqdm": "tqdm",
}
_FORMATS = "NIfTI, NRRD, MetaImage, TIFF, PNG, JPEG, BMP, GIF; 2D or 3D"


def add_report_command(commands: Any, epilog: str) -> None:
    """Add `report`."""
    parser = _command(
        commands,
        "report",
        "predictions against labels: every metric, a row a case, and pictures of the worst",
        f"""\
Measure predictions against labels by every topology metric and write one page for a browser, with a sortable table,
distributions, and pictures of the worst cases, in which each error is colored and numbered. The page needs no network.
The same numbers are written beside it, as .csv (a row a case) and .json (everything).

Files: {_FORMATS}. A prediction and a label belong together if their files have the same name, whatever their folders
and formats; endings such as _mask, _pred, _likelihood, _label do not count. A datalist names images too, and its
labels and masks are found by the names of those as well.""",
        epilog,
    )
    parser.add_argument("predictions", metavar="PREDICTIONS", help="a folder, a file, or a datalist (.json)")
    parser.add_argument("labels", metavar="LABELS", help="a folder, a file, or a datalist (.json)")
    _add_output(parser, "report.html")
    files = parser.add_argument_group("files")
    files.add_argument("--prediction-files", metavar="PATTERN", help="only these of a folder, such as '*_mask.png'")
    files.add_argument("--label-files", metavar="PATTERN", help="only these of a folder, such as '*.nii.gz'")
    files.add_argument(
        "--masks",
        metavar="MASKS",
        help="fields of view, a folder, a file, or a datalist: where a mask is 0, prediction and label are cleared "
        "before anything is counted",
    )
    files.add_argument("--mask-files", metavar="PATTERN", help="only these of a folder, such as '*_mask.gif'")
    files.add_argument(
        "--images",
        metavar="IMAGES",
        help="what was segmented, a folder, a file, or a datalist: shown beside the errors; numbers do not hang on it",
    )
    files.add_argument("--image-files", metavar="PATTERN", help="only these of a folder, such as '*.tif'")
    files.add_argument("--section", default=None, help="of a datalist; 'validation' if there is one, else its only one")
    files.add_argument("--prediction-key", default="pred", metavar="KEY", help="of a datalist (default: pred)")
    files.add_argument("--label-key", default="label", metavar="KEY", help="of a datalist (default: label)")
    files.add_argument("--mask-key", metavar="KEY", help="of a datalist (default: mask)")
    files.add_argument("--image-key", metavar="KEY", help="of a datalist (default: image)")
    meaning = parser.add_argument_group("what the files mean")
    _add_label_foreground(meaning, "nonzero", "")
    meaning.add_argument(
        "--prediction-foreground",
        default="auto",
        metavar="RULE",
        help="'auto': 0 and one other value are a mask, more values a likelihood; 'likelihood'; or a rule as for "
        "labels (default: auto)",
    )
    meaning.add_argument(
        "--likelihood-max",
        type=float,
        metavar="VALUE",
        help="what stands for likelihood 1 (default: 1, or 255 for files with greater values than 1)",
    )
    meaning.add_argument(
        "--threshold", type=float, default=0.5, help="foreground has a likelihood above it (default: 0.5)"
    )
    _add_spacing(meaning)
    metrics = parser.add_argument_group("how topology is counted")
    _add_topology(metrics)
    metrics.add_argument(
        "--instances",
        default="foreground",
        choices=("foreground", "background"),
        help="whose components are split, merged and detected: 'background' for cells between membranes "
        "(default: foreground)",
    )
    metrics.add_argument(
        "--tolerance-mm", type=float, default=0.0, metavar="MM", help="of clDice, see compute_cldice (default: 0)"
    )
    page = parser.add_argument_group("page")
    page.add_argument("--worst", type=int, default=8, metavar="N", help="number of cases with pictures (default: 8)")
    page.add_argument(
        "--worst-by",
        default="betti_matching_error",
        metavar="METRIC",
        help="column of the table that tells the worst (default: betti_matching_error)",
    )
    parser.set_defaults(run=_guarded("monai_topo.report.case_pages", "report_predictions"))


def add_labels_command(commands: Any, epilog: str) -> None:
    """Add `labels`."""
    parser = _command(
        commands,
        "labels",
        "labels before training: convention, connectivity, specks, pinholes, and what to set in the bundle",
        f"""\
Look at labels before a network is trained on them, and write one page for a browser: which convention they follow, how
far their topology hangs on the connectivity, on specks and on pinholes, what touches the border, and what to set in the
bundle for them. The same numbers are written beside it, as .csv (a row a label) and .json.

Files: {_FORMATS}.""",
        epilog,
    )
    parser.add_argument("labels", metavar="LABELS", help="a folder, a file, or a datalist (.json)")
    _add_output(parser, "labels.html")
    files = parser.add_argument_group("files")
    files.add_argument("--label-files", metavar="PATTERN", help="only these of a folder, such as '*.nii.gz'")
    files.add_argument("--section", default=None, help="of a datalist (default: all of them)")
    files.add_argument("--label-key", default="label", metavar="KEY", help="of a datalist (default: label)")
    meaning = parser.add_argument_group("what the files mean")
    _add_label_foreground(meaning, "auto", "'auto': found by looking at all labels; ")
    _add_spacing(meaning)
    topology = parser.add_argument_group("how topology is counted")
    _add_topology(topology)
    topology.add_argument(
        "--min-component", type=float, default=10, metavar="SIZE", help="specks are smaller, in voxels (default: 10)"
    )
    topology.add_argument(
        "--min-hole", type=float, default=10, metavar="SIZE", help="pinholes are smaller, in voxels (default: 10)"
    )
    page = parser.add_argument_group("page")
    page.add_argument("--worst", type=int, default=8, metavar="N", help="number of labels with pictures (default: 8)")
    parser.set_defaults(run=_guarded("monai_topo.report.label_pages", "report_labels"))


def _command(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--out", default=default, type=_page, metavar="HTML", help=f"the page (default: {default})")
    parser.add_argument("--jobs", type=_at_least_one, default=1, metavar="N", help="processes at a time (default: 1)")


def _add_label_foreground(group: Any, default: str, more: str) -> None:
    group.add_argument(
        "--label-foreground",
        default=default,
        metavar="RULE",
        help=f"{more}'nonzero', a value such as 0, a threshold such as '>127', or 'boundary' between instance ids "
        f"(default: {default})",
    )


def _add_spacing(group: Any) -> None:
    group.add_argument(
        "--spacing-mm",
        type=float,
        nargs="+",
        metavar="MM",
        help="size of a voxel along x, y (, z); default: that of NIfTI, NRRD and MetaImage headers, else 1",
    )


def _add_topology(group: Any) -> None:
    group.add_argument(
        "--connectivity",
        default="full",
        choices=get_args(Connectivity),
        help="of the foreground: full is 8 in 2D and 26 in 3D, face is 4 and 6 (default: full)",
    )
    group.add_argument(
        "--border",
        default="open",
        choices=get_args(Border),
        help="what lies outside an image: nothing, or foreground that closes what the border cuts (default: open)",
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


def _guarded(module: str, command: str) -> Callable[[argparse.Namespace], int]:
    """A function of a module, imported once it is chosen; what a user can mend ends in a sentence and status 2."""

    def guarded(options: argparse.Namespace) -> int:
        try:
            _check_packages()
            return int(getattr(import_module(module), command)(options))
        except (UserError, OSError, ImportError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nInterrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
            return 130

    return guarded


def _check_packages() -> None:
    for module, package in _NEEDED.items():
        try:
            import_module(module)
        except ImportError as error:
            raise ImportError(
                f"Expected {package} to be installed for reports, but got none ({error}); "
                "pip install 'monai_topo[report]'."
            ) from error
