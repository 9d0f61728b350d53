"""What the benchmarks of training share: ours and a Trainer, timed from the first update to the
last, and the table of systems that train in turn."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from datasets import Dataset
from figures import Run, figure_rows, in_turn
from limits import product_seconds
from torch import Tensor, nn
from transformers import TrainerCallback

from sbert.data.rows import Rows
from sbert.device import keep_freed_memory, make_accelerator
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.objective import Objective, TrainingSet

if TYPE_CHECKING:  # it loads all of `datasets`, which ours does without
    from transformers import Trainer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PEER = "sentence-transformers"
LIMIT = "limit: matrix products alone"


class Clock(TrainerCallback):
    """The seconds from the first update of a Trainer to the last."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.perf_counter() - self.start


def start_anew(seed: int) -> None:
    """Before a system makes its model: no state of the one before it, the same random numbers."""
    AcceleratorState._reset_state(reset_partial_state=True)
    set_seed(seed)


def train_ours(
    objective: Objective,
    make_data: Callable[[], TrainingSet],
    scratch: Path,
    seed: int,
    precision: str = "auto",
    optim: OptimConfig | None = None,
) -> tuple[float, list[Tensor]]:
    """The seconds of all updates and of `make_data`, which tokenises; the loss of each update."""
    keep_freed_memory()  # as train.py does; from here on it serves both
    accelerator, loop = make_accelerator(precision), LoopConfig(seed=seed, precision=precision)
    start = time.perf_counter()
    data = make_data()
    tokenising = time.perf_counter() - start
    optim = optim or OptimConfig()
    training = Training(
        objective, [data], optim, loop, scratch, accelerator, list, lambda folder: None
    )
    training.wrapped.train()
    losses = []
    start = time.perf_counter()
    for _ in range(training.total):
        training.update()
        losses.append(training.window.losses[-1])
        if training.progress.step % loop.log_steps == 0:
            training.log()
    seconds = tokenising + time.perf_counter() - start
    training.tracker.close()
    return seconds, losses


def their_options(
    scratch: Path, seed: int, batch: int = 16, lr: float = 2e-5, **options: object
) -> dict:
    """Training arguments of any Trainer: one epoch with 10 % warm-up, nothing saved or reported."""
    return {
        "output_dir": str(scratch),
        "num_train_epochs": 1,
        "per_device_train_batch_size": batch,
        "learning_rate": lr,
        "warmup_steps": 0.1,
        "seed": seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": DEVICE == "cpu",
        **options,
    }


def scored_pairs(rows: Rows) -> Dataset:
    """Pairs with scores, as sentence-transformers wants them."""
    columns = {"sentence1": rows.texts[0], "sentence2": rows.texts[1]}
    return Dataset.from_dict({**columns, "score": rows.labels.tolist()})


def seconds_of(trainer: "Trainer") -> float:
    """The seconds that a Trainer trains."""
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds


def compare(
    runs: dict[str, Run],
    args: argparse.Namespace,
    count: int,
    limit: tuple[nn.Module, list[list[str]]],
    spearman: Callable[[object, str], float],
) -> tuple[list[str], list[list]]:
    """Header and rows of the table of systems that train on `count` pairs in turn.

    Args:
        args: only, epoch and repeats of the command line.
        limit: a model and the texts whose products are the limit.
        spearman: of the model that a run returns, on a split of STSb; of whole epochs.
    """
    runs = {system: run for system, run in runs.items() if args.only in (None, system)}
    repeats = 1 if args.epoch else args.repeats
    seconds, models = in_turn(runs, repeats, warm_up=not args.epoch)
    seconds[LIMIT] = [product_seconds(*limit, training=True) for _ in range(repeats)]
    header = ["training", "pairs/s", "ratio", "of each repeat"]
    rows = figure_rows(seconds, PEER, count)
    if args.epoch:
        header += ["dev Spearman", "test Spearman"]
        for row in rows:
            if row[0] != LIMIT:
                row += [spearman(models[row[0]], split) for split in ("dev", "test")]
    return header, rows
