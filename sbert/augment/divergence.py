"""A look at silver data before it is trained on: are its scores distributed like gold's? Where they are not, training on them
makes a worse bi-encoder than gold alone (Augmented SBERT, section 5).

python -m sbert.skew --gold.path stsb --gold.split train --silver runs/augsbert/silver.jsonl
"""

from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from sbert.augment.config import CompareConfig
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.evaluation import figures
from sbert.markdown import markdown_table

BINS = 10

SMOOTHING = 1.0

# One nat: a gold pair's score is, in the geometric mean, e times rarer among silver. On the STS benchmark, with calibrated
# cosines for labels, random pairs reach 4.9, semantic ones 1.3, BM25's 0.5 and kde's 0.4.
MAX_KL = 1.0

BANDS = 5

EXAMPLES = 10


def bin_edges(gold: np.ndarray) -> np.ndarray:
    """The bounds of the bins: ten of equal width, or where gold has ten different scores or fewer, halfway between those:
    a score between two grades belongs to the nearer."""
    grades = np.unique(gold)
    if 2 <= len(grades) <= BINS:
        return np.concatenate([[0.0], (grades[1:] + grades[:-1]) / 2, [1.0]])
    return np.linspace(0, 1, BINS + 1)


def kl_divergence(gold: np.ndarray, silver: np.ndarray) -> float:
    """KL(gold || silver) = sum over the bins of p ln(p / q), in nats, of scores (G,), (S,) in [0, 1].

    p and q are the shares of gold's and of silver's scores in each bin of `edges`, with one score more in every bin (additive
    smoothing), so that an empty one does not make it infinite. It is large where silver lacks scores that gold has.
    """
    bounds = bin_edges(gold)
    counts = np.stack([np.histogram(scores, bounds)[0] for scores in (gold, silver)]) + SMOOTHING
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float((p * np.log(p / q)).sum())


def describe_divergence(gold: Rows | None, silver: Rows) -> str:
    """Tables of examples of every band of scores, of the strategies' shares (`silver.sources`) and of both distributions, the
    divergence and, where it is large, a warning. Rows are those of task sts or binary; without gold there is no comparison."""
    parts = [_examples(silver), _shares(silver), _distributions(gold, silver)]
    if gold is not None:
        value = kl_divergence(gold.labels, silver.labels)
        bins = len(bin_edges(gold.labels)) - 1
        parts.append(
            f"KL(gold || silver) = {value:.3f} nats, {bins} bins, {SMOOTHING:g} added to each"
        )
        if value > MAX_KL:
            parts.append(_warning(gold.labels, silver.labels, value))
    return "\n\n".join(filter(None, parts))


def _warning(gold: np.ndarray, silver: np.ndarray, value: float) -> str:
    low = silver.mean() < gold.mean()
    way, mend = (
        ("lower", "bm25 and semantic find more alike")
        if low
        else ("higher", "random finds less alike")
    )
    return (
        f"WARNING: silver is skewed: {value:.2f} is above {MAX_KL}, its scores are {way} than gold's (mean {silver.mean():.2f} "
        f"against {gold.mean():.2f}). Trained on it, a bi-encoder may become worse than on gold alone. Strategy kde keeps pairs "
        f"that follow gold, the more of a larger pool; {mend}; or the teacher is not good enough yet"
    )


def _distributions(gold: Rows | None, silver: Rows) -> str:
    sets = {"gold": gold, "silver": silver} if gold is not None else {"silver": silver}
    bounds = bin_edges((gold or silver).labels)
    counts = {name: np.histogram(rows.labels, bounds)[0] for name, rows in sets.items()}
    header = ["score", *(cell for name in sets for cell in (name, "%"))]
    body = [
        [f"{bounds[b]:.3g} to {bounds[b + 1]:.3g}"]
        + [cell for n in counts.values() for cell in (int(n[b]), 100 * float(n[b]) / n.sum())]
        for b in range(len(bounds) - 1)
    ]
    return markdown_table(header, body)


def _shares(silver: Rows) -> str:
    """How many pairs are of each strategy, and their mean score."""
    sources = np.array(silver.sources or ["unknown"] * len(silver))
    body = [
        [
            name,
            int((of := sources == name).sum()),
            100 * float(of.mean()),
            float(silver.labels[of].mean()),
        ]
        for name in np.unique(sources).tolist()
    ]
    return markdown_table(["strategy", "pairs", "%", "mean score"], body)


def _examples(silver: Rows) -> str:
    """Ten pairs of each band of scores, drawn at random, highest first."""
    generator, rows = np.random.default_rng(0), []
    band = np.minimum((silver.labels * BANDS).astype(int), BANDS - 1)
    for b in range(BANDS):
        there = np.flatnonzero(band == b)
        chosen = generator.choice(there, min(EXAMPLES, len(there)), replace=False).tolist()
        rows += [
            [f"{silver.labels[i]:.3f}", *(column[i][:55] for column in silver.texts[:2])]
            for i in chosen
        ]
    return markdown_table(["score", "sentence1", "sentence2"], sorted(rows, reverse=True))


def draw_divergence(folder: Path, gold: Rows | None, silver: Rows) -> None:
    """Histograms of gold, silver and the silver of each strategy: for TensorBoard, and with the extra plots as scores.png."""
    for old in folder.glob("events.*"):  # of silver that this one replaces
        old.unlink()
    sources = np.array(silver.sources or [])
    sets = ({"gold": gold.labels} if gold else {}) | {"silver": silver.labels}
    parts = {
        f"silver, {name}": silver.labels[sources == name] for name in np.unique(sources).tolist()
    }
    with SummaryWriter(str(folder)) as writer:
        for name, scores in (sets | parts).items():
            writer.add_histogram(f"scores/{name}", scores, 0, bins=np.linspace(0, 1, 2 * BINS + 1))
    if figures.matplotlib_available():
        title = (
            f"KL(gold || silver) = {kl_divergence(gold.labels, silver.labels):.3f}"
            if gold
            else "silver"
        )
        shown = sets | (parts if len(parts) > 1 else {})
        figures.save_figure(figures.histograms(shown, title, "score"), folder / "scores.png")


def compare_files(config: CompareConfig) -> str:
    """`augment.py compare`."""
    gold = read_dataset(config.gold)
    silver = read_dataset(DatasetConfig(config.silver, task="sts", source="strategy"))
    return describe_divergence(gold, silver)
