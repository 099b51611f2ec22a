"""Threads inside an image, and a long call that is given up."""

import subprocess
import sys

import pytest
import torch
from oracles import SETTINGS, assert_same_pairs, setting_name

from monai_topo import persistence_pairs


@pytest.mark.parametrize("setting", SETTINGS, ids=setting_name)
@pytest.mark.parametrize("levels", [3, 2**20])
@pytest.mark.parametrize("shape", [(57, 83), (19, 23, 29)], ids=str)
def test_threads_inside_an_image_change_nothing(shape, levels, setting):
    image = torch.randint(levels, (1, *shape), generator=torch.Generator().manual_seed(3)).float()
    one = persistence_pairs(image, num_threads=1, **setting)
    assert len(one) > 100
    assert_same_pairs(persistence_pairs(image, num_threads=4, **setting), one)


def test_ctrl_c_stops_a_long_volume_and_the_next_call_works():
    script = """
import os, signal, threading, torch
from monai_topo import persistence_pairs
noise = torch.rand(1, 160, 160, 160, generator=torch.Generator().manual_seed(0))
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    persistence_pairs(noise)
except KeyboardInterrupt:
    print("stopped", len(persistence_pairs(noise[:, :9, :9, :9])) > 0)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["stopped", "True"], run.stderr
