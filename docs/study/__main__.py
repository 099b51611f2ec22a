"""Does a topology loss help? One data set, all methods, several seeds: `python docs/study isbi2012 --data DATA`.

Every method continues from the same first half of training with the same crops, so methods differ only in their loss.
The weight of each method is chosen on cases that are not reported. A second start continues with the missing runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from examples import write_examples
from methods import BASE, COMPARED, METHODS
from runs import study
from sets import SETS
from tables import markdown
from training import Run


def main() -> None:
    """Run a study, print its table and save pictures of one case."""
    parser = argparse.ArgumentParser(prog="python docs/study", description=__doc__)
    parser.add_argument("set_name", metavar="SET", choices=SETS, help=", ".join(SETS))
    parser.add_argument("--data", type=Path, required=True, help="folder that contains the data sets")
    parser.add_argument(
        "--out", type=Path, default=Path("study"), help="folder of the results, one subfolder per set (default: study)"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=COMPARED, metavar="METHOD", help=f"{[*METHODS]}"
    )
    parser.add_argument(
        "--weights", nargs="+", type=float, help="weights to choose from (default: those of each method)"
    )
    parser.add_argument(
        "--weights-of", type=Path, metavar="RESULTS", help="use the weights that were chosen on another data set"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--warmup-steps", type=int, default=1000, help="steps of the first half (default: 1000)")
    parser.add_argument("--steps", type=int, default=700, help="steps of the second half (default: 700)")
    parser.add_argument("--jobs", type=int, default=2, help="parallel runs, one core each (default: 2)")
    arguments = parser.parse_args()
    out = arguments.out / arguments.set_name
    first = Run(arguments.set_name, arguments.data, out, 0, arguments.warmup_steps, arguments.steps)
    methods = [name for name in arguments.methods if name != BASE]
    cases = study(first, methods, arguments.weights_of or arguments.weights, arguments.seeds, arguments.jobs)
    write_examples(first, cases)
    print(markdown(cases))


if __name__ == "__main__":
    main()
