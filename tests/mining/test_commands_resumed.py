"""mine.py resumed, and with two processes: the output is that of one command, byte for byte."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mine_inputs import QUERIES, TEXTS, close, write_texts
from support import ROOT, fails, with_two_processes
from tiny_models import write_classifier

from sbert.atomic import ResumableFile

SIZES = {
    "sbert.mining.embed.UNIT_TEXTS": 7,
    "sbert.mining.neighbours.UNIT_QUERIES": 7,
    "sbert.mining.pairs.UNIT_ROWS": 7,
    "sbert.mining.negatives.UNIT_QUERIES": 2,
    "sbert.mining.negatives.RESCORED_UNIT_QUERIES": 2,
    "sbert.augment.silver.UNIT": 19,
}
COMMANDS = {
    "embed": "embed --texts.path c.txt",
    "int8": "embed --texts.path c.txt --store int8",
    "neighbours": "neighbours --corpus.path c.txt --queries.path q.txt --k 3",
    "of themselves": "neighbours --corpus.path c.txt --k 3",
    "pairs": "pairs --texts.path c.txt --limit 50",
    "clusters": "clusters --texts.path c.txt --threshold 0.95 --min_community_size 2",
    "negatives": "negatives --data.path rows.tsv --negatives.absolute_margin 0.01",
    "random": "negatives --data.path rows.tsv --negatives.sampling random "
    "--negatives.num_negatives 2",
    "silver": "silver --gold '[{path: gold.tsv}]' --teacher cross --strategy bm25_semantic",
    "kde": "silver --gold '[{path: gold.tsv}]' --teacher cross --strategy kde --number 30",
    "rescored": "negatives --data.path rows.tsv --cross_encoder cross --negatives.max_score 0.9",
}
ENDINGS = {"embed": "npy", "int8": "safetensors"}  # others may have two
TASKS = {name: shlex.split(words) for name, words in COMMANDS.items()}
SCRIPT = """\
import importlib, os, signal, sys
sys.path[:0] = [{root!r}]
from accelerate import Accelerator
from sbert.atomic import ResumableFile
import augment, mine
for name, size in {sizes!r}.items():
    module, _, constant = name.rpartition(".")
    setattr(importlib.import_module(module), constant, size)
append, kill = ResumableFile.append, {kill!r}
def dying(self, *args):
    append(self, *args)
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
ResumableFile.append = dying
end = Accelerator.end_training
Accelerator.end_training = lambda self: None  # the processes stay a group for the next command
for argv in {commands!r}:
    (augment if argv[0] == "silver" else mine).main(argv)
end(Accelerator())  # a group that is left to the interpreter's end may abort the process
"""


@pytest.fixture
def task_command(mine_command, augment_command):
    """The command that a task belongs to."""
    return lambda task, *argv: (augment_command if task == "silver" else mine_command)(task, *argv)


@pytest.fixture
def place(tmp_path, tiny_folder, monkeypatch):
    """A folder to stand in, with texts, queries, rows and embeddings; and small units."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_folder)
    write_texts(tmp_path / "c.txt", TEXTS)
    write_texts(tmp_path / "q.txt", (QUERIES + TEXTS)[:20])
    rows = [f"{(QUERIES * 2 + TEXTS)[i]}\t{TEXTS[3 * i]}" for i in range(10)]
    write_texts(tmp_path / "rows.tsv", ["query\tpositive", *rows])
    gold = [f"{TEXTS[2 * i]}\t{TEXTS[2 * i + 1]}\t{i / 14:.2f}" for i in range(15)]
    write_texts(tmp_path / "gold.tsv", ["sentence1\tsentence2\tscore", *gold])
    np.save("vectors.npy", np.random.default_rng(0).normal(size=(33, 4)).astype(np.float32))
    for name, size in SIZES.items():
        monkeypatch.setattr(name, size)
    return tmp_path


