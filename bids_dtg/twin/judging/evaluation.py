"""How well twins predict people outside their training set, compared with baselines.

The unit of inference is the person: intervals come from resampling people, and verdicts are those
of `bids_dtg.stats.verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.correlation import correlation_interval, weighted_correlation
from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.splits import family_numbers
from bids_dtg.stats.verdict import (
    BETTER,
    WORSE,
    Verdict,
    judge_differences,
    judge_scores,
    too_few,
)
from bids_dtg.twin.curves import MeanTrial
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import Fitted, Outputs
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.ceilings import Ceiling, ceilings_of
from bids_dtg.twin.judging.cohort import (
    EFFECT,
    RT,
    Cohort,
    TaskAnswers,
    answers_of,
    checked_truth,
    figures_of,
    targets_of,
)
from bids_dtg.twin.judging.curves import curves_of_people
from bids_dtg.twin.judging.folds import Fold, TwinsOfFolds, numbers_of, simple_of, within_folds
from bids_dtg.twin.judging.matching import Matching, match, mean_of_others, others_of
from bids_dtg.twin.judging.scores import (
    QuantileTable,
    always_correct,
    by_condition,
    choice_agreement,
    outcome_brier,
    outcome_shares,
    quantile_table,
    rt_crps,
)
from bids_dtg.twin.judging.simple import Simple, simple_predictions
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.trial_series import Segments

Values = NDArray[np.float64]
Report = Callable[[str], None]

TWIN, GROUP, ALWAYS_CORRECT = "twin", "group_network", "always_correct"
_SMALLEST = 1e-6  # probability; float32 has none much closer to 1
_CONSTANT = (GROUP, "group_mean")  # the same for everybody: they have no r over people
_PAIRS_AT_ONCE = 40  # people whose twins are each run on the sequence of each of them
_ROUNDING = 1e-6  # of losses, which are summed up in float32


@dataclass(frozen=True)
class Figure:
    """A figure that models are scored by; a row of `FIGURES`."""

    words: str  # on pages
    more_is_better: bool
    of_people: bool = False  # whether it is r over people; otherwise a mean over people


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        RT: Figure("r of mean response times over people", True, True),
        EFFECT: Figure("r of condition effects over people", True, True),
        "true_rt": Figure("r with true mean response times", True, True),
        "true_effect": Figure("r with true condition effects", True, True),
        "choice": Figure("share of trials with the person's button", True),
        "crps": Figure("CRPS of response times, s", False),
        "brier": Figure("Brier score of correct, wrong and miss", False),
        "loss": Figure("cross-entropy of button time series", False),
    }
)


@dataclass(frozen=True)
class Score:
    """One figure of one model over all evaluated people."""

    figure: str  # a row of `FIGURES`
    task: str  # "": all
    condition: str  # "": all
    name: str  # `TWIN`, or the baseline
    value: Interval
    error: Interval | None  # of figures over people, mean absolute error in seconds
    people: int
    verdict: Verdict | None  # on the twin against this one; a difference above 0: it is better


@dataclass(frozen=True)
class Comparison:
    """Whether own connectomes matter, and whether twins are better than the group's network."""

    matching: Matching
    own: Verdict  # mean loss of other people's twins on a person, less that of the own twin
    group: Verdict | None  # loss of the group's network less that of the own twin; None: no network


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well twins and baselines predict people."""

    labels: tuple[str, ...]
    families: int  # of these people
    targets: tuple[str, ...]  # names, as ``faces_rt``
    observed: Values  # (people, targets), seconds
    predicted: Mapping[str, Values]  # by `TWIN` and each other name: (people, targets)
    scores: tuple[Score, ...]
    quantiles: Mapping[str, QuantileTable]  # by task, of the twins
    conditions: Mapping[str, tuple[str, ...]]  # by task
    losses: Values  # (twins, people)
    own_losses: Values  # (people,)
    group_losses: Values | None  # (people,)
    comparison: Comparison | None  # None: there is one person
    choice: Mapping[str, Values] = field(default_factory=dict)  # by task, (people,)
    # The mean trial of each task and condition: observed, under `PEOPLE`, and by network.
    curves: Mapping[str, tuple[MeanTrial, ...]] = field(default_factory=dict)
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)  # by target
    # (people,): number of the fold, from 0, without which a person's twin was fitted; None: one fit
    # of other people serves all.
    folds: NDArray[np.intp] | None = None

    def score(self, figure: str, task: str = "", name: str = TWIN, condition: str = "") -> Score:
        """Return one of the scores.

        Raises
        ------
        KeyError
            No score has this key.
        """
        for score in self.scores:
            if (score.figure, score.task, score.name, score.condition) == (
                figure,
                task,
                name,
                condition,
            ):
                return score
        raise KeyError(f"no score of {figure} {task} {condition} {name}")

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Sentences on where twins are worse than a baseline, and on too few people."""
        return shortfalls(self)


