"""What a run records: its folder, metrics.jsonl, TensorBoard's curves, the progress bar.

TensorBoard shows tags in alphabetical order by their first part, so that the rest comes last:

    dev/<dataset>                   the main metric of a dev set, from step 0: before training
    test/<dataset>                  the main metric before training and of the best model
    train/<name>                    loss, learning rate, throughput and the like
    values/<part>/<dataset>/<name>  the other metrics; for STS on dev also the scores by gold band
"""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from sbert.atomic import make_folder, write_whole
from sbert.config_keys import first_difference
from sbert.errors import InputError, require
from sbert.evaluation import figures
from sbert.evaluation.report import Report
from sbert.markdown import markdown_cell
from sbert.training.checkpoint import STATE

GOLD_BANDS = 5  # of equal width, for the histograms of scores


def check_run(folder: Path, config_yaml: str, resume: bool, overwrite: bool) -> None:
    """Check that a run may use a folder, which stays as it is.

    Raises:
        InputError: the folder holds a run and neither flag is given; a resumed run has another
            configuration, or is finished and has no state left; both flags are given; an
            overwritten folder holds other runs, too.
    """
    saved = folder / "config.yaml"
    require(not (resume and overwrite), f"{folder}: --resume and --overwrite exclude each other")
    if not saved.exists():
        return
    if overwrite:
        for other in folder.glob("*/**/config.yaml"):
            raise InputError(
                f"{folder}: --overwrite would delete the run {other.parent} in it, too; set "
                "another name, or delete the folder yourself"
            )
        return
    require(
        resume,
        f"{folder}: already holds a run; continue it with --resume, replace it with "
        "--overwrite, or set another name",
    )
    changed = first_difference(saved.read_text("utf-8"), config_yaml)
    require(not changed, f"{folder}: cannot resume with another configuration: {changed}")
    require(
        (folder / "last" / STATE).exists() or not (folder / "result.json").exists(),
        f"{folder}: the run is finished, and its last/ was deleted, so there is nothing to resume; "
        "train it anew with --overwrite, or set another name",
    )


def open_run(folder: Path, config_yaml: str, resume: bool, overwrite: bool) -> None:
    """Make a run folder with its config.yaml, or open an existing one; overwrite: delete it first.

    Raises:
        InputError: as `check_run`.
    """
    check_run(folder, config_yaml, resume, overwrite)
    saved = folder / "config.yaml"
    if saved.exists() and overwrite:
        shutil.rmtree(folder)
    make_folder(folder)
    if not saved.exists():
        write_whole(saved, config_yaml.encode())


