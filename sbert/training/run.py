"""One training run, from its configuration to its last line: what `train.py` calls."""

import copy
import dataclasses
import json
import math
import time
from functools import partial
from pathlib import Path

from accelerate.utils import set_seed

from sbert import distributed
from sbert.atomic import recover_folder, write_whole
from sbert.cli import flatten_options
from sbert.data.leakage import check_held_out, check_names
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.device import keep_freed_memory, make_accelerator
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.evaluation.evaluators import Report, evaluate_rows, mean_primary, undefined_metric
from sbert.evaluation.scorers import (
    Scorer,
    bi_encoder_scorer,
    check_supported,
    cross_encoder_scorer,
)
from sbert.losses.base import Loss
from sbert.losses.cross_encoder import PairLoss
from sbert.losses.saved import load_loss, save_loss
from sbert.losses.softmax import SoftmaxLoss
from sbert.markdown import markdown_table
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.loading import teacher_fingerprint
from sbert.models.tokens import tokenize_columns
from sbert.training.config import ModelConfig, TrainConfig
from sbert.training.loop import Progress, Training
from sbert.training.objective import Objective, TrainingSet, check_fit
from sbert.training.seed_selection import SeedScores, choose_seed
from sbert.training.tracking import open_run, read_metrics


def load_start(config: ModelConfig, loss: Loss) -> Encoder:
    """The model that a run starts from: of the kind that the loss trains."""
    if not isinstance(loss, PairLoss):
        if config.new_head:
            raise InputError(
                f"model.new_head is for a cross-encoder; {type(loss).__name__} trains a bi-encoder"
            )
        return BiEncoder.from_pretrained(
            config.path, config.pooling, config.max_length, config.layer
        )
    if config.pooling is not None or config.layer != -1:
        raise InputError(
            f"model.pooling and model.layer are for a bi-encoder; {type(loss).__name__} trains a cross-encoder"
        )
    model = CrossEncoder.from_pretrained(
        config.path, loss.num_labels, config.max_length, config.new_head
    )
    model.activation = loss.activation
    return model


def describe_dataset(part: str, rows: Rows, model: Encoder) -> str:
    cut = model.texts.describe_cut(*tokenize_columns(model.texts, rows.texts))
    return f"{part:5} {rows.describe()}" + (
        f"; max_length {model.max_length}: {cut}" if cut else ""
    )