class Twins(Protocol):
    """Networks to evaluate: each person's twin, and the group's network if there is one."""

    def perform(self, segments: Segments) -> Outputs:
        """Run each person's twin on segments, the people's own or the same for all."""
        ...

    def perform_group(self, segments: Segments) -> Outputs | None:
        """Run the group's network; None where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class FittedTwins:
    """Twins of one fit."""

    fitted: Fitted
    connectomes: NDArray[np.floating[Any]]

    def perform(self, segments: Segments) -> Outputs:
        """Run each person's twin."""
        return self.fitted.perform(self.connectomes, segments)

    def perform_group(self, segments: Segments) -> Outputs | None:
        """Run the group's network; None where the architecture has none."""
        if find_architecture(self.fitted.architecture).generates_all:
            return None
        return self.fitted.perform_group(segments)


@dataclass(frozen=True)
class Samples:
    """Bootstrap samples of people, for intervals."""

    seed: int = 0
    number: int = 2000
    folds: NDArray[np.intp] | None = None  # (people,); None: nobody is judged by folds
    families: NDArray[np.intp] | None = None  # (people,), numbers; None: nobody is related

    def score(
        self,
        key: tuple[str, str, str, str],
        value: Interval,
        people: int,
        *,
        error: Interval | None = None,
        verdict: Verdict | None = None,
    ) -> Score:
        """Return a score with the verdict on the twin."""
        return Score(*key, value, error, people, verdict)

    def mean(self, values: Values) -> Interval:
        """Return the mean of people's values with its interval."""
        return bootstrap_interval(values, seed=self.seed, draws=self.number)

    def over_people(self, name: str, predicted: Values, wanted: Values) -> Interval:
        """Return r over people with its interval; NaN for a prediction that is the same for all."""
        if name in _CONSTANT or not (np.isfinite(predicted) & np.isfinite(wanted)).any():
            return _nothing()
        both = self._within(predicted, wanted)
        return correlation_interval(*both, seed=self.seed, draws=self.number)

    def difference(self, values: Values) -> Verdict:
        """Judge a difference of which each person has a value."""
        return judge_differences(
            values, self.families, cross_validated=self.folds is not None, seed=self.seed
        )

    def gain(self, one: Values, other: Values, wanted: Values) -> Verdict | None:
        """Test whether the r of `one` is larger than that of `other`."""
        known = np.isfinite([one, other, wanted]).all(axis=0)
        found = self._within(one, other, wanted)
        both, target = np.stack(found[:2]), found[2]

        def difference(counts: Values) -> Values:
            r = weighted_correlation(both, target, counts)
            larger: Values = r[0] - r[1]
            return larger

        return judge_scores(
            difference,
            len(target),
            families=None if self.families is None else self.families[known],
            cross_validated=self.folds is not None,
            seed=self.seed,
        )

    def _within(self, *values: Values) -> list[Values]:
        """Return values of people who have all of them, by folds less the mean of the fold."""
        known = np.isfinite(values).all(axis=0)
        folds = None if self.folds is None else self.folds[known]
        return [within_folds(own[known], folds) for own in values]


