"""Mining: neighbours, similar pairs and hard negatives against FAISS, sentence-transformers and plain torch, on real sentences.

python benchmarks/mining.py search --size 100000 [--queries 100000] [--repeats 2] [--only sbert]
python benchmarks/mining.py pairs --size 30000
python benchmarks/mining.py negatives --size 100000 --queries 10000
python benchmarks/mining.py clusters --size 10000

The sentences are Tatoeba's and Wikipedia's of the data folder (SBERT_DATA), embedded by all-MiniLM-L6-v2 (H = 384) once, into
build/mining.npy. Every run is a process of its own, in turn; its time is that of the call, and its memory the peak above what it
held before it. Negatives are timed from the files to the file, the model's loading included, Python's imports not; their memory
is the peak of the process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

KEPT = Path("build/mining.npy")
MODEL = "models/all-MiniLM-L6-v2"


def sentences(count: int) -> list[str]:
    """So many distinct sentences, English ones first."""
    from sbert.data.collection import read_collection
    from sbert.data.config import Source

    sources = [Source("tatoeba_pool_en"), Source("wikipedia_pool_en")]
    sources += [
        Source("tatoeba_parallel", f"en-{language}", "target_sentence")
        for language in ("de", "es", "fr")
    ]
    found: dict[str, None] = {}
    for source in sources:
        found |= dict.fromkeys(read_collection(source).texts)
        if len(found) >= count:
            break
    return list(found)[:count]


def vectors(count: int) -> np.ndarray:
    """Their embeddings, made once for as many as are asked for."""
    if not KEPT.exists() or len(np.load(KEPT, mmap_mode="r")) < count:
        from sbert import BiEncoder

        KEPT.parent.mkdir(exist_ok=True)
        np.save(KEPT, BiEncoder.from_pretrained(MODEL).encode(sentences(count), progress=None))
    return np.array(np.load(KEPT, mmap_mode="r")[:count])


def sbert_search(queries, corpus, k=10):
    from sbert.mining.search import top_k

    return top_k(queries, corpus, k)[1]


def faiss_search(queries, corpus, k=10):
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    queries, corpus = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, corpus))
    index = faiss.IndexFlatIP(corpus.shape[1])
    index.add(corpus)
    return index.search(queries, k)[1]


def theirs_search(queries, corpus, k=10):
    from sentence_transformers.util import semantic_search

    hits = semantic_search(torch.from_numpy(queries), torch.from_numpy(corpus), top_k=k)
    return [[hit["corpus_id"] for hit in row] for row in hits]


def plain_search(queries, corpus, k=10):
    queries, corpus = (
        torch.nn.functional.normalize(torch.from_numpy(x)) for x in (queries, corpus)
    )
    return torch.cat([(block @ corpus.T).topk(k)[1] for block in queries.split(256)])


def products(queries, corpus, k=10):
    """The lower limit: the products in bf16 alone."""
    queries, corpus = (torch.from_numpy(x).bfloat16() for x in (queries, corpus))
    room = torch.empty(256, len(corpus), dtype=torch.bfloat16)
    for block in queries.split(256):
        torch.mm(block, corpus.T, out=room[: len(block)])
    return []


def sbert_pairs(queries, corpus, k=10):
    from sbert.mining.similar_pairs import similar_pairs

    return similar_pairs(corpus)[1]


def sbert_pairs_from(queries, corpus, k=10):
    from sbert.mining.similar_pairs import similar_pairs

    return similar_pairs(corpus, threshold=0.8)[1]


def theirs_pairs(queries, corpus, k=10):
    from sentence_transformers.util import paraphrase_mining_embeddings

    return [pair[1:] for pair in paraphrase_mining_embeddings(torch.from_numpy(corpus))]


def questions(count: int, size: int) -> tuple[list[str], list[str], list[str]]:
    """Queries and their positives, of the Quora duplicates, and a corpus of so many texts that holds the positives."""
    from sbert.data.config import DatasetConfig
    from sbert.data.rows import read_dataset

    queries, positives = (
        column[:count] for column in read_dataset(DatasetConfig("quora_pairs", "eval")).texts
    )
    return queries, positives, list(dict.fromkeys(positives + sentences(size)))[:size]


def embedded(texts: list[str]) -> dict[str, np.ndarray]:
    from sbert import BiEncoder

    kept = KEPT.with_name(f"negatives-{len(texts)}.npy")
    if not kept.exists():
        np.save(kept, BiEncoder.from_pretrained(MODEL).encode(texts))
    return dict(zip(texts, np.load(kept), strict=True))


def sbert_negatives(folder, where):
    from sbert import BiEncoder

    sys.path.insert(0, ".")
    import mine

    BiEncoder.from_pretrained(MODEL)  # imports what it needs
    BiEncoder.encode = lambda self, texts, **options: np.stack([where[text] for text in texts])
    start = time.perf_counter()
    mine.main(["negatives", "--data.path", f"{folder}/rows.jsonl", "--corpus.path", f"{folder}/corpus.jsonl",
               "--model", MODEL, "--output", f"{folder}/out.jsonl"])  # fmt: skip
    return time.perf_counter() - start


def theirs_negatives(folder, where):
    from datasets import load_dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    SentenceTransformer(MODEL, device="cpu")
    start = time.perf_counter()
    model = SentenceTransformer(MODEL, device="cpu")
    model.encode_query = model.encode_document = lambda texts, **options: np.stack(
        [where[text] for text in texts]
    )
    cache = {"split": "train", "cache_dir": f"{folder}/cache"}
    rows = load_dataset("json", data_files=f"{folder}/rows.jsonl", **cache)
    corpus = load_dataset("json", data_files=f"{folder}/corpus.jsonl", **cache)["text"]
    found = mine_hard_negatives(
        rows, model, corpus=list(corpus), num_negatives=3, output_format="n-tuple", verbose=False
    )
    found.to_json(f"{folder}/out.jsonl")
    return time.perf_counter() - start


def sbert_clusters(queries, corpus, k=10):
    from sbert.mining.similar_pairs import communities, similar_pairs

    return communities(len(corpus), *similar_pairs(corpus, 0.75, 20_000_000), 10)


def theirs_clusters(queries, corpus, k=10):
    from sentence_transformers.util import community_detection

    return community_detection(torch.from_numpy(corpus), threshold=0.75, min_community_size=10)


RUNS = {
    "search": {
        "sbert": sbert_search, "FAISS IndexFlatIP": faiss_search, "sentence-transformers": theirs_search,
        "torch, fp32 product + topk": plain_search, "torch, bf16 product alone": products,
    },
    "pairs": {"sbert": sbert_pairs, "sbert, threshold 0.8": sbert_pairs_from, "sentence-transformers": theirs_pairs},
    "negatives": {"sbert": sbert_negatives, "sentence-transformers": theirs_negatives},
    "clusters": {"sbert": sbert_clusters, "sentence-transformers": theirs_clusters},
}  # fmt: skip


def one(args: argparse.Namespace) -> None:
    """One run in this process: its time, peak memory and result."""
    run = RUNS[args.task][args.one]
    if args.task == "negatives":
        queries, positives, corpus = questions(args.queries, args.size)
        where = embedded(list(dict.fromkeys(corpus + queries)))
        with tempfile.TemporaryDirectory() as folder:
            rows = [{"query": q, "positive": p} for q, p in zip(queries, positives, strict=True)]
            Path(f"{folder}/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            Path(f"{folder}/corpus.jsonl").write_text(
                "".join(json.dumps({"text": text}) + "\n" for text in corpus)
            )
            seconds = run(folder, where)
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                }
            )
        )
        return
    corpus = vectors(args.size)
    queries = corpus[: args.queries]
    run(queries[:300], corpus[:3000])  # imports, and the first call of everything
    with open("/proc/self/clear_refs", "w") as file:  # the peak from here on
        file.write("5")
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    start = time.perf_counter()
    found = run(queries, corpus)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 - before
    np.save(args.found, np.asarray(found if args.task == "search" else [], dtype=np.int64))
    print(json.dumps({"seconds": seconds, "peak": peak / 2**30}))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("task", choices=RUNS)
    options.add_argument("--size", type=int, default=30_000)
    options.add_argument("--queries", type=int, help="default: all")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--only", nargs="+", help="of these contenders alone")
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--found", help=argparse.SUPPRESS)
    args = options.parse_args()
    args.queries = args.queries or args.size
    if args.one:
        one(args)
        return
    if args.task != "negatives":
        vectors(args.size)
    compare(args)


def compare(args: argparse.Namespace) -> None:
    from sbert.markdown import markdown_table

    runs: dict[str, list[dict]] = {
        name: [] for name in RUNS[args.task] if not args.only or name in args.only
    }
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeats):
            for place, (name, results) in enumerate(runs.items()):
                command = [
                    sys.executable,
                    __file__,
                    args.task,
                    "--size",
                    args.size,
                    "--queries",
                    args.queries,
                ]
                command += ["--one", name, "--found", f"{folder}/{place}.npy"]
                done = subprocess.run(
                    list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True
                )
                results.append(json.loads(done.stdout.splitlines()[-1]))
        found = [np.load(file) for file in sorted(Path(folder).glob("*.npy"))]
    ours, lines = runs.get("sbert"), []
    for place, (name, results) in enumerate(runs.items()):
        seconds = statistics.median(r["seconds"] for r in results)
        ratios = [
            theirs["seconds"] / mine["seconds"]
            for theirs, mine in zip(results, ours or [], strict=False)
        ]
        peak = max(r["peak"] for r in results)
        line = [
            name,
            f"{seconds:.2f}",
            f"{statistics.median(ratios):.2f}" if ratios else "",
            f"{peak:.2f}",
        ]
        if args.task == "search":
            same = found and len(found[place]) and len(found[0])
            line.append(f"{100 * (found[place] == found[0]).mean():.3f} %" if same else "")
        lines.append(line)
    header = ["contender", "seconds", "times the time of sbert", "peak GiB"] + ["like sbert"] * (
        args.task == "search"
    )
    threads = torch.get_num_threads()
    print(
        f"{args.task}: {args.queries:,} of {args.size:,} vectors, {args.repeats} repeats in turn, {threads} threads\n"
    )
    print(markdown_table(header, lines))


if __name__ == "__main__":
    main()
