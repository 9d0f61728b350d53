"""Jobs in processes: failures, shares of the cores, and a run that another process still trains.

In the place of train.py there is a script that starts faster.
"""

import fcntl
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from sbert.errors import InputError
from sbert.sweeps.processes import DivergedError, JobRunner

# does what config.yaml says: waits, prints, ends with a status; counts its starts
SCRIPT = """
import json, os, pathlib, sys, time
path = pathlib.Path(sys.argv[sys.argv.index("--config") + 1])
assert sys.argv[-1] == "--resume"
todo = json.loads(path.read_text())
with (path.parent / "starts").open("a") as file:
    file.write(os.environ.get("OMP_NUM_THREADS", "-") + "\\n")
print(todo.get("say", ""), end="", flush=True)
time.sleep(todo.get("sleep", 0))
if not todo.get("status"):
    (path.parent / "result.json").write_text("{}")
os._exit(todo.get("status", 0))
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    script = str(tmp_path / "script.py")

    def make(text: str, label: str = "a") -> SimpleNamespace:
        class Planned(SimpleNamespace):
            done = property(lambda self: (self.folder / "result.json").exists())
            command = property(
                lambda self: [script, "--config", str(self.folder / "config.yaml"), "--resume"]
            )

        return Planned(folder=tmp_path / label, label=label, config_yaml=text)

    return make


def starts(run) -> list[str]:
    path = run.folder / "starts"
    return path.read_text().split() if path.exists() else []


def test_a_run_is_trained_once(run):
    one = run('{"say": "hello"}')
    JobRunner(1, print).run(one)
    assert one.done
    assert (one.folder / "config.yaml").read_text() == one.config_yaml
    assert (one.folder / "log.txt").read_text() == "hello"
    JobRunner(1, print).run(one)
    assert len(starts(one)) == 1


@pytest.mark.parametrize(("text", "kind", "message"), [
    ('{"status": 2, "say": "step 1\\rstep 2\\ntrain.py: error: bad\\n\\n"}', InputError,
     "run a failed (exit status 2); the last line of {}/log.txt: train.py: error: bad"),
    ('{"status": 1}', InputError,
     "run a failed (exit status 1); the last line of {}/log.txt: the log is empty"),
    ('{"status": 2, "say": "train.py: error: the loss of step 7 is nan; x"}', DivergedError,
     "the loss of step 7 is nan"),
])  # fmt: skip
def test_a_run_that_fails_is_named_with_the_last_line_of_its_log(run, text, kind, message):
    one = run(text)
    with pytest.raises(InputError) as error:
        JobRunner(1, print).run(one)
    assert message.format(one.folder) in str(error.value)
    assert type(error.value) is kind


def test_a_run_that_leaves_no_result_fails(run, tmp_path):
    (tmp_path / "script.py").write_text("print('nothing')")
    with pytest.raises(InputError, match=r"exit status 0.*nothing"):
        JobRunner(1, print).run(run("{}"))


@pytest.mark.parametrize(
    ("given", "jobs", "threads"), [("8", 2, "4"), ("8", 3, "2"), ("1", 4, "1"), ("5", 1, "5")]
)
def test_processes_share_the_cores(run, monkeypatch, given, jobs, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    one = run("{}")
    JobRunner(jobs, print).run(one)
    assert starts(one) == [threads]


def test_a_run_of_a_killed_sweep_is_waited_for(run, tmp_path):
    """The parent that locked the log is killed; its child, which writes to it, keeps the lock."""
    one, said = run('{"sleep": 1}'), []
    one.folder.mkdir()
    (one.folder / "config.yaml").write_text(one.config_yaml)
    log, config = str(one.folder / "log.txt"), str(one.folder / "config.yaml")
    command = [sys.executable, str(tmp_path / "script.py"), "--config", config, "--resume"]
    parent = f"""
import fcntl, os, signal, subprocess, sys
log = open({log!r}, "ab")
fcntl.flock(log, fcntl.LOCK_EX)
subprocess.Popen({command!r}, stdout=log)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", parent]).returncode == -9
    assert not one.done
    JobRunner(1, said.append).run(one)
    assert said == ["a: already running in another process; waiting for it"]
    assert one.done
    assert len(starts(one)) == 1


def test_stop_ends_what_runs_and_starts_no_more(run):
    one, two, runner = run('{"sleep": 60}'), run("{}", "b"), JobRunner(2, print)
    thread = threading.Thread(target=runner.run, args=[one])
    thread.start()
    while not starts(one):
        time.sleep(0.01)
    runner.stop()
    thread.join(10)
    assert not thread.is_alive()
    runner.run(two)
    assert not one.done
    assert starts(two) == []
    with (one.folder / "log.txt").open() as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody trains it any more