def evaluate(
    fitted: Fitted,
    people: Cohort,
    training: Cohort | None = None,
    *,
    truth: Mapping[str, Values] | None = None,
    samples: Samples = Samples(),
) -> Evaluation:
    """Evaluate a fitted twin in people outside its training set.

    Parameters
    ----------
    fitted
        The twin to evaluate, as `fit` returned it or a bundle has it.
    people
        Unseen people.
    training
        The twin's training participants, to fit baselines on. None: the only baselines are the
        group's network and always pressing the correct button.
    truth
        True figures (people,) of simulated people, by name of the target, as ``faces_effect``.
    samples
        How people are resampled for intervals.

    Raises
    ------
    ValueError
        Some of the people are in the twin's training set; connectomes are missing; or tasks differ.
    """
    if seen := sorted(set(people.labels) & set(fitted.people)):
        raise ValueError(f"the twin was fitted to {len(seen)} of the people: {', '.join(seen[:3])}")
    if [task.name for task in people.segments.tasks.tasks] != list(fitted.tasks.names):
        raise ValueError(
            f"the twin performs {', '.join(fitted.tasks.names)}, and people performed "
            f"{', '.join(people.segments.tasks.names)}"
        )
    if people.connectomes is None:
        raise ValueError("connectomes are missing, from which people's twins are made")
    simple = Simple({}, {}) if training is None else simple_predictions(training, people)
    twins = FittedTwins(fitted, people.connectomes)
    return judge(twins, people, simple, truth=truth, samples=samples)


def evaluate_folds(
    folds: Sequence[Fold],
    people: Cohort,
    *,
    truth: Mapping[str, Values] | None = None,
    samples: Samples = Samples(),
) -> Evaluation:
    """Evaluate twins in people who are judged by folds, everybody once, in one table.

    Parameters
    ----------
    folds
        Each fold's people, their twins, which were fitted to the others, and what baselines predict
        that were fitted to the same others (`fold_of`).
    people
        Everybody, whose rows folds have.
    truth, samples
        As of `evaluate`.

    Returns
    -------
    Evaluation
        Its r over people are of figures less the mean of their fold, and other people's twins are
        those of the same fold. Verdicts count that everybody trains the others' twins
        (`bids_dtg.stats.verdict`).

    Raises
    ------
    ValueError
        Somebody is in two folds, or in none.
    """
    if sorted(np.concatenate([fold.rows for fold in folds]).tolist()) != list(range(people.people)):
        raise ValueError(f"folds have other people than the {people.people}, each once")
    return judge(
        TwinsOfFolds(folds),
        people,
        simple_of(folds),
        truth=truth,
        samples=replace(samples, folds=numbers_of(folds)),
    )


def fold_of(fitted: Fitted, people: Cohort, rows: NDArray[np.integer]) -> Fold:
    """Return a fold: its people's twins, and baselines fitted to the same others.

    Parameters
    ----------
    fitted
        The twin that was fitted to the others.
    people
        Everybody.
    rows
        The fold's people, by row.

    Raises
    ------
    ValueError
        The twin was not fitted to the others, or connectomes are missing.
    """
    others = np.setdiff1d(np.arange(people.people), rows)
    training, unseen = people.of(others), people.of(rows)
    if fitted.people != training.labels:
        raise ValueError("the twin of a fold has to be fitted to everybody else, in order")
    if unseen.connectomes is None:
        raise ValueError("connectomes are missing, from which people's twins are made")
    twins = FittedTwins(fitted, unseen.connectomes)
    return Fold(rows, twins, simple_predictions(training, unseen))


def judge(
    twins: Twins,
    people: Cohort,
    simple: Simple,
    *,
    truth: Mapping[str, Values] | None = None,
    samples: Samples = Samples(),
) -> Evaluation:
    """Evaluate twins by people's responses, and compare them with baselines.

    Parameters
    ----------
    twins
        The twins, and the group's network if there is one.
    people
        The people to evaluate, with known responses.
    simple
        Predictions of the baselines for the same people.
    truth, samples
        Options of the evaluation, as for `evaluate`.
    """
    true = checked_truth(truth or {}, people.segments.tasks, people.people)
    return _Judged(twins, people, simple, true, samples).evaluation()


def _nothing() -> Interval:
    return Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, eq=False)
class _Prediction:
    """A model's prediction of one task: answers, their distributions, and outcomes."""

    answers: Answers | None
    answered: NDArray[np.floating[Any]]  # (people, trials, steps)
    seconds: NDArray[np.floating[Any]]
    shares: Values  # (people, trials, 3)


