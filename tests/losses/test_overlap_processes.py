"""The thread of the topology loss when a process is interrupted or forked."""

import os
import signal
import subprocess
import sys
import time

import pytest

INTERRUPTED = """
import sys, time, torch
from monai_topo import TopologyAwareLoss

def topology(output, target):
    print("begun", flush=True)
    time.sleep(3)
    return output.sum()

loss = TopologyAwareLoss(lambda output, target: output.mean(), topology, overlap=True)
try:
    loss(torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 4, 5))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""

FORKED = """
import os, torch
torch.set_num_threads(1)
from monai_topo import TopologyAwareLoss
mean = lambda output, target: output.mean()
loss = TopologyAwareLoss(mean, mean, overlap=True)
output = torch.ones(1, 1, 4, 5)
loss(output, output)
child = os.fork()
if not child:
    os._exit(0 if loss(output, output) == 2 else 1)
sys_exit = os.waitpid(child, 0)[1]
assert sys_exit == 0, sys_exit
"""


@pytest.mark.slow
def test_ctrl_c_is_raised_at_once():
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - begun < 2.5, "only after the topology loss"
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_a_thread_of_its_own():
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=300, check=False).returncode == 0
