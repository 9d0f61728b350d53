"""Training: pairs per second of our loop against sentence-transformers' trainer.

python benchmarks/train_step.py [--rows 960] [--repeats 3]  speed alone
python benchmarks/train_step.py --words 64                  on texts of one length
python benchmarks/train_step.py --only "sbert, auto"        one system in its own process
python benchmarks/train_step.py --epoch [--seed 1]          one epoch, with Spearman

The same weights, data, batch and seed; the systems run in turn, after one warm-up each. Regression
of the cosine on STSb, batch 16, lr 2e-5, 10 % warm-up. Ours has precision auto, theirs its defaults
(fp32) and, for comparison, bf16=True. In one process our setting of the C library's memory
(sbert.device.keep_freed_memory) serves both; --only shows each as its users run it. Timed from the
first update to the last, without set-up and evaluation; our time includes tokenising.
"""

import argparse
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from figures import print_figures, texts_of_one_length
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.losses import CosineSimilarityLoss as TheirLoss
from timed_training import (
    DEVICE,
    PEER,
    compare,
    scored_pairs,
    seconds_of,
    start_anew,
    their_options,
    train_ours,
)

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.training.objectives.objective import Objective, TrainingSet

ROWS = 960


def run_ours(
    path: str, rows: Rows, precision: str, scratch: Path, seed: int = 1
) -> tuple[float, BiEncoder]:
    start_anew(seed)
    model = BiEncoder.from_pretrained(path)
    seconds, _ = train_ours(
        Objective(model, CosineSimilarityLoss()),
        lambda: TrainingSet.from_datasets([rows], model),
        scratch,
        seed,
        precision,
    )
    return seconds, model.eval()


def run_theirs(
    path: str, rows: Rows, bf16: bool, scratch: Path, seed: int = 1
) -> tuple[float, SentenceTransformer]:
    start_anew(seed)
    model = SentenceTransformer(path, device=DEVICE)
    arguments = SentenceTransformerTrainingArguments(**their_options(scratch, seed, bf16=bf16))
    trainer = SentenceTransformerTrainer(
        model, arguments, scored_pairs(rows), loss=TheirLoss(model)
    )
    return seconds_of(trainer), model


def read_rows(args: argparse.Namespace) -> Rows:
    """Rows of STSb; with --words pairs of texts of one length, made of its sentences."""
    wanted = args.rows or (None if args.epoch else ROWS)
    if not args.words:
        return read_dataset(DatasetConfig("stsb", "train", limit=wanted))
    rows = read_dataset(DatasetConfig("stsb", "train"))
    texts = texts_of_one_length([*rows.texts[0], *rows.texts[1]], args.words)
    count = min(wanted or len(texts), len(texts) // 2)
    columns = [texts[:count], texts[count : 2 * count]]
    return replace(rows.take(np.arange(count)), texts=columns)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--rows", type=int, help=f"default: {ROWS}, of an epoch all")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--words", type=int, help="texts of so many words each")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--epoch", action="store_true")
    options.add_argument("--only")
    args = options.parse_args()
    rows = read_rows(args)
    model = BiEncoder.from_pretrained(args.model)
    limit = model, [[*rows.texts[0], *rows.texts[1]]]
    with tempfile.TemporaryDirectory() as name:
        runs = {
            "sbert, auto": lambda: run_ours(args.model, rows, "auto", Path(name), args.seed),
            PEER: lambda: run_theirs(args.model, rows, False, Path(name), args.seed),
            f"{PEER}, bf16": lambda: run_theirs(args.model, rows, True, Path(name), args.seed),
        }
        if torch.cuda.is_available():
            runs["sbert, fp16"] = lambda: run_ours(args.model, rows, "fp16", Path(name), args.seed)
        header, lines = compare(runs, args, len(rows), limit, test_spearman)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = f"{args.model}, {rows.name}, {len(rows):,} pairs, batch 16, peak {peak:.1f} GiB"
    print_figures(about, header, lines, "texts of one length, where sorting saves nothing: --words")


def test_spearman(model: BiEncoder | SentenceTransformer, split: str) -> float:
    rows = read_dataset(DatasetConfig("stsb", split))
    return 100 * evaluate_rows(rows, bi_encoder_scorer(model.encode)).primary


if __name__ == "__main__":
    main()
