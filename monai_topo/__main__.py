"""`monai-topo COMMAND` (or `python -m monai_topo`): reports, choice of a clean-up, nnU-Net, exports, self-check."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from monai_topo.bundle.commands import add_export_command, add_publish_command
from monai_topo.nnunet.nnunet_command import add_nnunet_command
from monai_topo.report.cleanup_command import add_cleanup_command
from monai_topo.report.cli import add_labels_command, add_report_command
from monai_topo.report.doctor_command import add_doctor_command

_COMMANDS = (
    add_report_command,
    add_labels_command,
    add_cleanup_command,
    add_nnunet_command,
    add_export_command,
    add_publish_command,
    add_doctor_command,
)
_EPILOG = """exit status:
  0    all is written; all cases are in the report, or in the choice of the clean-up
  1    the output is written, but a file was broken or had no partner; the page or the terminal names it
  2    nothing is written: a wrong option, no cases, or a missing package
  130  interrupted; `report` and `labels` keep finished cases, and the same command continues from there
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog=_program(),
        description="HTML reports on the topology of segmentations, choice of a clean-up, trainers for nnU-Net, "
        "trained networks for use elsewhere, and a self-check.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"monai_topo {version('monai_topo')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add_command in _COMMANDS:
        add_command(commands, _EPILOG)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _program() -> str:
    """Return the program's name in messages: as the user typed it."""
    as_module = Path(sys.argv[0]).parts[-2:] == ("monai_topo", "__main__.py")
    return "python -m monai_topo" if as_module else "monai-topo"


if __name__ == "__main__":
    sys.exit(main())
