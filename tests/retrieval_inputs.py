"""Shared by the tests of retrieval: a small folder in both layouts, and the metrics written out."""

import gzip
import json
import math

import numpy as np
import pytrec_eval

CORPUS = {
    "d1": "a cat sits",
    "d2": "the dog runs",
    "d3": "a red house",
    "d4": "",
    "d5": "a man eats",
}
QUERIES = {"q1": "a cat", "q2": "the dog", "q3": "a woman", "q4": "a house", "q5": "the park"}
QRELS = [
    ("q1", "d1", 2),
    ("q1", "d5", 0),
    ("q2", "d3", 1),
    ("q2", "d2", 3),
    ("q3", "d1", 0),
    ("q4", "d3", 1),
]
KEPT = ["q1", "q2", "q4"]  # q3 has no relevant document, q5 no judgement


def tsv(header, rows):
    return "\n".join("\t".join(map(str, row)) for row in [header.split(), *rows]) + "\n"


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_file(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def write_project_layout(folder, split="test", end=".tsv.gz"):
    """The layout of this project."""
    tail = f"_{split}" if split else ""
    write_file(folder / f"corpus{end}", tsv("id text", CORPUS.items()))
    write_file(folder / f"queries{tail}{end}", tsv("id text", QUERIES.items()))
    write_file(folder / f"qrels{tail}{end}", tsv("query_id doc_id relevance", QRELS))
    return folder


def write_beir_layout(folder, split="test", end=".jsonl"):
    """The layout of BEIR; "d1" is split into a title and a text, "d3" is a title alone."""
    parts = {"d1": ("a", "cat sits"), "d3": ("a red house", "")}
    documents = [(name, *parts.get(name, ("", text))) for name, text in CORPUS.items()]
    write_file(
        folder / f"corpus{end}",
        jsonl({"_id": n, "title": title, "text": text} for n, title, text in documents),
    )
    write_file(
        folder / f"queries{end}",
        jsonl({"_id": n, "text": text, "metadata": {}} for n, text in QUERIES.items()),
    )
    write_file(folder / f"qrels/{split}.tsv", tsv("query-id corpus-id score", QRELS))
    return folder


def metrics_by_loop(found, query, document, relevance):
    """The definitions, query by query; the mean over those with a relevant document."""
    judged = {}
    for q, d, r in zip(query, document, relevance, strict=True):
        judged.setdefault(int(q), {})[int(d)] = float(r)
    values = []
    for q, of_query in judged.items():
        total = sum(r > 0 for r in of_query.values())
        if not total:
            continue
        gains = [of_query.get(int(d), 0.0) for d in found[q] if d >= 0]
        ideal = sorted(of_query.values(), reverse=True)
        dcg, best = (
            sum(g / math.log2(i + 2) for i, g in enumerate(order[:10])) for order in (gains, ideal)
        )
        hits = [i + 1 for i, g in enumerate(gains) if g > 0]
        one = {"ndcg@10": dcg / best}
        one["mrr@10"] = 1 / hits[0] if hits and hits[0] <= 10 else 0.0
        one["map@100"] = sum((k + 1) / rank for k, rank in enumerate(hits) if rank <= 100) / total
        one |= {f"recall@{k}": sum(rank <= k for rank in hits) / total for k in (1, 10, 100)}
        one |= {f"precision@{k}": sum(rank <= k for rank in hits) / k for k in (1, 10)}
        values.append(one)
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def metrics_by_trec_eval(found, query, document, relevance):
    """What trec_eval says. Its reciprocal rank has no cut, so that it sees the first 10 alone."""
    qrels, run, short = {}, {}, {}
    for q, d, r in zip(query, document, relevance, strict=True):
        qrels.setdefault(f"q{q}", {})[f"d{d}"] = int(r)
    for q, row in enumerate(found):
        scores = {f"d{d}": float(-rank) for rank, d in enumerate(row) if d >= 0}
        run[f"q{q}"], short[f"q{q}"] = scores, dict(list(scores.items())[:10])
    wanted = {"ndcg_cut_10", "map_cut_100", "recall_1,10,100", "P_1,10"}
    names = {
        "ndcg@10": "ndcg_cut_10",
        "map@100": "map_cut_100",
        "recall@1": "recall_1",
        "recall@10": "recall_10",
        "recall@100": "recall_100",
        "precision@1": "P_1",
        "precision@10": "P_10",
    }
    able = {q for q, judged in qrels.items() if any(r > 0 for r in judged.values())}
    full = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    first = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(short)
    result = {
        ours: float(np.mean([full[q][theirs] for q in able])) for ours, theirs in names.items()
    }
    return result | {"mrr@10": float(np.mean([first[q]["recip_rank"] for q in able]))}


def random_search(seed, queries=12, documents=300, kept=150):
    """Graded judgements, some of no relevance, in any order; rankings of which some are short."""
    generator = np.random.default_rng(seed)
    pairs = [
        (q, d)
        for q in range(queries)
        for d in generator.permutation(documents)[: generator.integers(1, 60)]
    ]
    query, document = np.array(pairs)[generator.permutation(len(pairs))].T
    relevance = generator.integers(0, 4, len(query))
    relevance[query == 3] = 0
    found = np.stack([generator.permutation(documents)[:kept] for _ in range(queries)])
    found[5, 4:], found[6, 120:] = -1, -1
    return found, query, document, relevance