def command(name, ending, output="x"):
    argv = [*TASKS[name], "--model", "tiny", "--precision", "fp32"]
    return [*argv, "--output", f"{output}.{ENDINGS.get(name, ending)}"]


def result(output="x"):
    (path,) = [
        path
        for path in (
            Path(f"{output}.{ending}") for ending in ("npy", "tsv", "jsonl", "safetensors")
        )
        if path.exists()
    ]
    return path.read_bytes()


def interrupted(units, task_command, argv):
    """A command that is stopped when so many units are written."""
    append = ResumableFile.append

    def stopped(self, *args):
        append(self, *args)
        if self.units == units:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableFile, "append", stopped)
        with pytest.raises(KeyboardInterrupt):
            task_command(*argv)


@pytest.mark.parametrize("name", TASKS)
def test_interrupted_and_given_again(place, task_command, capsys, name):
    write_classifier(place / "cross")
    for ending in ("tsv", "jsonl") if name not in ENDINGS else ("",):
        task_command(*command(name, ending, "whole"))
        table = capsys.readouterr().out.split("resuming")[-1].split("written to")[0]
        assert len(result("whole")) > 300
        for units in (1, 2):  # each goes on from where the one before stopped
            interrupted(units, task_command, command(name, ending))
        state = next(place.glob("x.*.part.json"))
        assert json.loads(state.read_text())["units"] == 2
        capsys.readouterr()
        task_command(*command(name, ending))
        said = capsys.readouterr().out
        assert result() == result("whole")
        if name not in ENDINGS:
            assert "resuming after 2 units\n" in said
            assert table.splitlines()[-1] in said  # the counts are of all units
        assert not list(place.glob("x*.part*"))
        for path in [*place.glob("x.*"), *place.glob("whole.*")]:
            path.unlink()


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        (
            "neighbours",
            ["--similarity", "dot"],
            "x.tsv.part: was started with similarity cosine, now dot; resume with the original",
        ),
        ("neighbours", ["--pooling", "cls"], "was started with model "),
        ("pairs", ["--threshold", "0.5"], "was started with threshold None, now 0.5"),
        ("pairs", ["--texts.limit", "12"], "was started with texts "),
        ("pairs", ["--texts.id", "n"], "was started with texts_ids "),
        ("negatives", ["--negatives.seed", "3"], "was started with negatives "),
        ("negatives", ["--cross_encoder", "cross"], "was started with cross_encoder None, now "),
        ("silver", ["--seed", "3"], "was started with seed 0, now 3"),
        ("silver", ["--teacher", "other"], "was started with teacher "),
        ("silver", ["--gold", "[{path: gold.tsv, range: [0, 2]}]"], "was started with gold "),
        ("embed", ["--pooling", "cls"], "was started with model "),
        ("int8", ["--similarity", "dot"], "was started with similarity cosine, now dot"),
        ("int8", ["--pooling", "cls"], "was started with model "),
        (
            "embed",
            ["--precision", "bf16"],
            "was started with precision torch.float32, now torch.bfloat16",
        ),
    ],
)
def test_given_again_with_other_options(place, task_command, capsys, name, more, message):
    write_classifier(place / "cross")
    write_classifier(place / "other", seed=1)
    argv = command(name, "tsv")
    if "--texts.id" in more:
        write_texts(
            place / "c.tsv", ["n\ttext", *(f"{9 * i}\t{text}" for i, text in enumerate(TEXTS))]
        )
        argv[argv.index("c.txt")] = "c.tsv"
    interrupted(1, task_command, argv)
    before = {path.name: path.read_bytes() for path in place.glob("x.*")}
    if more[0] in argv:
        argv[argv.index(more[0]) + 1] = more[1]
    else:
        argv = argv + more
    line = fails(task_command, capsys, *argv)
    assert message in line
    assert "or pass --overwrite" in line
    assert {path.name: path.read_bytes() for path in place.glob("x.*")} == before
    task_command(*argv, "--overwrite")
    assert "x.tsv" in {path.name for path in place.glob("x.*")} or name in ENDINGS


