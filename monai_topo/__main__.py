"""`python -m monai_topo COMMAND`: reports on predictions and on labels, as pages for a browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from monai_topo.report.cli import add_labels_command, add_report_command

_EPILOG = """exit status:
  0    everything was measured
  1    the report is written, but a file was broken or had no partner; page and terminal name it
  2    nothing is written: a wrong option, no cases, or a package that is missing
  130  interrupted; finished cases are kept, and the same command goes on from there
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m monai_topo",
        description="Topology of segmentations, looked at.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (add_report_command, add_labels_command):
        add(commands, _EPILOG)
    chosen = parser.parse_args(arguments)
    return int(chosen.run(chosen))


if __name__ == "__main__":
    sys.exit(main())
