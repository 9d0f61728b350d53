"""Commands of this project in fresh processes: `train.py`, one a run, and the stages of a recipe."""

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from sbert.atomic import write_whole
from sbert.errors import InputError


class Job(Protocol):
    """What a process can do: `command` reads `text`, its configuration, from config.yaml in `folder`, and goes on where an
    earlier one stood; `done` says that there is nothing left."""

    label: str
    folder: Path
    text: str
    command: list[str]
    done: bool


class DivergedError(InputError):
    """A run whose loss was no longer a number."""


class Processes:
    """Called with a run: does it from where it stands to its end. Several threads may call at a time.

    Args:
        jobs: processes at a time; each uses its share of the cores.
        say: takes a line for a person.

    Raises:
        InputError: a run that fails, with its log and the last line of it.
    """

    def __init__(self, jobs: int, say: Callable[[str], None]):
        cores = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
        threads = {"OMP_NUM_THREADS": str(max(1, cores // jobs))} if jobs > 1 else {}
        # a log needs no bar that moves ten times a second
        self.environment = os.environ | threads | {"TQDM_MININTERVAL": "30"}
        self.say, self.stopped = say, False
        self.running: set[subprocess.Popen] = set()
        self.change = threading.Lock()

    def __call__(self, run: Job) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        with self._alone(run) as log:
            if run.done:
                return
            if not (run.folder / "config.yaml").exists():
                write_whole(run.folder / "config.yaml", run.text.encode())
            command = [sys.executable, *run.command]
            with self.change:
                if self.stopped:
                    return
                process = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=self.environment
                )
                self.running.add(process)
            status = process.wait()
            with self.change:
                self.running.discard(process)
        if not (self.stopped or (status == 0 and run.done)):
            raise _failure(run, status)

    @contextlib.contextmanager
    def _alone(self, run: Job) -> Iterator[BinaryIO]:
        """The run's log, locked. The lock is held by whoever can write to the log: also by a train.py whose sweep was killed."""
        with open(run.folder / "log.txt", "ab") as log:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"{run.label}: another process is training it; waiting for that")
                fcntl.flock(log, fcntl.LOCK_EX)
            yield log

    def stop(self) -> None:
        """End what runs, and start no more."""
        with self.change:
            self.stopped = True
            for process in self.running:
                process.terminate()


def _failure(run: Job, status: int) -> InputError:
    log = run.folder / "log.txt"
    words = log.read_text("utf-8", errors="replace").replace("\r", "\n").splitlines()
    last = next((line.strip() for line in reversed(words) if line.strip()), "it is empty")
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    kind = DivergedError if "the loss of step" in last else InputError
    return kind(f"run {run.label} failed ({how}); the last line of {log}: {last}")
