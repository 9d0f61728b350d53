"""The commands of this project as processes: the runs of a sweep, and the stages of a recipe."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from sbert.atomic import write_whole
from sbert.errors import InputError


class Job(Protocol):
    """What a process runs: `command` reads config.yaml in `folder`, which holds `config_yaml`, and
    resumes from what an earlier process left. `done`: there is nothing left to run."""

    label: str
    folder: Path
    config_yaml: str
    command: list[str]
    done: bool


class DivergedError(InputError):
    """A run whose loss became NaN or infinite."""


class JobRunner:
    """Runs jobs, each in a process of its own. `run` may be called by several threads at a time.

    Args:
        jobs: number of processes at a time; they share the cores.
        print_line: prints a message.
    """

    def __init__(self, jobs: int, print_line: Callable[[str], None]):
        # a progress bar in a log file need not be redrawn ten times a second
        self.environment = os.environ | {"TQDM_MININTERVAL": "30"}
        if jobs > 1:
            cores = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
            self.environment["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
        self.print_line = print_line
        self.stopped = False
        self.processes: list[subprocess.Popen] = []
        self.lock = threading.Lock()

    def run(self, job: Job) -> None:
        """Start or resume a job, and wait until it is done.

        Raises:
            InputError: the process failed; names its log and the last line of it.
            DivergedError: the loss became NaN or infinite.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        with open(job.folder / "log.txt", "ab") as log:
            self._lock(log, job.label)
            if job.done:
                return
            if not (job.folder / "config.yaml").exists():
                write_whole(job.folder / "config.yaml", job.config_yaml.encode())
            with self.lock:
                if self.stopped:
                    return
                process = subprocess.Popen(
                    [sys.executable, *job.command],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self.environment,
                )
                self.processes.append(process)
            status = process.wait()
        if (status != 0 or not job.done) and not self.stopped:
            raise _failure(job, status)

    def _lock(self, log: BinaryIO, label: str) -> None:
        # a train.py whose sweep was killed has the log open, and so keeps the lock
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.print_line(f"{label}: already running in another process; waiting for it")
            fcntl.flock(log, fcntl.LOCK_EX)

    def stop(self) -> None:
        """Terminate the running processes and start no more."""
        with self.lock:
            self.stopped = True
            for process in self.processes:
                process.terminate()  # does nothing if it has ended


def _failure(job: Job, status: int) -> InputError:
    log = job.folder / "log.txt"
    text = log.read_text("utf-8", errors="replace").strip() or "the log is empty"
    last = text.splitlines()[-1].strip()
    reason = f"exit status {status}" if status >= 0 else f"signal {-status}"
    message = f"run {job.label} failed ({reason}); the last line of {log}: {last}"
    # the error of a train.py whose loss is not finite
    return DivergedError(message) if "the loss of step" in last else InputError(message)
