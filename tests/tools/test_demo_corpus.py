"""The built-in corpus: its labels, its balance, the shipped files, and that word overlap does not
solve it."""

import gzip
import os
import re
import subprocess
import sys
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from sbert.data.collection import read_collection
from sbert.data.config import CollectionConfig, DatasetConfig
from sbert.data.origin import BUILT_IN, named_folder
from sbert.data.rows import read_dataset
from tools import demo_corpus

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def corpus():
    return demo_corpus.generate(0)


@pytest.fixture(scope="module")
def pairs():
    return list(demo_corpus.generate_pairs(0))


def bag_of_words_cosine(one: str, other: str) -> float:
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (one, other))
    return sum(a[w] * b[w] for w in a) / (
        np.linalg.norm(list(a.values())) * np.linalg.norm(list(b.values()))
    )


def spearman_with_labels(rows, cosines) -> float:
    return 100 * float(spearmanr([row.score for row in rows], cosines).statistic)


def all_rows(corpus):
    return [row for rows in corpus.values() for row in rows]


def test_sizes_and_balance(corpus):
    assert {split: len(rows) for split, rows in corpus.items()} == {
        "train": 1400,
        "dev": 300,
        "test": 300,
    }
    for rows in corpus.values():
        fifth = len(rows) // 5
        assert Counter(row.score for row in rows) == dict.fromkeys(
            (0.0, 0.25, 0.5, 0.75, 1.0), fifth
        )
        sources = Counter(row.source for row in rows)
        assert (
            sources["topic"]
            == sources["country"]
            == sources["region"]
            == sources["general topic"]
            == fifth // 2
        )


def test_splits_are_shuffled(corpus):
    for rows in corpus.values():
        assert len({row.score for row in rows[:30]}) == 5


def test_the_seed_alone_decides(corpus):
    assert demo_corpus.generate(0) == corpus
    other = demo_corpus.generate(1)
    assert not set(other["test"]) & set(corpus["test"])


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_command_writes_the_same_bytes_in_every_process(tmp_path, corpus, hash_seed):
    command = [sys.executable, "tools/demo_corpus.py", str(tmp_path / "command"), "--seed", "0"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert str(tmp_path / "command") in done.stdout.splitlines()[-1]
    demo_corpus.write_corpus(tmp_path / "function", seed=0)
    for split in corpus:
        written = [
            (tmp_path / way / f"{split}.tsv.gz").read_bytes() for way in ("command", "function")
        ]
        assert written[0] == written[1]
        assert written[0][4:8] == bytes(4), "the gzip header holds a time"


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a corpus, decompressed: other versions of zlib may compress to other bytes."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        name: gzip.decompress(data) if name.endswith(".gz") else data
        for name, data in files.items()
    }


def test_the_generator_makes_the_shipped_corpus(tmp_path, corpus):
    demo_corpus.write_corpus(tmp_path / "new" / "folder", seed=0)
    files = contents(tmp_path / "new" / "folder")
    assert files == contents(BUILT_IN)
    for split, rows in corpus.items():
        text = files[f"{split}.tsv.gz"].decode("utf-8")
        header, *lines = text.removesuffix("\n").split("\n")
        assert header == "sentence1\tsentence2\tscore\tsource"
        fields = [line.split("\t") for line in lines]
        assert rows == [
            demo_corpus.Pair(a, b, float(score), source) for a, b, score, source in fields
        ]
    candidates = files["candidates.txt"].decode("utf-8")
    assert candidates == "".join(f"{pair.sentence2}\n" for pair in corpus["test"])


def test_demo_names_the_shipped_corpus_unless_the_data_folder_has_one(
    tmp_path, monkeypatch, corpus
):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    rows = read_dataset(DatasetConfig("demo", split="dev"))
    assert rows.texts == [[row[side] for row in corpus["dev"]] for side in (0, 1)]
    assert rows.files == [str(BUILT_IN / "dev.tsv.gz")]
    source = CollectionConfig("demo", split="dev", column="sentence1")
    assert read_collection(source).texts == rows.texts[0]
    (tmp_path / "demo").mkdir()
    assert named_folder("demo") == tmp_path / "demo"
    assert named_folder("stsb") == tmp_path / "stsb"


def test_an_ordinary_installation_has_the_shipped_corpus():
    options = ConfigParser()
    options.read(ROOT / "setup.cfg")
    assert options["options.package_data"]["sbert.data"] == "demo/*"


def names_of(country):
    return {country.name, country.demonym, country.capital, country.city}


