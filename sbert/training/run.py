"""One training run, from its configuration to its last line of output: what `train.py` calls."""

import dataclasses
import json
import time
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import set_seed

from sbert.atomic import recover_folder, write_whole
from sbert.device import keep_freed_memory, make_accelerator
from sbert.evaluation.prompts import column_prompts
from sbert.evaluation.report import Report, main_factor, main_metric, mean_primary
from sbert.evaluation.scores import save_scores
from sbert.losses.saved import save_loss
from sbert.training.batches import check_batch_tokens, check_shares
from sbert.training.changed_options import changed_options
from sbert.training.checkpoint import Progress
from sbert.training.config import TrainConfig
from sbert.training.datasets import share_run_data
from sbert.training.evaluation import RunEvaluator, comparison_table, dataset_results
from sbert.training.loop import Training
from sbert.training.model_card import RunCard
from sbert.training.objectives.copies import check_copies
from sbert.training.objectives.distillation import Teacher
from sbert.training.objectives.make import make_losses, make_objective, make_training_set
from sbert.training.objectives.objective import Objective, TrainingSet
from sbert.training.objectives.token_files import TokenFiles
from sbert.training.objectives.trained import enable_gradient_checkpointing
from sbert.training.overview import describe_datasets, describe_training, used_precision
from sbert.training.seed_selection import SeedScores, choose_seed
from sbert.training.tracking import check_run, open_run


