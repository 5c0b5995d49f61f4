"""How well twins predict people outside their training set, compared with baselines.

The unit of inference is the person: intervals come from resampling people, and verdicts are those
of `bids_dtg.stats.verdict`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from bids_dtg.array_types import Float64, Floats, Indices, Integers, Mask, Values
from bids_dtg.stats.agreement import stepped_up
from bids_dtg.stats.correlation import correlation_interval, weighted_correlation
from bids_dtg.stats.metrics import rivals
from bids_dtg.stats.paired import Interval, bootstrap_interval, wilson_interval
from bids_dtg.stats.verdict import WORSE, Verdict, judge_differences, judge_scores
from bids_dtg.twin.bold import group_t
from bids_dtg.twin.judging.predictions import (
    GROUP,
    GROUP_MEAN,
    OWN_HALF,
    TWIN,
    Cohort,
    Judged,
)
from bids_dtg.twin.judging.scores import (
    choice_agreement,
    means,
    outcome_brier,
    rt_crps,
    scored_trials,
)
from bids_dtg.twin.times import (
    EFFECT,
    RT,
    mean_times,
    observed_times,
    targets_of,
)
from bids_dtg.twin.trial_series import Segments, TaskSet

ALWAYS_CORRECT, OTHERS = "always_correct", "others_twins"
_ROUNDING = 1e-6  # of losses, which are summed up in float32
_SAME = 1e-9  # of differences from the mean of a fold, seconds
_ALIKE = 1e-6  # a smaller difference between predicted times, s, is rounding
_MS = 1000.0
_DRAWS = 2000  # samples of people
_FEWEST_FIGURES = 3  # values, for an r


# Metrics by name: words for pages, 1 if more is better and -1 if less is, and for pages the factor
# to their unit, digits, and the unit.
FIGURES: Mapping[str, tuple[str, int, float, int, str]] = MappingProxyType(
    {
        RT: ("mean response times, r over people", 1, 1.0, 2, ""),
        EFFECT: ("condition effects, r over people", 1, 1.0, 2, ""),
        "choice": ("choices, share of trials with the person's button", 1, 1.0, 3, ""),
        "crps": ("distributions of response times, CRPS", -1, 1.0, 1, " ms"),
        "brier": ("correct, wrong and missed trials, Brier score", -1, 1.0, 3, ""),
        "loss": ("button time series, cross-entropy", -1, 1.0, 4, ""),
    }
)


@dataclass(frozen=True)
class Score:
    """One metric of one model over all evaluated people."""

    figure: str  # a row of `FIGURES`
    task: str  # "": all
    condition: str  # "": all
    name: str  # `TWIN`, or the baseline
    value: Interval
    error: Interval | None  # where the metric is r, mean absolute error in seconds
    people: int
    verdict: Verdict | None  # on the twin against this one; above 0 the twin is better

    @property
    def where(self) -> str:
        """Task and condition, in words; empty for all."""
        return " ".join(part for part in (self.task, self.condition) if part)

    @property
    def is_worse(self) -> bool:
        """Whether the twin is worse than this model."""
        return self.verdict is not None and self.verdict.word == WORSE


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well twins and baselines predict what people did.

    With folds, r over people is computed after subtracting the mean of each fold, other people's
    twins are those of the same fold, and verdicts allow for everybody also training the others'
    twins.
    """

    judged: Judged
    people: Cohort  # with their responses
    seed: int = 0  # of samples of people and sign flips

    @cached_property
    def observed(self) -> Float64:
        """Mean times and effects of people's own responses, (people, targets), seconds."""
        return observed_times(self.people.segments)

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Scores of all models."""
        losses = self._compared(("loss", "", ""), self.judged.each("losses"))
        return (*self._figures(), *self._trials(), *losses, *self._others())

    @cached_property
    def bold_scores(self) -> dict[str, Float64]:
        """Scores of BOLD, by `score_bold`; empty without BOLD."""
        bold = self.judged.bold
        return {} if bold is None else score_bold(bold, self.people.segments.tasks)

    @cached_property
    def twins_differ(self) -> bool:
        """Whether twins predict anything that the group's network does not."""
        times = self.judged.each("times")
        if GROUP not in times:
            return True
        difference = np.nan_to_num(times[TWIN] - times[GROUP])
        return bool((np.abs(difference) > _ALIKE).any())

    def _figures(self) -> Iterator[Score]:
        """Score response times and effects by r over people."""
        models = self.judged.each("times")
        # The same for everybody, so without r. Times of one network may differ between people, but
        # only because their trials do, or as runs are missing.
        constant = [GROUP_MEAN, GROUP]
        if not self.twins_differ:
            constant.append(TWIN)
        for column, target in enumerate(targets_of(self.people.segments.tasks)):
            key = target.what, target.task, ""
            observed, twin = self.observed[:, column], models[TWIN][:, column]
            for name, times in models.items():
                predicted = times[:, column]
                people = int((np.isfinite(predicted) & np.isfinite(observed)).sum())
                verdict = None
                if name != TWIN and not {name, TWIN} & {*constant}:
                    verdict = self._gain(twin, predicted, observed)
                    verdict = verdict or Verdict.unknown(people)
                value = Interval()
                if name not in constant and people:
                    pair = self._within(predicted, observed)
                    value = correlation_interval(*pair, seed=self.seed, draws=_DRAWS)
                error = self._mean(np.abs(predicted - observed))
                yield Score(*key, name, value, error, people, verdict)

    def _trials(self) -> Iterator[Score]:
        """Score single trials: choices by task, response times and outcomes by condition."""
        segments, seconds = self.people.segments, self.judged.each("seconds")
        rows = segments.trials
        buttons = {**self.judged.each("button"), ALWAYS_CORRECT: rows.correct_button}
        choices = {
            name: choice_agreement(pressed, segments)
            for name, pressed in buttons.items()
        }
        crps = {
            name: _MS * rt_crps(curves, seconds[name], rows.rt_seconds)
            for name, curves in self.judged.each("answered").items()
        }
        brier = {
            name: outcome_brier(shares, segments)
            for name, shares in self.judged.each("shares").items()
        }
        for number, task in enumerate(segments.tasks.tasks):
            used = rows.scored & (rows.task == number)
            yield from self._compared(("choice", task.name, ""), choices, used)
        for figure, values in (("crps", crps), ("brier", brier)):
            for task_name, condition, used in scored_trials(segments):
                yield from self._compared((figure, task_name, condition), values, used)

    def _compared(
        self,
        key: tuple[str, str, str],
        figures: Mapping[str, Float64],
        used: Mask | None = None,
    ) -> Iterator[Score]:
        """Score models by the mean over people of a metric (people,), or of used trials' means."""
        values_of_models = figures
        if used is not None:
            values_of_models = {
                name: means(rows, used) for name, rows in figures.items()
            }
        _, sign, *_ = FIGURES[key[0]]
        for name, values in values_of_models.items():
            gain = sign * (values_of_models[TWIN] - values)
            verdict = None if name == TWIN else self._difference(gain)
            people = int(np.isfinite(values).sum())
            yield Score(*key, name, self._mean(values), None, people, verdict)

    @cached_property
    def ceilings(self) -> dict[str, Interval]:
        """The noise ceiling of r over people, by target: the square root of its reliability.

        Each person's values from odd and from even answered trials of a condition are correlated
        over people, and r is stepped up to all trials (Spearman 1910, Br. J. Psychol. 3: 271; Brown
        1910, ibid.: 296).
        """
        segments = self.people.segments
        even = even_trials(segments)
        rt = torch.from_numpy(segments.trials.rt_seconds)
        even_values, odd_values = (
            mean_times(rt, segments, segments.trials.scored & half).double().numpy()
            for half in (even, ~even)
        )
        ceilings = {}
        for column, target in enumerate(targets_of(segments.tasks)):
            halves = even_values[:, column], odd_values[:, column]
            ends = [np.nan] * 3
            if np.isfinite(halves).all(axis=0).any():
                r = correlation_interval(*halves, seed=self.seed, draws=_DRAWS)
                # Where halves do not agree, the ceiling is 0.
                ends = [
                    0.0 if end <= 0 else float(np.sqrt(stepped_up(end)))
                    for end in (r.mean, r.low, r.high)
                ]
            ceilings[target.name] = Interval(*ends)
        return ceilings

    @cached_property
    def _rivals(self) -> tuple[Float64, Indices, Indices]:
        """Losses of the people who can be compared with others, their groups and families."""
        losses, folds = self.judged.losses, self.judged.folds
        rows = np.flatnonzero(np.isfinite(np.diagonal(losses)))
        if folds is not None:  # each fold's people together
            rows = rows[np.argsort(folds[rows], kind="stable")]
        groups = np.zeros(len(rows), np.intp) if folds is None else folds[rows]
        # Somebody with nobody but relatives in the group cannot be compared with others.
        pairs = others_of(groups, self.people.kin[rows])
        comparable = pairs.any(axis=0)
        rows, groups = rows[comparable], groups[comparable]
        return losses[np.ix_(rows, rows)], groups, self.people.kin[rows]

    @cached_property
    def matching(self) -> dict[str, Any] | None:
        """Whether own connectomes matter, by `match`; None: no two people share a fit."""
        losses, *sets = self._rivals
        return match(losses, *sets, seed=self.seed) if len(losses) > 1 else None

    def _others(self) -> Iterator[Score]:
        """Score other people's twins."""
        losses, groups, families = self._rivals
        if len(losses) > 1:
            others_losses = mean_of_others(losses, groups, families)
            gain = others_losses - np.diagonal(losses)
            verdict = self._difference(gain, families)
            value = self._mean(others_losses)
            yield Score("loss", "", "", OTHERS, value, None, len(losses), verdict)

    def _mean(self, values: Float64) -> Interval:
        return bootstrap_interval(values, seed=self.seed, draws=_DRAWS)

    def _difference(self, values: Float64, families: Indices | None = None) -> Verdict:
        return judge_differences(
            values,
            self.people.kin if families is None else families,
            cross_validated=self.judged.folds is not None,
            seed=self.seed,
        )

    def _gain(self, twin: Float64, rival: Float64, observed: Float64) -> Verdict | None:
        """Test whether the twin's r is larger than that of another model."""
        complete = np.isfinite([twin, rival, observed]).all(axis=0)
        *models, target = self._within(twin, rival, observed)
        predictions = np.stack(models)

        def difference(counts: Float64) -> Float64:
            r = weighted_correlation(predictions, target, counts)
            return np.asarray(r[0] - r[1])

        return judge_scores(
            difference,
            len(target),
            families=self.people.kin[complete],
            cross_validated=self.judged.folds is not None,
            seed=self.seed,
        )

    def _within(self, *values: Float64) -> list[Float64]:
        """Return values of people who have all of them, minus the mean of their fold if any.

        Without a fold of slow people, the training people are quicker than average. The mean that
        is predicted for a fold is thus too low where people are slow, and its r would be below 0.
        """
        complete = np.isfinite(values).all(axis=0)
        complete_values = [column[complete] for column in values]
        if self.judged.folds is None:
            return complete_values
        _, fold = np.unique(self.judged.folds[complete], return_inverse=True)
        deviations = []
        for column in complete_values:
            mean = np.bincount(fold, column) / np.bincount(fold)
            deviation = column - mean[fold]
            deviations.append(np.where(np.abs(deviation) < _SAME, 0.0, deviation))
        return deviations


