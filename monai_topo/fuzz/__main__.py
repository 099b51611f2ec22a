"""`python -m monai_topo.fuzz --minutes N`: look for images on which the package is wrong."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
from monai.utils import optional_import

from monai_topo.fuzz.checks import CHECKS
from monai_topo.fuzz.runner import Failure, draw_check, run_case, watch_cases

_MAX_FAILURES = 10
_EPILOG = "exit status: 0 if all is well, 1 if a case failed, 130 if interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzer and return its exit status."""
    options = _parser().parse_args(arguments)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if options.seed is None else options.seed
    checks = options.check or list(CHECKS)
    if options.case is not None:
        failure = run_case(seed, options.case, checks)
        print(f"{draw_check(seed, options.case, checks)[0]}: {'well' if failure is None else failure.trace}")
        return int(failure is not None)
    try:
        return _fuzz(seed, 60 * options.minutes, checks)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monai_topo.fuzz",
        description="Draw images and settings at random, and compare the package with independent algorithms: "
        f"{'; '.join(CHECKS)}.",
        epilog=_EPILOG,
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="time to run (default: 1)")
    parser.add_argument("--seed", type=int, help="seed of all cases (default: a new one, which is printed)")
    parser.add_argument("--case", type=int, metavar="NUMBER", help="run this case only, in this process")
    parser.add_argument(
        "--check", action="append", choices=list(CHECKS), metavar="NAME", help="run these checks only (default: all)"
    )
    return parser


def _fuzz(seed: int, seconds: float, checks: Sequence[str]) -> int:
    tqdm, has_tqdm = optional_import("tqdm", name="tqdm")
    print(f"seed {seed}, {seconds / 60:g} minutes", flush=True)
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    cases = watch_cases(seed, seconds, checks)
    if has_tqdm:
        cases = tqdm(cases, unit="case", mininterval=1 if sys.stderr.isatty() else 60)
    for case, failure in cases:
        counts[draw_check(seed, case, checks)[0]] += 1
        if failure is not None:
            failures.append(failure)
            print(f"\n{failure.check}: {failure.reason}\n    repeat: {_command(seed, case, checks)}", flush=True)
            if len(failures) == _MAX_FAILURES:
                break
    print("\n".join(f"{count:>8} cases: {name}" for name, count in counts.items()))
    print(f"{len(failures)} of {counts.total()} cases failed." if failures else f"All {counts.total()} cases are well.")
    return int(bool(failures))


def _command(seed: int, case: int, checks: Sequence[str]) -> str:
    chosen = "" if list(checks) == list(CHECKS) else "".join(f" --check '{name}'" for name in checks)
    return f"python -m monai_topo.fuzz --seed {seed} --case {case}{chosen}"


if __name__ == "__main__":
    sys.exit(main())
