"""Int8 and binary embeddings against float32 ones: recall, size and speed of the search in them.

python benchmarks/quantised.py [--size 100000] [--queries 1000] [--repeats 3] [--data sentences]
python benchmarks/quantised.py --data scifact
python benchmarks/quantised.py --size 6000 --queries 500 --model models/multilingual-e5-small

The data are sentences of Tatoeba and Wikipedia (mining_data.py), of which the first are the queries
and the others are searched; or the documents and the test queries of SciFact. Recall is the share
of the ten nearest by the exact search that is found. The float embeddings and the codes are
memory-mapped files, whose size is shown; `rescored` reads the candidates' rows of the float ones.
`around 0`: the signs as sentence-transformers stores them, without the mean.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from figures import in_turn, print_figures, ratio_cells
from mining_data import MODEL, load_vectors

from sbert.mining import top_k
from sbert.mining.quantised.corpus import QuantisedCorpus
from sbert.quantised import QUANTISERS, Binary, Quantiser
from sbert.quantised_files import load_quantised, quantised_header

K = 10
RESCORE = [2, 4, 10]
CALIBRATED_ON, AT_ONCE = 8192, 4096


def read_scifact(model: str) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of the test queries (Q, H) and of the documents (N, H)."""
    from sbert import BiEncoder
    from sbert.data.config import DatasetConfig
    from sbert.data.rows import read_dataset

    data = read_dataset(DatasetConfig("scifact", "test"))
    encoder = BiEncoder.from_pretrained(model)
    return encoder.encode_query(data.queries), encoder.encode_document(data.corpus, progress=None)


def write_codes(vectors: np.ndarray, quantiser: Quantiser, path: Path) -> None:
    with path.open("wb") as file:
        file.write(quantised_header(quantiser, len(vectors)))
        for start in range(0, len(vectors), AT_ONCE):
            file.write(quantiser.encode(vectors[start : start + AT_ONCE]).tobytes())


def searches(folder: Path, corpus: np.ndarray) -> tuple[dict[str, Callable], dict[str, Path]]:
    """By name a search of queries for K neighbours, and the file that it searches."""
    float_file = folder / "float32.npy"
    np.save(float_file, corpus)
    floats = np.load(float_file, mmap_mode="r")
    runs, files = {"float32": partial(top_k, corpus=floats, k=K)}, {"float32": float_file}
    rows = np.linspace(0, len(corpus) - 1, min(len(corpus), CALIBRATED_ON)).astype(int)
    quantisers = {store: kind.fit(corpus[rows], "cosine") for store, kind in QUANTISERS.items()}
    width = corpus.shape[1]
    quantisers["binary around 0"] = Binary(np.zeros((1, width), np.float32), "cosine")
    for store, quantiser in quantisers.items():
        file = folder / f"{store}.safetensors"
        write_codes(corpus, quantiser, file)
        vectors = load_quantised(file)
        found = {f"{store} alone": QuantisedCorpus(vectors)}
        for rescore in RESCORE if store in QUANTISERS else ():
            name = f"{store}, {rescore} k rescored"
            found[name] = QuantisedCorpus(vectors, rescore=rescore, floats=floats)
        runs |= {name: partial(searched.top_k, k=K) for name, searched in found.items()}
        files |= dict.fromkeys(found, file)
    return runs, files


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--size", type=int, default=100_000)
    options.add_argument("--queries", type=int, default=1000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--model", default=MODEL)
    options.add_argument("--data", choices=["sentences", "scifact"], default="sentences")
    args = options.parse_args()
    if args.data == "scifact":
        queries, corpus = read_scifact(args.model)
    else:
        queries, corpus = np.split(load_vectors(args.size, args.model), [args.queries])
    with tempfile.TemporaryDirectory() as name:
        runs, files = searches(Path(name), corpus)
        calls = {
            system: partial(lambda run: (None, run(queries)), run) for system, run in runs.items()
        }
        seconds, results = in_turn(calls, args.repeats)
        sizes = {system: file.stat().st_size / 2**20 for system, file in files.items()}
    exact = results["float32"][1]
    rows = []
    for system, times in seconds.items():
        ratios = [a / b for a, b in zip(seconds["float32"], times, strict=True)]
        recall = (results[system][1][:, :, None] == exact[:, None, :]).any(2).float().mean()
        per_vector = round(sizes[system] * 2**20 / len(corpus))
        row = [system, statistics.median(times), *ratio_cells(ratios, system == "float32")]
        rows.append([*row, 100 * recall.item(), per_vector, sizes[system]])
    header = ["search in", "s", "ratio", "of each repeat", "recall@10", "bytes a vector", "MiB"]
    about = f"{args.model}, {args.data}, {len(queries):,} queries, {len(corpus):,} vectors"
    print_figures(about, header, rows, "embeddings with much in common: those of e5")


if __name__ == "__main__":
    main()