def even_trials(segments: Segments) -> Mask:
    """Return every other answered trial of each person, task and condition, (people, trials)."""
    even = np.zeros(segments.trials.scored.shape, np.bool_)
    answered = np.isfinite(segments.trials.rt_seconds)
    for _, _, used in scored_trials(segments):
        counted = used & answered
        even |= counted & (np.cumsum(counted, axis=1) % 2 == 0)
    return even


PERMUTATIONS = 2000


def match(
    losses: Floats,
    groups: Integers,
    families: Integers,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> dict[str, Any]:
    """Test whether people's own twins fit their responses better than other people's twins.

    Parameters
    ----------
    losses
        (people, people): losses of twins (rows) on people's data (columns). Where all saw the same
        stimuli, this takes one run of each twin; otherwise one run for each pair.
    groups
        (people,): group of each person, of two people or more. Only twins of the same group count
        as other people's twins.
    families
        (people,): family of each person. Each pair of families counts once, by its mean loss; a
        family's own loss is the mean of its people's own twins. Each group needs two families or
        more.
    seed, permutations
        Seed and number of random assignments of twins to people.

    Returns
    -------
    dict
        Number of ``people``, where a family counts once; mean losses of people's own
        twins (``matched``) and of all the others (``mismatched``); ``p`` of a mean loss as low
        under random assignments, one-sided; intervals of the shares of people whose own loss is
        below the mean of the others (``better_than_average``) and lowest of all (``identified``);
        and the ``mean_rank`` of people's own twins, 1 the lowest, ties in the middle. The last two
        are NaN where no two twins differ in their loss on anybody's data.
        Ranks compare all twins on one person's data, so that people who are hard to predict do not
        count as a mismatch. p is (1 + number of mean losses as low) / (1 + permutations).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> losses = rng.uniform(0.2, 0.3, (20, 20)) - 0.15 * np.eye(20)
    >>> matching = match(losses, np.zeros(20, int), np.arange(20))
    >>> matching["p"] < 0.001, matching["identified"].mean
    (True, 1.0)
    """
    loss = np.asarray(losses, np.float64)
    if len(np.unique(families)) < len(families):
        loss, groups = _means_of_families(loss, groups, families)
    people = len(loss)
    blocks = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    matched = np.diagonal(loss)
    mismatched = mean_of_others(loss, groups, np.arange(people))
    rng = np.random.default_rng(seed)
    twin_of = np.tile(np.arange(people), (permutations, 1))
    for block in blocks:
        twin_of[:, block] = rng.permuted(twin_of[:, block], axis=1)
    permuted = loss[twin_of, np.arange(people)].mean(axis=1)
    as_low = int((permuted <= matched.mean() + _ROUNDING).sum())
    lower, tied = np.zeros((2, people))
    differ = np.zeros(people, np.bool_)
    for block in blocks:
        block_losses = loss[np.ix_(block, block)]
        differ[block] = np.ptp(block_losses, axis=0) > _ROUNDING
        likeness = np.where(differ[block], -block_losses, 0.0).T
        scaled = likeness / (block_losses.std() or 1.0)
        lower[block], tied[block] = (ranks.sum(axis=1) for ranks in rivals(scaled))
    identified = np.where(lower > 0, 0.0, 1 / (1 + tied))
    rank = 1 + lower + tied / 2
    if not differ.any():
        identified, rank = np.full((2, people), np.nan)
    better = float((matched < mismatched - _ROUNDING).mean())
    return {
        "people": people,
        "matched": float(matched.mean()),
        "mismatched": float(mismatched.mean()),
        "p": (1 + as_low) / (1 + permutations),
        "better_than_average": wilson_interval(better, people),
        "identified": wilson_interval(float(identified.mean()), people),
        "mean_rank": float(rank.mean()),
    }


def mean_of_others(losses: Floats, groups: Integers, families: Integers) -> Float64:
    """Return, for each person, the mean loss of other people's twins in the group, (people,).

    Parameters
    ----------
    losses, groups, families
        As in `match`.
    """
    loss = np.asarray(losses, np.float64)
    pairs = others_of(groups, families)
    total = np.where(pairs, loss, 0.0).sum(axis=0)
    return np.asarray(total / pairs.sum(axis=0))


def others_of(groups: Integers, families: Integers) -> Mask:
    """Return which pairs of people are of one group and of two families, (people, people)."""
    same_group = groups[:, None] == groups
    return np.asarray(same_group & (families[:, None] != families))


def _means_of_families(
    loss: Float64, groups: Integers, families: Integers
) -> tuple[Float64, Integers]:
    """Return the mean loss of each pair of families, own twins on the diagonal, and the groups."""
    _, first, family = np.unique(families, return_index=True, return_inverse=True)
    share = (family[:, None] == np.arange(len(first))).astype(np.float64)
    share /= share.sum(axis=0)
    # Losses between groups are unknown, and not used.
    mean = share.T @ np.nan_to_num(loss) @ share
    np.fill_diagonal(mean, np.diagonal(loss) @ share)
    return mean, groups[first]


def score_bold(bold: Mapping[str, Values], tasks: TaskSet) -> dict[str, Float64]:
    """Compare predicted with measured BOLD.

    Parameters
    ----------
    bold
        Measured and predicted responses and contrasts, as in `Judged`.
    tasks
        The tasks whose conditions the responses belong to.

    Returns
    -------
    dict
        (regions, tasks) each: t over people of the second condition minus the first, as
        ``observed_t``, ``twin_t`` and ``training_mean_t``, and r over people of mean responses, as
        ``r_people``, also of a ridge and, with halves, of people's own first half; NaN where the
        prediction is the same for everybody.
    """
    # Predictions vary less between people than measurements, so t uses measured people's SD.
    sds = bold["contrast_sds"].mean(axis=0)
    conditions = [len(task.conditions) for task in tasks.tasks]
    numbers = range(len(conditions))
    task_of_condition = np.repeat(numbers, conditions)
    means = {}
    for name in {"observed", TWIN, "ridge", OWN_HALF} & bold.keys():
        task_means = [
            bold[name][..., task_of_condition == n].mean(axis=-1) for n in numbers
        ]
        means[name] = np.stack(task_means, axis=-1)  # (people, regions, tasks)
    observed = means.pop("observed")
    r = {name: np.full(observed.shape[1:], np.nan) for name in means}
    for name, region, task in product(means, *map(range, observed.shape[1:])):
        if name == OWN_HALF or bold["open"][:, region].all():
            predicted = means[name][:, region, task]
            r[name][region, task] = _r(predicted, observed[:, region, task])
    return {
        "observed_t": group_t(bold["observed_contrasts"]),
        "twin_t": group_t(bold["twin_contrasts"], sds),
        "training_mean_t": group_t(bold["training_mean_contrasts"], sds),
        "r_people": r.pop(TWIN),
        **{f"{name}_r_people": values for name, values in r.items()},
    }


def group_r(scores: Mapping[str, Float64], model: str) -> float:
    """Return r over regions and tasks of a model's t with the observed t, from `score_bold`."""
    return _r(scores[f"{model}_t"], scores["observed_t"])


def _r(predicted: Float64, observed: Float64) -> float:
    complete = np.isfinite(predicted) & np.isfinite(observed)
    if complete.sum() < _FEWEST_FIGURES:
        return np.nan
    return float(np.corrcoef(predicted[complete], observed[complete])[0, 1])
