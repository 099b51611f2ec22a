"""The processes of a report end with the command, also if it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

SLEEP = """
import time
from monai_topo.report.jobs import map_cases
if __name__ == "__main__":
    for index, _ in map_cases(time.sleep, [0, 0, 90, 90, 90], jobs=2, title="sleeping"):
        print(index, flush=True)
"""


def is_alive(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_no_process_is_left_after_a_kill(tmp_path) -> None:
    (tmp_path / "run.py").write_text(SLEEP)
    command = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py")], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert command.stdout is not None
        assert sorted((command.stdout.readline(), command.stdout.readline())) == [b"0\n", b"1\n"]
        command.kill()
        command.wait()
        end = time.monotonic() + 30
        while is_alive(command.pid) and time.monotonic() < end:
            time.sleep(0.2)
        assert not is_alive(command.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        if command.stdout is not None:
            command.stdout.close()
