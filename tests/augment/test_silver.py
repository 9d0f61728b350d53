"""augment.py silver as a user runs it: pairs, labels, bad input, interruptions."""

import json
import subprocess
import sys

import numpy as np
import pytest
from mine_inputs import TEXTS, table, write_texts
from support import ROOT, fails
from tiny_models import write_classifier

from sbert import CrossEncoder
from sbert.augment import silver
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.models.loading import teacher_fingerprint

FIRST, SECOND = TEXTS[:15], TEXTS[15:]
BASE = ["silver", "--teacher", "cross", "--precision", "fp32", "--output", "x.jsonl"]
GOLD = ["--gold", "[{path: gold.tsv, range: [0, 5]}]"]


@pytest.fixture
def place(tmp_path, tiny_folder, monkeypatch):
    """A working folder: gold of 15 pairs with scores 0 to 5, a target without labels, a teacher."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(silver, "UNIT", 32)
    (tmp_path / "tiny").symlink_to(tiny_folder)
    write_classifier(tmp_path / "cross")
    rows = [
        f"{a}\t{b}\t{5 * i / 14:.2f}" for i, (a, b) in enumerate(zip(FIRST, SECOND, strict=True))
    ]
    write_texts(tmp_path / "gold.tsv", ["sentence1\tsentence2\tscore", *rows])
    target = [
        "the cat runs\tthe dog runs",
        "a big house\tthe cat runs",
        "The dog runs\tthe cat runs",
        "a red mat\ta red mat",
    ]
    write_texts(tmp_path / "target.tsv", ["left\tright", *target])
    write_texts(tmp_path / "target.txt", ["the cat runs", "the dog runs", "a big house"])
    return tmp_path


def mined(augment_command, *argv, name="x.jsonl"):
    augment_command(*BASE[:-1], name, *argv)
    path = silver.Path(name)
    return table(path)


def test_rows_are_labelled_by_the_teacher_and_train_reads_them(place, augment_command, capsys):
    rows = mined(augment_command, *GOLD, "--strategy", "bm25", "--k", "2")
    teacher = CrossEncoder.from_pretrained("cross")
    pairs = [(row["sentence1"], row["sentence2"]) for row in rows]
    expected = teacher.predict(pairs, symmetric=True, precision="fp32")
    np.testing.assert_allclose([row["score"] for row in rows], expected, atol=1e-6)
    assert {tuple(row) for row in rows} == {
        ("sentence1", "sentence2", "score", "strategy", "teacher")
    }
    assert {row["teacher"] for row in rows} == {teacher_fingerprint("cross")}
    assert {row["strategy"] for row in rows} == {"bm25"}
    assert not {frozenset(pair) for pair in pairs} & set(
        map(frozenset, zip(FIRST, SECOND, strict=True))
    )
    said = capsys.readouterr().out
    assert "30 distinct sentences" in said
    assert f"{len(rows)} pairs labelled, " in said
    assert "KL(gold || silver) = " in said
    assert said.splitlines()[-2:] == [
        f"{len(rows)} silver pairs: {len(rows)} bm25",
        "written to x.jsonl",
    ]
    read_back = read_dataset(
        DatasetConfig("x.jsonl", teacher="cross", source="strategy"),
        fingerprint_of=teacher_fingerprint,
    )
    assert read_back.task == "sts"
    np.testing.assert_allclose(read_back.labels, expected, atol=1e-6)
    assert list(place.glob("x-look/events.*"))


def test_one_order(place, augment_command):
    rows = mined(
        augment_command, *GOLD, "--strategy", "random", "--number", "40", "--symmetric", "false"
    )
    pairs = [(row["sentence1"], row["sentence2"]) for row in rows]
    expected = CrossEncoder.from_pretrained("cross").predict(pairs, precision="fp32")
    np.testing.assert_allclose([row["score"] for row in rows], expected, atol=1e-6)
    assert len(rows) == 40


@pytest.mark.parametrize(
    ("sides", "texts"), [("first", FIRST), ("second", SECOND), ("both", TEXTS)]
)
def test_sides(place, augment_command, sides, texts):
    rows = mined(
        augment_command, *GOLD, "--strategy", "random", "--number", "9999", "--sides", sides
    )
    gold = 15 if sides == "both" else 0  # all others are there
    assert len(rows) == len(texts) * (len(texts) - 1) / 2 - gold
    assert {row[f"sentence{i}"] for row in rows for i in (1, 2)} == set(texts)


def test_number_is_a_draw_of_what_a_strategy_finds(place, augment_command):
    semantic = [*GOLD, "--model", "tiny", "--strategy", "semantic"]
    rows = mined(augment_command, *semantic)
    pairs = {(row["sentence1"], row["sentence2"]): row["score"] for row in rows}
    fewer = [
        mined(augment_command, *semantic, "--number", "10", "--seed", seed, name=f"{seed}.tsv")
        for seed in ("1", "2")
    ]
    for some in fewer:
        assert len(some) == 10
        for row in some:
            assert float(row["score"]) == pytest.approx(
                pairs[row["sentence1"], row["sentence2"]], abs=2e-6
            )
    assert fewer[0] != fewer[1]


def test_kde_labels_a_pool_and_keeps_a_part_of_it(place, augment_command, capsys):
    options = [*GOLD, "--model", "tiny", "--strategy", "kde", "--pool", "200"]
    rows = mined(augment_command, *options)
    said = capsys.readouterr().out
    labelled = int(said.partition(" pairs labelled")[0].split()[-1])
    assert 200 < labelled <= 290
    assert 0 < len(rows) < labelled
    assert {row["strategy"] for row in rows} <= {
        "kde:random",
        "kde:semantic",
        "kde:random+semantic",
    }
    some = mined(augment_command, *options, "--number", "3", name="y.jsonl")
    assert len(some) == 3
    assert all(row in rows for row in some)


def test_the_pairs_of_an_unlabelled_target(place, augment_command, capsys):
    target = "{path: target.tsv, task: pair, texts: [left, right]}"
    rows = mined(augment_command, "--unlabelled", target, "--strategy", "given")
    pairs = [
        ("the cat runs", "the dog runs"),
        ("a big house", "the cat runs"),
    ]  # no self pair, no mirror image
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == pairs
    assert "KL" not in capsys.readouterr().out
    rows = mined(
        augment_command,
        "--unlabelled",
        target,
        *GOLD,
        "--strategy",
        "random",
        "--number",
        "99",
        name="y.jsonl",
    )
    assert len(rows) == 4 * 3 / 2  # of the target alone
    assert "KL(gold" in capsys.readouterr().out


HELD_OUT = "[{path: dev.tsv, texts: [a, b], task: pair, name: mine}]"


@pytest.mark.parametrize(
    ("source", "kept", "left_out"),
    [
        (
            ["--unlabelled", "{path: target.tsv, task: pair, texts: [left, right]}"],
            {"the cat runs", "a red mat"},
            3,  # two spellings of one
        ),
        (["--texts.path", "target.txt"], {"the cat runs", "the dog runs"}, 1),
        (GOLD, set(TEXTS[2:]), 2),
    ],
    ids=["unlabelled", "texts", "gold"],
)
def test_held_out_sentences_are_not_paired(place, augment_command, capsys, source, kept, left_out):
    """Whatever their case, punctuation and spaces."""
    held_out = ["A  big house!", "x"]
    if source[0] == "--unlabelled":
        held_out = ["A  big house!", "THE dog-runs"]
    if source is GOLD:
        held_out = [text.upper() for text in TEXTS[:2]]
    write_texts(place / "dev.tsv", ["a\tb", "\t".join(held_out)])
    options = ["--strategy", "random", "--number", "9999", "--held_out", HELD_OUT]
    rows = mined(augment_command, *source, *options)
    assert {row[f"sentence{i}"] for row in rows for i in (1, 2)} == kept
    assert f"{left_out} sentences left out: texts of mine\n" in capsys.readouterr().out


def test_where_all_sentences_are_held_out_it_is_said(place, augment_command, capsys):
    write_texts(place / "dev.tsv", ["a\tb", *(f"{text}\tx" for text in TEXTS)])
    options = [*GOLD, "--strategy", "random", "--held_out", HELD_OUT]
    line = fails(augment_command, capsys, *BASE, *options)
    assert "gold, without held-out texts: 0 distinct sentence" in line


def test_kde_follows_no_score_of_a_held_out_pair(place, augment_command, capsys, monkeypatch):
    followed = []

    def accept(gold, scores, seed):
        followed.extend(gold.tolist())
        return np.ones(len(scores), bool)

    monkeypatch.setattr(silver, "accept_by_density", accept)
    write_texts(place / "dev.tsv", ["a\tb", f"{FIRST[3].upper()}\tx"])
    pairs = enumerate(zip(FIRST, SECOND, strict=True))
    left = [round(5 * i / 14, 2) / 5 for i, pair in pairs if FIRST[3] not in pair]
    options = [*GOLD, "--model", "tiny", "--strategy", "kde", "--held_out", HELD_OUT]
    mined(augment_command, *options)
    assert followed == pytest.approx(left)
    assert f"kde follows the scores of {len(left)} gold pairs" in capsys.readouterr().out


def test_given_pairs_with_a_held_out_sentence_are_left_out(place, augment_command):
    write_texts(place / "dev.tsv", ["a\tb", "A big house.\tx"])
    target = "{path: target.tsv, task: pair, texts: [left, right]}"
    options = ["--strategy", "given", "--held_out", HELD_OUT]
    rows = mined(augment_command, "--unlabelled", target, *options)
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == [
        ("the cat runs", "the dog runs")
    ]


def test_labels_of_a_target_are_not_read(place, augment_command):
    """Neither their scale nor that they are there counts."""
    texts = "the cat runs\tthe dog runs", "a big house\tthe cat runs"
    silver.Path("bare.tsv").write_text("\n".join(["sentence1\tsentence2", *texts]) + "\n")
    silver.Path("scored.tsv").write_text(
        "\n".join(["sentence1\tsentence2\tscore", *(f"{t}\t7" for t in texts)]) + "\n"
    )
    bare, scored = (
        mined(
            augment_command,
            "--unlabelled.path",
            f"{name}.tsv",
            "--strategy",
            "given",
            name=f"{name}.jsonl",
        )
        for name in ("bare", "scored")
    )
    assert [(row["sentence1"], row["sentence2"]) for row in bare] == [
        tuple(t.split("\t")) for t in texts
    ]
    assert scored == bare


def test_a_collection_of_an_unlabelled_target(place, augment_command):
    rows = mined(augment_command, "--texts.path", "target.txt", "--strategy", "bm25")
    pairs = [("the cat runs", "the dog runs")]
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == pairs


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--strategy", "bm25"],
            "gold: name the data whose sentences are paired, or set unlabelled or texts",
        ),
        (
            [*GOLD, "--k", "0"],
            "k is 0; it must be > 0",
        ),
        ([*GOLD, "--number", "0"], "number is 0; it must be > 0"),
        (
            [*GOLD, "--seed", "-1"],
            "seed is -1; it must be >= 0",
        ),
        ([*GOLD, "--strategy", "best"], "strategy"),
        (GOLD, "model: strategy semantic needs the bi-encoder that finds the neighbours"),
        (
            [*GOLD, "--strategy", "given"],
            "strategy given needs unlabelled, whose pairs are labelled",
        ),
        (
            ["--texts.path", "target.txt", "--strategy", "kde", "--model", "tiny"],
            "strategy kde needs gold, whose scores are matched",
        ),
        (
            [*GOLD, "--strategy", "random", "--pool", "9"],
            "pool is for strategy kde; of random pairs, number is how many are kept",
        ),
        (
            ["--unlabelled.path", "target.txt", "--strategy", "given"],
            "unlabelled target: one column of texts; pairs need two, and single texts are "
            "given as texts",
        ),
        (
            ["--texts.path", "target.txt", "--unlabelled.path", "gold.tsv", "--strategy", "bm25"],
            "unlabelled and texts are both given; the sentences are those of one",
        ),
        (
            ["--gold", "[{path: gold.tsv}]", "--strategy", "bm25"],
            "gold.tsv, line 5: the score 1.07 is outside [0, 1]; ",
        ),
        (
            [
                "--gold",
                "[{path: target.tsv, task: pair, texts: [left, right]}]",
                "--strategy",
                "bm25",
            ],
            "gold target: task pair; gold is of task sts or binary",
        ),
        (
            ["--gold", "[{path: one.tsv}]", "--strategy", "bm25"],
            "gold: 1 distinct sentence, ignoring case and spaces; pairs need two or more",
        ),
        (
            ["--gold", "[{path: strange.tsv}]", "--strategy", "bm25"],
            "strategy bm25: finds no pair among 4 sentences that is not known",
        ),
        (
            ["--gold", "[{path: equal.tsv}]", "--strategy", "kde", "--model", "tiny"],
            "strategy kde: all 2 gold scores are 0.5, so they have no density; use another "
            "strategy",
        ),
        (
            [*GOLD, "--strategy", "bm25", "--teacher", "nli"],
            "teacher nli: has 3 classes; a cross-encoder with one label",
        ),
        (
            [*GOLD, "--strategy", "bm25", "--teacher", "mse"],
            "teacher mse: its activation is identity, so labels may lie outside [0, 1]",
        ),
        (
            [*GOLD, "--strategy", "bm25", "--teacher", "tiny"],
            "teacher tiny: is a bi-encoder; a cross-encoder is needed",
        ),
        (
            ["--texts.path", "c.npy", "--strategy", "bm25"],
            "texts: silver needs texts and embeds the distinct ones itself",
        ),
    ],
)
def test_bad_input(place, augment_command, capsys, argv, message):
    head = "sentence1\tsentence2\tscore"
    write_texts(place / "one.tsv", [head, "a cat\tA  cat\t0.5"])
    write_texts(place / "strange.tsv", [head, "a cat\ttwo dogs\t0.5", "red\tblue\t0.2"])
    write_texts(place / "equal.tsv", [head, "a cat\ttwo dogs\t0.5", "red\tblue\t0.5"])
    if "nli" in argv:
        write_classifier(place / "nli", labels=3)
    if "mse" in argv:
        write_classifier(
            place / "mse", sbert_ce_default_activation_function="torch.nn.modules.linear.Identity"
        )
    base = [word for word in BASE if not ("--teacher" in argv and word in ("--teacher", "cross"))]
    assert message in fails(augment_command, capsys, *base, *argv)
    assert not [path for path in place.glob("x.*") if path.stat().st_size]


def test_kde_that_accepts_nothing(place, augment_command, capsys, monkeypatch):
    monkeypatch.setattr(
        "sbert.augment.silver.accept_by_density",
        lambda gold, silver, seed: np.zeros(len(silver), bool),
    )
    options = [*GOLD, "--model", "tiny", "--strategy", "kde", "--pool", "20"]
    assert "strategy kde: accepts none of " in fails(augment_command, capsys, *BASE, *options)
    assert "pairs; increase pool" in fails(
        augment_command, capsys, *BASE, *options
    )  # labelled by now


def test_no_pair_is_labelled_twice(place, augment_command, monkeypatch, capsys):
    """Stopped while the third unit is labelled: two are kept, and the candidates."""
    labelled, sampled = [], []
    label, sample = silver.label_pairs, silver.sample_pairs

    def counted(teacher, table, pairs, *rest):
        if len(labelled) == 64:
            monkeypatch.setattr(silver, "label_pairs", going_on)
            raise KeyboardInterrupt
        labelled.extend(map(tuple, pairs.tolist()))
        return label(teacher, table, pairs, *rest)

    def going_on(teacher, table, pairs, *rest):
        labelled.extend(map(tuple, pairs.tolist()))
        return label(teacher, table, pairs, *rest)

    monkeypatch.setattr(silver, "label_pairs", counted)
    monkeypatch.setattr(
        silver, "sample_pairs", lambda *a, **o: sampled.append(1) or sample(*a, **o)
    )
    options = [*GOLD, "--strategy", "random", "--number", "150"]
    with pytest.raises(KeyboardInterrupt):
        mined(augment_command, *options)
    assert len(mined(augment_command, *options)) == 150
    assert len(labelled) == len(set(labelled)) == 150
    assert sampled == [1]
    assert "resuming after 3 units" in capsys.readouterr().out


def write_translations() -> list[str]:
    """Gold in French of 15 pairs whose translations are FIRST and SECOND -> its options."""
    for language in ("fr", "en"):
        pairs = zip(FIRST, SECOND, strict=True)
        lines = [f"{a}\t{b}\t{i / 14:.2f}" for i, (a, b) in enumerate(pairs)]
        if language == "fr":
            lines = [line.translate(FRENCH) for line in lines]
        write_texts(silver.Path(f"{language}.tsv"), ["sentence1\tsentence2\tscore", *lines])
    return ["--gold", "[{path: '{language}.tsv', languages: [fr]}]", "--teacher_language", "en"]


FRENCH = str.maketrans("aeiou", "eioua")  # another spelling of each sentence


def test_a_teacher_of_another_language_labels_the_translations(place, augment_command, capsys):
    """The file has the sentences, the scores are those of their translations."""
    rows = mined(augment_command, *write_translations(), "--strategy", "bm25", "--k", "2")
    english = {text.translate(FRENCH): text for text in TEXTS}
    pairs = [(english[row["sentence1"]], english[row["sentence2"]]) for row in rows]
    expected = CrossEncoder.from_pretrained("cross").predict(
        pairs, symmetric=True, precision="fp32"
    )
    np.testing.assert_allclose([row["score"] for row in rows], expected, atol=1e-6)
    assert "30 distinct sentences, labelled in en" in capsys.readouterr().out


def test_interrupted_while_it_labels_translations(place, augment_command, monkeypatch, capsys):
    options = [*write_translations(), "--strategy", "random", "--number", "150"]
    mined(augment_command, *options, name="whole.jsonl")
    label, labelled = silver.label_pairs, []

    def interrupted(*args):
        labelled.append(1)
        if len(labelled) == 3:
            raise KeyboardInterrupt
        return label(*args)

    monkeypatch.setattr(silver, "label_pairs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mined(augment_command, *options)
    english = (place / "en.tsv").read_text()
    # other translations are other labels
    (place / "en.tsv").write_text(english.replace(FIRST[0], f"{FIRST[0]} too", 1))
    assert "translations_hash" in fails(augment_command, capsys, *BASE, *options)
    (place / "en.tsv").write_text(english)
    mined(augment_command, *options)
    assert "resuming after 3 units" in capsys.readouterr().out
    assert (place / "x.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()


KILLED = """\
import json, os, random, signal, sys, time
sys.path[:0] = [{root!r}]
import augment, transformers.models.bert.modeling_bert
from sbert.augment import silver
silver.UNIT = 4