class Run:
    """One training run. The constructor reads and checks all input before it touches the folder.

    Args:
        options: the configuration as nested dicts.
        config_yaml: the same as a YAML document, kept in the run folder.
        resume: continue the run in the folder, if there is one.
        overwrite: delete it first.

    Raises:
        InputError: anything in the configuration, the datasets, the model or the folder is wrong.
    """

    def __init__(
        self,
        config: TrainConfig,
        options: dict[str, Any],
        config_yaml: str,
        resume: bool,
        overwrite: bool,
    ):
        self.start = time.perf_counter()
        self.config, self.options = config, options
        self.changed_options = changed_options(config, options)
        self.folder = Path(config.runs) / config.name
        self.resume = resume
        self.accelerator = make_accelerator(config.loop.precision)
        self.print = self.accelerator.print
        self.data = share_run_data(config, self.accelerator)
        self.evaluator = RunEvaluator(self.data, config.loop.precision, self.accelerator)
        self.objective = self.make_objective(config.loop.seed)
        self.evaluator.check_supported(self.objective)
        self.card = RunCard(config, self.changed_options, self.data)
        teacher = self.load_teacher() if config.distillation else None
        self.training_sets = self.make_training_sets()
        for which, rows in enumerate(self.training_sets):
            check_copies(self.objective, which, rows)
        losses = [part.loss for part in self.data.parts]
        check_shares(
            config, self.data.train, [n for rows in self.training_sets for n in rows.sizes]
        )
        check_batch_tokens(config, losses, [rows.lengths for rows in self.training_sets])
        if self.accelerator.is_main_process:
            check_run(self.folder, config_yaml, resume, overwrite)
        self.accelerator.wait_for_everyone()
        self.print(describe_datasets(self.data, self.objective.model, self.training_sets))
        if not teacher:
            self.data.drop_training_texts()
        keep_freed_memory()
        if teacher:
            self.set_targets(teacher)
        if self.accelerator.is_main_process:  # last, since it may delete a finished run
            open_run(self.folder, config_yaml, resume, overwrite)
        self.accelerator.wait_for_everyone()

    def __call__(self) -> None:
        """Train, evaluate the best model, write the result, print the table."""
        config, seed, choice = self.config, self.config.loop.seed, None
        selection = config.seed_optimisation
        if selection.seeds > 1:
            factor = main_factor(main_metric(rows.task) for rows in self.data.dev)
            choice = choose_seed(
                selection, seed, self.folder, self.train_seed, self.accelerator, factor
            )
            seed = choice.best
            self.objective = self.make_objective(seed)
        resume = self.resume or choice is not None
        with closing(self.make_training(self.objective, seed, self.folder, resume)) as training:
            self.print(describe_training(config, self.data, training))
            before = self.evaluator.metrics_before(self.objective, self.folder, training.tracker)
            progress = training.fit()
            after = self.evaluator.evaluate_saved(self.folder / "best", self.objective)
            if not (self.folder / "result.json").exists():  # a finished run has these points
                test_reports = after[len(self.data.dev) :]
                training.tracker.log_curves("test", progress.best_step, test_reports)
        if self.accelerator.is_main_process:
            self.write_result(progress, training.total, seed, choice, before, after)
        if after:
            self.print(f"\n{comparison_table(before, after)}\n")
        steps = f"step {progress.best_step:,} of {training.total:,}"
        self.print(f"best model, of {steps}: {self.folder / 'best'}")
        self.print(f"curves: tensorboard --logdir {config.runs}")
        # a process group that lives to the end of the process may abort it
        self.accelerator.end_training()

    def make_objective(self, seed: int) -> Objective:
        config = self.config
        set_seed(seed)
        made = make_losses(self.options)  # anew: those of the configuration were made unseeded
        losses = [made[part.name] if part.name else made for part in self.data.parts]
        objective = make_objective(config.model, losses, self.data.classes, seed)
        if config.loop.gradient_checkpointing:
            enable_gradient_checkpointing(objective.model.transformer)
        return objective

    def make_training_sets(self) -> list[TrainingSet]:
        config, model = self.config, self.objective.model
        folder = config.data.token_tables or Path(config.runs) / "token_tables"
        tokenize = TokenFiles(self.accelerator, Path(folder)).tokenize_columns
        return [
            make_training_set(part.loss, part.train, model, tokenize) for part in self.data.parts
        ]

    def load_teacher(self) -> Teacher:
        student = self.objective.model
        prompts = []  # of first texts, after the name of their dataset
        for part in self.data.parts:
            if part.loss.target == "embedding":
                for rows in part.train:
                    prompts.append((rows.name, column_prompts(rows, student)[0]))
        return Teacher(self.config, student, prompts, self.accelerator)

    def set_targets(self, teacher: Teacher) -> None:
        """Make the teacher's embeddings of first texts the labels of training, and of the pairs in
        dev and test, whose mean squared error is a metric."""
        parts = self.data.parts
        learning = [i for i, part in enumerate(parts) if part.loss.target == "embedding"]
        columns = [list(chain(*(rows.texts[0] for rows in parts[i].train))) for i in learning]
        teacher.fit(columns)
        for i, targets in zip(learning, teacher.targets(columns), strict=True):
            self.training_sets[i] = dataclasses.replace(self.training_sets[i], labels=targets)
        pairs = [rows for rows in self.data.evaluated if rows.task == "pair"]
        if pairs:
            columns = [rows.texts[0] for rows in pairs]
            for rows, targets in zip(pairs, teacher.targets(columns), strict=True):
                rows.labels = targets[np.arange(len(rows))]

    def train_seed(self, seed: int, folder: Path) -> tuple[float, int]:
        """Train with a seed up to the step of the comparison -> the dev score, and the step."""
        objective = self.make_objective(seed)
        with closing(self.make_training(objective, seed, folder, resume=True)) as training:
            self.evaluator.metrics_before(objective, folder, training.tracker)
            stop = self.config.seed_optimisation.comparison_step(training.total)
            training.fit(stop)
            return mean_primary(training.evaluate()), stop

    def make_training(
        self, objective: Objective, seed: int, folder: Path, resume: bool
    ) -> Training:
        """The loop of a seed in a folder. Its `close` frees its memory."""
        if self.accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            recover_folder(folder / "best")
        self.accelerator.wait_for_everyone()
        training = Training(
            objective,
            [dataclasses.replace(rows, model=objective.model) for rows in self.training_sets],
            self.config.optim,
            dataclasses.replace(self.config.loop, seed=seed),
            folder,
            self.accelerator,
            evaluate=partial(
                self.evaluator.evaluate,
                self.data.dev,
                objective.model,
                self.data.trained(objective.losses),
            ),
            save_best=partial(self.save_model, objective, seed),
            in_turn=self.config.data.mix == "round_robin",
            names=[part.name for part in self.data.parts if part.name],
            resume=resume,
        )
        training.tracker.log_config(self.changed_options)
        return training

    def save_model(self, objective: Objective, seed: int, folder: Path) -> None:
        objective.model.save_pretrained(folder)
        for loss in self.data.trained(objective.losses):
            save_loss(folder, loss)
        self.card.write(folder, objective.model, self.card_facts(seed))

    def card_facts(self, seed: int) -> dict[str, Any]:
        precision = used_precision(self.objective.model, self.accelerator)
        return {"seed": seed, "precision": precision}

    def write_result(
        self,
        progress: Progress,
        total: int,
        seed: int,
        choice: SeedScores | None,
        before: dict[str, float],
        after: list[Report],
    ) -> None:
        """Write the scores of the rows, the model card, and result.json, whose existence says that
        the run is finished."""
        if after:
            save_scores(self.folder, self.data.evaluated, after)
        result: dict[str, Any] = {
            "train_rows": sum(map(len, self.training_sets)),
            "step": progress.best_step,
            "steps": total,
        }
        if choice:
            result["seeds"] = choice.summary()
        result["seconds"] = round(time.perf_counter() - self.start, 1)
        result["results"] = dataset_results(before, after, len(self.data.dev))
        if not (self.folder / "result.json").exists():  # the card may have been edited since then
            facts = self.card_facts(seed)
            facts["steps"] = f"{progress.step:,} of {total:,}"
            facts["step of the saved model"] = f"{progress.best_step:,}"
            self.card.write(self.folder / "best", self.objective.model, facts, result["results"])
        write_whole(self.folder / "result.json", (json.dumps(result, indent=2) + "\n").encode())
