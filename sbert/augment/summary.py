"""The table of a recipe: what each row reaches on dev and test over its seeds, and what silver gains over gold alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sbert.augment.config import GOLD, TEACHER, UNTUNED, RecipeConfig, SilverConfig
from sbert.augment.divergence import MAX_KL, kl_divergence
from sbert.augment.stages import Stage
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import InputError
from sbert.evaluation.significance import NOISE, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.summary import Finished, deviation


class SilverSummary(NamedTuple):
    """A silver file: its pairs, and KL(gold || silver) of their scores, in nats."""

    pairs: int
    divergence: float

    @classmethod
    def at(cls, stage: Stage) -> "SilverSummary":
        config: SilverConfig = stage.config
        gold = np.concatenate([read_dataset(dataset).labels for dataset in config.gold])
        silver = read_dataset(DatasetConfig(config.output)).labels
        return cls(len(silver), kl_divergence(gold, silver))

    def line(self) -> str:
        skewed = f": skewed, above {MAX_KL}" if self.divergence > MAX_KL else ""
        return f"{self.pairs:,} pairs, KL(gold || silver) {self.divergence:.3f}{skewed}"


class MetricColumn(NamedTuple):
    """A dataset in the table; `chooses`: it is a dev set of the last bi-encoder."""

    dataset: str
    chooses: bool


def group_score(one: Finished, dataset: str, metric: str | None, when: str = "after") -> float:
    """A metric of a dataset, of the kind of score that counts: pearson of a cross-encoder is pearson_logit. NaN without any."""
    for result in one.result["results"]:
        if result["dataset"] == dataset:
            name = _name(result["main"], metric)
            if name not in result[when]:
                raise InputError(
                    f"metric: {dataset} has no '{name}'; there are: {', '.join(result[when])}"
                )
            return math.nan if result[when][name] is None else result[when][name]
    return math.nan


def _name(main: str, metric: str | None) -> str:
    """spearman_cosine and pearson -> pearson_cosine; accuracy has no kind of score."""
    return main if metric is None else "_".join(filter(None, [metric, main.partition("_")[2]]))


class Group:
    """The stages of one size of gold, as far as they are done."""

    def __init__(
        self, config: RecipeConfig, stages: Sequence[Stage], looks: dict[str, SilverSummary]
    ):
        self.config, self.looks = config, looks
        self.silver = [stage for stage in stages if stage.kind == "silver" and stage.label in looks]
        self.rows: dict[str, list[Finished]] = {}
        for stage in stages:
            if stage.kind != "silver" and stage.done:
                self.rows.setdefault(stage.row, []).append(Finished.read(stage))
        self.columns = self._columns()

    def _columns(self) -> list[MetricColumn]:
        """In the order of the first run: of a target its own datasets alone."""
        results, target = self.rows[GOLD][0].result["results"], self.config.target
        if not target:
            return [MetricColumn(r["dataset"], r["part"] == "dev") for r in results]
        of_target = [r for r in results if r["part"] == "test"]
        return [MetricColumn(r["dataset"], i < len(target.dev)) for i, r in enumerate(of_target)]

    def scores(self, row: str, dataset: str, metric: str | None) -> dict[int, float]:
        """{seed: score}. The untuned bi-encoder is what the first one on gold began with: it has no seed."""
        if row == UNTUNED:
            return {0: group_score(self.rows[GOLD][0], dataset, metric, "before")}
        return {one.run.axes["seed"]: group_score(one, dataset, metric) for one in self.rows[row]}

    def names(self) -> list[str]:
        """The rows that are there, in the order of the table."""
        return [
            UNTUNED,
            *(row for row in [GOLD, TEACHER, *self.config.silver.strategies] if row in self.rows),
        ]

    def shown(self, row: str) -> str:
        if row in (UNTUNED, TEACHER):
            return row
        source = "source" if self.config.target else "gold"
        return (
            source if row == GOLD else f"silver: {row}" if self.config.target else f"gold + {row}"
        )

    def table(self) -> str:
        main = {r["dataset"]: r["main"] for r in self.rows[GOLD][0].result["results"]}
        header, cells = ["trained on", "runs", "steps"], []
        for column in self.columns:
            metric = _name(main[column.dataset], self.config.metric).partition("_")[0]
            header += [f"{column.dataset} {metric}", "deviation", "gain"]
        header += ["silver", "KL"]
        published = self.config.published if "size" not in self.rows[GOLD][0].run.axes else {}
        for row in self.names():
            steps = self.rows[row][0].result["steps"] if row in self.rows else math.nan
            cells.append([self.shown(row), len(self.rows.get(row, [0])), steps])
            for column in self.columns:
                mine, gold = (
                    list(self.scores(r, column.dataset, self.config.metric).values())
                    for r in (row, GOLD)
                )
                mean, base = 100 * float(np.mean(mine)), 100 * float(np.mean(gold))
                cells[-1] += [mean, 100 * deviation(mine), math.nan if row == GOLD else mean - base]
            looks = [self.looks[stage.label] for stage in self.silver if stage.row == row]
            count = round(np.mean([look.pairs for look in looks])) if looks else math.nan
            cells[-1] += [
                count,
                float(np.mean([look.divergence for look in looks])) if looks else math.nan,
            ]
            cells[-1] += [float(published.get(row, math.nan))] if published else []
        return markdown_table([*header, "published"] if published else header, cells)

    def dev(self, row: str) -> dict[int, float]:
        """{seed: the mean of the main metrics of the dev sets}."""
        scores = [
            self.scores(row, column.dataset, None) for column in self.columns if column.chooses
        ]
        return {seed: float(np.mean([some[seed] for some in scores])) for seed in scores[0]}

    def verdict(self) -> str:
        """The bi-encoder that is best on dev, its worth against gold alone, and where it lies. Test sets choose nothing."""
        if not any(column.chooses for column in self.columns):
            return "no labelled dev set of the target: nothing is chosen among the rows"
        means = {
            row: float(np.mean(list(self.dev(row).values())))
            for row in self.names()
            if row != TEACHER
        }
        ranked = sorted(
            (row for row in means if not math.isnan(means[row])), key=lambda row: -means[row]
        )
        if not ranked:
            return "no row has a defined score on dev: none is chosen"
        best = ranked[0]
        if best == GOLD:
            lead = "no silver helps" if len(ranked) > 2 else "the first"
            return f"**{self.shown(best)}** is best on dev ({lead}): {self.place(best)}"
        if best == UNTUNED:
            return f"**{UNTUNED}** is best on dev, no training helps: {self.place(best)}"
        difference, p, how = p_of_means(self.dev(best), self.dev(GOLD))
        worth = "with one run of each the noise is unknown"
        if not math.isnan(p):
            tried = len(set(self.names()) & set(self.config.silver.strategies))
            among = f", not corrected for the choice among {tried} strategies" if tried > 1 else ""
            worth = f"{'inside' if p >= NOISE else 'outside'} the noise ({how}, p = {p:.3f}{among})"
        lead = f"**{self.shown(best)}** is best on dev, {100 * difference:.2f} above {self.shown(GOLD)}: {worth}"
        return f"{lead}; its best run: {self.place(best)}"

    def place(self, row: str) -> str:
        """The folder of the model of a row's run that is best on dev."""
        if row == UNTUNED:
            return self.config.bi_encoder.model.path
        dev = self.dev(row)
        best = max(
            self.rows[row], key=lambda one: np.nan_to_num(dev[one.run.axes["seed"]], nan=-math.inf)
        )
        return str(best.run.result)


