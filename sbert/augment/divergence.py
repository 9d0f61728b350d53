"""Compare silver with gold before training on it: are the scores distributed alike?

If they are not, training on silver makes a worse bi-encoder than gold alone (Augmented SBERT,
arXiv 2010.08240, section 5).

python augment.py compare --gold.path stsb --gold.split train --silver runs/augsbert/silver.jsonl
"""

from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from sbert.augment.config import CompareConfig
from sbert.augment.sentences import check_gold_task
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.evaluation import figures
from sbert.markdown import markdown_table

BINS = 10

# One nat: in the geometric mean, a score of gold is e times rarer in silver. On the STS benchmark
# with calibrated cosines as labels, random pairs reach 4.9, semantic 1.3, bm25 0.5 and kde 0.4.
MAX_KL = 1.0

BANDS = 5  # of scores, from which examples are drawn


def bin_edges(gold: np.ndarray) -> np.ndarray:
    """The edges (E,) of ten bins of equal width, or of one bin around each grade.

    Grades are the values of gold if there are 2 to 10. The edges between their bins are halfway, so
    that a score between two grades belongs to the nearer.
    """
    grades = np.unique(gold)
    if 2 <= len(grades) <= BINS:
        return np.concatenate([[0.0], (grades[1:] + grades[:-1]) / 2, [1.0]])
    return np.linspace(0, 1, BINS + 1)


def kl_divergence(gold: np.ndarray, silver: np.ndarray) -> float:
    """KL(gold || silver) = sum over the bins of p ln(p / q), in nats; scores (G,), (S,) in [0, 1].

    p and q are the shares of gold's and silver's scores in each bin of `bin_edges`, with one score
    added to every bin (additive smoothing), so that an empty bin does not make it infinite. It is
    large if silver lacks scores that gold has.
    """
    edges = bin_edges(gold)
    counts = np.stack([np.histogram(scores, edges)[0] for scores in (gold, silver)])  # (2, bins)
    smoothed = counts + 1.0
    p, q = smoothed / smoothed.sum(axis=1, keepdims=True)
    return float((p * np.log(p / q)).sum())


def describe_divergence(gold: Rows | None, silver: Rows) -> str:
    """Tables of examples, strategies (`silver.sources`) and distributions, and the divergence.

    A large divergence adds a warning. Rows are of task sts or binary. Without gold there is no
    comparison.
    """
    parts = [_example_table(silver), _strategy_table(silver), _distribution_table(gold, silver)]
    if gold is not None:
        divergence = kl_divergence(gold.labels, silver.labels)
        bins = len(bin_edges(gold.labels)) - 1
        parts.append(f"KL(gold || silver) = {divergence:.3f} nats, {bins} bins, 1 added to each")
        if divergence > MAX_KL:
            parts.append(_skew_warning(gold.labels, silver.labels, divergence))
    return "\n\n".join(parts)


def _skew_warning(gold: np.ndarray, silver: np.ndarray, divergence: float) -> str:
    direction, remedy = "higher", "random finds less similar pairs"
    if silver.mean() < gold.mean():
        direction, remedy = "lower", "bm25 and semantic find more similar pairs"
    return (
        f"WARNING: silver is skewed: {divergence:.2f} is above {MAX_KL}, its scores are "
        f"{direction} than gold's (mean {silver.mean():.2f} against {gold.mean():.2f}). Trained on "
        "it, a bi-encoder may become worse than on gold alone. Strategy kde keeps pairs whose "
        f"scores follow gold's, more of them from a larger pool; {remedy}; or the teacher is not "
        "good enough"
    )


def _example_table(silver: Rows) -> str:
    """Ten random pairs of each band of scores, highest scores first."""
    generator = np.random.default_rng(0)
    bands = np.minimum((silver.labels * BANDS).astype(int), BANDS - 1)
    cells = []
    for band in range(BANDS):
        members = np.flatnonzero(bands == band)
        for i in generator.choice(members, min(10, len(members)), replace=False).tolist():
            cells.append([f"{silver.labels[i]:.3f}", *(column[i][:55] for column in silver.texts)])
    return markdown_table(["score", "sentence1", "sentence2"], sorted(cells, reverse=True))


def _scores_by_strategy(silver: Rows) -> dict[str, np.ndarray]:
    sources = np.array(silver.sources or [])
    return {name: silver.labels[sources == name] for name in np.unique(sources).tolist()}


def _strategy_table(silver: Rows) -> str:
    parts = _scores_by_strategy(silver) or {"unknown": silver.labels}
    cells = [
        [name, len(scores), 100 * (len(scores) / len(silver)), float(scores.mean())]
        for name, scores in parts.items()
    ]
    return markdown_table(["strategy", "pairs", "%", "mean score"], cells)


def _distribution_table(gold: Rows | None, silver: Rows) -> str:
    edges = bin_edges((gold or silver).labels)
    header = ["score"]
    cells = [[f"{low:.3g} to {high:.3g}"] for low, high in zip(edges, edges[1:], strict=False)]
    for name, rows in (("gold", gold), ("silver", silver)):
        if rows:
            header += [name, "%"]
            counts = np.histogram(rows.labels, edges)[0]
            for line, count in zip(cells, counts.tolist(), strict=True):
                line += [count, 100 * count / counts.sum()]
    return markdown_table(header, cells)


def draw_divergence(folder: Path, gold: Rows | None, silver: Rows) -> None:
    """Histograms of gold, silver and each strategy for TensorBoard, and of all in scores.png.

    The picture needs the extra plots. Events of an earlier silver file are deleted.
    """
    for events in folder.glob("events.*"):
        events.unlink()
    scores = {"gold": gold.labels} if gold else {}
    scores["silver"] = silver.labels
    parts = {f"silver, {name}": part for name, part in _scores_by_strategy(silver).items()}
    edges = np.linspace(0, 1, 2 * BINS + 1)
    with SummaryWriter(str(folder)) as writer:
        for name, values in (scores | parts).items():
            writer.add_histogram(f"scores/{name}", values, 0, bins=edges)
    if figures.matplotlib_available():
        divergence = kl_divergence(gold.labels, silver.labels) if gold else None
        title = f"KL(gold || silver) = {divergence:.3f}" if gold else "silver"
        if len(parts) > 1:
            scores |= parts
        figures.save_figure(figures.histograms(scores, title, "score"), folder / "scores.png")


def compare_files(config: CompareConfig) -> str:
    """`augment.py compare`."""
    gold = read_dataset(config.gold)
    check_gold_task(gold)
    silver = read_dataset(DatasetConfig(config.silver, task="sts", source="strategy"))
    return describe_divergence(gold, silver)