class Run:
    """Everything a run is made of. The constructor reads and checks all input before it touches the run folder."""

    def __init__(
        self, config: TrainConfig, options: dict, text: str, resume: bool, overwrite: bool
    ):
        self.config, self.folder, self.begun = (
            config,
            Path(config.runs) / config.name,
            time.perf_counter(),
        )
        self.options, self.resume = options, resume
        keep_freed_memory()
        self.accelerator = make_accelerator(config.loop.precision)
        self.say = self.accelerator.print
        data = config.data
        self.train, self.dev, self.test = (
            [read_dataset(d, fingerprint_of=teacher_fingerprint) for d in part]
            for part in (data.train, data.dev, data.test)
        )
        check_fit(config.loss, self.train)
        check_names([*self.dev, *self.test])
        check_held_out(self.train, [*self.dev, *self.test])
        if data.both_orders:
            self.train = [both_orders(rows) for rows in self.train]
        for rows in self.dev:
            if reason := undefined_metric(rows):
                raise InputError(
                    f"{reason}, so it cannot choose the best model; give it rows with other labels"
                )
        if config.seed_optimisation.seeds > 1 and not self.dev:
            raise InputError(
                "seed_optimisation: there is no dev set to choose a seed by; give data.dev one"
            )
        self._start(config.loop.seed)
        for rows in [*self.dev, *self.test]:
            check_supported(rows, self.judge(self.model, self.loss))
        self.data = TrainingSet.of(self.train, self.model)
        if self.accelerator.is_main_process:
            open_run(self.folder, text, resume, overwrite)
        self.accelerator.wait_for_everyone()
        self._describe()

    def _start(self, seed: int) -> None:
        """The model and the loss as they are before the first step of a seed."""
        set_seed(seed)
        self.loss = copy.deepcopy(self.config.loss)  # whose head is made anew
        self.model = load_start(self.config.model, self.loss)
        if isinstance(self.model, CrossEncoder) and self.train[0].classes:
            self.model.classes = self.train[0].classes

    def _open(self, seed: int, folder: Path, resume: bool) -> None:
        """The loop of a seed in a folder; where `resume`, from the state that may be there."""
        if self.accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            recover_folder(folder / "best")
        self.accelerator.wait_for_everyone()
        self.training = Training(
            Objective(self.model, self.loss),
            dataclasses.replace(self.data, model=self.model),
            self.config.optim,
            dataclasses.replace(self.config.loop, seed=seed),
            folder,
            self.accelerator,
            evaluate=partial(self.reports, self.dev, self.model, self.loss),
            save_best=self.save_best,
            resume=resume,
        )
        self.training.tracker.config(flatten_options(self.options))

    def _close(self) -> None:
        loop = self.training
        loop.wrapped, loop.optimizer = self.accelerator.free_memory(loop.wrapped, loop.optimizer)

    def attempt(self, seed: int, folder: Path) -> tuple[float, int]:
        """The beginning of a training, as `choose_seed` asks for it -> the score on dev, and the step."""
        self._start(seed)
        self._open(seed, folder, resume=True)
        self.before()
        stop = self.config.seed_optimisation.stop(self.training.total)
        self.training.fit(stop)
        score = mean_primary(self.training.evaluate())
        self._close()
        return score, stop

    def begin(self) -> SeedScores | None:
        """Open the loop where it begins or goes on; of several seeds, with the one that is chosen."""
        seeds, first = self.config.seed_optimisation, self.config.loop.seed
        if seeds.seeds == 1:
            self._open(first, self.folder, self.resume)
            return None
        choice = choose_seed(seeds, first, self.folder, self.attempt, self.accelerator)
        self._start(choice.best)
        self._open(choice.best, self.folder, resume=True)
        return choice

    def _describe(self) -> None:
        for part, datasets in (("train", self.train), ("dev", self.dev), ("test", self.test)):
            for rows in datasets:
                self.say(describe_dataset(part, rows, self.model))
        if not self.dev:
            self.say("dev   none: the last model will be taken for the best")
        if any(rows.task == "sts" for rows in self.dev) and not figures.matplotlib_available():
            self.say(
                "no figures in TensorBoard, for want of matplotlib: pip install 'sbert[plots]'"
            )

    def judge(self, model: Encoder, loss: Loss) -> Scorer:
        precision, classes = self.config.loop.precision, self.train[0].classes
        spread = partial(partial, distributed.compute_shared, self.accelerator)
        if isinstance(model, CrossEncoder):
            return cross_encoder_scorer(
                spread(partial(model.predict, logits=True, precision=precision)), model.dim, classes
            )
        head = loss.whole if isinstance(loss.whole, SoftmaxLoss) else None
        return bi_encoder_scorer(
            spread(partial(model.encode, precision=precision)),
            head,
            classes,
            self.accelerator.device,
        )

    def reports(self, datasets: list[Rows], model: Encoder, loss: Loss) -> list[Report]:
        judge = self.judge(model, loss)
        return [evaluate_rows(rows, judge) for rows in datasets]

    def save_best(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        save_loss(folder, self.loss.whole, self.train[0].classes)

    def before(self) -> dict[str, float]:
        """The metrics before training, {name: the main one, name/metric: each}; of a resumed run, as they were written then."""
        rows = read_metrics(self.training.folder) if self.accelerator.is_main_process else []
        saved = distributed.broadcast(
            self.accelerator, [row for row in rows if row["kind"] == "before"]
        )
        if saved:
            return {
                name: float("nan") if value is None else value for name, value in saved[0].items()
            }
        reports = self.reports([*self.dev, *self.test], self.model, self.loss)
        for report in reports:
            for note in report.notes:
                self.say(f"note: {note}")
        scores = {report.name: report.primary for report in reports}
        scores |= {
            f"{report.name}/{name}": value
            for report in reports
            for name, value in report.metrics.items()
        }
        self.training.tracker.scalars("before", 0, scores)
        return scores

    def after(self) -> list[Report]:
        """The best model, read back from best/, on every dev and test set."""
        folder, device = self.folder / "best", self.accelerator.device
        best = type(self.model).from_pretrained(folder).to(device)
        loss = self.loss
        if isinstance(loss.whole, SoftmaxLoss):
            loss = load_loss(folder, best.dim)[0].to(device)
        return self.reports([*self.dev, *self.test], best, loss)

    def save_result(
        self,
        progress: Progress,
        before: dict[str, float],
        after: list[Report],
        choice: SeedScores | None,
    ) -> None:
        """Write result.json: that it is there says that the run is done. Metrics are fractions, undefined ones null."""

        def defined(value: float) -> float | None:
            return None if math.isnan(value) else value

        results = [
            {"dataset": r.name, "part": "dev" if i < len(self.dev) else "test", "task": r.task, "rows": r.rows, "main": r.main,
             "before": {name: defined(before.get(f"{r.name}/{name}", math.nan)) for name in r.metrics},
             "after": {name: defined(value) for name, value in r.metrics.items()}}
            for i, r in enumerate(after)
        ]  # fmt: skip
        content = {
            "train_rows": sum(map(len, self.train)),
            "step": progress.best_step,
            "steps": self.training.total,
        }
        content |= {"seeds": choice.row()} if choice else {}
        content |= {"seconds": round(time.perf_counter() - self.begun, 1), "results": results}
        write_whole(self.folder / "result.json", (json.dumps(content, indent=2) + "\n").encode())

    def __call__(self) -> None:
        """Train, keep the best, evaluate it, print the table of before and after."""
        choice = self.begin()
        training, optim, accelerator = self.training, self.config.optim, self.accelerator
        kind = "cross-encoder" if isinstance(self.model, CrossEncoder) else "bi-encoder"
        weights = sum(p.numel() for p in training.objective.parameters() if p.requires_grad)
        self.say(
            f"{training.total:,} steps of {optim.batch_size} rows, {kind} of {weights / 1e6:.1f} M weights, "
            f"{accelerator.mixed_precision.replace('no', 'fp32')} on {accelerator.num_processes} x {accelerator.device.type}"
        )
        before = self.before()
        progress = training.fit()
        after = self.after()
        if accelerator.is_main_process:
            self.save_result(progress, before, after, choice)
        rows = [
            [
                r.name,
                r.rows,
                r.main,
                100 * before[r.name],
                100 * r.primary,
                100 * (r.primary - before[r.name]),
            ]
            for r in after
        ]
        if rows:
            self.say(
                "\n"
                + markdown_table(
                    ["dataset", "rows", "metric x 100", "before", "after", "gain"], rows
                )
                + "\n"
            )
        where = f"best model, of step {progress.best_step:,} of {training.total:,}: {self.folder / 'best'}"
        self.say(f"{where}\ncurves: tensorboard --logdir {self.config.runs}")
        # a process group that lives to the end of the process may abort it, and the wrapped module keeps it alive
        self._close()
        accelerator.end_training()
