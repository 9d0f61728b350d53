"""Hyper-parameter search: Optuna's multivariate TPE, in a study file that is whole after a kill at any instant.

A trial is drawn from the finished ones and their number alone: the sampler starts afresh from the seed and that number. So a
trial that was cut is marked failed, and the next to be drawn has the same values: its runs go on where they stood, and a search
that was interrupted ends as one that was not. SQLite, and not Optuna's journal, whose lock a killed process would leave behind.
"""

import dataclasses
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sbert.errors import InputError
from sbert.markdown import markdown_table
from sbert.sweeps.config import SearchConfig, SpaceConfig

SHOWN = 10  # the best trials, in the table

ENOUGH = 10  # completed trials, for the importance of options

MEDIAN = "below the median"  # why a trial is pruned, if it is not for want of a number


def _optuna():
    try:
        import optuna
    except ImportError:
        raise InputError(
            "search needs Optuna, the extra search: pip install 'sbert[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna


def _distribution(option: str, space: SpaceConfig):
    """The values of an option as Optuna knows them."""
    kinds = _optuna().distributions
    low, high, place = space.low, space.high, f"search: {option}"
    if space.choices is not None:
        if low is not None or high is not None or space.log or len(space.choices) < 2:
            raise InputError(f"{place}: needs low and high, or two choices or more")
        if bad := [
            v for v in space.choices if not isinstance(v, (str, int, float, bool, type(None)))
        ]:
            raise InputError(
                f"{place}: the choice {bad[0]} is neither a text nor a number; search what is inside of it"
            )
        return kinds.CategoricalDistribution(space.choices)
    if low is None or high is None or not low < high:
        raise InputError(
            f"{place}: low {low} and high {high}; low comes first, and both are needed without choices"
        )
    if space.log and low <= 0:
        raise InputError(f"{place}: low is {low}; a logarithm needs it above 0")
    whole = isinstance(low, int) and isinstance(high, int)
    return (kinds.IntDistribution if whole else kinds.FloatDistribution)(low, high, log=space.log)


class Study:
    """One study. Trials are numbered from 1 by their order among the finished ones, completed or pruned."""

    def __init__(self, config: SearchConfig, folder: Path):
        self.optuna, self.config, self.path = _optuna(), config, folder / "study.db"
        if not config.options or config.trials < 1:
            raise InputError("search: options names what is searched, and trials is 1 or more")
        self.space = {
            option: _distribution(option, space) for option, space in config.options.items()
        }
        self.states = self.optuna.trial.TrialState
        self.study = None

    def example(self) -> dict[str, Any]:
        """One point of the space, to try its options on."""
        return {
            o: s.low if s.choices is None else s.choices[0] for o, s in self.config.options.items()
        }

    def open(self) -> None:
        """Make the study, or take up the one that is there.

        Raises:
            InputError: it is no study, or one of another space.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            storage = self.optuna.storages.RDBStorage(f"sqlite:///{self.path}")
            self.study = self.optuna.create_study(
                storage=storage, study_name="sweep", direction="maximize", load_if_exists=True
            )
            trials = self.study.get_trials()
        except Exception as error:  # SQLAlchemy's and Optuna's, of many kinds
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{self.path}: not a study that can be read: {reason}; delete it to begin anew"
            ) from error
        now = {o: dataclasses.asdict(s) for o, s in self.config.options.items()} | {
            "search.seed": self.config.seed
        }
        then = self.study.user_attrs.get("space")
        if trials and (
            changed := [o for o in {**now, **(then or {})} if (then or {}).get(o) != now.get(o)]
        ):
            was, to_be = ((some or {}).get(changed[0]) for some in (then, now))
            raise InputError(
                f"{self.path}: the study of another search space: {changed[0]} was {was}, now {to_be}; name another sweep"
            )
        self.study.set_user_attr("space", json.loads(json.dumps(now)))
        for trial in trials:
            if not trial.state.is_finished():
                self.study.tell(trial.number, state=self.states.FAIL)

    def finished(self) -> list:
        """Optuna's trials that are completed or pruned, in order."""
        return self.study.get_trials(
            deepcopy=False, states=(self.states.COMPLETE, self.states.PRUNED)
        )

    def left(self) -> Iterator[tuple[int, Any]]:
        """Draw one trial after another, until there are enough -> its number and Optuna's trial."""
        config, samplers, pruners = self.config, self.optuna.samplers, self.optuna.pruners
        self.study.pruner = (
            pruners.MedianPruner(config.startup, 0) if config.prune else pruners.NopPruner()
        )
        while (number := len(self.finished()) + 1) <= config.trials:
            seed = int(np.random.default_rng([config.seed, number]).integers(2**31))
            self.study.sampler = samplers.TPESampler(
                n_startup_trials=config.startup, multivariate=True, seed=seed
            )
            yield number, self.study.ask(self.space)

    def hopeless(self, trial, values: list[float]) -> bool:
        """Report the runs of a trial so far; whether to prune it: their mean is below the median of the trials before."""
        trial.report(float(np.mean(values)), len(values))
        return trial.should_prune()

    def tell(self, trial, values: list[float], pruned: str | None) -> None:
        """End a trial: with the mean of its runs, or pruned for a reason."""
        trial.set_user_attr("values", values)
        if pruned:
            trial.set_user_attr("pruned", pruned)
            self.study.tell(trial, state=self.states.PRUNED)
        else:
            self.study.tell(trial, float(np.mean(values)))

    def best(self) -> tuple[int, dict[str, Any]] | None:
        """The number and the options of the best completed trial."""
        done = self._completed()
        return (done[0][0], done[0][1].params) if done else None

    def _completed(self) -> list[tuple[int, Any]]:
        """The completed trials and their numbers, best first."""
        trials = enumerate(self.finished(), start=1)
        return sorted(
            (pair for pair in trials if pair[1].state == self.states.COMPLETE),
            key=lambda pair: -pair[1].value,
        )

    def summarise(self) -> str:
        """The best trials, and how much each option matters."""
        trials, done, rows = self.finished(), self._completed(), []
        for number, trial in done[:SHOWN]:
            values = trial.user_attrs["values"]
            spread = 100 * float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            options = [
                f"{v:.3g}" if isinstance(v, float) else str(v) for v in trial.params.values()
            ]
            rows.append([str(number), *options, 100 * trial.value, spread, len(values)])
        header = ["trial", *self.space, "mean x 100", "deviation", "runs"]
        cut = [trial.user_attrs["pruned"] for trial in trials if trial.state == self.states.PRUNED]
        failed = sum(reason != MEDIAN for reason in cut)
        lines = [
            markdown_table(header, rows),
            "",
            f"{len(trials)} trials: {len(done)} completed, {len(cut)} pruned",
        ]
        lines[-1] += f", {failed} of them without a number to judge by" if failed else ""
        if len(done) >= ENOUGH:
            evaluator = self.optuna.importance.PedAnovaImportanceEvaluator()
            shares = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
            importance = ", ".join(f"{option} {share:.2f}" for option, share in shares.items())
            lines.insert(1, f"importance of the options (PED-ANOVA): {importance}")
        return "\n".join(lines)
