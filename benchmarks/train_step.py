"""Training: pairs per second of our loop against sentence-transformers' trainer.

python benchmarks/train_step.py [--rows 960] [--repeats 3]  speed alone
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
import statistics
import tempfile
import time
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from datasets import Dataset
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
from sbert.markdown import markdown_table
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.objective import Objective, TrainingSet

SEED = 1


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


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--rows", type=int, default=960)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--epoch", action="store_true")
    options.add_argument("--only")
    args = options.parse_args()
    repeats = 1 if args.epoch else args.repeats + 1
    rows = read_dataset(DatasetConfig("stsb", "train", limit=None if args.epoch else args.rows))
    dev, test = (read_dataset(DatasetConfig("stsb", split)) for split in ("dev", "test"))
    seconds, quality = {}, {}
    with tempfile.TemporaryDirectory() as name:
        runs = {
            "sbert, auto": lambda: train_ours(args.model, rows, "auto", Path(name)),
            "sentence-transformers": lambda: train_theirs(args.model, rows, False, Path(name)),
            "sentence-transformers, bf16": lambda: train_theirs(args.model, rows, True, Path(name)),
        }
        if torch.cuda.is_available():
            runs["sbert, fp16"] = lambda: train_ours(args.model, rows, "fp16", Path(name))
        runs = {system: run for system, run in runs.items() if args.only in (None, system)}
        for repeat in range(repeats):
            for system, run in runs.items():
                elapsed, model = run()
                if repeat or args.epoch:  # the first is the warm-up
                    seconds.setdefault(system, []).append(elapsed)
                if args.epoch:
                    quality[system] = [
                        100 * evaluate_rows(r, bi_encoder_scorer(model.encode)).primary
                        for r in (dev, test)
                    ]
    lines = []
    for system, times in seconds.items():
        ratios = [
            theirs / t
            for theirs, t in zip(seconds.get("sentence-transformers", times), times, strict=True)
        ]
        speed = len(rows) / statistics.median(times)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(
            [system, speed, statistics.median(ratios), spread, *quality.get(system, ["-", "-"])]
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n{args.model}, {rows.name}, {len(rows):,} pairs, batch 16, "
        f"{torch.get_num_threads()} threads, peak {peak:.1f} GiB\n"
    )
    print(
        markdown_table(
            ["training", "pairs/s", "ratio", "of each repeat", "dev Spearman", "test Spearman"],
            lines,
        )
    )


if __name__ == "__main__":
    main()
