"""The tasks of mine.py: results equal plain loops over the model's embeddings."""

import json

import numpy as np
import pytest
from mine_inputs import QUERIES, TEXTS, close, plain_communities, table, write_texts
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset


def unit(vectors):
    """Scaled to length 1, as fp32."""
    vectors = np.asarray(vectors, np.float64)
    return (
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        .astype(np.float32)
        .astype(np.float64)
    )


def nearest(queries, corpus, k, skip=lambda i: ()):
    """A loop: (score, place) of the k best of each query, of equal ones the first."""
    products = (unit(queries) @ unit(corpus).T).astype(np.float32).tolist()
    found = [
        sorted((-s, j) for j, s in enumerate(row) if j not in skip(i))[:k]
        for i, row in enumerate(products)
    ]
    return [[(round(-score, 6), j) for score, j in row] for row in found]


@pytest.fixture
def made(tmp_path, tiny_folder):
    """Texts and queries in files, and the model's options."""
    write_texts(tmp_path / "corpus.txt", TEXTS)
    write_texts(tmp_path / "queries.txt", QUERIES)
    return tmp_path, ["--model", tiny_folder, "--precision", "fp32"]


@pytest.fixture
def vectors(tiny):
    return tiny.encode(TEXTS, precision="fp32"), tiny.encode(QUERIES, precision="fp32")


def test_embed(made, mine_command, vectors, capsys):
    folder, model = made
    mine_command(
        "embed", "--texts.path", folder / "corpus.txt", *model, "--output", folder / "x.npy"
    )
    np.testing.assert_array_equal(np.load(folder / "x.npy"), vectors[0])
    assert "30 embeddings of 32 numbers" in capsys.readouterr().out
    assert json.loads((folder / "x.npy.json").read_text())["precision"] == "torch.float32"


def test_neighbours_of_queries(made, mine_command, vectors):
    folder, model = made
    argv = [
        "neighbours",
        "--corpus.path",
        folder / "corpus.txt",
        "--queries.path",
        folder / "queries.txt",
        *model,
        "--k",
        4,
    ]
    expected = nearest(vectors[1], vectors[0], 4)
    mine_command(*argv, "--output", folder / "x.jsonl")
    for i, (row, best) in enumerate(zip(table(folder / "x.jsonl"), expected, strict=True)):
        assert (row["id_query"], row["text_query"]) == (str(i + 1), QUERIES[i])
        cells = [
            {"rank": r, "score": s, "id": str(j + 1), "text": TEXTS[j]}
            for r, (s, j) in enumerate(best, 1)
        ]
        close(row["neighbours"], cells)
    mine_command(*argv, "--output", folder / "x.tsv")
    flat = [
        (QUERIES[i], str(r), TEXTS[j])
        for i, best in enumerate(expected)
        for r, (_, j) in enumerate(best, 1)
    ]
    assert [
        (row["text_query"], row["rank"], row["text"]) for row in table(folder / "x.tsv")
    ] == flat


@pytest.mark.parametrize("k", [3, 29, 50])
def test_no_text_is_its_own_neighbour(made, mine_command, vectors, k):
    folder, model = made
    mine_command(
        "neighbours",
        "--corpus.path",
        folder / "corpus.txt",
        *model,
        "--k",
        k,
        "--output",
        folder / "x.jsonl",
    )
    expected = nearest(vectors[0], vectors[0], k, lambda i: {i})
    found = [
        [int(cell["id"]) - 1 for cell in row["neighbours"]] for row in table(folder / "x.jsonl")
    ]
    assert found == [[j for _, j in best] for best in expected]
    assert {len(row) for row in found} == {min(k, 29)}  # k beyond the corpus: fewer


def test_embeddings_need_no_model(made, mine_command, vectors, capsys):
    folder, _ = made
    np.save(folder / "c.npy", vectors[0])
    np.save(folder / "q.npy", vectors[1])
    argv = [
        "--corpus.path",
        folder / "c.npy",
        "--queries.path",
        folder / "q.npy",
        "--k",
        2,
        "--similarity",
        "dot",
    ]
    mine_command("neighbours", *argv, "--output", folder / "x.jsonl")
    products = vectors[1].astype(np.float64) @ vectors[0].astype(np.float64).T
    for i, row in enumerate(table(folder / "x.jsonl")):
        best = sorted(range(30), key=lambda j: -products[i, j])[:2]
        expected = [
            {"rank": r, "score": products[i, j], "id": str(j)} for r, j in enumerate(best, 1)
        ]
        assert row["id_query"] == str(i)
        close(row["neighbours"], expected)
    assert "c.npy: 30 embeddings" in capsys.readouterr().out


def plain_pairs(vectors):
    products = (unit(vectors) @ unit(vectors).T).astype(np.float32)
    n = len(vectors)
    return sorted((-products[i, j].item(), i, j) for i in range(n) for j in range(i + 1, n))


