"""Encoding: sentences per second of BiEncoder against sentence-transformers and ONNX Runtime.

python benchmarks/encode.py [--model models/all-MiniLM-L6-v2] [--data stsb] [--repeats 5]
python benchmarks/encode.py --words 64       texts of one length
python benchmarks/encode.py --int8           with our precision int8_dynamic

The same weights and sentences; all run in this process, in turn, after one warm-up each. Ours has
precision auto, theirs the defaults of encode and, for comparison, bf16. ONNX Runtime has int8
weights and products (onnx_peer.py), if it is installed. The quality of each is shown beside it: the
lowest cosine to the fp32 embeddings, and Spearman.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from figures import Run, figure_rows, in_turn, print_figures, texts_of_one_length
from limits import product_seconds
from onnx_peer import missing_packages, onnx_encoder
from sentence_transformers import SentenceTransformer

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.device import default_device
from sbert.evaluation.metrics import spearman
from sbert.evaluation.scorers import pair_scores

PEER = "sentence-transformers"
LIMIT = "limit: matrix products alone"
ONNX = "ONNX Runtime, int8"


def systems(model: str, texts: list[str], int8: bool, folder: Path) -> dict[str, Run]:
    """By name what encodes the texts."""
    ours = BiEncoder.from_pretrained(model).to(default_device())
    device = str(ours.device)
    theirs = SentenceTransformer(model, device=device)
    low = SentenceTransformer(model, device=device, model_kwargs={"torch_dtype": torch.bfloat16})
    quiet = {"show_progress_bar": False}
    runs = {
        "sbert, auto": lambda: (None, ours.encode(texts)),
        "sbert, fp32": lambda: (None, ours.encode(texts, precision="fp32")),
        PEER: lambda: (None, theirs.encode(texts, **quiet)),
        f"{PEER}, bf16": lambda: (
            None,
            low.encode(texts, convert_to_tensor=True, **quiet).float().cpu().numpy(),
        ),
    }
    if int8:
        runs["sbert, int8_dynamic"] = lambda: (None, ours.encode(texts, "int8_dynamic"))
    if device == "cpu" and not missing_packages():
        onnx = onnx_encoder(model, folder)
        runs[ONNX] = lambda: (None, onnx(texts))
    return runs


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--data", default="stsb")
    options.add_argument("--split", default="test")
    options.add_argument("--words", type=int, help="texts of so many words each")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--int8", action="store_true", help="also with precision int8_dynamic")
    args = options.parse_args()
    rows = read_dataset(DatasetConfig(args.data, args.split))
    texts = [text for column in rows.texts for text in column]
    if args.words:
        texts = texts_of_one_length(texts, args.words)
    with tempfile.TemporaryDirectory() as folder:
        runs = systems(args.model, texts, args.int8, Path(folder))
        seconds, results = in_turn(runs, args.repeats)
    ours = BiEncoder.from_pretrained(args.model).to(default_device())
    distinct = list(dict.fromkeys(texts))
    seconds[LIMIT] = [product_seconds(ours, [distinct]) for _ in range(args.repeats)]
    lines = figure_rows(seconds, PEER, len(texts))
    for line in lines:
        if line[0] in results:
            vectors = results[line[0]]
            line.append(f"{pair_scores(vectors, results[PEER])['cosine'].min():.6f}")
        if line[0] in results and not args.words:
            pairs = pair_scores(*np.split(vectors, len(rows.texts)))
            line.append(100 * spearman(pairs["cosine"], rows.labels))
    if ONNX not in seconds:
        lines.append([f"{ONNX}: {', '.join(missing_packages())} not installed"])
    header = ["encoding", "sentences/s", "ratio", "of each repeat", "least cosine to fp32"]
    header += [] if args.words else ["Spearman"]
    about = f"{args.model}, {rows.name}, {len(texts):,} sentences"
    print_figures(
        about,
        header,
        lines,
        "fp32 on texts of one length, where neither bf16 nor sorting helps: --words",
    )


if __name__ == "__main__":
    main()