def country_in(headline: str):
    """The one country that a headline names, read from its text."""
    found = [
        c
        for c in demo_corpus.COUNTRIES
        if any(re.search(rf"\b{re.escape(n)}\b", headline) for n in names_of(c))
    ]
    assert len(found) == 1, headline
    return found[0]


def test_labels_follow_the_rubric(pairs):
    """From the fields of the events and the countries in the text, without the module's code."""
    for _, first, second, pair in pairs:
        one, other = country_in(pair.sentence1), country_in(pair.sentence2)
        assert (one, other) == (first.country, second.country)
        topic, country = first.subtopic.topic == second.subtopic.topic, one == other
        if first == second:
            expected = (1.0, "same event")
        elif topic and country:
            expected = (0.75, "topic and country")
        elif topic or country:
            expected = (0.5, "topic" if topic else "country")
        elif first.subtopic.general_topic == second.subtopic.general_topic:
            expected = (0.25, "general topic")
        else:
            expected = (0.25, "region") if one.region == other.region else (0.0, "unrelated")
        assert (pair.score, pair.source) == expected, pair


def test_headlines_show_their_event(pairs):
    """A headline holds its detail. Two events of one topic in one country differ in subtopic or
    detail."""
    for _, first, second, pair in pairs:
        for event, headline in ((first, pair.sentence1), (second, pair.sentence2)):
            assert any(wording.lower() in headline.lower() for wording in event.detail), headline
        if pair.score == 0.75:
            assert (first.subtopic, first.detail) != (second.subtopic, second.detail)


def test_two_headlines_of_one_event_share_few_words(pairs):
    for _, _, _, pair in pairs:
        if pair.score == 1.0:
            assert bag_of_words_cosine(pair.sentence1, pair.sentence2) < 0.6, pair


def test_no_headline_and_no_event_is_repeated(corpus, pairs):
    headlines = [headline for row in all_rows(corpus) for headline in row[:2]]
    assert len(set(headlines)) == len(headlines) == 4000
    events = [event for _, first, second, _ in pairs for event in {first, second}]
    assert len(set(events)) == len(events) == 3600


def test_headlines_are_well_formed(corpus):
    for row in all_rows(corpus):
        for headline in row[:2]:
            assert 6 <= len(headline.split()) <= 16, headline
            assert headline == " ".join(headline.split())
            assert not re.search(r"[{}|/=\t]", headline), headline
            assert headline[0].isupper(), headline
            assert not re.search(r"\b[Aa] [aeioAEIO]|\b[Aa]n [^aeiouAEIOU]", headline), headline
            assert not re.search(r"\b(\w+) \1\b", headline), headline


def test_grammar_is_complete():
    assert len({c.name for c in demo_corpus.COUNTRIES}) == 21
    assert len({name for c in demo_corpus.COUNTRIES for name in names_of(c)}) == 4 * 21
    assert set(Counter(s.topic for s in demo_corpus.SUBTOPICS).values()) == {2}
    for subtopic in demo_corpus.SUBTOPICS:
        assert len(subtopic.templates) == 3
        assert len(subtopic.details) >= 2
        assert all(len(detail) == 2 for detail in subtopic.details), subtopic.details
        for template in subtopic.templates:
            assert ("{adj}" in template) + ("{place}" in template) == 1, template
            assert "{what}" in template


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_word_overlap_does_not_predict_the_label(seed):
    rows = demo_corpus.generate(seed)["test"]
    overlap = [bag_of_words_cosine(row.sentence1, row.sentence2) for row in rows]
    assert abs(spearman_with_labels(rows, overlap)) < 25  # measured: -6.8, 10.4, 2.0


def untrained_cosines(rows) -> np.ndarray:
    """Cosines of the mean token vectors of all-MiniLM-L6-v2, not trained on the corpus."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModel.from_pretrained(MODEL).eval()

    def embed(texts):
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        mask = tokens["attention_mask"].unsqueeze(-1)
        with torch.no_grad():
            return (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)

    first, second, *_ = zip(*rows, strict=True)
    return torch.cosine_similarity(embed(list(first)), embed(list(second))).numpy()


@pytest.mark.real
@pytest.mark.skipif(not MODEL.is_dir(), reason=f"{MODEL} is absent: make fetches it")
def test_a_sentence_encoder_does_better_than_word_overlap_and_leaves_room(corpus):
    rows = corpus["test"]
    overlap = spearman_with_labels(
        rows, [bag_of_words_cosine(row.sentence1, row.sentence2) for row in rows]
    )
    untrained = spearman_with_labels(rows, untrained_cosines(rows))
    assert untrained > overlap + 10
    assert untrained < 85  # measured: 79.6
