"""Threads, ours and those of torch; other processes; a call that is given up; an image too large to index; memory."""

import os
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


class TwoPairCounts(torch.utils.data.Dataset):
    """Counts pairs in a worker process."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return len(persistence_pairs(torch.rand(1, 9, 11, generator=torch.Generator().manual_seed(index))))


@pytest.mark.slow
def test_works_in_spawned_worker_processes():
    loader = torch.utils.data.DataLoader(TwoPairCounts(), num_workers=1, timeout=100, multiprocessing_context="spawn")
    assert [int(count) for count in loader] == [TwoPairCounts()[0], TwoPairCounts()[1]]


def test_volume_beyond_the_index_range_is_refused_before_any_work():
    volume = torch.zeros(()).expand(1, 900, 900, 900)  # no memory behind it
    with pytest.raises(ValueError, match="at most 536870912 voxels"):
        persistence_pairs(volume)


def run_script(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


# The call is one step for Python, `map` included, so a result would be kept if Ctrl-C came into effect only after it.
CTRL_C = """
import os, signal, sys, threading, torch
from functools import partial
from monai_topo import persistence_pairs
from monai_topo._utils.kernel import kernel

images = torch.zeros(int(sys.argv[1]), 160, 160, 160)
images[-1] = torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(0))
pairs = partial(
    kernel.persistence_pairs,
    negate=True, dual=False, framed=False, dims=7, min_persistence=0.0, num_threads=int(sys.argv[2]),
)
kept = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells that run things in the background ignore it
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    list(map(kept.append, map(pairs, [images.numpy()])))
except KeyboardInterrupt:
    print("stopped", len(kept), len(persistence_pairs(images[-1:, :9, :9, :9])) > 0)
"""


# The first of two images is finished at once: its thread, which takes the signal, then waits for the other one.
@pytest.mark.slow
@pytest.mark.parametrize(("images", "threads"), [(1, 1), (1, 2), (2, 2)])
def test_ctrl_c_stops_a_long_volume_and_the_next_call_works(images, threads):
    assert run_script(CTRL_C, images, threads) == ["stopped", "0", "True"]


THREADS_OF_TORCH = """
import os, threading, torch
from monai_topo import persistence_pairs

def threads():
    return set(os.listdir("/proc/self/task"))

torch.set_num_threads(4)
torch.rand(1000, 1000).sigmoid()  # starts them
noise = torch.rand(1, 1200, 1300, generator=torch.Generator().manual_seed(0))
seen, stopped = set(), threading.Event()

def watch():
    while not stopped.is_set():
        seen.update(threads())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
before = threads()
one = persistence_pairs(noise, num_threads=1).birth
for count in (4, 2, 3):
    assert torch.equal(persistence_pairs(noise, num_threads=count).birth, one)
torch.rand(1000, 1000).sigmoid()  # needs all of them again
new, there = seen - before, before <= threads()
# Torch has not so many, and its threads wait for the main one only.
seen.clear()
persistence_pairs(noise[:, :400].repeat(5, 1, 1), num_threads=5)
print(len(seen - before) > 0)
seen.clear()
beside = threading.Thread(target=lambda: persistence_pairs(noise, num_threads=3))
beside.start()
beside.join()
print(len(seen - before) > 1)  # the one beside, and those that help it
stopped.set()
watcher.join()
print(len(new), there)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="lists the threads of a process as Linux shows them")
def test_main_thread_works_with_the_threads_of_torch_and_others_with_their_own():
    assert run_script(THREADS_OF_TORCH) == ["True", "True", "0", "True"]


@pytest.mark.slow
def test_more_threads_than_a_machine_can_start_do_no_harm():
    images = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(0))
    assert_same_pairs(persistence_pairs(images, num_threads=10**6), persistence_pairs(images, num_threads=1))


FORK = """
import os, sys, torch

def compute():
    from monai_topo import persistence_pairs
    return len(persistence_pairs(noise, num_threads=3))

torch.set_num_threads(3)
noise = torch.rand(1, 900, 900, generator=torch.Generator().manual_seed(0)).sigmoid()  # starts the threads of torch
is_imported_before = sys.argv[1] == "before"
if is_imported_before:
    there = compute()
child = os.fork()
if child == 0:
    os._exit(compute() % 251)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status == (there if is_imported_before else compute()) % 251)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("imported", ["before", "after"])
def test_works_after_a_fork_which_copies_no_threads(imported):
    assert run_script(FORK, imported) == ["True"]


PEAK_MEMORY = """
import re, sys, torch
from monai_topo import persistence_pairs

def resident(peak_or_now):
    return 1024 * int(re.search(peak_or_now + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

threads = int(sys.argv[1])
noise = torch.rand(1, 80, 83, 75, generator=torch.Generator().manual_seed(0))
persistence_pairs(noise[:, :9, :9, :9], num_threads=threads)
open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
before = resident("VmRSS")
pairs = persistence_pairs(noise, num_threads=threads)
print((resident("VmHWM") - before) / noise.numel(), len(pairs) / noise.numel())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory of a process as Linux shows it")
@pytest.mark.parametrize("threads", [1, 2])
def test_white_noise_takes_few_bytes_a_voxel(threads):
    peak, pairs = map(float, run_script(PEAK_MEMORY, threads))
    assert pairs > 0.3
    # 30 to 36 were measured on one thread, 36 to 38 on two; levels, stars and trees alone are 12.
    assert 12 < peak < 38 + threads
