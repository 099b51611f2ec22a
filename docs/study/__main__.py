"""Does a topology loss help after a clean-up? One data set, all methods: `python docs/study isbi2012 --data DATA`.

Every method continues from the same converged network with the same crops, so methods differ only in their loss. The
weight of a method and the clean-up of each run are chosen on tuning cases, which are not reported. A second start
continues with the missing runs. A name that is not one of the known sets is a folder with a `datalist.json`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from examples import write_examples
from methods import BASE, COMPARED, METHODS
from runs import study
from sets import SETS, StudySet, unknown_set
from tables import markdown
from training import CHANNELS, Run


def main() -> None:
    """Run a study, print its tables and save pictures of one case."""
    parser = argparse.ArgumentParser(prog="python docs/study", description=__doc__)
    parser.add_argument("set_name", metavar="SET", help=f"{', '.join(SETS)}, or a folder below DATA")
    parser.add_argument("--data", type=Path, required=True, help="folder that contains the data sets")
    parser.add_argument(
        "--out", type=Path, default=Path("study"), help="folder of the results, one subfolder per set (default: study)"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=COMPARED, metavar="METHOD", help=f"{[*METHODS]}"
    )
    parser.add_argument("--weights", nargs="+", type=float, help="weights to choose from, instead of a search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=700, help="steps of each method (default: 700)")
    parser.add_argument("--base-steps", type=int, help="steps of the network before that (default: until convergence)")
    parser.add_argument("--max-base-steps", type=int, default=6000, help="at most this many (default: 6000)")
    channels = ", ".join(f"{' '.join(map(str, levels))} in {ndim}D" for ndim, levels in CHANNELS.items())
    parser.add_argument(
        "--network", nargs=4, type=int, metavar="CHANNELS", help=f"channels at its four levels (default: {channels})"
    )
    parser.add_argument("--jobs", type=int, default=2, help="parallel runs, one core each (default: 2)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where networks are trained (default: cpu)"
    )
    of_set = parser.add_argument_group("settings of a set", "needed for a folder; for a known set they replace its own")
    of_set.add_argument("--split", nargs=3, type=int, metavar=("TRAIN", "TUNE", "TEST"), help="numbers of cases")
    of_set.add_argument("--foreground", help="value of the foreground in the label, or a condition such as '>127'")
    of_set.add_argument("--connectivity", choices=("full", "face"))
    of_set.add_argument("--instances", choices=("foreground", "background"), help="what VOI and Rand error compare")
    of_set.add_argument("--crop", nargs="+", type=int, help="size of the training crops")
    of_set.add_argument("--patch", nargs="+", type=int, help="size of the patches of the topology losses")
    arguments = parser.parse_args()
    study_set = _study_set(arguments)
    first = Run(
        study_set,
        arguments.data,
        arguments.out / study_set.name,
        seed=0,
        steps=arguments.steps,
        base_steps=arguments.base_steps,
        max_base_steps=arguments.max_base_steps,
        network=tuple(arguments.network) if arguments.network else None,
        device=arguments.device,
    )
    methods = [name for name in arguments.methods if name != BASE]
    cases = study(first, methods, arguments.weights, arguments.seeds, arguments.jobs)
    write_examples(first, cases)
    for cleaned, title in ((True, "After clean-up"), (False, "Raw")):
        print(f"{title}\n\n{markdown(cases, cleaned=cleaned)}\n")


def _study_set(arguments: argparse.Namespace) -> StudySet:
    name = arguments.set_name
    study_set = SETS[name] if name in SETS else unknown_set(name, arguments.data)
    changed = {key: getattr(arguments, key) for key in ("connectivity", "instances", "foreground")}
    changed |= {key: tuple(value) for key in ("crop", "patch") if (value := getattr(arguments, key))}
    if arguments.split:
        train, tune, test = arguments.split
        parts = (range(train), range(train, train + tune), range(train + tune, train + tune + test))
        changed["splits"] = dict(zip(("train", "tune", "test"), parts, strict=True))
    changed = {key: value for key, value in changed.items() if value is not None}
    if "foreground" in changed and changed["foreground"].lstrip("-").isdigit():
        changed["foreground"] = int(changed["foreground"])
    return replace(study_set, **changed)


if __name__ == "__main__":
    main()