def start(output):
    # a process of its own, that need not import torch again
    child = os.fork()
    if not child:
        os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        augment.main([*{argv!r}, "--output", output])
        os._exit(0)
    return child

def units():
    state = "x.jsonl.part.json"
    return json.load(open(state))["units"] if os.path.exists(state) else 0

os.waitpid(start("whole.jsonl"), 0)
killed, moments = [], random.Random(0)
for least in sorted(moments.sample(range(1, {units}), 5)):
    child = start("x.jsonl")
    while units() < least and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    killed.append(units())
os.waitpid(start("x.jsonl"), 0)
print(*killed)
"""


def test_killed_at_random_moments_the_file_is_the_same(place):
    argv = [
        "silver",
        "--teacher",
        "cross",
        "--model",
        "tiny",
        *GOLD,
        "--strategy",
        "kde",
        "--pool",
        "300",
    ]
    (place / "script.py").write_text(KILLED.format(root=str(ROOT), argv=argv, units=60))
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    killed = [int(units) for units in done.stdout.split()]
    assert killed == sorted(killed), "a unit was lost"
    assert len(set(killed)) > 2
    said = (place / "log").read_text()
    assert [f"resuming after {units} units" in said for units in killed] == [True] * 5
    whole = (place / "whole.jsonl").read_bytes()
    assert len(whole.splitlines()) > 60
    assert (place / "x.jsonl").read_bytes() == whole, said
    assert not list(place.glob("*.part*"))


def test_tsv_refuses_a_text_that_it_cannot_hold(place, augment_command, capsys):
    rows = [{"sentence1": "a\tcat", "sentence2": "a dog", "score": 0.2}]
    (place / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = [*BASE[:-1], "x.tsv", "--gold", "[{path: gold.jsonl}]", "--strategy", "bm25"]
    assert "x.tsv: TSV cannot hold a text with a tab or a line break" in fails(
        augment_command, capsys, *argv
    )