class _Judged:
    """One evaluation."""

    def __init__(
        self,
        twins: Twins,
        people: Cohort,
        simple: Simple,
        true: Mapping[str, Values],
        draws: Samples,
    ) -> None:
        self.twins, self.people, self.simple = twins, people, simple
        self.true = true
        self.families = family_numbers(people.labels, people.families)
        self.draws = replace(draws, families=self.families)
        self.segments = people.segments
        tasks = range(len(self.segments.tasks.tasks))
        self.tasks = [answers_of(self.segments, number) for number in tasks]
        self.performed = {TWIN: twins.perform(self.segments)}
        group = twins.perform_group(self.segments)
        if group is not None:
            self.performed[GROUP] = group

    def evaluation(self) -> Evaluation:
        predictions = [self._predictions(number, task) for number, task in enumerate(self.tasks)]
        targets = targets_of(self.segments.tasks)
        observed = np.stack(
            [column for task in self.tasks for column in figures_of(task.answers, task.task)],
            axis=1,
        )
        predicted = self._predicted_targets(predictions)
        losses, rows = self._losses()
        own = {
            name: own_losses(performed, self.segments) for name, performed in self.performed.items()
        }
        scores = [
            *self._figures([(t.task, t.what) for t in targets], observed, predicted),
            *(
                score
                for number in range(len(self.tasks))
                for score in self._trials(number, predictions[number])
            ),
            *self._means_over_people(("loss", "", ""), own),
        ]
        return Evaluation(
            labels=self.people.labels,
            families=len(np.unique(self.families)),
            targets=tuple(target.name for target in targets),
            observed=observed,
            predicted=predicted,
            scores=tuple(scores),
            quantiles={
                task.task.name: quantile_table(
                    of[TWIN].answered, of[TWIN].seconds, task.answers, len(task.task.conditions)
                )
                for task, of in zip(self.tasks, predictions, strict=True)
            },
            conditions={task.task.name: task.task.conditions for task in self.tasks},
            losses=losses,
            own_losses=own[TWIN],
            group_losses=own.get(GROUP),
            comparison=self._comparison(losses, own, rows),
            choice={
                task.task.name: self._choice(task, of[TWIN].answers)
                for task, of in zip(self.tasks, predictions, strict=True)
            },
            curves=curves_of_people(
                self.segments,
                self.performed,
            ),
            ceilings=dict(zip((target.name for target in targets), self._ceilings(), strict=True)),
            folds=self.draws.folds,
        )

    def _ceilings(self) -> list[Ceiling]:
        seed, draws = self.draws.seed, self.draws.number
        return [
            ceiling
            for task in self.tasks
            for ceiling in ceilings_of(task.answers, task.task, seed=seed, draws=draws)
        ]

    def _predictions(self, number: int, task: TaskAnswers) -> dict[str, _Prediction]:
        """Return the prediction of a task by each model that predicts distributions."""
        found = {name: self._decoded(task, performed) for name, performed in self.performed.items()}
        for name, distributions in self.simple.distributions.items():
            of = distributions[number]
            found[name] = _Prediction(None, of.answered, of.seconds, of.shares)
        return found

    def _decoded(self, task: TaskAnswers, performed: Outputs) -> _Prediction:
        of = decode(performed, self.segments)
        shape = task.answers.condition.shape
        seconds = of.seconds if of.seconds.ndim == 3 else of.seconds[None]
        answered = task.part(of.answered)
        return _Prediction(
            task.decoded_means(of),
            np.broadcast_to(answered, (*shape, answered.shape[-1])),
            np.broadcast_to(task.part(seconds), (*shape, seconds.shape[-1])),
            outcome_shares(task.part(of.ends), task.answers.correct_button),
        )

    def _predicted_targets(
        self, predictions: Sequence[Mapping[str, _Prediction]]
    ) -> dict[str, Values]:
        found = {}
        for name in self.performed:
            columns: list[Values] = []
            for task, of in zip(self.tasks, predictions, strict=True):
                answers = of[name].answers
                assert answers is not None
                columns += figures_of(answers, task.task)
            found[name] = np.stack(columns, axis=1)
        return {**found, **self.simple.targets}

    def _figures(
        self,
        targets: Sequence[tuple[str, str]],
        observed: Values,
        predicted: Mapping[str, Values],
    ) -> list[Score]:
        """Score response times and effects, observed and true, by r over people."""
        found = []
        for column, (task, what) in enumerate(targets):
            wanted = {what: observed[:, column]}
            if f"{task}_{what}" in self.true:
                wanted[f"true_{what}"] = self.true[f"{task}_{what}"]
            for figure, values in wanted.items():
                found += [
                    self._over_people(
                        (figure, task, "", name), own[:, column], predicted[TWIN][:, column], values
                    )
                    for name, own in predicted.items()
                ]
        return found

    def _over_people(
        self, key: tuple[str, str, str, str], own: Values, twin: Values, wanted: Values
    ) -> Score:
        name, people = key[-1], int((np.isfinite(own) & np.isfinite(wanted)).sum())
        verdict = None
        if name not in (TWIN, *_CONSTANT):
            verdict = self.draws.gain(twin, own, wanted) or Verdict.unknown(people)
        return self.draws.score(
            key,
            self.draws.over_people(name, own, wanted),
            people,
            error=self.draws.mean(np.abs(own - wanted)),
            verdict=verdict,
        )

    def _trials(self, number: int, predictions: Mapping[str, _Prediction]) -> list[Score]:
        """Score single trials by condition: choices, response times and outcomes."""
        task = self.tasks[number]
        name, buttons = task.task.name, len(task.task.buttons)
        choices = {
            who: self._choice(task, of.answers) for who, of in predictions.items() if of.answers
        }
        choices[ALWAYS_CORRECT] = always_correct(task.answers, buttons=buttons)
        found = self._means_over_people(("choice", name, ""), choices)
        for figure, values in (
            (
                "crps",
                {
                    who: rt_crps(of.answered, of.seconds, task.answers.rt_seconds)
                    for who, of in predictions.items()
                },
            ),
            (
                "brier",
                {who: outcome_brier(of.shares, task.answers) for who, of in predictions.items()},
            ),
        ):
            conditions = len(task.task.conditions)
            tables = {
                who: by_condition(own, task.answers, conditions) for who, own in values.items()
            }
            for place, condition in enumerate(task.task.conditions):
                columns = {who: table[:, place] for who, table in tables.items()}
                found += self._means_over_people((figure, name, condition), columns)
        return found

    def _choice(self, task: TaskAnswers, answers: Answers | None) -> Values:
        assert answers is not None
        return choice_agreement(answers.button, task.answers, buttons=len(task.task.buttons))

    def _means_over_people(
        self, key: tuple[str, str, str], of_people: Mapping[str, Values]
    ) -> list[Score]:
        """Score models by the mean over people of a figure (people,)."""
        better = FIGURES[key[0]].more_is_better
        twin, found = of_people[TWIN], []
        for name, values in of_people.items():
            gain = twin - values if better else values - twin
            verdict = None if name == TWIN else self.draws.difference(gain)
            people = int(np.isfinite(values).sum())
            found.append(
                self.draws.score((*key, name), self.draws.mean(values), people, verdict=verdict)
            )
        return found

    def _losses(self) -> tuple[Values, NDArray[np.intp]]:
        """Return the loss of each twin on each person's data, and the rows of these people."""
        people = np.arange(self.people.people)
        if len(self.segments.inputs) == 1:
            losses = cross_losses(self.performed[TWIN], self.segments)
        else:
            rng = np.random.default_rng(self.draws.seed)
            people = np.sort(rng.permutation(people)[:_PAIRS_AT_ONCE])
            columns = []
            for row in people:
                seen = self.segments.people(np.array([row]))
                performed = self.twins.perform(seen)[people]
                columns.append(cross_losses(performed, seen)[:, 0])
            losses = np.stack(columns, axis=1)
        whole = np.isfinite(np.diagonal(losses))
        if (folds := self.draws.folds) is None:
            return losses[np.ix_(whole, whole)], people[whole]
        # Twins of other folds were fitted to the person, too: only those of the own fold count.
        of = folds[people]
        known = np.bincount(of[whole], minlength=of.max() + 1)
        whole &= known[of] > 1
        losses = np.where(of[:, None] == of[None, :], losses, np.nan)
        order = np.flatnonzero(whole)[np.argsort(of[whole], kind="stable")]
        return losses[np.ix_(order, order)], people[order]

    def _comparison(
        self, losses: Values, own: Mapping[str, Values], rows: NDArray[np.intp]
    ) -> Comparison | None:
        folds = None if self.draws.folds is None else self.draws.folds[rows]
        families = self.families[rows]
        # A person whose relatives alone are there has nobody to be compared with.
        some = np.flatnonzero(others_of(len(losses), folds, families).any(axis=0))
        if len(some) < 2:
            return None
        losses, families = losses[np.ix_(some, some)], families[some]
        folds = None if folds is None else folds[some]
        seed, mean = self.draws.seed, mean_of_others(losses, folds, families)
        return Comparison(
            match(losses, groups=folds, families=families, seed=seed, rounding=_ROUNDING),
            replace(self.draws, families=families).difference(mean - np.diagonal(losses)),
            self.draws.difference(own[GROUP] - own[TWIN]) if GROUP in own else None,
        )


