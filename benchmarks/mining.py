"""Mining against FAISS, sentence-transformers and plain torch, on real sentences.

python benchmarks/mining.py search --size 100000 [--queries 100000] [--repeats 2] [--only sbert]
python benchmarks/mining.py search --size 12000 --queries 3000 --data clusters-0.3 [--k 100]
python benchmarks/mining.py pairs --size 30000
python benchmarks/mining.py negatives --size 100000 --queries 10000
python benchmarks/mining.py clusters --size 10000

The data are `sentences` of Tatoeba and Wikipedia in the data folder (SBERT_DATA), embedded once by
all-MiniLM-L6-v2 (H = 384) into build/mining.npy; or what is hard for a search with rounded vectors:
`clusters-S`, 100 normal centres with S times as much noise, so that with a small S hundreds of
vectors are nearly equal; `duplicates`, two thirds of the vectors equal; `equal`, all of them.

Every run is a process of its own, in turn. Its time is that of the call, its memory the peak above
what the process held before. Negatives are timed from the files to the file, with the loading of
the model, without Python's imports; their memory is the peak of the process.
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
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from mining_data import (
    MODEL,
    embed_texts,
    load_vectors,
    make_vectors,
    read_questions,
)


def sbert_search(queries, corpus, k=10):
    from sbert.device import default_device
    from sbert.mining.search.top_k import top_k

    return top_k(queries, corpus, k, device=default_device())[1]


def faiss_search(queries, corpus, k=10):
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(corpus.shape[1])
    if torch.cuda.is_available() and hasattr(faiss, "StandardGpuResources"):
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(corpus)
    return index.search(queries, k)[1]


def sentence_transformers_search(queries, corpus, k=10):
    from sentence_transformers.util import semantic_search

    hits = semantic_search(torch.from_numpy(queries), torch.from_numpy(corpus), top_k=k)
    return [[hit["corpus_id"] for hit in row] for row in hits]


def torch_search(queries, corpus, k=10):
    from sbert.device import default_device

    device = default_device()
    queries = torch.nn.functional.normalize(torch.from_numpy(queries).to(device))
    corpus = torch.nn.functional.normalize(torch.from_numpy(corpus).to(device))
    block = 256 if device.type == "cpu" else 4096
    return torch.cat([(part @ corpus.T).topk(k)[1] for part in queries.split(block)]).cpu()


def bf16_products(queries, corpus, k=10):
    """The lower limit: the products in bf16 alone."""
    from sbert.device import default_device

    device = default_device()
    queries = torch.from_numpy(queries).to(device, torch.bfloat16)
    corpus = torch.from_numpy(corpus).to(device, torch.bfloat16)
    size = 256 if device.type == "cpu" else 4096
    scores = torch.empty(size, len(corpus), dtype=torch.bfloat16, device=device)
    for block in queries.split(size):
        torch.mm(block, corpus.T, out=scores[: len(block)])
    scores[0, 0].item()  # waits for the device
    return []


def sbert_pairs(queries, corpus, k=10):
    from sbert.mining.search.similar_pairs import similar_pairs

    return similar_pairs(corpus)[1]


def sbert_pairs_from_threshold(queries, corpus, k=10):
    from sbert.mining.search.similar_pairs import similar_pairs

    return similar_pairs(corpus, threshold=0.8)[1]


def sentence_transformers_pairs(queries, corpus, k=10):
    from sentence_transformers.util import paraphrase_mining_embeddings

    return [pair[1:] for pair in paraphrase_mining_embeddings(torch.from_numpy(corpus))]


def sbert_clusters(queries, corpus, k=10):
    from sbert.mining.clusters import communities
    from sbert.mining.search.similar_pairs import distinct_pairs

    return communities(*distinct_pairs(corpus, 0.75, 20_000_000), 10)


def sentence_transformers_clusters(queries, corpus, k=10):
    from sentence_transformers.util import community_detection

    return community_detection(torch.from_numpy(corpus), threshold=0.75, min_community_size=10)


def sbert_negatives(folder: str, vectors: dict[str, np.ndarray]) -> float:
    from sbert import BiEncoder

    sys.path.insert(0, ".")
    import mine

    BiEncoder.from_pretrained(MODEL)  # imports what it needs
    BiEncoder.encode = lambda self, texts, **options: np.stack([vectors[text] for text in texts])
    argv = ["negatives", "--data.path", f"{folder}/rows.jsonl", "--model", MODEL]
    argv += ["--corpus.path", f"{folder}/corpus.jsonl", "--output", f"{folder}/out.jsonl"]
    start = time.perf_counter()
    mine.main(argv)
    return time.perf_counter() - start


def sentence_transformers_negatives(folder: str, vectors: dict[str, np.ndarray]) -> float:
    from datasets import load_dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    SentenceTransformer(MODEL, device="cpu")
    start = time.perf_counter()
    model = SentenceTransformer(MODEL, device="cpu")

    def encode(texts, **options):
        return np.stack([vectors[text] for text in texts])

    model.encode_query = model.encode_document = encode
    cache = {"split": "train", "cache_dir": f"{folder}/cache"}
    rows = load_dataset("json", data_files=f"{folder}/rows.jsonl", **cache)
    corpus = load_dataset("json", data_files=f"{folder}/corpus.jsonl", **cache)["text"]
    mined = mine_hard_negatives(
        rows, model, corpus=list(corpus), num_negatives=3, output_format="n-tuple", verbose=False
    )
    mined.to_json(f"{folder}/out.jsonl")
    return time.perf_counter() - start


CONTENDERS = {
    "search": {
        "sbert": sbert_search,
        "FAISS IndexFlatIP": faiss_search,
        "sentence-transformers": sentence_transformers_search,
        "torch, fp32 product + topk": torch_search,
        "torch, bf16 product alone": bf16_products,
    },
    "pairs": {
        "sbert": sbert_pairs,
        "sbert, threshold 0.8": sbert_pairs_from_threshold,
        "sentence-transformers": sentence_transformers_pairs,
    },
    "negatives": {
        "sbert": sbert_negatives,
        "sentence-transformers": sentence_transformers_negatives,
    },
    "clusters": {
        "sbert": sbert_clusters,
        "sentence-transformers": sentence_transformers_clusters,
    },
}


PACKAGES = {"FAISS IndexFlatIP": "faiss", "sentence-transformers": "sentence_transformers"}


def is_installed(contender: str) -> bool:
    return contender not in PACKAGES or find_spec(PACKAGES[contender]) is not None


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_negatives(args: argparse.Namespace) -> dict[str, float]:
    queries, positives, corpus = read_questions(args.queries, args.size)
    vectors = embed_texts(list(dict.fromkeys(corpus + queries)))
    pairs = zip(queries, positives, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl(Path(folder, "rows.jsonl"), [{"query": q, "positive": p} for q, p in pairs])
        write_jsonl(Path(folder, "corpus.jsonl"), [{"text": text} for text in corpus])
        seconds = CONTENDERS["negatives"][args.one](folder, vectors)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak": peak}


def run_on_vectors(args: argparse.Namespace) -> dict[str, float]:
    contender = CONTENDERS[args.task][args.one]
    corpus, queries = make_vectors(args.data, args.size, args.queries)
    contender(queries[:300], corpus[:3000], args.k)  # imports, and the first call of everything
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    start = time.perf_counter()
    result = contender(queries, corpus, args.k)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 - before
    np.save(args.result, np.asarray(result if args.task == "search" else [], dtype=np.int64))
    return {"seconds": seconds, "peak": peak / 2**30}


def compare(args: argparse.Namespace) -> None:
    """Run all contenders in turn, each in a process of its own, and print the table."""
    names = [name for name in CONTENDERS[args.task] if not args.only or name in args.only]
    names = [name for name in names if is_installed(name)]
    runs: dict[str, list[dict]] = {name: [] for name in names}
    script = [sys.executable, __file__, args.task]
    script += ["--size", str(args.size), "--queries", str(args.queries), "--data", args.data]
    script += ["--k", str(args.k)]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeats):
            for number, name in enumerate(names):
                command = [*script, "--one", name, "--result", f"{folder}/{number}.npy"]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
        results = [np.load(file) for file in sorted(Path(folder).glob("*.npy"))]
    print_table(args, runs, results)


def print_table(
    args: argparse.Namespace, runs: dict[str, list[dict]], results: list[np.ndarray]
) -> None:
    from sbert.markdown import markdown_table

    header = ["contender", "seconds", "times the time of sbert", "peak GiB"]
    if args.task == "search":
        header.append("like sbert")
    rows = []
    for number, (name, measured) in enumerate(runs.items()):
        ratio = ""
        if "sbert" in runs:
            pairs = zip(measured, runs["sbert"], strict=True)
            ratio = f"{statistics.median(a['seconds'] / b['seconds'] for a, b in pairs):.2f}"
        seconds = statistics.median(run["seconds"] for run in measured)
        row = [name, f"{seconds:.2f}", ratio, f"{max(run['peak'] for run in measured):.2f}"]
        if args.task == "search":
            comparable = len(results[number]) and len(results[0])
            equal = (results[number] == results[0]).mean() if comparable else None
            row.append("" if equal is None else f"{100 * equal:.3f} %")
        rows.append(row)
    print(
        f"{args.task}: {args.data}, k = {args.k}, {args.queries:,} queries, {args.size:,} vectors, "
        f"{args.repeats} repeats in turn, "
        f"{torch.get_num_threads()} threads\n"
    )
    print(markdown_table(header, rows))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("task", choices=CONTENDERS)
    options.add_argument("--size", type=int, default=30_000)
    options.add_argument("--queries", type=int, help="default: all")
    options.add_argument("--k", type=int, default=10, help="neighbours, of search")
    options.add_argument("--data", default="sentences", help="see above")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--only", nargs="+", help="only these contenders")
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--result", help=argparse.SUPPRESS)
    args = options.parse_args()
    args.queries = args.queries or args.size
    if args.one:
        run = run_negatives if args.task == "negatives" else run_on_vectors
        print(json.dumps(run(args)))
        return
    if args.task != "negatives" and args.data == "sentences":
        load_vectors(args.size)
    compare(args)


if __name__ == "__main__":
    main()