@pytest.mark.parametrize(
    ("threshold", "limit"), [(None, 500), (0.9, 500), (0.9, 7), (None, 1), (1.0, 5)]
)
@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_pairs(made, mine_command, vectors, threshold, limit, ending, capsys):
    folder, model = made
    options = ["--limit", limit] + (["--threshold", threshold] if threshold else [])
    mine_command(
        "pairs",
        "--texts.path",
        folder / "corpus.txt",
        *model,
        *options,
        "--output",
        folder / f"x.{ending}",
    )
    best = [pair for pair in plain_pairs(vectors[0]) if threshold is None or -pair[0] >= threshold][
        :limit
    ]
    rows = [dict(row, score=float(row["score"])) for row in table(folder / f"x.{ending}")]
    close(
        rows,
        [
            {
                "sentence1": TEXTS[i],
                "sentence2": TEXTS[j],
                "score": -score,
                "id1": str(i + 1),
                "id2": str(j + 1),
            }
            for score, i, j in best
        ],
    )
    said = capsys.readouterr().out
    assert f"{len(best)} pairs of 30 texts" in said
    assert ("limit is reached" in said) == (len(best) == limit)
    if best:  # a training set of silver pairs
        assert read_dataset(DatasetConfig(str(folder / f"x.{ending}"), range=(-1, 1))).task == "sts"


@pytest.mark.parametrize(("threshold", "least"), [(0.95, 2), (0.97, 4), (0.98, 1), (0.999, 9)])
def test_clusters(made, mine_command, vectors, threshold, least):
    folder, model = made
    argv = ["clusters", "--texts.path", folder / "corpus.txt", *model, "--threshold", threshold]
    argv += ["--min_community_size", least]
    products = (unit(vectors[0]) @ unit(vectors[0]).T).astype(np.float32).tolist()
    groups = plain_communities(products, threshold, least)
    assert (len(groups) > 1) == (least < 9)
    mine_command(*argv, "--output", folder / "x.jsonl")
    assert table(folder / "x.jsonl") == [
        {
            "cluster": c,
            "size": len(g),
            "ids": [str(i + 1) for i in g],
            "texts": [TEXTS[i] for i in g],
        }
        for c, g in enumerate(groups, 1)
    ]
    mine_command(*argv, "--output", folder / "x.tsv")
    assert table(folder / "x.tsv") == [
        {"cluster": str(c), "place": str(p), "id": str(i + 1), "text": TEXTS[i]}
        for c, g in enumerate(groups, 1)
        for p, i in enumerate(g, 1)
    ]


@pytest.fixture
def asked(made):
    """Rows of queries and positives: one query has two, one is itself a text of the corpus."""
    folder, model = made
    rows = [(QUERIES[0], 3), (QUERIES[1], 7), (QUERIES[0], 11), (TEXTS[5], 20)]
    content = "".join(f"{query}\t{TEXTS[place]}\n" for query, place in rows)
    (folder / "rows.tsv").write_text("query\tpositive\n" + content, "utf-8")
    answers = {QUERIES[0]: [3, 11], QUERIES[1]: [7], TEXTS[5]: [20]}
    return [
        "negatives",
        "--data.path",
        folder / "rows.tsv",
        "--corpus.path",
        folder / "corpus.txt",
        *model,
    ], answers


def plain_negatives(answers, score, rank, count, allowed):
    """For each query and positive: the best negatives of the candidates in the order of `rank`."""
    rows = []
    for query, places in answers.items():
        lowest = min(score(query, place) for place in places)
        left = [j for j in rank(query) if j not in places and TEXTS[j] != query]
        left = [j for j in left[: allowed[0]] if score(query, j) <= allowed[1](lowest)]
        best = sorted(left, key=lambda j: -score(query, j))[:count]
        rows += [(query, place, best) for place in places if best]
    return rows


def check_negatives(found, expected, score):
    assert len(found) == len(expected)
    for row, (query, place, best) in zip(found, expected, strict=True):
        assert (row["query"], row["positive"]) == (query, TEXTS[place])
        assert row["negatives"] == [TEXTS[j] for j in best]
        np.testing.assert_allclose(row["score"], score(query, place), atol=2e-6)
        np.testing.assert_allclose(row["scores"], [score(query, j) for j in best], atol=2e-6)
        np.testing.assert_allclose(
            row["margins"], np.subtract(row["score"], row["scores"]), atol=2e-6
        )


def cosine_of(tiny):
    vectors, cache = unit(tiny.encode(TEXTS, precision="fp32")), {}

    def score(query, place):
        if query not in cache:
            cache[query] = vectors @ unit(tiny.encode([query], precision="fp32"))[0]
        return cache[query][place]

    return score