def shortfalls(found: Evaluation) -> tuple[str, ...]:
    """Describe where twins are worse than a baseline, and whether there are too few people.

    Parameters
    ----------
    found
        An evaluation.

    Returns
    -------
    tuple of str
        Sentences without a full stop; empty if twins fall short nowhere.
    """
    sentences = []
    if few := too_few(found.families):
        sentences.append(few)
    for figure in FIGURES:
        worse = [
            score
            for score in found.scores
            if score.figure == figure and score.verdict and score.verdict.word == WORSE
        ]
        if worse:
            listed = "; ".join(_named(score) for score in worse)
            sentences.append(f"Below its baseline, {FIGURES[figure].words}: {listed}")
    comparison = found.comparison
    if comparison and _is_short(comparison.own):
        sentences.append(
            "Own connectomes are not shown to fit people better than other people's "
            f"({comparison.own.why or comparison.own.word})"
        )
    if comparison and comparison.group and _is_short(comparison.group):
        sentences.append(
            "The loss is not shown to be below that of the group's network "
            f"({comparison.group.why or comparison.group.word})"
        )
    return tuple(sentences)


def _is_short(found: Verdict) -> bool:
    """Return whether the verdict is not "better" although there are enough people."""
    return found.word != BETTER and not too_few(found.people)


