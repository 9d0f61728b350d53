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
import tempfile
from pathlib import Path

import torch
from figures import figure_rows, in_turn
from timed_training import Clock, start_anew, their_options, train_ours
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.losses import MaskedLanguageModelLoss
from sbert.markdown import markdown_table
from sbert.training.config import ModelConfig, OptimConfig
from sbert.training.objectives.make import make_objective, make_training_set

SEED, LR, SHARE, MAX_LENGTH = 1, 1e-4, 0.15, 128
BY_LENGTH = {"train_sampling_strategy": "group_by_length"}


def run_ours(path: str, rows: Rows, batch: int, scratch: Path) -> tuple[float, float]:
    """Seconds, and the mean loss of all steps."""
    start_anew(SEED)
    loss = MaskedLanguageModelLoss(SHARE)
    objective = make_objective(ModelConfig(path, max_length=MAX_LENGTH), [loss], None, SEED)
    seconds, losses = train_ours(
        objective,
        lambda: make_training_set(loss, [rows], objective.model),
        scratch,
        SEED,
        optim=OptimConfig(lr=LR, batch_size=batch),
    )
    return seconds, torch.stack(losses).mean().item()


def run_theirs(path: str, rows: Rows, batch: int, scratch: Path, **options) -> tuple[float, float]:
    start_anew(SEED)
    tokenizer = AutoTokenizer.from_pretrained(path)
    encoded = tokenizer(list(dict.fromkeys(rows.texts[0])), truncation=True, max_length=MAX_LENGTH)
    texts = [{"input_ids": ids} for ids in encoded["input_ids"]]
    clock = Clock()
    trainer = Trainer(
        AutoModelForMaskedLM.from_pretrained(path),
        TrainingArguments(**their_options(scratch, SEED, batch, LR, **options)),
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
    with tempfile.TemporaryDirectory() as name:
        given = args.model, rows, args.batch, Path(name)
        runs = {
            "sbert, auto": lambda: run_ours(*given),
            "transformers": lambda: run_theirs(*given),
            "transformers, bf16": lambda: run_theirs(*given, bf16=True),
            "transformers, bf16, by length": lambda: run_theirs(*given, bf16=True, **BY_LENGTH),
        }
        seconds, losses = in_turn(runs, args.repeats)
    lines = figure_rows(seconds, "transformers", tokens)
    print(
        f"\n{args.model}, {len(rows):,} texts of {rows.name}, {tokens:,} tokens, batch "
        f"{args.batch}, {torch.get_num_threads()} threads\n"
    )
    header = ["masked-language modelling", "tokens/s", "ratio", "of each repeat", "mean loss"]
    print(markdown_table(header, [[*row, losses[row[0]]] for row in lines]))


if __name__ == "__main__":
    main()
