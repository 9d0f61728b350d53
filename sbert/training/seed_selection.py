"""Seed optimisation: several seeds begin a training, and the one that is best on dev ends it (Augmented SBERT, section 4, after
Dodge et al. 2020).

A run folder then holds `seeds.json`, the dev score of every seed so far, and `seeds/<seed>/`, the folder of each one's beginning,
of which the weights are kept only as long as it leads. The best goes on from its own state, as if there had been no others.
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
from sbert.training.checkpoint import STATE
from sbert.training.config import SeedsConfig
from sbert.training.tracking import read_metrics


@dataclass
class SeedScores:
    """The dev score of every seed, None where it is undefined, after so many steps."""

    scores: dict[int, float | None]
    step: int

    @property
    def best(self) -> int:
        """The seed of the highest score, of equal ones the first."""
        return max(
            self.scores,
            key=lambda seed: -math.inf if self.scores[seed] is None else self.scores[seed],
        )

    def row(self) -> dict[str, float | None]:
        """What metrics.jsonl and result.json say of the choice."""
        return {"seed": self.best} | {f"dev/{seed}": score for seed, score in self.scores.items()}


def choose_seed(config: SeedsConfig, first: int, folder: Path, attempt: Callable[[int, Path], tuple[float, int]],
                accelerator: Accelerator) -> SeedScores:  # fmt: skip
    """Have every seed begin, and put the state of the best into the run folder. After a kill it goes on where it stood.

    attempt: called with a seed and a folder, it trains there to the step of the comparison -> the score on dev, and the step.
    """
    choice, main = _read(folder), accelerator.is_main_process
    for seed in config.candidates(first):
        if seed not in choice.scores:
            score, choice.step = attempt(seed, folder / "seeds" / str(seed))
            choice.scores[seed] = None if math.isnan(score) else score
            accelerator.print(f"seed {seed}: dev {100 * score:.2f} after {choice.step:,} steps")
            if main:
                write_whole(folder / "seeds.json", json.dumps(vars(choice)).encode())
        if main:
            _drop(folder, [other for other in choice.scores if other != choice.best])
    accelerator.print(f"seed {choice.best} goes on, the best of {len(choice.scores)} on dev")
    if main:
        _adopt(folder, choice)
        _drop(folder, list(choice.scores))
    accelerator.wait_for_everyone()
    return choice


def _read(folder: Path) -> SeedScores:
    path = folder / "seeds.json"
    saved = json.loads(path.read_text("utf-8")) if path.exists() else {"scores": {}, "step": 0}
    return SeedScores({int(seed): score for seed, score in saved["scores"].items()}, saved["step"])


def _drop(folder: Path, seeds: list[int]) -> None:
    """Delete the weights of some beginnings; their curves stay."""
    for seed in seeds:
        for part in ("last", "best"):
            shutil.rmtree(folder / "seeds" / str(seed) / part, ignore_errors=True)


def _adopt(folder: Path, choice: SeedScores) -> None:
    """Make the beginning of the best that of the run. The state comes last, by one rename: until then all is copied again."""
    if (folder / "last" / STATE).exists():
        return
    begun = folder / "seeds" / str(choice.best)
    shutil.rmtree(folder / "last", ignore_errors=True)
    shutil.rmtree(folder / "best", ignore_errors=True)
    for path in begun.iterdir():
        if path.name == "best":
            shutil.copytree(path, folder / "best")
        elif path.is_file():
            shutil.copy(path, folder)
    rows = [*read_metrics(begun), {"step": choice.step, "kind": "seeds", **choice.row()}]
    write_whole(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    os.rename(begun / "last", folder / "last")