def test_negatives_with_a_margin_and_several_positives(asked, made, mine_command, tiny, capsys):
    (argv, answers), (folder, _) = asked, made
    score = cosine_of(tiny)
    options = ["--negatives.num_negatives", 4, "--negatives.absolute_margin", 0.05]
    mine_command(*argv, *options, "--output", folder / "x.jsonl")
    rank = lambda query: sorted(range(30), key=lambda j: -score(query, j))  # noqa: E731
    expected = plain_negatives(answers, score, rank, 4, (30, lambda lowest: lowest - 0.05))
    assert {len(best) for _, _, best in expected} - {0}
    check_negatives(table(folder / "x.jsonl"), expected, score)
    count = sum(len(best) for query, place, best in expected if place == answers[query][0])
    assert f"{count} negatives for 3 queries among 30 texts" in capsys.readouterr().out


def test_a_cross_encoder_decides(asked, made, mine_command, tiny, tmp_path):
    (argv, answers), (folder, _) = asked, made
    cross, cosine = (
        CrossEncoder.from_pretrained(write_classifier(tmp_path / "cross")),
        cosine_of(tiny),
    )
    score = lambda query, place: float(cross.predict([(query, TEXTS[place])], precision="fp32")[0])  # noqa: E731
    options = [
        "--negatives.num_negatives",
        3,
        "--negatives.range_max",
        12,
        "--negatives.relative_margin",
        0.1,
    ]
    mine_command(
        *argv, *options, "--cross_encoder", tmp_path / "cross", "--output", folder / "x.jsonl"
    )
    rank = lambda query: sorted(range(30), key=lambda j: -cosine(query, j))  # noqa: E731
    expected = plain_negatives(answers, score, rank, 3, (12, lambda lowest: lowest * 0.9))
    plain = plain_negatives(answers, cosine, rank, 3, (12, lambda lowest: lowest * 0.9))
    assert expected != plain
    assert len(expected) > 1
    check_negatives(table(folder / "x.jsonl"), expected, score)


def test_train_py_reads_the_negatives(asked, made, mine_command):
    (argv, _), (folder, _) = asked, made
    for name in ("x.jsonl", "x.tsv"):
        mine_command(*argv, "--negatives.num_negatives", 2, "--output", folder / name)
    found = table(folder / "x.jsonl")
    lists = read_dataset(DatasetConfig(str(folder / "x.jsonl"), task="triplet"))
    assert lists.texts == [[row[name] for row in found] for name in ("query", "positive")] + [
        [row["negatives"][i] for row in found] for i in range(2)
    ]
    assert lists.labels is None
    margins = read_dataset(
        DatasetConfig(str(folder / "x.jsonl"), task="triplet", label="margins")
    ).labels
    np.testing.assert_allclose(margins, [row["margins"] for row in found], atol=1e-6)
    flat = read_dataset(DatasetConfig(str(folder / "x.tsv"), task="triplet", label="margin"))
    assert flat.texts[2] == [text for row in found for text in row["negatives"]]
    np.testing.assert_allclose(flat.labels[:, 0], margins.ravel(), atol=1e-6)


def test_embeddings_of_the_corpus_are_kept(asked, made, mine_command, monkeypatch):
    (argv, _), (folder, _) = asked, made
    mine_command(*argv, "--output", folder / "plain.jsonl")
    encode, embedded = BiEncoder.encode, []
    monkeypatch.setattr(
        BiEncoder,
        "encode",
        lambda self, texts, **o: embedded.append(len(texts)) or encode(self, texts, **o),
    )
    for name in ("x.jsonl", "y.jsonl"):
        mine_command(*argv, "--embeddings", folder / "kept.npy", "--output", folder / name)
        assert (folder / name).read_bytes() == (folder / "plain.jsonl").read_bytes()
    assert embedded == [3, 30, 3]


def test_a_first_unit_without_rows_costs_no_header(made, mine_command, monkeypatch, tiny):
    folder, model = made
    monkeypatch.setattr("sbert.mining.negatives.UNIT_QUERIES", 1)
    score = cosine_of(tiny)
    (folder / "rows.tsv").write_text(
        f"query\tpositive\n{TEXTS[5]}\t{TEXTS[20]}\n{QUERIES[1]}\t{TEXTS[7]}\n", "utf-8"
    )
    nearest = [
        max(score(TEXTS[5], j) for j in range(30) if j not in (5, 20)),
        max(score(QUERIES[1], j) for j in range(30) if j != 7),
    ]
    assert nearest[0] > nearest[1] + 1e-3
    argv = [
        "negatives",
        "--data.path",
        folder / "rows.tsv",
        "--corpus.path",
        folder / "corpus.txt",
        *model,
    ]
    options = [
        "--negatives.num_negatives",
        1,
        "--negatives.range_max",
        1,
        "--negatives.max_score",
        sum(nearest) / 2,
    ]
    mine_command(*argv, *options, "--output", folder / "x.tsv")
    (row,) = table(folder / "x.tsv")
    assert list(row) == ["query", "positive", "negative", "margin"]
    assert (row["query"], row["positive"]) == (QUERIES[1], TEXTS[7])