def run_script(place, commands, kill=False):
    script = place / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), sizes=SIZES, kill=kill, commands=commands))
    return script


def test_killed(place, task_command):
    """A real process and a real SIGKILL, after the first unit."""
    argv = ["pairs", "--texts.path", "vectors.npy", "--output"]
    script = run_script(place, [[*argv, "x.tsv"]], kill=True)
    done = subprocess.run([sys.executable, str(script)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert json.loads((place / "x.tsv.part.json").read_text())["units"] == 1
    task_command(*argv, "x.tsv")
    task_command(*argv, "whole.tsv")
    assert result() == result("whole")
    assert len(result().splitlines()) == 33 * 32 / 2 + 1


def test_two_processes_do_not_show(place, task_command):
    """One launch for all tasks. Units of 7 and 2 rows, so that some process has fewer, or none."""
    fp32 = ["--precision", "fp32", "--output"]
    commands = {
        "n": ["neighbours", "--corpus.path", "vectors.npy", "--k", "3", *fp32],
        "p": ["pairs", "--texts.path", "vectors.npy", "--limit", "60", *fp32],
        "c": [
            "clusters",
            "--texts.path",
            "vectors.npy",
            "--threshold",
            "0.9",
            "--min_community_size",
            "2",
            *fp32,
        ],
        "e": ["embed", "--texts.path", "c.txt", "--model", "tiny", *fp32],
        "q": ["embed", "--store", "int8", "--texts.path", "vectors.npy", *fp32],
        "r": ["neighbours", "--corpus.path", "q.safetensors", "--k", "3", *fp32],
        # fewer rows than processes
        "o": [
            "embed",
            "--store",
            "int8",
            "--texts.path",
            "vectors.npy",
            "--texts.limit",
            "1",
            *fp32,
        ],
        "w": [*["neighbours", "--corpus.path", "q.safetensors", "--queries.path", "vectors.npy"]]
        + ["--queries.limit", "1", *fp32],
        "m": [*TASKS["negatives"], "--model", "tiny", *fp32],
        "s": [*TASKS["rescored"], "--model", "tiny", *fp32],
        "v": [*TASKS["silver"], "--model", "tiny", *fp32],
    }
    write_classifier(place / "cross")
    ending = {
        "n": "tsv",
        "p": "tsv",
        "c": "jsonl",
        "e": "npy",
        "q": "safetensors",
        "o": "safetensors",
    }
    for name, argv in commands.items():
        task_command(*argv, f"{name}.{ending.get(name, 'jsonl')}")
    interrupted(
        2, task_command, [*commands["p"], "two_p2.tsv"]
    )  # what one process began two go on with
    two = [[*argv, f"two_{name}.{ending.get(name, 'jsonl')}"] for name, argv in commands.items()]
    said = with_two_processes(str(run_script(place, [*two, [*commands["p"], "two_p2.tsv"]])))
    assert said.count("written to two_n.tsv") == 1
    assert "resuming after 2 units" in said
    for name in "npcqrow":
        assert result(f"two_{name}") == result(name)
    assert result("two_p2") == result("p")
    np.testing.assert_allclose(np.load("two_e.npy"), np.load("e.npy"), atol=1e-5)
    one, other = ([json.loads(line) for line in result(f"{x}v").splitlines()] for x in ("", "two_"))
    close(one, other)
    for name in "ms":  # the vectors of other batches differ in their last digits
        one, other = (
            [json.loads(line) for line in result(f"{x}{name}").splitlines()] for x in ("", "two_")
        )
        lists = [
            [{f"{i}": v for i, v in enumerate(row.pop("scores") + row.pop("margins"))} for row in x]
            for x in (one, other)
        ]
        close(one, other)
        close(*lists)
