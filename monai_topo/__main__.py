"""`python -m monai_topo COMMAND`: HTML reports on predictions and labels, choice of a clean-up, and a self-check."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from monai_topo.report.cleanup_command import add_cleanup_command
from monai_topo.report.cli import add_labels_command, add_report_command
from monai_topo.report.doctor_command import add_doctor_command

_EPILOG = """exit status:
  0    all cases are in the report, or in the choice of the clean-up
  1    the output is written, but a file was broken or had no partner; the page or the terminal names it
  2    nothing is written: a wrong option, no cases, or a missing package
  130  interrupted; `report` and `labels` keep finished cases, and the same command continues from there
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m monai_topo",
        description="HTML reports on the topology of segmentations, the choice of their clean-up, and a self-check.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add_command in (add_report_command, add_labels_command, add_cleanup_command, add_doctor_command):
        add_command(commands, _EPILOG)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