def _named(score: Score) -> str:
    where = " ".join(part for part in (score.task, score.condition) if part)
    name = score.name.replace("_", " ")
    return f"{where} ({name})" if where else name


def cross_losses(buttons: NDArray[np.floating[Any]], segments: Segments) -> Values:
    """Return the cross-entropy of each twin's outputs with each person's responses.

    The cross-entropy is linear in the responses, so all pairs take two matrix products.

    Parameters
    ----------
    buttons
        (twins, segments, steps, buttons): probabilities, of twins that saw what the people saw.
    segments
        Segments of people who saw the same; one person is enough.

    Returns
    -------
    numpy.ndarray
        (twins, people): means over scored steps and buttons; NaN for people without scored steps.

    Raises
    ------
    ValueError
        People saw different things, or the outputs do not have the shape of the segments.

    Examples
    --------
    `bids_dtg.twin.judging.matching.match` tests the losses.
    """
    if len(segments.inputs) > 1:
        raise ValueError("people saw different things: run each twin on what each person saw")
    if buttons.shape[1:] != segments.action.shape[1:]:
        raise ValueError(f"outputs are (twins, {segments.action.shape[1:]}), found {buttons.shape}")
    weight = segments.scored.astype(np.float32)
    wanted = segments.action * weight[..., None]
    rest = (1 - segments.action) * weight[..., None]
    likely = np.clip(buttons, _SMALLEST, 1 - _SMALLEST).astype(np.float32)
    total = _flat(np.log(likely)) @ _flat(wanted).T + _flat(np.log1p(-likely)) @ _flat(rest).T
    count = weight.sum(axis=(1, 2)) * segments.action.shape[-1]
    return -np.asarray(total, np.float64) / np.where(count > 0, count, np.nan)


def own_losses(buttons: NDArray[np.floating[Any]], segments: Segments) -> Values:
    """Return the cross-entropy of each person's own twin, (people,), also for different sequences.

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, buttons): probabilities; 1 where one network serves all.
    segments
        Segments of people.
    """
    weight = segments.scored[..., None].astype(np.float64)
    likely = np.clip(buttons, _SMALLEST, 1 - _SMALLEST)
    loss = -(segments.action * np.log(likely) + (1 - segments.action) * np.log1p(-likely))
    count = weight.sum(axis=(1, 2, 3)) * segments.action.shape[-1]
    found: Values = (loss * weight).sum(axis=(1, 2, 3)) / np.where(count > 0, count, np.nan)
    return found


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)
