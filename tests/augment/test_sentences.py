"""The sentences that are paired, and their translations for a teacher of another language."""

from pathlib import Path

import pytest

from sbert.augment.config import SilverConfig
from sbert.augment.pool import SentencePool
from sbert.augment.sentences import read_translations
from sbert.data.config import CollectionConfig, DatasetConfig
from sbert.errors import InputError

ROWS = {
    "fr": ["un chat\tun chien\t0.2", "une maison\tUn  chat\t0.4", "il dort\tun chien\t0.6"],
    "en": ["a cat\ta dog\t0.2", "a house\tone cat\t0.4", "he sleeps\tthe dog\t0.6"],
}


@pytest.fixture
def aligned(tmp_path, monkeypatch):
    """Writes a file of pairs for each language."""
    monkeypatch.chdir(tmp_path)

    def write(rows=ROWS) -> None:
        for language, lines in rows.items():
            head = "\t".join(["sentence1", "sentence2", "score"][: lines[0].count("\t") + 1])
            Path(f"{language}.tsv").write_text("\n".join([head, *lines]) + "\n", "utf-8")

    write()
    return write


def config(language="en", gold=None, **options) -> SilverConfig:
    gold = DatasetConfig("{language}.tsv", languages=["fr"], **(gold or {}))
    return SilverConfig(
        output="x.jsonl",
        teacher="cross",
        strategy="bm25",
        gold=[gold],
        teacher_language=language,
        **options,
    )


def test_the_rows_in_the_language_of_the_teacher(aligned):
    assert read_translations(config(None)) is None
    assert read_translations(config("fr"))[0] == ["un chat", "une maison", "il dort"]
    first, second = read_translations(config())
    assert first == ["a cat", "a house", "he sleeps"]
    assert second == ["a dog", "one cat", "the dog"]
    one = read_translations(config(gold={"limit": 1, "limit_seed": 1}))
    of_rows = {tuple(line.split("\t")[:2]) for line in ROWS["en"]}
    assert len(one[0]) == 1
    assert (one[0][0], one[1][0]) in of_rows


def test_a_fold_of_the_rows(aligned):
    every = {"folds": 3, "fold": 1, "group": "row"}
    rest, fold = (read_translations(config(gold=every | {"part": p})) for p in ("rest", "fold"))
    assert (len(rest[0]), len(fold[0])) == (2, 1)
    assert sorted(rest[0] + fold[0]) == ["a cat", "a house", "he sleeps"]


def test_of_crossed_rows_both_texts_are_translated(aligned):
    options = config()
    options.gold = [DatasetConfig("{language}.tsv", languages=["fr", "en"], crossing="only")]
    assert read_translations(options)[0] == ["a cat"] * 2 + ["a house"] * 2 + ["he sleeps"] * 2


def test_of_each_of_the_positives_of_a_line_its_own_translation(aligned):
    for language, positives in (("fr", '["un chat", "un chien"]'), ("en", '["a cat", "a dog"]')):
        line = f'{{"query": "q", "pos": {positives}}}\n'
        Path(f"{language}.jsonl").write_text(line * 2, "utf-8")
    unlabelled = DatasetConfig("{language}.jsonl", languages=["fr"])
    assert read_translations(config(unlabelled=unlabelled))[1] == ["a cat", "a dog"] * 2


def test_translations_of_texts_with_line_breaks(aligned):
    rows = {"fr": '"un\nchat",un chien\nb,c\nd,e', "en": "a cat,a dog\nB,C\nD,E"}
    for language, lines in rows.items():
        Path(f"{language}.csv").write_text(f"sentence1,sentence2\n{lines}\n", "utf-8")
    unlabelled = DatasetConfig("{language}.csv", languages=["fr"])
    first, second = read_translations(config(unlabelled=unlabelled))
    assert (first, second) == (["a cat", "B", "D"], ["a dog", "C", "E"])


def test_of_a_sentence_with_several_translations_the_first_is_used():
    texts = ["un chat", "un chien", "une maison", "Un  chat"]
    pool = SentencePool.from_texts(texts)
    assert pool.teacher_texts == texts[:3]
    translated = pool.with_translations(texts, ["a cat", "a dog", "a house", "one cat"])
    assert translated.sentences == texts[:3]
    assert translated.teacher_texts == ["a cat", "a dog", "a house"]
    # without a held-out sentence the others keep their translations
    fewer = SentencePool.from_texts(texts[1:3])
    translated = fewer.with_translations(texts, ["a cat", "a dog", "a house", "one cat"])
    assert translated.teacher_texts == ["a dog", "a house"]


def test_an_unlabelled_target_is_translated(aligned):
    target = {"en": ["a bird\ta fish"], "fr": ["un oiseau\tun poisson"]}
    aligned(target)
    options = config(unlabelled=DatasetConfig("{language}.tsv", languages=["fr"]))
    options.gold = []
    assert read_translations(options) == [["a bird"], ["a fish"]]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            {"en": [*ROWS["en"][:2], "he sleeps\tthe dog\t0.7"]},
            {},
            "en.tsv, line 4: the labels",
        ),
        ({"en": ROWS["en"][:2]}, {}, "en.tsv: 3 and 2 rows; from line 4 of"),
        ({}, {"language": "de"}, "no file for the language 'de'; there are files for en, fr"),
        (
            {"en": [ROWS["en"][0], "a house\t\t0.4", ROWS["en"][2]]},
            {"gold": {"skip_empty": True}},
            "fr.tsv, line 3: has no translation in en; remove the line",
        ),
        (
            {},
            {"unlabelled": DatasetConfig("fr.tsv")},
            "dataset fr.tsv: where are its translations in en, which the teacher reads? Write "
            "{language} in path, as in ",
        ),
        (
            {},
            {"texts": CollectionConfig("pool.txt")},
            "the teacher reads en, and texts have no translations; give pairs as gold or",
        ),
    ],
)
def test_bad_input(aligned, rows, options, message):
    aligned(rows)
    with pytest.raises(InputError) as caught:
        read_translations(config(**options))
    assert message in str(caught.value)
