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
from pathlib import Path

import numpy as np
import torch
from figures import figure_rows, in_turn, print_figures
from limits import product_seconds
from sentence_transformers import CrossEncoder as TheirEncoder
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss as TheirLoss
from timed_training import (
    DEVICE,
    LIMIT,
    PEER,
    compare,
    scored_pairs,
    seconds_of,
    start_anew,
    their_options,
    train_ours,
)

from sbert import CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.evaluation.metrics import spearman
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss
from sbert.training.objectives.objective import Objective, TrainingSet

WORST = "pairs of one length, where sorting saves nothing"


def run_ours(path: str, rows: Rows, seed: int, scratch: Path) -> tuple[float, CrossEncoder]:
    start_anew(seed)
    model = CrossEncoder.from_pretrained(path, num_labels=1)
    seconds, _ = train_ours(
        Objective(model, BinaryCrossEntropyLoss()),
        lambda: TrainingSet.from_datasets([rows], model),
        scratch,
        seed,
    )
    return seconds, model.eval()


def run_theirs(
    path: str, rows: Rows, seed: int, bf16: bool, scratch: Path
) -> tuple[float, TheirEncoder]:
    start_anew(seed)
    model = TheirEncoder(path, num_labels=1, device=DEVICE)
    arguments = CrossEncoderTrainingArguments(**their_options(scratch, seed, bf16=bf16))
    trainer = CrossEncoderTrainer(model, arguments, scored_pairs(rows), loss=TheirLoss(model))
    return seconds_of(trainer), model


def train(args: argparse.Namespace) -> None:
    rows = both_orders(
        read_dataset(DatasetConfig("stsb", "train", limit=None if args.epoch else args.rows // 2))
    )
    limit = CrossEncoder.from_pretrained(args.model, num_labels=1), rows.texts
    with tempfile.TemporaryDirectory() as name:
        runs = {
            "sbert, auto": lambda: run_ours(args.model, rows, args.seed, Path(name)),
            PEER: lambda: run_theirs(args.model, rows, args.seed, False, Path(name)),
            f"{PEER}, bf16": lambda: run_theirs(args.model, rows, args.seed, True, Path(name)),
        }
        header, lines = compare(runs, args, len(rows), limit, test_spearman)
    about = f"{args.model}, {len(rows):,} pairs, batch 16"
    print_figures(about, header, lines, WORST)


def test_spearman(model: CrossEncoder | TheirEncoder, split: str) -> float:
    pairs = read_dataset(DatasetConfig("stsb", split))
    scores = model.predict(list(zip(*pairs.texts, strict=True)))
    return 100 * spearman(scores, pairs.labels)


def trained(args: argparse.Namespace, scratch: str) -> str:
    """A cross-encoder trained a little on STSb: with a new head all scores are alike."""
    rows = both_orders(read_dataset(DatasetConfig("stsb", "train", limit=1600)))
    run_ours(args.model, rows, args.seed, Path(scratch))[1].save_pretrained(f"{scratch}/model")
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
