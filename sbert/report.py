"""One model, many datasets, one report: what `evaluate.py` calls."""

import sys
import time
from pathlib import Path

import torch

from sbert import page
from sbert.batching import tabulate
from sbert.config import EvaluateConfig
from sbert.contamination import check, read_seen
from sbert.data import DatasetConfig, Rows, by_name, has_splits, read, where_from
from sbert.encoder import resolve_precision
from sbert.errors import InputError
from sbert.evaluation import DEPTH, Report, evaluate
from sbert.findings import BASELINE, FIRST, Findings
from sbert.judges import Contestant, Datasets, load_baseline, load_model, load_reranker, logits_of
from sbert.reranking import rerank
from sbert.result import difference, weigh
from sbert.retrieval import Retrieval


def configs(data: list[str | DatasetConfig], split: str) -> list[DatasetConfig]:
    """Datasets of a command: a bare name gets the split, a file or a folder without splits needs none."""
    datasets = [by_name(d, split) if isinstance(d, str) else d for d in data]
    for dataset in datasets:
        if dataset.split is None and has_splits(dataset):
            dataset.split = split
    return datasets


def check_options(config: EvaluateConfig) -> None:
    """Refuse options that are wrong whatever the data and the models are."""
    if config.output and Path(config.output).suffix not in (".json", ".md"):
        raise InputError(f"output {config.output}: ends in .json or .md")
    if config.reranker is None and config.depth != DEPTH:
        raise InputError("depth is how many documents a reranker reads; name one, or leave depth out")
    if config.resamples < 0 or config.resamples == 1:
        raise InputError(
            f"resamples is {config.resamples}; it must be 2 or more (10,000 is usual), or 0 for no intervals"
        )
    if config.seed < 0:
        raise InputError(f"seed is {config.seed}; it must be 0 or more")
    if not config.data:
        raise InputError("data: names no dataset")


def evaluate_encoder(config: EvaluateConfig, command: str = "") -> Findings:
    """Evaluate, print the tables, write the report where `output` says."""
    started = time.perf_counter()
    check_options(config)
    given = configs(config.data, config.split)
    datasets = [read(dataset) for dataset in given]
    seen = read_seen(configs(config.seen, "train")) if config.seen else None
    if config.output:
        page.prepare(Path(config.output))
    contestants, computed = enter(config, datasets)
    places = [where_from(dataset) for dataset in given]
    found = Findings(
        config, contestants, computed, list(zip(datasets, places, strict=True)), seen=seen, command=command
    )
    for rows in datasets:
        judge_dataset(found, rows)
    for title, text in found.sections().items():
        print("" if title == "results" else f"\n{title}\n", text, sep="\n")
    print("", *(f"note: {note}" for note in found.notes()), sep="\n")
    found.seconds = time.perf_counter() - started
    if config.output:
        page.write(Path(config.output), found)
        print(f"written to {config.output}")
    return found


def enter(config: EvaluateConfig, datasets: Datasets) -> tuple[list[Contestant], str]:
    """The models of the command, described in a line each, and by what they compute."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    computed = f"{str(resolve_precision(config.precision, device)).removeprefix('torch.')} on {device}"
    contestants = [load_model(config, datasets, device)]
    if config.baseline:
        contestants.append(load_baseline(config, datasets, device))
    if config.reranker:
        contestants.append(load_reranker(config, datasets, device))
    for one in contestants:
        first = {"baseline": "baseline: ", "reranker": f"re-ranked: the first {config.depth:,} by "}.get(one.role, "")
        print(f"{first}{one.path}: {one.describe()}, {computed}")
    return contestants, computed


def judge_dataset(found: Findings, rows: Rows | Retrieval) -> None:
    """Add all that is to be said of one dataset."""
    config, by_role = found.config, {one.role: one for one in found.contestants}
    print(rows.describe(), file=sys.stderr)
    sides = [_reports(found, rows, by_role[role]) for role in ("model", "baseline") if role in by_role]
    results = weigh([report for side in sides for report in side], config.resamples, config.seed, rows.name)
    mine, others = results[: len(sides[0])], results[len(sides[0]) :]
    found.results += mine
    found.baseline += others
    pairs = [(first, second, BASELINE) for first, second in zip(mine, others, strict=False)]
    pairs += [(mine[1], mine[0], FIRST)] if len(mine) > 1 else []
    found.differences += [difference(*pair) for pair in pairs]
    if found.seen:
        found.checked.append(check(rows, found.seen))
        found.reports += [(result.report, found.checked[-1]) for result in mine]


def _reports(found: Findings, rows: Rows | Retrieval, by: Contestant) -> list[Report]:
    """The report on one dataset and, of retrieval with a re-ranker, the one on the re-ranked order."""
    if cut := by.model.texts.describe_cut(*tabulate(by.model.texts, rows.texts)):
        print(f"{by.role}: {cut}", file=sys.stderr)
    first = evaluate(rows, by.judge)
    rerankers = [one for one in found.contestants if one.role == "reranker"]
    if not rerankers or rows.task != "retrieval":
        return [first]
    return [first, rerank(rows, first, logits_of(rerankers[0].model, found.config), found.config.depth)]
