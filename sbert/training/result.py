"""The metrics before and after training, for result.json and as a table."""

import math
from collections.abc import Mapping, Sequence

from sbert.evaluation.report import Report
from sbert.markdown import markdown_table


def dataset_results(
    before: Mapping[str, float], after: Sequence[Report], dev_sets: int
) -> list[dict]:
    """The metrics of every dataset as fractions; an undefined one is None.

    before: by <dataset>/<metric>. after: of the dev sets, then of the test sets.
    """
    results = []
    for i, report in enumerate(after):
        old = {name: before.get(f"{report.name}/{name}", math.nan) for name in report.metrics}
        result = {
            "dataset": report.name,
            "part": "dev" if i < dev_sets else "test",
            "task": report.task,
            "rows": report.rows,
            "main": report.primary_metric,
            "before": _undefined_as_none(old),
            "after": _undefined_as_none(report.metrics),
        }
        results.append(result)
    return results


def _undefined_as_none(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def comparison_table(before: Mapping[str, float], after: Sequence[Report]) -> str:
    """A Markdown table of the main metric of every dataset, x 100."""
    header = ["dataset", "rows", "metric x 100", "before", "after", "gain"]
    rows = []
    for report in after:
        old, new = before[report.name], report.primary
        values = [100 * old, 100 * new, 100 * (new - old)]
        rows.append([report.name, report.rows, report.primary_metric, *values])
    return markdown_table(header, rows)
