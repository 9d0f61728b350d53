"""Seed optimisation: start with several seeds, and finish the one that is best on dev (Augmented
SBERT, section 4, after Dodge et al. 2020).

The run folder holds seeds.json, with the dev score of every seed so far, and seeds/<seed>/, the
folder of each start. Weights are kept only of the best seed so far. The best seed resumes from its
own state, so that the result is that of a run with this seed alone.
"""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from sbert.atomic import write_whole
from sbert.errors import require
from sbert.training.checkpoint import STATE
from sbert.training.config import SeedsConfig
from sbert.training.tracking import read_metrics


@dataclass
class SeedScores:
    """The dev score of every seed after `step` updates, None if undefined."""

    scores: dict[int, float | None]
    step: int

    @property
    def best(self) -> int:
        """The seed with the highest score; of equal ones the first."""
        defined = {seed: score for seed, score in self.scores.items() if score is not None}
        return max(self.scores, key=lambda seed: defined.get(seed, -math.inf))

    def summary(self) -> dict[str, float | None]:
        """The choice as metrics.jsonl and result.json record it."""
        return {"seed": self.best} | {f"dev/{seed}": score for seed, score in self.scores.items()}


def choose_seed(
    config: SeedsConfig,
    first: int,
    folder: Path,
    train_seed: Callable[[int, Path], tuple[float, int]],
    accelerator: Accelerator,
    factor: float = 100,
) -> SeedScores:
    """Start with every seed, and move the state of the best into the run folder.

    An interrupted choice resumes with the seeds that have no score yet.

    train_seed: called with a seed and a folder, trains there up to the step of the comparison, and
    returns the dev score and the step.
    factor: what is shown of a score is multiplied by this.
    """
    choice = _read_scores(folder)
    for seed in config.candidates(first):
        if seed not in choice.scores:
            score, choice.step = train_seed(seed, _seed_folder(folder, seed))
            choice.scores[seed] = None if math.isnan(score) else score
            accelerator.print(f"seed {seed}: dev {factor * score:.2f} after {choice.step:,} steps")
            if accelerator.is_main_process:
                write_whole(folder / "seeds.json", json.dumps(vars(choice)).encode())
        if accelerator.is_main_process:
            _delete_weights(folder, [other for other in choice.scores if other != choice.best])
    accelerator.print(
        f"continuing with seed {choice.best}, the best of {len(choice.scores)} on dev"
    )
    if accelerator.is_main_process:
        _move_best_to_run(folder, choice)
        _delete_weights(folder, list(choice.scores))
    accelerator.wait_for_everyone()
    return choice


def _seed_folder(folder: Path, seed: int) -> Path:
    return folder / "seeds" / str(seed)


def _read_scores(folder: Path) -> SeedScores:
    path = folder / "seeds.json"
    if not path.exists():
        return SeedScores({}, 0)
    saved = json.loads(path.read_text("utf-8"))
    return SeedScores({int(seed): saved["scores"][seed] for seed in saved["scores"]}, saved["step"])


def _delete_weights(folder: Path, seeds: list[int]) -> None:
    for seed in seeds:  # their curves stay
        shutil.rmtree(_seed_folder(folder, seed) / "last", ignore_errors=True)
        shutil.rmtree(_seed_folder(folder, seed) / "best", ignore_errors=True)


def _move_best_to_run(folder: Path, choice: SeedScores) -> None:
    """Make the start of the best seed that of the run.

    The state moves last, by one rename: until then a resumed run copies everything again.

    Raises:
        InputError: neither has a state.
    """
    if (folder / "last" / STATE).exists():
        return
    best = _seed_folder(folder, choice.best)
    require(
        (best / "last" / STATE).exists(),
        f"{folder}: last/ was deleted after seed {choice.best} was chosen, so there is nothing to "
        "resume; train anew with --overwrite, or set another name",
    )
    shutil.rmtree(folder / "last", ignore_errors=True)
    shutil.rmtree(folder / "best", ignore_errors=True)
    others = shutil.ignore_patterns("last", "best.*")  # best.*: what a crash left
    shutil.copytree(best, folder, ignore=others, copy_function=shutil.copy, dirs_exist_ok=True)
    rows = [*read_metrics(best), {"step": choice.step, "kind": "seeds", **choice.summary()}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_whole(folder / "metrics.jsonl", lines.encode())
    os.rename(best / "last", folder / "last")
