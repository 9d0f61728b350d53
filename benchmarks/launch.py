"""A command of this project as the processes that a benchmark measures, which end with it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


class Launch:
    """A Python command in W processes, which torch.distributed makes one group.

    At the end of its `with` block, and on Linux however this process ends, they are killed.

    Args:
        command: the script and its options.
        checkout: the folder that it runs in, and imports from.
        logs: the folder for what each process prints.
        count: W.
    """

    def __init__(self, command: list[str], checkout: Path, logs: Path, count: int = 1):
        self.command = command
        self.logs = [logs / f"process{rank}.log" for rank in range(count)]
        cores = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
        shared = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(max(1, cores // count))}
        if count > 1:
            shared |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(_free_port())}
            shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        self.processes = []
        for rank, log in enumerate(self.logs):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
            with open(log, "w") as output:
                process = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=checkout,
                    env=os.environ | shared | own,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_end_with_parent,
                )
            self.processes.append(process)

    def running(self) -> bool:
        """Whether a process still runs. Where one has failed, ends this one, in one line."""
        statuses = [process.poll() for process in self.processes]
        for status, log in zip(statuses, self.logs, strict=True):
            if status:
                lines = log.read_text("utf-8", errors="replace").strip().splitlines()
                last = lines[-1] if lines else "it printed nothing"
                raise SystemExit(f"{self.command[0]} failed with status {status}: {last}")
        return None in statuses

    def __enter__(self) -> "Launch":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def exit_when_told() -> None:
    """Let SIGTERM and SIGHUP run what is to be done at the end, such as removing folders."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _end_with_parent() -> None:
    """In a new process: the kernel kills it when its parent ends, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
