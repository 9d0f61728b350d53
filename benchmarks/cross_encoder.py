"""Cross-encoders: training and predicting against sentence-transformers' CrossEncoder.

python benchmarks/cross_encoder.py predict [--repeats 3]             STSb test
python benchmarks/cross_encoder.py train [--rows 960] [--repeats 3]  speed alone
python benchmarks/cross_encoder.py train --epoch                     one epoch, with Spearman
python benchmarks/cross_encoder.py train --only "sbert, auto"        one system in its own process
python benchmarks/cross_encoder.py rank                              1,000 candidates, profiled

The same weights, data, batch and seed; the systems run in turn, after one warm-up each. Training:
binary cross-entropy on both orders of STSb's pairs, batch 16, lr 2e-5, 10 % warm-up. Ours has
precision auto, theirs its defaults (fp32) and, for comparison, bf16. Timed from the first update to
the last; our time includes tokenising. In one process our setting of the C library's memory
(sbert.device.keep_freed_memory) serves both.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from datasets import Dataset
from figures import figure_rows, in_turn, print_figures
from limits import product_seconds
from sentence_transformers import CrossEncoder as TheirEncoder
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss as TheirLoss
from transformers import TrainerCallback

from sbert import CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.device import keep_freed_memory, make_accelerator
from sbert.evaluation.metrics import spearman
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.objective import Objective, TrainingSet

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PEER = "sentence-transformers"
LIMIT = "limit: matrix products alone"
WORST = "pairs of one length, where sorting saves nothing"


class Clock(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.perf_counter() - self.start


def train_ours(path: str, rows: Rows, seed: int, scratch: Path) -> tuple[float, CrossEncoder]:
    AcceleratorState._reset_state(reset_partial_state=True)
    set_seed(seed)
    model = CrossEncoder.from_pretrained(path, num_labels=1)
    keep_freed_memory()  # as train.py does; from here on it serves both
    accelerator, loop = make_accelerator("auto"), LoopConfig(seed=seed)
    start = time.perf_counter()
    data = TrainingSet.from_datasets([rows], model)
    tokenising = time.perf_counter() - start
    objective = Objective(model, BinaryCrossEntropyLoss())
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
    path: str, rows: Rows, seed: int, bf16: bool, scratch: Path
) -> tuple[float, TheirEncoder]:
    AcceleratorState._reset_state(reset_partial_state=True)
    set_seed(seed)
    model = TheirEncoder(path, num_labels=1, device=DEVICE)
    columns = {
        "sentence1": rows.texts[0],
        "sentence2": rows.texts[1],
        "score": rows.labels.tolist(),
    }
    arguments = CrossEncoderTrainingArguments(
        str(scratch),
        num_train_epochs=1,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        warmup_steps=0.1,
        bf16=bf16,
        seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=DEVICE == "cpu",
    )
    clock = Clock()
    CrossEncoderTrainer(
        model, arguments, Dataset.from_dict(columns), loss=TheirLoss(model), callbacks=[clock]
    ).train()
    return clock.seconds, model


def train(args: argparse.Namespace) -> None:
    rows = both_orders(
        read_dataset(DatasetConfig("stsb", "train", limit=None if args.epoch else args.rows // 2))
    )
    with tempfile.TemporaryDirectory() as name:
        runs = {
            "sbert, auto": lambda: train_ours(args.model, rows, args.seed, Path(name)),
            PEER: lambda: train_theirs(args.model, rows, args.seed, False, Path(name)),
            f"{PEER}, bf16": lambda: train_theirs(args.model, rows, args.seed, True, Path(name)),
        }
        runs = {system: run for system, run in runs.items() if args.only in (None, system)}
        repeats = 1 if args.epoch else args.repeats
        seconds, models = in_turn(runs, repeats, warm_up=not args.epoch)
    header = ["training", "pairs/s", "ratio", "of each repeat"]
    if args.epoch:
        header += ["dev Spearman", "test Spearman"]
    model = CrossEncoder.from_pretrained(args.model, num_labels=1)
    seconds[LIMIT] = [product_seconds(model, rows.texts, training=True) for _ in range(repeats)]
    lines = figure_rows(seconds, PEER, len(rows))
    for line in lines:
        if args.epoch and line[0] != LIMIT:
            line += [test_spearman(models[line[0]], split) for split in ("dev", "test")]
    about = f"{args.model}, {len(rows):,} pairs, batch 16"
    print_figures(about, header, lines, WORST)


def test_spearman(model: CrossEncoder | TheirEncoder, split: str) -> float:
    pairs = read_dataset(DatasetConfig("stsb", split))
    scores = model.predict(list(zip(*pairs.texts, strict=True)))
    return 100 * spearman(scores, pairs.labels)


def trained(args: argparse.Namespace, scratch: str) -> str:
    """A cross-encoder trained a little on STSb: with a new head all scores are alike."""
    rows = both_orders(read_dataset(DatasetConfig("stsb", "train", limit=1600)))
    train_ours(args.model, rows, args.seed, Path(scratch))[1].save_pretrained(f"{scratch}/model")
    return f"{scratch}/model"


def predict(args: argparse.Namespace) -> None:
    test = read_dataset(DatasetConfig("stsb", "test"))
    pairs = list(zip(*test.texts, strict=True))
    with tempfile.TemporaryDirectory() as name:
        path = args.trained or trained(args, name)
        ours, theirs = (
            CrossEncoder.from_pretrained(path).to(DEVICE),
            TheirEncoder(path, device=DEVICE),
        )
        low = TheirEncoder(path, device=DEVICE, model_kwargs={"dtype": torch.bfloat16})
    runs = {
        "sbert, auto": lambda: (None, ours.predict(pairs)),
        "sbert, fp32": lambda: (None, ours.predict(pairs, precision="fp32")),
        PEER: lambda: (None, theirs.predict(pairs)),
        f"{PEER}, bf16": lambda: (None, low.predict(pairs)),
    }
    seconds, scores = in_turn(runs, args.repeats)
    seconds[LIMIT] = [product_seconds(ours, test.texts) for _ in range(args.repeats)]
    lines = figure_rows(seconds, PEER, len(pairs))
    for line in lines:
        if line[0] in scores:
            line += [
                f"{np.abs(scores[line[0]] - scores[PEER]).max():.1e}",
                100 * spearman(scores[line[0]], test.labels),
            ]
    header = ["predicting", "pairs/s", "ratio", "of each repeat", "largest difference", "Spearman"]
    print_figures(f"{args.model}, STSb test, {len(pairs):,} pairs", header, lines, WORST)


def rank(args: argparse.Namespace) -> None:
    test = read_dataset(DatasetConfig("stsb", "test"))
    documents = list(dict.fromkeys(test.texts[1]))[:1000]
    torch.manual_seed(args.seed)
    model = CrossEncoder.from_pretrained(args.model, num_labels=1).to(DEVICE)
    model.rank(test.texts[0][0], documents)
    profile = cProfile.Profile()
    profile.enable()
    model.rank(test.texts[0][0], documents)
    profile.disable()
    print(f"\n{args.model}, {len(documents):,} candidates, {torch.get_num_threads()} threads")
    pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", choices=["train", "predict", "rank"])
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument(
        "--trained", help="predict with this cross-encoder instead of training one first"
    )
    options.add_argument("--rows", type=int, default=960)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--epoch", action="store_true")
    options.add_argument("--only")
    args = options.parse_args()
    {"train": train, "predict": predict, "rank": rank}[args.what](args)


if __name__ == "__main__":
    main()
