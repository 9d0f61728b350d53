"""What benchmarks start ends with them, and a failure is one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT

SCRIPT = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT / "benchmarks")!r})
from launch import Launch, exit_when_told
exit_when_told()
here = Path.cwd()
with Launch(["-c", sys.argv[1]], here, here, 2) as launch:
    print(*[process.pid for process in launch.processes], flush=True)
    while launch.running():
        time.sleep(0.01)
print("done")
"""


def start(folder, script: str) -> tuple[subprocess.Popen, list[int]]:
    """A benchmark of a script in two processes, and their numbers."""
    benchmark = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, script],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return benchmark, [int(word) for word in benchmark.stdout.readline().split()]


def gone(process: int) -> bool:
    """Whether a process has ended; its new parent may not have asked for its status yet."""
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_benchmark_leaves_no_process(tmp_path, number):
    benchmark, processes = start(tmp_path, "import time; time.sleep(600)")
    assert len(processes) == 2
    os.kill(benchmark.pid, number)
    benchmark.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while not all(map(gone, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(map(gone, processes))


def test_a_process_that_fails_ends_the_others_in_one_line(tmp_path):
    script = (
        "import os, sys, time\n"
        "if os.environ['RANK'] == '1': sys.exit('a line\\nno such folder')\n"
        "time.sleep(600)"
    )
    benchmark, processes = start(tmp_path, script)
    _, error = benchmark.communicate(timeout=30)
    assert error == "-c failed with status 1: no such folder\n"
    assert benchmark.returncode == 1
    assert all(map(gone, processes))


def test_the_processes_are_one_group(tmp_path):
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS", "MASTER_PORT"]
    benchmark, _ = start(tmp_path, f"import os; print(*map(os.environ.get, {names}))")
    assert benchmark.communicate(timeout=30)[0] == "done\n"
    found = [(tmp_path / f"process{rank}.log").read_text().split() for rank in range(2)]
    assert [words[:3] for words in found] == [["0", "0", "2"], ["1", "1", "2"]]
    assert found[0][3:] == found[1][3:]
