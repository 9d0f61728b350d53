"""All that one call of `evaluate.py` finds out: its tables, its notes, and the facts as JSON."""

import math
from dataclasses import dataclass, field

from sbert.cli import versions
from sbert.data.leakage import Contamination, Seen
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.evaluation import tables
from sbert.evaluation.config import EvaluateConfig
from sbert.evaluation.evaluators import PRIMARY, Report
from sbert.evaluation.results import Difference, Result, average_difference, scores_by_overlap
from sbert.evaluation.scorers import EvaluatedModel
from sbert.evaluation.significance import LEVEL, NOISE

BASELINE = "the baseline"  # what tables call the other model

FIRST = "the search alone"  # what they call the order before the re-ranker


@dataclass
class Evaluation:
    """`baseline`: the other model's results, in the order of `results`. `checked`: what of each dataset is seen; `reports`: each
    report of the model with what of its dataset is seen."""

    config: EvaluateConfig
    contestants: list[EvaluatedModel]
    computed: str  # the type of the products and the device
    datasets: list[tuple[Rows | Retrieval, str]] = field(
        default_factory=list
    )  # with the place they were read from
    results: list[Result] = field(default_factory=list)
    baseline: list[Result] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seen: Seen | None = None
    checked: list[Contamination] = field(default_factory=list)
    reports: list[tuple[Report, Contamination]] = field(default_factory=list)
    command: str = ""
    seconds: float = 0.0

    def sections(self) -> dict[str, str]:
        """The tables by title."""
        found = {"results": tables.results_table(self.results)}
        if self.baseline:
            found[f"baseline {self.config.baseline}"] = tables.results_table(self.baseline)
        if self.differences:
            found["comparison"] = tables.differences_table(self.compared())
        if self.seen:
            found["contamination"] = (
                f"{self.seen.describe()}\n\n{tables.contamination_table(self.checked, self.reports)}"
            )
        return found

    def compared(self) -> list[Difference]:
        """The differences, and of several STS datasets that of their averages."""
        of_sts = [one for one in self.differences if (one.task, one.other) == ("sts", BASELINE)]
        return [*self.differences, *([average_difference(of_sts)] if len(of_sts) > 1 else [])]

    def notes(self) -> list[str]:
        """What a reader must know, each once."""
        notes = [note for result in self.results + self.baseline for note in result.notes()]
        notes += [note for difference in self.compared() if (note := difference.note())]
        if self.differences and self.config.resamples:
            count = len(self.compared())
            alone = (
                f"; each p is of one row alone, not corrected for {count} comparisons"
                if count > 1
                else ""
            )
            how = f"paired bootstrap, {self.config.resamples:,} resamples"
            notes.append(
                f"bold: the better score, where p < {NOISE} ({how}); none where the difference is noise{alone}"
            )
        for one in self.checked:
            if one.pair.any():
                count = f"{one.pair.sum():,} of {len(one.pair):,} rows"
                notes.append(
                    f"{one.name}: {count} hold a pair that was seen in training; state the score without them"
                )
        if self.seen and any(one.task in ("rerank", "retrieval") for one, _ in self.datasets):
            notes.append("seen: of re-ranking and retrieval, rows are queries")
        return list(dict.fromkeys(notes))


def report_settings(found: Evaluation) -> dict[str, object]:
    """The options that the numbers depend on, beside the models and the data."""
    config = found.config
    named = {
        "computed": found.computed,
        "symmetric": config.symmetric,
        "depth": config.depth if config.reranker else None,
    }
    named |= {"resamples": config.resamples, "seed": config.seed, "level": LEVEL}
    return {name: value for name, value in named.items() if value is not None}


def report_facts(found: Evaluation) -> dict:
    """The report in JSON types; what is undefined is null."""
    config = found.config
    content: dict = {"model": config.model}
    if config.reranker:
        content |= {"reranker": config.reranker, "depth": config.depth}
    content["results"] = [_result(result) for result in found.results]
    if found.baseline:
        content |= {
            "baseline": config.baseline,
            "baseline_results": [_result(result) for result in found.baseline],
        }
    if found.differences:
        content["comparison"] = [_difference(difference) for difference in found.compared()]
    if found.seen:
        content["contamination"] = {"seen": found.seen.names, "datasets": _contamination(found)}
    data = [{"dataset": rows.name, "task": rows.task, "rows": len(rows), "from": place, "skipped": dict(rows.skipped)}
            for rows, place in found.datasets]  # fmt: skip
    content |= {
        "notes": found.notes(),
        "models": [c.facts() for c in found.contestants],
        "data": data,
    }
    content |= {
        "settings": report_settings(found),
        "versions": versions(),
        "command": found.command,
    }
    return content | {"seconds": round(found.seconds, 2)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _result(result: Result) -> dict:
    report = result.report
    found = {"dataset": report.name, "task": report.task, "rows": report.rows, "main": report.main}
    found["metrics"] = {name: _number(value) for name, value in report.metrics.items()}
    if result.draws:
        found["intervals"] = {
            name: [_number(v) for v in bounds] for name, bounds in result.intervals.items()
        }
    return found if result.ceiling is None else found | {"ceiling": _number(result.ceiling)}


def _difference(one: Difference) -> dict:
    found = {"dataset": one.name, "with": one.other, "metric": PRIMARY[one.task].format(one.kind)}
    numbers = {"score": one.first, "other": one.second, "difference": one.value, "p": one.p}
    return (
        found
        | {k: _number(v) for k, v in numbers.items()}
        | {"interval": [_number(v) for v in one.interval]}
    )


def _contamination(found: Evaluation) -> list[dict]:
    of_reports = [
        {"dataset": report.name, "metric": report.main,
         "scores": {part: _number(value) for part, value in scores_by_overlap(report, one).items()}}
        for report, one in found.reports
    ]  # fmt: skip
    counts = {
        one.name: {"rows": len(one.pair), "rows_pair_seen": int(one.pair.sum()), "rows_sentence_seen": int(one.sentence.sum()),
                   "pairs": one.pairs, "pairs_seen": one.pairs_seen,
                   "sentences": one.sentences, "sentences_seen": one.sentences_seen}
        for one in found.checked
    }  # fmt: skip
    return [
        counts[one.name] | entry for entry, (_, one) in zip(of_reports, found.reports, strict=True)
    ]
