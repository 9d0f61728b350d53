"""The training loop: it knows an `Objective`, rows, and a function that evaluates."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from sbert import distributed
from sbert.atomic import replace_folder
from sbert.evaluation.report import Report, mean_primary
from sbert.training.checkpoint import STATE, Progress, RunSize, load_training, save_training
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.objectives.grad_cache import GradientCache, sync_gradients
from sbert.training.objectives.objective import Objective, TrainingSet, prepare_for_device
from sbert.training.objectives.trained import leave_out_idle_embeddings
from sbert.training.optimizer import clip_gradients, lr_factor, make_optimizer
from sbert.training.sampler import Sampler
from sbert.training.tracking import LogWindow, Tracker, check_losses


@dataclass
class Training:
    """One run of the loop; `fit()` trains to the end.

    Args:
        data: the rows of each loss of the objective. Batches are of one of them.
        evaluate: gives the reports on the dev sets.
        save_best: writes the model into a new folder.
        in_turn: the datasets take turns, see `Sampler`.
        names: of the datasets, where each has a loss of its own.
        resume: start from last/, if there is one.
    """

    objective: Objective
    data: Sequence[TrainingSet]
    optim: OptimConfig
    loop: LoopConfig
    folder: Path
    accelerator: Accelerator
    evaluate: Callable[[], list[Report]]
    save_best: Callable[[Path], None]
    in_turn: bool = False
    names: Sequence[str] = ()
    resume: bool = False

    def __post_init__(self):
        optim, loop, accelerator = self.optim, self.loop, self.accelerator
        self.starts = np.cumsum([0, *map(len, self.data)])  # of the rows of each loss among all
        sampler = self.make_sampler()
        self.steps_per_epoch = sampler.steps_per_epoch
        self.total = optim.steps or max(1, round(optim.epochs * self.steps_per_epoch))
        self.size = RunSize(int(self.starts[-1]), self.total)
        self.epoch_batches = lru_cache(maxsize=1)(sampler.epoch)
        if optim.word_embeddings == "auto":
            leave_out_idle_embeddings(self.objective, [rows.token_ids() for rows in self.data])
        prepare_for_device(self.objective, accelerator.device, loop.compile)
        optimizer = make_optimizer(self.objective, optim, accelerator.device)
        self.wrapped, self.optimizer = accelerator.prepare(self.objective, optimizer)
        self.progress = Progress()
        self.last = self.folder / "last"
        if self.resume and (self.last / STATE).exists():
            self.progress = load_training(
                self.last, self.objective, self.optimizer.optimizer, self.size, accelerator
            )
        self.tracker = Tracker(self.folder, self.progress.step, accelerator.is_main_process)
        self.window = LogWindow()

    def make_sampler(self) -> Sampler:
        parts = zip(self.data, self.objective.losses, strict=True)
        return Sampler(
            np.concatenate([rows.lengths for rows in self.data]),
            self.optim.batch_size,
            self.loop.seed,
            self.loop.group_by_length,
            tuple(chain.from_iterable(rows.sizes for rows in self.data)),
            tuple(chain.from_iterable(rows.weights for rows in self.data)),
            separate=len(self.data) > 1,
            in_turn=self.in_turn,
            classes=np.concatenate([rows.classes_for(loss) for rows, loss in parts]),
            batch_tokens=self.optim.batch_tokens,
        )

    def fit(self, stop: int | None = None) -> Progress:
        """Train to the last step, to the step `stop`, or until `patience` is exhausted."""
        end = self.total if stop is None else min(stop, self.total)
        patience = self.loop.patience or math.inf
        self.wrapped.train()
        self.tracker.start_bar(end)
        try:
            while self.progress.step < end and self.progress.without_best < patience:
                self.update()
                self.finish_step(is_last=self.progress.step == end)
        finally:
            self.tracker.bar.close()
        return self.progress

    def update(self) -> None:
        """One update of the optimiser with the gradient of one batch."""
        which, rows = self.next_batch()
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * lr_factor(self.progress.step, self.total, self.optim)
        loss = self.backward(which, rows)
        for weight in self.objective.other_weights(which):
            weight.grad = None  # a gradient of 0 would decay it, and move it by its momentum
        self.accelerator.unscale_gradients()
        norm = clip_gradients(self.wrapped.parameters(), self.optim.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.window.losses.append(loss)
        self.window.which.append(which)
        self.window.norms.append(norm)
        self.window.rows += len(rows)
        self.progress.step += 1

    def next_batch(self) -> tuple[int, np.ndarray]:
        """The number of the loss, and the batch's rows of its data, (B,), over all processes."""
        epoch, position = divmod(self.progress.step, self.steps_per_epoch)
        rows = self.epoch_batches(epoch)[position]
        which = int(np.searchsorted(self.starts, rows[0], side="right")) - 1
        return which, rows - self.starts[which]

    def finish_step(self, is_last: bool) -> None:
        """Log, evaluate and save what is due after a step."""
        step, save_steps = self.progress.step, self.loop.save_steps
        evaluates = self.evaluates_at(step)
        saves = evaluates or is_last or (save_steps and step % save_steps == 0)
        if saves or step % self.loop.log_steps == 0:
            self.log()
        if evaluates:
            self.evaluate_dev()
        if saves:
            save_training(
                self.last,
                self.objective,
                self.optimizer.optimizer,
                self.progress,
                self.size,
                self.accelerator,
            )
            self.window = LogWindow()  # evaluating and saving is not training time

    def backward(self, which: int, rows: np.ndarray) -> Tensor:
        """Add the gradient of a batch's loss to the weights, and return this process's loss."""
        data, loss = self.data[which], self.objective.losses[which]
        parts = self.load_parts(data, rows)
        if loss.joint:
            texts, labels = data.texts_and_labels(rows)
            cache = GradientCache(
                loss, texts, labels, self.accelerator, self.optim.accumulate, which
            )
            return cache.backward(self.wrapped, [batch for batch, _ in parts])
        total = torch.zeros((), device=self.accelerator.device)
        for i, (batch, weight) in enumerate(parts):
            with sync_gradients(self.accelerator, self.wrapped, enabled=i == len(parts) - 1):
                value = self.wrapped(batch, which) * weight
                self.accelerator.backward(value)
            total += value.detach()
        return total

    def load_parts(
        self, data: TrainingSet, rows: np.ndarray
    ) -> list[tuple[dict[str, Tensor], float]]:
        """This process's parts of a batch, on its device, each with the weight of its loss."""
        accelerator, parts = self.accelerator, []
        draw = self.loop.seed, self.progress.step
        shares = distributed.share_rows(
            rows,
            accelerator.process_index,
            accelerator.num_processes,
            self.optim.accumulate,
            data.count_targets(rows, draw),
        )
        for part, weight in shares:
            batch = data.batch(part, draw)
            self.window.padded_tokens += batch["attention_mask"].numel()
            self.window.tokens += int(batch["attention_mask"].sum())
            for name, tensor in batch.items():
                batch[name] = tensor.to(accelerator.device, non_blocking=True)
            parts.append((batch, weight))
        return parts

    def evaluates_at(self, step: int) -> bool:
        """Whether dev is evaluated after a step: at every multiple of the interval, and the end."""
        interval = self.loop.evaluate_steps or max(
            1.0, self.loop.evaluate_epochs * self.steps_per_epoch
        )
        return step == self.total or int(step / interval) > int((step - 1) / interval)

    def log(self) -> None:
        """Check the losses of the window, write one point of every curve, and start a new window.

        Raises:
            InputError: a loss is not finite.
        """
        window, step, processes = self.window, self.progress.step, self.accelerator.num_processes
        if not window.losses:
            return
        losses = distributed.mean_over_processes(self.accelerator, torch.stack(window.losses))
        check_losses(losses, step, self.folder)
        seconds = time.perf_counter() - window.start
        values = {
            "loss": losses.mean().item(),
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": torch.stack(window.norms).mean().item(),
            "pairs_per_second": window.rows / seconds,
            "tokens_per_second": window.tokens * processes / seconds,
            "padding": 1 - window.tokens / window.padded_tokens,
            "epoch": step / self.steps_per_epoch,
        }
        self.tracker.log_training(step, values | window.means_by_name(losses, self.names))
        self.tracker.update_bar(step, values["loss"], values["pairs_per_second"])
        self.window = LogWindow()

    def evaluate_dev(self) -> None:
        """Evaluate on dev, and keep the model as best/ if it is the best so far.

        Without dev sets the last model is the best.
        """
        reports, progress, step = self.evaluate(), self.progress, self.progress.step
        self.tracker.log_dev(step, reports)
        score = mean_primary(reports) if reports else math.nan
        best = -math.inf if progress.best is None else progress.best
        # the first model is the best whatever its score, so that every run leaves a model
        is_best = not reports or progress.best_step is None or score > best
        progress.without_best += 1
        if is_best:
            progress.best = None if math.isnan(score) else score
            progress.best_step = step
            progress.without_best = 0
            if self.accelerator.is_main_process:
                replace_folder(self.folder / "best", self.save_best)
        if reports:
            scores = ", ".join(f"{one.name} {one.factor * one.primary:.2f}" for one in reports)
            self.tracker.print(f"step {step}: {scores}{' (best)' if is_best else ''}")

    def close(self) -> None:
        """Close the tracker, and free the memory of the wrapped module and the optimiser."""
        self.tracker.close()
        self.wrapped, self.optimizer = self.accelerator.free_memory(self.wrapped, self.optimizer)
