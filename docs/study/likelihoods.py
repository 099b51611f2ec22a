"""Write likelihoods of the study's networks for the benchmark: `python docs/study/likelihoods.py --data DATA RESULTS`.

They are those of the networks that all methods continue from, before and after their training, on crops of the training
images, which is what a loss sees. `python -m monai_topo.benchmark --likelihoods FILE` reads the file: one array
`(2, N, *spatial)` per network, likelihoods and then labels, a few megabytes in total.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from monai.networks.nets import UNet
from numpy.typing import NDArray
from sets import SETS, load_cases
from torch import Tensor
from training import Run, base_network, predict_likelihood

from monai_topo._utils.io import atomic_write

CROPS = {2: (3, 256, 256), 3: (2, 128, 128, 25)}


def predict_crops(network: UNet, run: Run) -> NDArray[Any]:
    """Predict random crops: likelihoods, then labels, `(2, N, *spatial)` float32."""
    count, *extent = CROPS[run.study_set.ndim]
    generator = np.random.default_rng(0)
    cases = [
        case
        for case in load_cases(run.study_set, run.data, "train")
        if all(have >= want for have, want in zip(case["label"].shape[1:], extent, strict=True))
    ]
    pairs = []
    for number in range(count):
        case = cases[number % len(cases)]
        starts = [
            int(generator.integers(have - want + 1)) for have, want in zip(case["label"].shape[1:], extent, strict=True)
        ]
        window = (..., *(slice(start, start + want) for start, want in zip(starts, extent, strict=True)))
        crop = {key: value[window] for key, value in case.items() if isinstance(value, Tensor)}
        pairs.append((predict_likelihood(network, run.study_set, crop), crop["label"][0].numpy()))
    return np.stack(pairs, axis=1)


def main() -> None:
    """Predict with the networks and write their likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", help="folders of results, each named like its data set")
    parser.add_argument("--data", type=Path, required=True, help="folder that contains the data sets")
    parser.add_argument("--out", type=Path, default=Path("likelihoods.npz"), help="file (default: likelihoods.npz)")
    arguments = parser.parse_args()
    arrays = {}
    for folder in arguments.results:
        run = Run(SETS[folder.name], arguments.data, folder, seed=0, steps=0)
        for is_trained in (False, True):
            name = f"{folder.name}, {'trained' if is_trained else 'untrained'}"
            arrays[name] = predict_crops(base_network(run, is_trained), run)
            print(f"{name}: done", flush=True)
    with atomic_write(arguments.out) as file:
        np.savez_compressed(file, **arrays)


if __name__ == "__main__":
    main()