def read_metrics(folder: Path) -> list[dict]:
    """The rows of metrics.jsonl, without a last row that a crash cut short."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


@dataclass
class LogWindow:
    """What happened since the last point of the training curves.

    Losses stay on the device: reading one would wait for it.
    """

    losses: list[Tensor] = field(default_factory=list)
    which: list[int] = field(default_factory=list)  # the number of the loss of each step
    norms: list[Tensor] = field(default_factory=list)
    rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0  # tokens and padding
    start: float = field(default_factory=time.perf_counter)

    def means_by_name(self, losses: Tensor, names: Sequence[str]) -> dict[str, float]:
        """The mean of the steps of each loss that had any, of losses (steps,)."""
        means = {}
        for number, name in enumerate(names):
            own = losses[[which == number for which in self.which]]
            if len(own):
                means[f"loss/{name}"] = own.mean().item()
        return means


def check_losses(losses: Tensor, last_step: int, folder: Path) -> None:
    """Check the losses (steps,) of the steps up to the last one.

    Raises:
        InputError: a loss is not finite.
    """
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        first = int(bad[0])
        step = last_step - len(losses) + first + 1
        raise InputError(
            f"{folder}: the loss of step {step} is {losses[first].item()}; last/ and best/ are as "
            "they were at the last evaluation; lower optim.lr, or use loop.precision fp32"
        )


class Tracker:
    """Records a run. Only the active tracker, that of the main process, writes anything.

    step: where the run resumes; what an interrupted run wrote after it is dropped.
    """

    def __init__(self, folder: Path, step: int, active: bool = True):
        self.active = active
        self.metrics_file = folder / "metrics.jsonl"
        self.step = step
        self.bar = tqdm(disable=True)
        if active:
            kept = [row for row in read_metrics(folder) if row["step"] <= step]
            lines = "".join(json.dumps(row) + "\n" for row in kept)
            write_whole(self.metrics_file, lines.encode())
            self.board = SummaryWriter(str(folder), purge_step=step + 1)

    def log_config(self, options: Mapping[str, object]) -> None:
        """A table of options in TensorBoard's text tab."""
        if not self.active:
            return
        lines = [f"| {markdown_cell(name)} | {markdown_cell(options[name])} |" for name in options]
        table = "\n".join(["| option | value |", "| --- | --- |", *lines])
        self.board.add_text("configuration", table, 0)

    def log_row(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One row of metrics.jsonl, in which an undefined value is null."""
        if not self.active:
            return
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **row}) + "\n")

    def log_training(self, step: int, values: Mapping[str, float]) -> None:
        """A row, and one point of each training curve."""
        self.log_row("train", step, values)
        for name, value in values.items():
            self._add_point(f"train/{name}", step, value)

    def log_dev(self, step: int, reports: Sequence[Report]) -> None:
        """A row for each dataset, its curves, and for STS the distributions of its scores."""
        for report in reports:
            values = {f"{report.name}/{name}": value for name, value in report.metrics.items()}
            self.log_row("dev", step, values)
            if self.active and report.scores is not None:
                self._add_scores(f"values/dev/{report.name}/{report.score_name}", step, report)
        self.log_curves("dev", step, reports)

    def log_curves(self, part: str, step: int, reports: Sequence[Report]) -> None:
        """One point of the curve of every metric in TensorBoard. part: dev or test."""
        for report in reports:
            for name, value in report.metrics.items():
                if name == report.primary_metric:
                    tag = f"{part}/{report.name}"
                else:
                    tag = f"values/{part}/{report.name}/{name}"
                self._add_point(tag, step, value)
        if self.active:
            self.board.flush()

    def _add_point(self, tag: str, step: int, value: float) -> None:
        if self.active and math.isfinite(value):  # an undefined value has no tag and no point
            self.board.add_scalar(tag, value, step)

    def _add_scores(self, tag: str, step: int, report: Report) -> None:
        """Histograms of the scores by gold band and, with matplotlib, figures of them."""
        bands = scores_by_gold(report.scores, report.gold)
        for band, scores in bands.items():
            finite = scores[np.isfinite(scores)]
            if len(finite):  # TensorBoard refuses an empty histogram
                self.board.add_histogram(f"{tag} where {band}", finite, step)
        if not figures.matplotlib_available():
            return
        name, score_name = report.name, report.score_name
        by_title = {
            "by gold": figures.scatter_plot(report.gold, report.scores, name, score_name),
            "densities": figures.histograms(bands, name, score_name),
        }
        for title, figure in by_title.items():
            self.board.add_image(
                f"{tag} {title}", figures.figure_pixels(figure), step, dataformats="HWC"
            )

    def start_bar(self, total: int) -> None:
        """Show the progress bar. Its clock starts here: what came before is not training time."""
        self.bar = tqdm(
            total=total,
            initial=self.step,
            unit="step",
            disable=not self.active,
            dynamic_ncols=True,
        )

    def update_bar(self, step: int, loss: float, pairs_per_second: float) -> None:
        self.bar.set_postfix_str(f"loss {loss:.4f}, {pairs_per_second:.0f} pairs/s", refresh=False)
        self.bar.update(step - self.bar.n)

    def print(self, text: str) -> None:
        """A line above the progress bar."""
        if self.active:
            self.bar.write(text)

    def close(self) -> None:
        self.bar.close()
        if self.active:
            self.board.close()


def scores_by_gold(scores: np.ndarray, gold: np.ndarray) -> dict[str, np.ndarray]:
    """The scores (N,) in each band of gold (N,), in [0, 1], that has any."""
    bands = np.minimum((gold * GOLD_BANDS).astype(int), GOLD_BANDS - 1)
    return {
        f"gold is {k / GOLD_BANDS:.1f} to {(k + 1) / GOLD_BANDS:.1f}": scores[bands == k]
        for k in np.unique(bands)
    }
