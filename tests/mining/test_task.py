"""Prompts, sizes and similarities in the tasks of mine.py, against loops in float64."""

import json

import numpy as np
import pytest
from mine_inputs import QUERIES, TEXTS, table, write_texts
from support import fails
from tiny_models import write_classifier

from sbert import BiEncoder

PROMPTS = {"query": "the cat ", "document": "a fast dog ", "topic": "red house "}
SIMILARITIES = {
    "cosine": lambda q, c: q @ c / (np.linalg.norm(q) * np.linalg.norm(c)),
    "dot": lambda q, c: q @ c,
    "euclidean": lambda q, c: -np.sqrt(((q - c) ** 2).sum()),
    "manhattan": lambda q, c: -np.abs(q - c).sum(),
}
NEIGHBOURS = ["neighbours", "--corpus.path", "c.txt", "--queries.path", "q.txt", "--k", "3"]
THEMSELVES = ["neighbours", "--corpus.path", "c.txt", "--k", "3"]
MODEL = ["--model", "prompted", "--precision", "fp32"]


@pytest.fixture
def place(tmp_path, tiny, monkeypatch):
    """A folder to stand in: texts, queries, and a model with prompts."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "c.txt", TEXTS)
    write_texts(tmp_path / "q.txt", QUERIES)
    np.save("c.npy", np.eye(5))
    tiny.declare_prompts(PROMPTS, None)
    tiny.save_pretrained("prompted")
    return tmp_path


@pytest.fixture
def embed(tiny):
    """Embeddings of texts after a prompt, float64."""
    return lambda texts, prompt, size=None: tiny.encode(
        [prompt + text for text in texts], precision="fp32", prompt=""
    )[:, :size].astype(np.float64)


@pytest.fixture
def refuses(capsys):
    """A command that must end with one line, which holds a message."""

    def check(command, argv, message):
        assert message in fails(command, capsys, *argv)

    return check


def nearest(queries, corpus, similarity="cosine", k=3, themselves=False):
    """For each query the ids of the k best texts, numbers from 1, and their scores."""
    found = []
    for i, query in enumerate(queries):
        scores = [
            (-SIMILARITIES[similarity](query, vector), j)
            for j, vector in enumerate(corpus)
            if not (themselves and i == j)
        ]
        found.append([(str(j + 1), -score) for score, j in sorted(scores)[:k]])
    return found


def check(path, expected):
    for row, best in zip(table(path), expected, strict=True):
        assert [found["id"] for found in row["neighbours"]] == [name for name, _ in best]
        scores = [found["score"] for found in row["neighbours"]]
        np.testing.assert_allclose(scores, [score for _, score in best], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "query", "document"),
    [
        ([], "query", "document"),
        (["--corpus.prompt", "topic"], "query", "topic"),
        (["--queries.prompt", ""], None, "document"),
        (["--prompts", '{"query": "red house "}'], "topic", None),
    ],
)
def test_queries_and_corpus_have_their_prompts(
    place, embed, mine_command, options, query, document
):
    mine_command(*NEIGHBOURS, *MODEL, *options, "--output", "x.jsonl")
    texts = [PROMPTS.get(name, "") for name in (query, document)]
    expected = nearest(embed(QUERIES, texts[0]), embed(TEXTS, texts[1]))
    check(place / "x.jsonl", expected)
    assert expected != nearest(embed(QUERIES, ""), embed(TEXTS, ""))


def test_the_default_prompt_elsewhere(place, embed, mine_command, capsys):
    mine_command(*THEMSELVES, *MODEL, "--output", "none.jsonl")
    vectors = embed(TEXTS, "")
    check(place / "none.jsonl", nearest(vectors, vectors, themselves=True))
    note = "note: c.txt: no prompt is used, and the model declares query, document, topic"
    assert note in capsys.readouterr().out
    options = ["--default_prompt_name", "topic"]
    mine_command(*THEMSELVES, *MODEL, *options, "--output", "topic.jsonl")
    vectors = embed(TEXTS, PROMPTS["topic"])
    check(place / "topic.jsonl", nearest(vectors, vectors, themselves=True))
    said = capsys.readouterr().out
    assert "c.txt: prompt 'red house '" in said
    assert "note" not in said


def test_negatives_have_the_prompts_of_queries_and_documents(place, embed, mine_command, capsys):
    write_texts(place / "rows.tsv", ["query\tpositive", f"{QUERIES[0]}\t{TEXTS[3]}"])
    argv = ["negatives", "--data.path", "rows.tsv", "--corpus.path", "c.txt", *MODEL]
    for number, (options, query, document) in enumerate(
        [
            ([], "query", "document"),
            (["--data.prompts", "[topic, query]"], "topic", "query"),
            (["--corpus.prompt", "topic"], "query", "topic"),
        ]
    ):
        mine_command(*argv, *options, "--output", f"{number}.jsonl")
        vectors = embed(TEXTS, PROMPTS[document])
        best = nearest(embed(QUERIES[:1], PROMPTS[query]), vectors, k=30)[0]
        (row,) = table(place / f"{number}.jsonl")
        left = [name for name, _ in best if name != "4"][:3]
        assert row["negatives"] == [TEXTS[int(name) - 1] for name in left]
        np.testing.assert_allclose(row["score"], dict(best)["4"], atol=1e-5)
    said = capsys.readouterr().out
    assert "queries: prompt 'the cat '\ncorpus: prompt 'a fast dog '\n" in said


def test_embeddings_of_another_prompt_are_not_reused(place, mine_command, capsys, refuses):
    kept = ["--corpus.embeddings", "kept.npy"]
    mine_command("embed", "--texts.path", "c.txt", *MODEL, "--output", "kept.npy")
    message = "kept.npy: was made with the prompt '', which is now 'a fast dog '; name another file"
    refuses(mine_command, [*NEIGHBOURS, *MODEL, *kept, "--output", "x.jsonl"], message)
    # as written before there were prompts
    facts = json.loads((place / "kept.npy.json").read_text())
    (place / "kept.npy.json").write_text(
        json.dumps({name: facts[name] for name in ("texts", "model", "precision")})
    )
    refuses(mine_command, [*NEIGHBOURS, *MODEL, *kept, "--output", "x.jsonl"], message)
    mine_command(*THEMSELVES, *MODEL, *kept, "--output", "none.jsonl")
    options = ["--texts.prompt", "document", "--overwrite"]
    mine_command("embed", "--texts.path", "c.txt", *MODEL, "--output", "kept.npy", *options)
    mine_command(*NEIGHBOURS, *MODEL, *kept, "--output", "x.jsonl")
    mine_command(*NEIGHBOURS, *MODEL, "--output", "y.jsonl")
    assert (place / "x.jsonl").read_bytes() == (place / "y.jsonl").read_bytes()


def test_a_run_of_another_prompt_is_not_resumed(place, mine_command, monkeypatch, refuses):
    monkeypatch.setattr("sbert.mining.neighbours.UNIT_QUERIES", 2)
    with monkeypatch.context() as patch:
        patch.setattr("sbert.mining.task.MiningTask.finish", lambda self: None)
        mine_command(*NEIGHBOURS, *MODEL, "--output", "x.jsonl")
    argv = [*NEIGHBOURS, *MODEL, "--queries.prompt", "topic", "--output", "x.jsonl"]
    refuses(mine_command, argv, "x.jsonl.part: was started with queries")


def test_truncated_embeddings(place, embed, mine_command, capsys, refuses):
    mine_command(*NEIGHBOURS, *MODEL, "--truncate_dim", 5, "--output", "x.jsonl")
    queries, corpus = embed(QUERIES, PROMPTS["query"], 5), embed(TEXTS, PROMPTS["document"], 5)
    check(place / "x.jsonl", nearest(queries, corpus))
    options = ["--truncate_dim", 5, "--texts.prompt", "document", "--output", "x.npy"]
    mine_command("embed", "--texts.path", "c.txt", *MODEL, *options)
    np.testing.assert_allclose(np.load("x.npy"), corpus, atol=1e-6)
    assert "30 embeddings of 5 numbers" in capsys.readouterr().out
    argv = [*NEIGHBOURS, *MODEL, "--corpus.embeddings", "x.npy", "--output", "y.jsonl"]
    refuses(mine_command, argv, "x.npy: has embeddings of 5 numbers, which are now 32")


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_declared_similarity(place, embed, tiny, mine_command, similarity, capsys):
    tiny.similarity_fn_name = similarity
    tiny.save_pretrained("declared")
    model = ["--model", "declared", "--precision", "fp32"]
    mine_command(*NEIGHBOURS, *model, "--output", "x.jsonl")
    queries, corpus = embed(QUERIES, PROMPTS["query"]), embed(TEXTS, PROMPTS["document"])
    check(place / "x.jsonl", nearest(queries, corpus, similarity))
    assert f"similarity: {similarity}\n" in capsys.readouterr().out
    write_texts(place / "rows.tsv", ["query\tpositive", f"{QUERIES[1]}\t{TEXTS[8]}"])
    argv = ["negatives", "--data.path", "rows.tsv", "--corpus.path", "c.txt", *model]
    mine_command(*argv, "--output", "n.jsonl")
    best = dict(nearest(queries[1:2], corpus, similarity, k=30)[0])
    (row,) = table(place / "n.jsonl")
    np.testing.assert_allclose(row["score"], best.pop("9"), atol=1e-5)
    np.testing.assert_allclose(row["scores"], list(best.values())[:3], atol=1e-5)
    mine_command("pairs", "--texts.path", "c.txt", *model, "--output", "p.jsonl")
    note = f"note: the model declares the similarity {similarity}; pairs are found by the cosine"
    assert (note in capsys.readouterr().out) == (similarity != "cosine")


def test_the_similarity_of_the_options(place, embed, mine_command):
    options = ["--similarity", "manhattan", "--output", "x.jsonl"]
    mine_command(*NEIGHBOURS, *MODEL, *options)
    queries, corpus = embed(QUERIES, PROMPTS["query"]), embed(TEXTS, PROMPTS["document"])
    check(place / "x.jsonl", nearest(queries, corpus, "manhattan"))


def test_silver_pairs_are_searched_with_prompt_and_similarity(
    place, embed, mine_command, augment_command, tiny
):
    tiny.declare_prompts(PROMPTS, "topic")
    tiny.similarity_fn_name = "manhattan"
    tiny.save_pretrained("declared")
    write_classifier(place / "cross")
    argv = ["silver", "--texts.path", "c.txt", "--teacher", "cross", "--precision", "fp32"]
    argv += ["--model", "declared", "--k", 2]
    for name, prompt in (("topic", None), ("query", "query")):
        options = ["--texts.prompt", prompt] if prompt else []
        augment_command(*argv, *options, "--output", f"{name}.tsv")
        vectors = embed(TEXTS, PROMPTS[name])
        found = nearest(vectors, vectors, "manhattan", 2, themselves=True)
        expected = {frozenset([i, int(j) - 1]) for i, best in enumerate(found) for j, _ in best}
        rows = table(place / f"{name}.tsv")
        sides = [[TEXTS.index(row[side]) for row in rows] for side in ("sentence1", "sentence2")]
        assert set(map(frozenset, zip(*sides, strict=True))) == expected


OUTPUT = ["--output", "x.jsonl"]
EMBEDDED = ["neighbours", "--corpus.path", "c.npy", *OUTPUT]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            [*NEIGHBOURS, *MODEL, *OUTPUT, "--corpus.prompt", "web"],
            "c.txt: prompt: no prompt 'web'; the model declares: query, document, topic",
        ),
        (
            [*NEIGHBOURS, *MODEL, *OUTPUT, "--default_prompt_name", "web"],
            "default_prompt_name: no prompt 'web'; the model declares: query, document, topic",
        ),
        (
            [*NEIGHBOURS, *MODEL, *OUTPUT, "--truncate_dim", "33"],
            "truncate_dim 33: the model's embeddings have 1 to 32 numbers",
        ),
        (
            [*EMBEDDED, "--prompts", '{"query": "x"}'],
            "prompts: is for the model that embeds; name the model, or leave prompts out",
        ),
        ([*EMBEDDED, "--truncate_dim", "2"], "truncate_dim: is for the model that embeds"),
        ([*EMBEDDED, "--default_prompt_name", "x"], "default_prompt_name: is for the model that"),
        (
            [*EMBEDDED, "--corpus.prompt", "query"],
            "c.npy: has embeddings; prompt 'query' is for texts, leave it out",
        ),
        (
            [*EMBEDDED, *MODEL, "--truncate_dim", "1"],
            "c.npy: has embeddings of 5 numbers; truncate_dim 1 is for texts that are embedded",
        ),
        ([*EMBEDDED, "--similarity", "angular"], "mine.py neighbours: error: "),
        (
            ["rank", "--model", "x", "--query", "a", "--documents.path", "c.txt"]
            + ["--documents.prompt", "query"],
            "documents.prompt: a cross-encoder takes no prompts; leave it out",
        ),
        (
            ["rank", "--model", "x", "--query", "a", "--documents.path", "c.txt"]
            + ["--documents.embeddings", "c.npy"],
            "documents.embeddings: a cross-encoder reads texts; leave it out",
        ),
        (
            ["rank", "--model", "x", "--query", "a", "--documents.path", "c.npy"],
            "c.npy: has embeddings; a cross-encoder reads texts",
        ),
        (
            [*EMBEDDED, "--corpus.embeddings", "kept.npy"],
            "c.npy: has embeddings alone; leave embeddings kept.npy out",
        ),
        ([*EMBEDDED, "--corpus.id", "key"], "c.npy: has embeddings alone; leave id key out"),
        ([*EMBEDDED, "--corpus.id", "text"], "c.npy: has embeddings alone; leave id text out"),
        (
            [*NEIGHBOURS, *MODEL, *OUTPUT, "--corpus.column", "[title, body]"],
            "c.txt: has one text a line, and no columns; leave column ['title', 'body'] out",
        ),
    ],
)
def test_bad_options(place, mine_command, argv, message, refuses):
    refuses(mine_command, argv, message)
    assert not (place / "x.jsonl").exists()


def test_a_prompt_of_texts_that_nothing_embeds(place, augment_command, refuses):
    argv = ["silver", "--texts.path", "c.txt", "--texts.prompt", "query", "--teacher", "cross"]
    write_classifier(place / "cross")
    message = "texts.prompt: strategy bm25 embeds no texts"
    refuses(augment_command, [*argv, "--strategy", "bm25", "--output", "x.tsv"], message)


def test_a_saved_model_keeps_what_the_tests_declare(place):
    assert BiEncoder.from_pretrained("prompted").prompts == PROMPTS
