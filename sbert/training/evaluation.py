"""Evaluation of a run: dev during training, dev and test before it and after it, and what
result.json and the last table say of both."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.device import Precision
from sbert.distributed import broadcast, compute_shared
from sbert.errors import require
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.loading import check_whole_embeddings
from sbert.evaluation.prompts import column_prompts, describe_prompts
from sbert.evaluation.report import Report, describe_metric, factor_of
from sbert.evaluation.scorers import Scorer, bi_encoder_scorer, cross_encoder_scorer
from sbert.evaluation.scores import BEFORE_FILE, save_scores
from sbert.evaluation.supported import check_supported
from sbert.losses.saved import TrainedLoss, load_losses
from sbert.losses.softmax import SoftmaxLoss
from sbert.markdown import markdown_table
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.training.datasets import RunData
from sbert.training.objectives.language_model import check_evaluated, make_token_losses
from sbert.training.objectives.objective import Objective
from sbert.training.tracking import Tracker, read_metrics


@dataclass
class RunEvaluator:
    """Evaluates models on the datasets of a run, with all its processes."""

    data: RunData
    precision: Precision
    accelerator: Accelerator

    def make_scorer(self, model: Encoder, losses: Sequence[TrainedLoss]) -> Scorer:
        """The scorer of a model; a bi-encoder classifies by the head of its loss, if it has one."""
        device = self.accelerator.device

        def share(compute: Callable[..., np.ndarray], items: list, **options) -> np.ndarray:
            compute = partial(compute, precision=self.precision, **options)
            return compute_shared(self.accelerator, compute, items)

        if isinstance(model, CrossEncoder):
            predict = partial(share, partial(model.predict, logits=True))
            return cross_encoder_scorer(predict, model.dim, self.data.classes)
        if any(isinstance(loss, SoftmaxLoss) for loss, *_ in losses):
            check_whole_embeddings(model)
        encode = partial(share, model.encode)
        scorer = bi_encoder_scorer(encode, losses, device, similarity=model.similarity_fn_name)
        for loss, *_ in losses:
            if loss.reads_tokens:
                scorer.token_losses = make_token_losses(
                    model, loss, self.precision, self.accelerator
                )
        return scorer

    def check_supported(self, objective: Objective) -> None:
        """Refuse a dataset whose task or prompts the model does not have, or with a text of which a
        language model has nothing to predict, before training."""
        scorer = self.make_scorer(objective.model, self.data.trained(objective.losses))
        for rows in self.data.evaluated:
            check_supported(rows, scorer)
            prompts = column_prompts(rows, objective.model)
            if rows.task == "text":
                [loss] = objective.losses
                check_evaluated(objective.model, loss, rows, prompts[0].text)

    def evaluate(
        self, datasets: Sequence[Rows | Retrieval], model: Encoder, losses: Sequence[TrainedLoss]
    ) -> list[Report]:
        scorer = self.make_scorer(model, losses)
        return [evaluate_rows(rows, scorer, column_prompts(rows, model)) for rows in datasets]

    def evaluate_saved(self, folder: Path, objective: Objective) -> list[Report]:
        """Evaluate a model like that of `objective`, read back from disk, on dev and test."""
        device = self.accelerator.device
        model = type(objective.model).from_pretrained(folder).to(device)
        losses = self.data.trained(objective.losses)
        if any(isinstance(loss, SoftmaxLoss) or loss.reads_tokens for loss, *_ in losses):
            losses = load_losses(folder, model.dim)
        for loss, *_ in losses:
            loss.to(device)
        return self.evaluate(self.data.evaluated, model, losses)

    def metrics_before(
        self, objective: Objective, folder: Path, tracker: Tracker
    ) -> dict[str, float]:
        """Evaluate the model before training; in a resumed run, read what was recorded then.

        Returns the main metric of each dataset as <dataset>, and each metric as
        <dataset>/<metric>; undefined ones are NaN.

        Raises:
            InputError: a resumed run recorded nothing.
        """
        saved = [row for row in read_metrics(folder) if row["kind"] == "before"]
        saved = broadcast(self.accelerator, saved)
        if saved:
            return {name: math.nan if value is None else value for name, value in saved[0].items()}
        require(
            tracker.step == 0,
            f"{folder / 'metrics.jsonl'}: lacks the evaluation before training, and last/ is of "
            f"step {tracker.step}; restore the file, or train anew with --overwrite",
        )
        reports = self.evaluate(
            self.data.evaluated, objective.model, self.data.trained(objective.losses)
        )
        values = {report.name: report.primary for report in reports}
        for report in reports:
            values |= {f"{report.name}/{name}": value for name, value in report.metrics.items()}
            for note in report.notes:
                self.accelerator.print(f"note: {note}")
        if reports and self.accelerator.is_main_process:
            save_scores(folder, self.data.evaluated, reports, BEFORE_FILE)
        tracker.log_row("before", 0, values)  # after them: a resumed run evaluates no more
        tracker.log_curves("dev", 0, reports[: len(self.data.dev)])
        tracker.log_curves("test", 0, reports[len(self.data.dev) :])
        return values


def dataset_results(
    before: Mapping[str, float], after: Sequence[Report], dev_sets: int
) -> list[dict]:
    """The metrics of every dataset as fractions; an undefined one is None.

    before: by <dataset>/<metric>. after: of the dev sets, then of the test sets. "shown" of each
    has the metrics that tables show of it, and the number of rows that each is of.
    """
    results = []
    for i, report in enumerate(after):
        old = {name: before.get(f"{report.name}/{name}", math.nan) for name in report.metrics}
        results.append(
            {
                "dataset": report.name,
                "part": "dev" if i < dev_sets else "test",
                "task": report.task,
                "rows": report.rows,
                "main": report.primary_metric,
                "shown": report.shown_metrics,
                "before": _undefined_as_none(old),
                "after": _undefined_as_none(report.metrics),
            }
        )
        if any(report.prompt_texts):
            results[-1]["prompts"] = report.prompt_texts
    return results


def _undefined_as_none(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def comparison_table(before: Mapping[str, float], after: Sequence[Report]) -> str:
    """A Markdown table of the main metric of every dataset, and of each of its languages, x 100.

    The loss of a language model is not multiplied, and has its perplexity beside it.
    """
    rows, shown = [], []  # shown: the report of each row
    for report in after:
        for metric, count in report.shown_metrics.items():
            old, new = before[f"{report.name}/{metric}"], report.metrics[metric]
            values = [factor_of(metric) * value for value in (old, new, new - old)]
            rows.append([report.name, count, describe_metric(metric), *values])
            shown.append(report)
    header = ["dataset", "rows", "metric x 100", "before", "after", "gain"]
    if any(any(report.prompt_texts) for report in after):
        header.append("prompt")
        for row, report in zip(rows, shown, strict=True):
            row.append(describe_prompts(report.prompts))
    return markdown_table(header, rows)
