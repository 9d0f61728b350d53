"""Training: pairs per second of our loop against sentence-transformers' trainer.

python benchmarks/train_step.py [--rows 960] [--repeats 3]  speed alone
python benchmarks/train_step.py --words 64                  on texts of one length
python benchmarks/train_step.py --only "sbert, auto"        one system in its own process
python benchmarks/train_step.py --epoch                     one epoch, with Spearman

The same weights, data, batch and seed; the systems run in turn, after one warm-up each. Regression
of the cosine on STSb, batch 16, lr 2e-5, 10 % warm-up. Ours has precision auto, theirs its defaults
(fp32) and, for comparison, bf16=True. In one process our setting of the C library's memory
(sbert.device.keep_freed_memory) serves both; --only shows each as its users run it. Timed from the
first update to the last, without set-up and evaluation; our time includes tokenising.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from datasets import Dataset
from figures import figure_rows, in_turn, print_figures, texts_of_one_length
from limits import product_seconds
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.losses import CosineSimilarityLoss as TheirLoss
from transformers import TrainerCallback

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.device import keep_freed_memory, make_accelerator
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.objective import Objective, TrainingSet

SEED = 1
PEER = "sentence-transformers"
LIMIT = "limit: matrix products alone"


class Clock(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.perf_counter() - self.start


def train_ours(path: str, rows: Rows, precision: str, scratch: Path) -> tuple[float, BiEncoder]:
    AcceleratorState._reset_state(reset_partial_state=True)
    set_seed(SEED)
    model = BiEncoder.from_pretrained(path)
    keep_freed_memory()  # as train.py does; from here on it serves both
    accelerator, loop = make_accelerator(precision), LoopConfig(seed=SEED, precision=precision)
    start = time.perf_counter()
    data = TrainingSet.from_datasets([rows], model)
    tokenising = time.perf_counter() - start
    objective = Objective(model, CosineSimilarityLoss())
    training = Training(
        objective, [data], OptimConfig(), loop, scratch, accelerator, list, lambda folder: None
    )
    training.wrapped.train()
    start = time.perf_counter()
    for _ in range(training.total):
        training.update()
        if training.progress.step % loop.log_steps == 0:
            training.log()
    seconds = tokenising + time.perf_counter() - start
    training.tracker.close()
    return seconds, model.eval()


def train_theirs(
    path: str, rows: Rows, bf16: bool, scratch: Path
) -> tuple[float, SentenceTransformer]:
    AcceleratorState._reset_state(reset_partial_state=True)
    model = SentenceTransformer(path, device="cuda" if torch.cuda.is_available() else "cpu")
    columns = {
        "sentence1": rows.texts[0],
        "sentence2": rows.texts[1],
        "score": rows.labels.tolist(),
    }
    arguments = SentenceTransformerTrainingArguments(
        str(scratch),
        num_train_epochs=1,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        warmup_steps=0.1,
        bf16=bf16,
        seed=SEED,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    clock = Clock()
    SentenceTransformerTrainer(
        model, arguments, Dataset.from_dict(columns), loss=TheirLoss(model), callbacks=[clock]
    ).train()
    return clock.seconds, model


def read_rows(args: argparse.Namespace) -> Rows:
    """Rows of STSb; with --words pairs of texts of one length, made of its sentences."""
    if not args.words:
        return read_dataset(DatasetConfig("stsb", "train", limit=None if args.epoch else args.rows))
    rows = read_dataset(DatasetConfig("stsb", "train"))
    texts = texts_of_one_length([*rows.texts[0], *rows.texts[1]], args.words)
    count = min(args.rows, len(texts) // 2)
    columns = [texts[:count], texts[count : 2 * count]]
    return replace(rows.take(np.arange(count)), texts=columns)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--rows", type=int, default=960)
    options.add_argument("--words", type=int, help="texts of so many words each")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--epoch", action="store_true")
    options.add_argument("--only")
    args = options.parse_args()
    rows = read_rows(args)
    with tempfile.TemporaryDirectory() as name:
        runs = {
            "sbert, auto": lambda: train_ours(args.model, rows, "auto", Path(name)),
            PEER: lambda: train_theirs(args.model, rows, False, Path(name)),
            f"{PEER}, bf16": lambda: train_theirs(args.model, rows, True, Path(name)),
        }
        if torch.cuda.is_available():
            runs["sbert, fp16"] = lambda: train_ours(args.model, rows, "fp16", Path(name))
        runs = {system: run for system, run in runs.items() if args.only in (None, system)}
        repeats = 1 if args.epoch else args.repeats
        seconds, models = in_turn(runs, repeats, warm_up=not args.epoch)
    header = ["training", "pairs/s", "ratio", "of each repeat"]
    if args.epoch:
        header += ["dev Spearman", "test Spearman"]
    model = BiEncoder.from_pretrained(args.model)
    texts = [*rows.texts[0], *rows.texts[1]]
    seconds[LIMIT] = [product_seconds(model, [texts], training=True) for _ in range(repeats)]
    lines = figure_rows(seconds, PEER, len(rows))
    for line in lines:
        if args.epoch and line[0] != LIMIT:
            line += [test_spearman(models[line[0]], split) for split in ("dev", "test")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = f"{args.model}, {rows.name}, {len(rows):,} pairs, batch 16, peak {peak:.1f} GiB"
    print_figures(about, header, lines, "texts of one length, where sorting saves nothing: --words")


def test_spearman(model: BiEncoder | SentenceTransformer, split: str) -> float:
    rows = read_dataset(DatasetConfig("stsb", split))
    return 100 * evaluate_rows(rows, bi_encoder_scorer(model.encode)).primary


if __name__ == "__main__":
    main()
