"""Optuna's side of a hyper-parameter search: multivariate TPE in a study file that survives kills.

A trial is drawn from the finished trials and its number alone: the sampler is made anew for each
trial, seeded by the search's seed and that number. A trial that was interrupted is marked as
failed, and the next one drawn has the same options, so its runs are resumed, and an interrupted
search ends like an uninterrupted one. The storage is SQLite: the lock of Optuna's journal would
outlive a killed process.
"""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sbert.errors import InputError, require
from sbert.markdown import markdown_table
from sbert.sweeps.config import SearchConfig, SpaceConfig
from sbert.sweeps.summary import deviation

BELOW_MEDIAN = "below the median"  # why a trial with defined scores is pruned


def _import_optuna():
    try:
        import optuna
    except ImportError:
        raise InputError(
            "search needs Optuna, the extra search: pip install -e '.[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna


def _distribution(distributions, option: str, space: SpaceConfig):
    low, high = space.low, space.high
    if space.choices is not None:
        require(
            low is None and high is None and not space.log and len(space.choices) > 1,
            f"search: {option}: needs low and high, or two choices or more",
        )
        for choice in space.choices:
            require(
                isinstance(choice, (str, int, float, bool, type(None))),
                f"search: {option}: the choice {choice} is neither a string nor a number; "
                "search the options in it",
            )
        return distributions.CategoricalDistribution(space.choices)
    require(
        low is not None and high is not None and low < high,
        f"search: {option}: low {low} and high {high}; without choices, low and high are "
        "required, and low must be less than high",
    )
    require(
        low > 0 or not space.log, f"search: {option}: low is {low}; with log it must be above 0"
    )
    if isinstance(low, int) and isinstance(high, int):
        return distributions.IntDistribution(low, high, log=space.log)
    return distributions.FloatDistribution(low, high, log=space.log)


class Study:
    """A study. Trials are numbered from 1 in the order in which they finished: completed or pruned.

    Raises:
        InputError: Optuna is not installed; a search space that is empty or not valid.
    """

    def __init__(self, config: SearchConfig, folder: Path):
        self.optuna = _import_optuna()
        self.config = config
        self.path = folder / "study.db"
        require(
            config.options and config.trials >= 1,
            "search: needs options to search, and trials of 1 or more",
        )
        require(config.startup >= 0, f"search.startup is {config.startup}; it must be 0 or more")
        self.space = {
            option: _distribution(self.optuna.distributions, option, space)
            for option, space in config.options.items()
        }
        self.states = self.optuna.trial.TrialState

    def example_options(self) -> list[dict[str, Any]]:
        """Points of the space that have every choice and both bounds, to check the options with:
        one, and those that differ from it in one option."""
        values = {
            option: space.choices or [space.low, space.high]
            for option, space in self.config.options.items()
        }
        first = {option: of_option[0] for option, of_option in values.items()}
        points = [first]
        for option, of_option in values.items():
            points += [first | {option: value} for value in of_option[1:]]
        return points

    def open(self, create: bool = True) -> None:
        """Open the study, or create it where there is none.

        Its trials stay as they are: an unfinished one may be of a search that is running.

        Args:
            create: if not, the file exists, and is only read.

        Raises:
            InputError: the file is not a study, or its search space differs.
        """
        identity = {"study_name": "sweep", "storage": f"sqlite:///{self.path}"}
        try:
            if create:
                self.study = self.optuna.create_study(
                    **identity, direction="maximize", load_if_exists=True
                )
            else:
                self.study = self.optuna.load_study(**identity)
            trials = self.study.get_trials()
        except Exception as error:  # many types, of SQLAlchemy and of Optuna
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{self.path}: not a readable study: {reason}; delete it to start again"
            ) from error
        self._check_space(trials)

    def _check_space(self, trials: list) -> None:
        new, old = self._settings(), self.study.user_attrs.get("space") or {}
        for option in {**new, **old}:
            was, now = old.get(option), new.get(option)
            require(
                was == now or not trials,
                f"{self.path}: a study of another search space: {option} was {was}, now {now}; "
                "give the sweep another name",
            )

    def _settings(self) -> dict[str, Any]:
        """What the trials of a study have in common."""
        space = {option: dataclasses.asdict(one) for option, one in self.config.options.items()}
        return space | {"search.seed": self.config.seed}

    def check_runs(self, number: int) -> None:
        """Refuse completed trials of another number of runs than trials now have: over other seeds
        their scores cannot be compared."""
        for trial_number, trial in self._ranked_trials():
            runs = len(trial.user_attrs["values"])
            require(
                runs == number,
                f"{self.path}: trial {trial_number} is of {runs} runs, and seeds and folds now ask "
                f"for {number} in each; keep those that the search began with, or give the sweep "
                "another name",
            )

    def finished_trials(self) -> list:
        """Optuna's trials that are completed or pruned, in order."""
        return self.study.get_trials(False, states=(self.states.COMPLETE, self.states.PRUNED))

    def draw_trials(self) -> Iterator[tuple[int, Any]]:
        """Draw one trial after another until there are enough: its number, and Optuna's trial.

        Those that an interrupted search left unfinished are marked as failed before.
        """
        config = self.config
        self.study.set_user_attr("space", self._settings())
        for trial in self.study.get_trials():
            if not trial.state.is_finished():
                self.study.tell(trial.number, state=self.states.FAIL)
        for number in range(len(self.finished_trials()) + 1, config.trials + 1):
            seed = int(np.random.default_rng([config.seed, number]).integers(2**31))
            self.study.sampler = self.optuna.samplers.TPESampler(
                n_startup_trials=config.startup, multivariate=True, seed=seed
            )
            yield number, self.study.ask(self.space)

    def should_prune(self, trial, scores: list[float]) -> bool:
        """Report the scores of a trial's runs so far. True if their mean is below the median of the
        means of the completed trials after the same number of runs.

        Optuna's MedianPruner would compare the highest mean so far.
        """
        mean, runs = float(np.mean(scores)), len(scores)
        trial.report(mean, runs)
        completed = [other for _, other in self._ranked_trials()]
        if not self.config.prune or len(completed) < max(self.config.startup, 1):
            return False
        earlier = [np.mean(other.user_attrs["values"][:runs]) for other in completed]
        return mean < float(np.median(earlier))

    def finish_trial(self, trial, scores: list[float], pruned: str | None) -> None:
        """Finish a trial with the mean score of its runs, or as pruned, with the reason."""
        trial.set_user_attr("values", scores)
        if pruned:
            trial.set_user_attr("pruned", pruned)
            self.study.tell(trial, state=self.states.PRUNED)
        else:
            self.study.tell(trial, float(np.mean(scores)))

    def completed_trials(self) -> list[tuple[int, dict[str, Any]]]:
        """The numbers and the options of the completed trials, the best first."""
        return [(number, trial.params) for number, trial in self._ranked_trials()]

    def _ranked_trials(self) -> list[tuple[int, Any]]:
        trials = enumerate(self.finished_trials(), start=1)
        completed = [pair for pair in trials if pair[1].state == self.states.COMPLETE]
        return sorted(completed, key=lambda pair: pair[1].value, reverse=True)

    def table(self, factor: float = 100) -> str:
        """The ten best trials, the importance of the options if ten or more completed, and the
        numbers of trials.

        factor: scores are multiplied by this.
        """
        trials, completed, rows = self.finished_trials(), self._ranked_trials(), []
        for number, trial in completed[:10]:
            cells = [str(number)]
            for option in self.space:
                value = trial.params[option]
                cells.append(f"{value:.3g}" if isinstance(value, float) else str(value))
            scores = trial.user_attrs["values"]
            rows.append([*cells, factor * trial.value, factor * deviation(scores), len(scores)])
        header = ["trial", *self.space, f"mean x {factor:g}", "deviation", "runs"]
        lines = [markdown_table(header, rows)]
        if len(completed) >= 10:
            lines.append(f"importance of the options (PED-ANOVA): {self._importance()}")
        reasons = [t.user_attrs["pruned"] for t in trials if t.state == self.states.PRUNED]
        counts = f"{len(trials)} trials: {len(completed)} completed, {len(reasons)} pruned"
        undefined = len(reasons) - reasons.count(BELOW_MEDIAN)
        if undefined:
            counts += f", {undefined} of them because a score was undefined"
        return "\n".join([*lines, "", counts])

    def _importance(self) -> str:
        evaluator = self.optuna.importance.PedAnovaImportanceEvaluator()
        shares = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return ", ".join(f"{option} {share:.2f}" for option, share in shares.items())
