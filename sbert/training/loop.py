"""The one training loop. It knows an `Objective` (a model and a loss under one module), rows, and how to evaluate."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from sbert import distributed
from sbert.atomic import replace_folder
from sbert.errors import InputError
from sbert.evaluation.evaluators import Report, mean_primary
from sbert.models.dropout import replace_dropout
from sbert.training import checkpoint
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.grad_cache import GradientCache
from sbert.training.objective import Objective, TrainingSet
from sbert.training.optimizer import clip_gradients, lr_factor, make_optimizer
from sbert.training.sampler import Sampler
from sbert.training.tracking import Tracker


@dataclass
class Progress:
    """Where a run stands; part of every checkpoint."""

    step: int = 0
    best: float | None = None
    best_step: int | None = None
    without_best: int = 0


@dataclass
class Window:
    """Sums since the last point of the training curves. Losses stay on the device: reading one would wait for it."""

    losses: list[Tensor] = field(default_factory=list)
    norms: list[Tensor] = field(default_factory=list)
    rows: int = 0
    tokens: int = 0
    cells: int = 0  # tokens and padding
    start: float = field(default_factory=time.perf_counter)


class Training:
    """One run of the loop: `fit()` trains to the end, from where `last/` stands if `resume`.

    `evaluate(model)` gives the dev reports of an unwrapped model; `save_best(folder)` writes the model.
    """

    def __init__(self, objective: Objective, data: TrainingSet, optim: OptimConfig, loop: LoopConfig, folder: Path,
                 accelerator: Accelerator, evaluate: Callable[[], list[Report]], save_best: Callable[[Path], None],
                 resume: bool = False):  # fmt: skip
        self.data, self.optim, self.loop, self.folder = data, optim, loop, folder
        self.accelerator, self.evaluate, self.save_best = accelerator, evaluate, save_best
        self.objective = objective
        lengths, weights = data.lengths, data.weights
        self.sampler = Sampler(
            lengths, optim.batch_size, loop.seed, loop.group_by_length, data.sizes, weights
        )
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self.total = optim.steps or max(1, round(optim.epochs * self.steps_per_epoch))
        self.plan: tuple[int, list[np.ndarray]] = (-1, [])
        self.progress = Progress()
        objective.to(accelerator.device)
        if accelerator.device.type == "cpu":
            replace_dropout(objective)
        optimizer = make_optimizer(objective, optim, accelerator.device)
        if loop.compile:
            objective.model.transformer.compile(dynamic=True)
        self.wrapped, self.optimizer = accelerator.prepare(objective, optimizer)
        if resume and (folder / "last" / checkpoint.STATE).exists():
            self.load()
        self.tracker = Tracker(folder, self.progress.step, self.total, accelerator.is_main_process)
        self.window = Window()

    def rows_of(self, step: int) -> np.ndarray:
        """The rows of the global batch of one step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self.plan[0] != epoch:
            self.plan = (epoch, self.sampler.epoch(epoch))
        return self.plan[1][place]

    def evaluates_at(self, step: int) -> bool:
        """Whether dev is evaluated after `step` updates: at every multiple of the interval, and at the end."""
        every = self.loop.evaluate_steps or max(
            1.0, self.loop.evaluate_epochs * self.steps_per_epoch
        )
        return step == self.total or int(step / every) > int((step - 1) / every)

    def parts(self, rows: np.ndarray) -> list[tuple[dict[str, Tensor], float]]:
        """What this process computes of a global batch: batches on its device, and the weight of each one's loss."""
        accelerator, parts = self.accelerator, []
        shares = distributed.share_rows(
            rows, accelerator.process_index, accelerator.num_processes, self.optim.accumulate
        )
        for part, weight in shares:
            batch = self.data.batch(part)
            self.window.cells += batch["attention_mask"].numel()
            self.window.tokens += int(batch["attention_mask"].sum())
            parts.append(
                (
                    {
                        k: tensor.to(accelerator.device, non_blocking=True)
                        for k, tensor in batch.items()
                    },
                    weight,
                )
            )
        return parts

    def joint_step(
        self, rows: np.ndarray, parts: list[tuple[dict[str, Tensor], float]]
    ) -> GradientCache | None:
        """What joins the parts of a batch, where the loss compares its rows."""
        if not self.objective.loss.joint:
            return None
        texts, labels = (
            t.to(self.accelerator.device) if t is not None else None
            for t in self.data.texts_and_labels(rows)
        )
        joint = GradientCache(
            self.objective.loss, texts, labels, self.accelerator, self.optim.accumulate
        )
        if len(parts) > 1:
            with self.accelerator.no_sync(self.wrapped):
                joint.look(self.wrapped, [batch for batch, _ in parts])
        return joint

    def update(self) -> None:
        """One optimiser update on the global batch of the present step."""
        accelerator, rows = self.accelerator, self.rows_of(self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * lr_factor(self.progress.step, self.total, self.optim)
        parts = self.parts(rows)
        joint = self.joint_step(rows, parts)
        total = torch.zeros((), device=accelerator.device)
        for i, (batch, weight) in enumerate(parts):
            last = i == len(parts) - 1
            # processes exchange gradients with the last part alone
            with contextlib.nullcontext() if last else accelerator.no_sync(self.wrapped):
                if joint:
                    joint.rewind(i)
                    loss = self.wrapped(batch, joint.surrogate(i))
                else:
                    loss = self.wrapped(batch) * weight
                accelerator.backward(loss)
            total += loss.detach()
        accelerator.unscale_gradients()
        norm = clip_gradients(self.wrapped.parameters(), self.optim.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.window.losses.append(total)
        self.window.norms.append(norm)
        self.window.rows += len(rows)
        self.progress.step += 1

    def log(self) -> None:
        """Close the window: check its losses, write one point of every curve, start a new one."""
        window, step, processes = self.window, self.progress.step, self.accelerator.num_processes
        if not window.losses:
            return
        losses = distributed.mean_over_processes(self.accelerator, torch.stack(window.losses))
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            number = step - len(losses) + int(bad[0]) + 1
            raise InputError(
                f"{self.folder}: the loss of step {number} is {losses[bad[0]].item()}; last/ and best/ are as they were "
                "at the last evaluation; lower optim.lr, or use loop.precision fp32"
            )
        seconds = time.perf_counter() - window.start
        values = {
            "loss": losses.mean().item(),
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": torch.stack(window.norms).mean().item(),
            "pairs_per_second": window.rows / seconds,
            "tokens_per_second": window.tokens * processes / seconds,
            "padding": 1 - window.tokens / window.cells,
            "epoch": step / self.steps_per_epoch,
        }
        self.tracker.scalars("train", step, values)
        self.tracker.progress(step, values["loss"], values["pairs_per_second"])
        self.window = Window()

    def judge(self) -> None:
        """Evaluate on dev, keep the model if it is the best so far. Without dev sets the last model is the best."""
        reports, step = self.evaluate(), self.progress.step
        score = mean_primary(reports) if reports else None
        self.tracker.reports("dev", step, reports)
        score = (
            None if score is None or math.isnan(score) else score
        )  # undefined: not better than anything
        best = self.progress.best
        # the first model is the best so far, whatever its score: a run leaves a model
        better = (
            not reports
            or self.progress.best_step is None
            or (score is not None and (best is None or score > best))
        )
        self.progress.without_best += 1
        if better:
            self.progress.best, self.progress.best_step, self.progress.without_best = score, step, 0
            if self.accelerator.is_main_process:
                replace_folder(self.folder / "best", self.save_best)
        if reports:
            scores = ", ".join(f"{report.name} {100 * report.primary:.2f}" for report in reports)
            self.tracker.say(f"step {step}: {scores}{' (best)' if better else ''}")

    def save(self) -> None:
        """Write last/: weights, optimiser, progress, random states of every process."""
        states = {f"random.{k}": t for k, t in distributed.random_states(self.accelerator).items()}
        if self.accelerator.is_main_process:
            tensors = {f"objective.{k}": t for k, t in self.objective.state_dict().items()}
            tensors |= {
                f"optimizer.{k}": t
                for k, t in checkpoint.optimizer_tensors(self.optimizer.optimizer).items()
            }
            scaler = self.accelerator.scaler.state_dict() if self.accelerator.scaler else None
            facts = {"progress": vars(self.progress), "total": self.total, "scaler": scaler}
            checkpoint.save_state(self.folder / "last", tensors | states, facts)
        self.accelerator.wait_for_everyone()

    def load(self) -> None:
        tensors, facts = checkpoint.load_state(self.folder / "last")

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

        states = part("random.")
        if len(states["cpu"]) != self.accelerator.num_processes:
            raise InputError(
                f"{self.folder}/last was written by {len(states['cpu'])} processes, now there are "
                f"{self.accelerator.num_processes}; resume with as many"
            )
        self.objective.load_state_dict(part("objective."))
        checkpoint.load_optimizer_tensors(self.optimizer.optimizer, part("optimizer."))
        distributed.set_random_states(self.accelerator, states)
        if self.accelerator.scaler and facts["scaler"]:
            self.accelerator.scaler.load_state_dict(facts["scaler"])
        self.progress = Progress(**facts["progress"])

    def fit(self, stop: int | None = None) -> Progress:
        """Train to the last step, or to the step `stop`, or until `patience` evaluations in a row gave no new best."""
        end = self.total if stop is None else min(stop, self.total)
        self.wrapped.train()
        self.tracker.total = end
        self.tracker.start()
        try:
            while self.progress.step < end and self.progress.without_best < (
                self.loop.patience or math.inf
            ):
                self.update()
                step = self.progress.step
                evaluates = self.evaluates_at(step)
                saves = (
                    evaluates
                    or step == end
                    or (self.loop.save_steps and step % self.loop.save_steps == 0)
                )
                if saves or step % self.loop.log_steps == 0:
                    self.log()
                if evaluates:
                    self.judge()
                if saves:
                    self.save()
                    self.window = Window()  # evaluating and saving is not training time
        finally:
            self.tracker.close()
        return self.progress