def teacher_warning(
    config: RecipeConfig, gold: Sequence[Finished], teacher: Sequence[Finished]
) -> str:
    """Of a teacher that is worse on dev than the student: its labels are then further from gold than the student's own scores.

    Dev of adaptation's source does not tell which of the two is better on the target.
    """
    if config.target:
        return ""
    means = [
        float(np.mean([one.main("dev") for one in runs])) if runs else math.nan
        for runs in (gold, teacher)
    ]
    if not means[1] < means[0]:  # nor where one is undefined
        return ""
    return (
        f"the {TEACHER} has {100 * means[1]:.2f} on dev, less than the {100 * means[0]:.2f} of the bi-encoder that it is to "
        "teach: its silver may bring nothing; start it from a stronger encoder, or train it longer"
    )


def group_stages(
    config: RecipeConfig, stages: Sequence[Stage], looks: dict[str, SilverSummary]
) -> list[Group]:
    """One of each size of which the first training is done."""
    of_size = [
        [stage for stage in stages if stage.axes.get("size") == size]
        for size in config.sizes or [None]
    ]
    return [
        Group(config, some, looks)
        for some in of_size
        if any(s.kind == "gold" and s.done for s in some)
    ]


def recipe_table(
    config: RecipeConfig, stages: Sequence[Stage], looks: dict[str, SilverSummary]
) -> str:
    """The tables x 100, with what they say."""
    parts = []
    for group in group_stages(config, stages, looks):
        pairs = group.rows[GOLD][0].result["train_rows"]
        title = [f"{pairs:,} gold pairs", ""] if config.sizes else []
        doubt = teacher_warning(config, group.rows[GOLD], group.rows.get(TEACHER, []))
        parts.append(
            "\n".join([*title, group.table(), "", *([doubt, ""] if doubt else []), group.verdict()])
        )
    return "\n\n".join(parts)
