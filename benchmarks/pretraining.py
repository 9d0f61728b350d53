"""Masked-language modelling: tokens per second of our stage against transformers' Trainer.

python benchmarks/pretraining.py [--rows 1024] [--batch 32] [--repeats 3]

The same encoder, texts, rows of a batch, learning rate, warm-up and share of masked tokens, with a
new head of the same form; the systems run in turn, after one warm-up each. Theirs is
AutoModelForMaskedLM with DataCollatorForLanguageModeling, in fp32 (its default) and with bf16=True,
with batches at random, as by default, and of similar lengths, as ours are. Tokens are those of the
texts, without padding. Timed from the first update to the last: of theirs without tokenising, of
ours with it. Needs a data folder with wikipedia_pool_en (SBERT_DATA).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from train_step import Clock
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.device import keep_freed_memory, make_accelerator
from sbert.losses import MaskedLanguageModelLoss
from sbert.markdown import markdown_table
from sbert.training.config import LoopConfig, ModelConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.make import make_objective, make_training_set

SEED, LR, SHARE, MAX_LENGTH = 1, 1e-4, 0.15, 128
BY_LENGTH = {"train_sampling_strategy": "group_by_length"}


def train_ours(path: str, rows: Rows, batch: int, scratch: Path) -> tuple[float, float]:
    """Seconds, and the mean loss of all steps."""
    AcceleratorState._reset_state(reset_partial_state=True)
    keep_freed_memory()  # as train.py does; from here on it serves both
    loss = MaskedLanguageModelLoss(SHARE)
    objective = make_objective(ModelConfig(path, max_length=MAX_LENGTH), [loss], None, SEED)
    accelerator = make_accelerator("auto")
    start = time.perf_counter()
    data = make_training_set(loss, [rows], objective.model)
    tokenising = time.perf_counter() - start
    training = Training(
        objective,
        [data],
        OptimConfig(lr=LR, batch_size=batch),
        LoopConfig(seed=SEED),
        scratch,
        accelerator,
        list,
        lambda folder: None,
    )
    training.wrapped.train()
    losses = []
    start = time.perf_counter()
    for _ in range(training.total):
        training.update()
        losses.append(training.window.losses[-1])
    seconds = tokenising + time.perf_counter() - start
    training.tracker.close()
    return seconds, torch.stack(losses).mean().item()


def train_theirs(
    path: str, rows: Rows, batch: int, scratch: Path, **options
) -> tuple[float, float]:
    AcceleratorState._reset_state(reset_partial_state=True)
    tokenizer = AutoTokenizer.from_pretrained(path)
    encoded = tokenizer(list(dict.fromkeys(rows.texts[0])), truncation=True, max_length=MAX_LENGTH)
    texts = [{"input_ids": ids} for ids in encoded["input_ids"]]
    arguments = TrainingArguments(
        str(scratch),
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        learning_rate=LR,
        warmup_steps=0.1,
        seed=SEED,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        **options,
    )
    clock = Clock()
    trainer = Trainer(
        AutoModelForMaskedLM.from_pretrained(path),
        arguments,
        DataCollatorForLanguageModeling(tokenizer, mlm_probability=SHARE),
        texts,
        callbacks=[clock],
    )
    mean_loss = trainer.train().training_loss
    return clock.seconds, mean_loss


def count_tokens(path: str, rows: Rows) -> int:
    tokenizer = AutoTokenizer.from_pretrained(path)
    encoded = tokenizer(list(dict.fromkeys(rows.texts[0])), truncation=True, max_length=MAX_LENGTH)
    return sum(map(len, encoded["input_ids"]))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--rows", type=int, default=1024)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--repeats", type=int, default=3)
    args = options.parse_args()
    config = DatasetConfig("wikipedia_pool_en", "all", limit=args.rows)
    rows = read_dataset(config, labels=False)
    tokens = count_tokens(args.model, rows)
    seconds: dict[str, list[float]] = {}
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        given = args.model, rows, args.batch, Path(name)
        runs = {
            "sbert, auto": lambda: train_ours(*given),
            "transformers": lambda: train_theirs(*given),
            "transformers, bf16": lambda: train_theirs(*given, bf16=True),
            "transformers, bf16, by length": lambda: train_theirs(*given, bf16=True, **BY_LENGTH),
        }
        for repeat in range(args.repeats + 1):
            for system, run in runs.items():
                elapsed, losses[system] = run()
                if repeat:  # the first is the warm-up
                    seconds.setdefault(system, []).append(elapsed)
    print(
        f"\n{args.model}, {len(rows):,} texts of {rows.name}, {tokens:,} tokens, batch "
        f"{args.batch}, {torch.get_num_threads()} threads\n"
    )
    print_table(seconds, losses, tokens)


def print_table(seconds: dict[str, list[float]], losses: dict[str, float], tokens: int) -> None:
    """Tokens a second of each system, and as a ratio to transformers, of the same repeat."""
    lines = []
    for system, times in seconds.items():
        pairs = zip(seconds["transformers"], times, strict=True)
        ratios = [theirs / own for theirs, own in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        speed = round(tokens / statistics.median(times))
        lines.append([system, speed, statistics.median(ratios), spread, losses[system]])
    header = ["masked-language modelling", "tokens/s", "ratio", "of each repeat", "mean loss"]
    print(markdown_table(header, lines))


if __name__ == "__main__":
    main()
