"""Mining of hard negatives, from file to file: the systems of `benchmarks/mining.py negatives`."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from mining_data import MODEL, embed_texts, read_questions

Embed = Callable[[Iterable[str]], np.ndarray]


def sbert_negatives(folder: str, embed: Embed) -> float:
    from sbert import BiEncoder

    sys.path.insert(0, ".")
    import mine

    BiEncoder.from_pretrained(MODEL)  # imports what it needs
    BiEncoder.encode = lambda self, texts, **options: embed(texts)
    argv = ["negatives", "--data.path", f"{folder}/rows.jsonl", "--model", MODEL]
    argv += ["--corpus.path", f"{folder}/corpus.jsonl", "--output", f"{folder}/out.jsonl"]
    start = time.perf_counter()
    mine.main(argv)
    return time.perf_counter() - start


def sentence_transformers_negatives(folder: str, embed: Embed) -> float:
    from datasets import load_dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    SentenceTransformer(MODEL, device="cpu")
    start = time.perf_counter()
    model = SentenceTransformer(MODEL, device="cpu")

    def encode(texts, **options):
        return embed(texts)

    model.encode_query = model.encode_document = encode
    cache = {"split": "train", "cache_dir": f"{folder}/cache"}
    rows = load_dataset("json", data_files=f"{folder}/rows.jsonl", **cache)
    corpus = load_dataset("json", data_files=f"{folder}/corpus.jsonl", **cache)["text"]
    mined = mine_hard_negatives(
        rows, model, corpus=list(corpus), num_negatives=3, output_format="n-tuple", verbose=False
    )
    mined.to_json(f"{folder}/out.jsonl")
    return time.perf_counter() - start


NEGATIVES: dict[str, Callable[[str, Embed], float]] = {
    "sbert": sbert_negatives,
    "sentence-transformers": sentence_transformers_negatives,
}


def seconds_of_negatives(system: str, size: int, count: int) -> float:
    """Seconds for `count` questions and a corpus of `size` texts, whose embeddings are given."""
    queries, positives, corpus = read_questions(count, size)
    embed = embed_texts(list(dict.fromkeys(corpus + queries)))
    pairs = zip(queries, positives, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        _write_jsonl(Path(folder, "rows.jsonl"), [{"query": q, "positive": p} for q, p in pairs])
        _write_jsonl(Path(folder, "corpus.jsonl"), [{"text": text} for text in corpus])
        return NEGATIVES[system](folder, embed)


def _write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
