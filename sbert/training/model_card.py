"""The model card of a run: its data with counts, its settings and results, beside its model.

Nothing in it depends on the clock, so a resumed run writes the card of an uninterrupted one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sbert.cli import versions
from sbert.data.config import DatasetConfig
from sbert.data.origin import dataset_name
from sbert.data.rows import Rows
from sbert.data.table import describe_skipped
from sbert.evaluation.report import describe_metric, factor_of
from sbert.markdown import markdown_code, markdown_table
from sbert.models.encoder import Encoder
from sbert.models.folders.card import ModelCard, write_card
from sbert.training.config import TrainConfig
from sbert.training.datasets import RunData

# our tasks -> the hub's names of what is evaluated
_HUB_TASKS = {
    "sts": "semantic-similarity",
    "binary": "binary-classification",
    "nli": "natural-language-inference",
    "class": "text-classification",
    "retrieval": "information-retrieval",
    "rerank": "reranking",
}
# what other columns of the table of datasets, and other parts of the card, say
_IN_COLUMNS = ("path", "split", "task", "name", "languages", "teacher")
_ELSEWHERE = ("data.train.", "data.dev.", "data.test.", "model.path", "optim.")
# what no weight depends on, and what `facts` say
_NO_SETTINGS = ("name", "runs", "loop.log_steps", "loop.save_steps", "loop.seed", "loop.precision")
# what the card of a language model says
_LANGUAGE_MODEL = (
    "The encoder was trained by masked-language modelling (BERT, arXiv 1810.04805), which does not "
    "make its embeddings comparable: train it on sentences before use."
)


@dataclass
class RunCard:
    """Writes the card of a run: when a model is saved, and again when the run ends.

    Args:
        changed: the options that differ from their defaults, with dotted names.
    """

    config: TrainConfig
    changed: Mapping[str, Any]
    data: RunData

    def __post_init__(self):
        config, train = self.config, self.config.data.train
        languages = chain.from_iterable(dataset.languages or [] for dataset in train)
        self.card = ModelCard(
            config.name,
            config.model.path,
            languages=_unique(languages),
            datasets=_unique(filter(None, map(_hub_name, train))),
        )

    def write(
        self,
        folder: Path,
        model: Encoder,
        facts: Mapping[str, Any],
        results: Sequence[dict] | None = None,
    ) -> None:
        """Write the card into the folder of the saved model.

        Args:
            facts: of the run, by name, such as its seed and its steps.
            results: of `dataset_results`; None as long as the run has not finished.
        """
        made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
        self.card.results = self._index_results(results or [])
        settings = self._settings_table(facts)
        self.card.sections = [
            f"## Training data\n\n{self._data_table()}",
            f"## Training\n\n{self._stage()}{settings}\n\nMade with {made_with}.",
            f"## Results\n\n{_describe_results(results)}",
        ]
        write_card(folder, model, self.card)

    def _stage(self) -> str:
        reads_tokens = any(part.loss.reads_tokens for part in self.data.parts)
        return f"{_LANGUAGE_MODEL}\n\n" if reads_tokens else ""

    def _data_table(self) -> str:
        """A row for each training dataset, without the columns that are empty in all."""
        losses = [type(part.loss).__name__ for part in self.data.parts for _ in part.train]
        datasets = zip(self.config.data.train, self.data.train, losses, strict=True)
        lines = []
        for i, (config, rows, loss) in enumerate(datasets):
            options = []
            for name, value in self.changed.items():
                option = name.removeprefix(f"data.train.{i}.")
                if option != name and option not in _IN_COLUMNS:
                    options.append(f"{option}: {value}")
            lines.append(_describe_rows(config, rows) | {"loss": loss, "options": options})
        header = [name for name in lines[0] if any(line[name] for line in lines)]
        cells = [[_format_cell(line[name]) for name in header] for line in lines]
        return markdown_table(header, cells)

    def _settings_table(self, facts: Mapping[str, Any]) -> str:
        """All options of the optimiser, the others that differ from their defaults, and `facts`."""
        optim = vars(self.config.optim)
        # one stands in place of the other
        unused = ["steps" if optim["steps"] is None else "epochs"]
        unused.append("batch_tokens" if optim["batch_tokens"] is None else "batch_size")
        settings = {f"optim.{name}": optim[name] for name in optim if name not in unused}
        for name, value in self.changed.items():
            listed = name.startswith(_ELSEWHERE) or name in _NO_SETTINGS
            if value is not None and not listed:
                settings[name] = value
        rows = [[name, markdown_code(str(value))] for name, value in settings.items()]
        rows += [[name, str(value)] for name, value in facts.items()]
        table = markdown_table(["option", "value"], rows)
        return f"{table}\n\nOptions that are not listed have their defaults."

    def _index_results(self, results: Sequence[dict]) -> list[dict]:
        """What the hub's model-index holds of results: the metrics that are defined, after."""
        data = self.config.data
        hub_names = {dataset_name(config): _hub_name(config) for config in data.dev + data.test}
        index = []
        for result in results:
            name, task, metrics = result["dataset"], result["task"], []
            for metric, value in result["after"].items():
                if value is not None:
                    metrics.append({"type": metric, "value": round(value, 6)})
            kind = hub_names.get(name) or "unknown"
            if metrics:
                index.append(
                    {
                        "task": {"type": _HUB_TASKS.get(task, task)},
                        "dataset": {"type": kind, "name": name, "split": result["part"]},
                        "metrics": metrics,
                    }
                )
        return index


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _hub_name(config: DatasetConfig) -> str | None:
    """The name on the hub of a dataset that is read from there."""
    if not config.path.startswith("hf:"):
        return None
    return config.path.removeprefix("hf:").partition(":")[0]


def _describe_rows(config: DatasetConfig, rows: Rows) -> dict[str, Any]:
    """The columns of the table of datasets that the dataset itself says."""
    path = config.path if config.split is None else f"{config.path}, split {config.split}"
    blocks = Counter(rows.languages)
    languages = [f"{language} {count:,}" for language, count in blocks.items()]
    return {
        "dataset": markdown_code(rows.name),
        "read from": markdown_code(path),
        "rows": len(rows),
        "task": rows.task,
        "languages": list(blocks) if len(blocks) == 1 else languages,
        "labelled by": [f"cross-encoder {rows.teacher}"] if rows.teacher else [],
        "notes": [*describe_skipped(rows.skipped), *rows.notes],
    }


def _format_cell(value: str | int | list[str]) -> str | int:
    if not isinstance(value, list):
        return value
    return markdown_code("; ".join(value)) if value else ""


def _describe_results(results: Sequence[dict] | None) -> str:
    """The main metric of every dataset, and of each of its languages, x 100, before and after
    training."""
    if results is None:
        return "The run had not finished when this card was written."
    if not results:
        return "None: the run has neither dev nor test sets."
    rows = []
    for result in results:
        place = [markdown_code(result["dataset"]), result["part"]]
        for metric, count in result["shown"].items():
            values = [result[when][metric] for when in ("before", "after")]
            before, after = (
                math.nan if value is None else factor_of(metric) * value for value in values
            )
            figures = [before, after, after - before]
            rows.append([*place, count, describe_metric(metric), *figures])
    header = ["dataset", "part", "rows", "metric x 100", "before", "after", "gain"]
    notes = "No choice of this run was made on the test sets."
    if any(result["part"] == "dev" for result in results):
        notes = f"The saved step is the best on the dev sets: their figures are optimistic. {notes}"
    return f"{markdown_table(header, rows)}\n\n{notes}"
