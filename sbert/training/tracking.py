"""What a run leaves behind: the run folder, metrics.jsonl, TensorBoard with its curves and figures, the progress bar."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from sbert.atomic import write_whole
from sbert.cli import first_difference
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.evaluation.evaluators import Report
from sbert.markdown import _cell

BANDS = 5  # gold bands of equal width for the histograms of scores


def open_run(folder: Path, config: str, resume: bool, overwrite: bool) -> None:
    """Make a run folder and write its config.yaml, or check that the one that is there may be used."""
    saved = folder / "config.yaml"
    if resume and overwrite:
        raise InputError(f"{folder}: --resume and --overwrite exclude each other")
    if saved.exists() and overwrite:
        shutil.rmtree(folder)
    elif saved.exists() and not resume:
        raise InputError(
            f"{folder}: already holds a run; go on with --resume, start anew with --overwrite, or set name"
        )
    elif saved.exists() and (changed := first_difference(saved.read_text("utf-8"), config)):
        raise InputError(f"{folder}: --resume under another configuration: {changed}")
    folder.mkdir(parents=True, exist_ok=True)
    if not saved.exists():
        write_whole(saved, config.encode())


class Tracker:
    """Writes what a run does, on the main process alone; elsewhere every call does nothing."""

    def __init__(self, folder: Path, step: int, total: int, active: bool = True):
        """`step`: where the run goes on; what an interrupted run wrote after it is dropped."""
        self.active = active
        self.rows = folder / "metrics.jsonl"
        self.step, self.total = step, total
        self.bar = tqdm(disable=True)
        if active:
            kept = [row for row in read_metrics(folder) if row["step"] <= step]
            self.rows.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
            self.board = SummaryWriter(str(folder), purge_step=step + 1)

    def config(self, options: Mapping[str, object]) -> None:
        """The configuration as a table in TensorBoard's text tab."""
        if self.active:
            table = "\n".join(
                f"| {_cell(key)} | {_cell(value)} |" for key, value in options.items()
            )
            self.board.add_text("configuration", f"| option | value |\n| --- | --- |\n{table}", 0)

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One row of metrics.jsonl and one point of each TensorBoard curve `<kind>/<name>`."""
        if not self.active:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **finite}) + "\n")
        for name, value in values.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)

    def start(self) -> None:
        """Show the progress bar: its clock is training's, so what comes before does not count."""
        self.bar = tqdm(
            total=self.total,
            initial=self.step,
            unit="step",
            disable=not self.active,
            dynamic_ncols=True,
        )

    def progress(self, step: int, loss: float, pairs_per_second: float) -> None:
        self.bar.set_postfix_str(f"loss {loss:.4f}, {pairs_per_second:.0f} pairs/s", refresh=False)
        self.bar.update(step - self.bar.n)

    def reports(self, kind: str, step: int, reports: list[Report]) -> None:
        """Every metric of every dataset, and for STS the scores of each gold band and, with matplotlib, their figures."""
        for report in reports:
            self.scalars(
                kind,
                step,
                {f"{report.name}/{name}": value for name, value in report.metrics.items()},
            )
            if self.active and report.scores is not None:
                self._scores(f"{kind}/{report.name}/{report.kind}", step, report)
        if self.active:
            self.board.flush()

    def _scores(self, name: str, step: int, report: Report) -> None:
        bands = scores_by_gold(report.scores, report.gold)
        for band, scores in bands.items():
            if len(
                finite := scores[np.isfinite(scores)]
            ):  # TensorBoard refuses a histogram of nothing
                self.board.add_histogram(f"{name} where {band}", finite, step)
        if figures.matplotlib_available():
            scatter = figures.scatter_plot(report.gold, report.scores, report.name, report.kind)
            histograms = figures.histograms(bands, report.name, report.kind)
            for what, figure in (("by gold", scatter), ("densities", histograms)):
                self.board.add_image(
                    f"{name} {what}", figures.figure_pixels(figure), step, dataformats="HWC"
                )

    def say(self, text: str) -> None:
        """A line above the progress bar."""
        if self.active:
            self.bar.write(text)

    def close(self) -> None:
        self.bar.close()
        if self.active:
            self.board.close()


def scores_by_gold(scores: np.ndarray, gold: np.ndarray) -> dict[str, np.ndarray]:
    """The scores (N,) in each band of gold (N,) that has any."""
    band = np.minimum((gold * BANDS).astype(int), BANDS - 1)
    return {
        f"gold is {k / BANDS:.1f} to {(k + 1) / BANDS:.1f}": scores[band == k]
        for k in np.unique(band)
    }


def read_metrics(folder: Path) -> list[dict]:
    """The rows of metrics.jsonl; a last row that a crash cut short is left out."""
    path = folder / "metrics.jsonl"
    lines = path.read_text("utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]
