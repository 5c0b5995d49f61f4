"""Predictions by twins and simpler models for people they were not fitted to, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from bids_dtg.array_types import Float64, Floats, Indices, Integers, Values
from bids_dtg.stats.splits import family_numbers
from bids_dtg.twin.adjustment import Adjustment, Covariates, mean_of_known
from bids_dtg.twin.bold import contrasts, predict_bold, responses
from bids_dtg.twin.bold_runs import People as BoldOfPeople
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import SMALLEST, Fitted, Outputs, button_losses
from bids_dtg.twin.judging.scores import outcome_shares
from bids_dtg.twin.times import (
    RT,
    fit_ridges,
    mean_times,
    observed_times,
    targets_of,
)
from bids_dtg.twin.trial_series import STEP_SECONDS, Segments

TWIN, GROUP = "twin", "group_network"
GROUP_MEAN, COVARIATES = "group_mean", "covariates"
RIDGE = "connectome_ridge"
# The group's distribution, stretched to the mean time that the ridge on connectomes predicts.
STRETCHED, OWN_HALF = "ridge_distribution", "own_first_half"
FEWEST_TRAINING = 3  # people, for baselines
_PAIRS_AT_ONCE = 40  # people whose twins are run on each other's sequences


@dataclass(frozen=True, eq=False)
class Cohort:
    """People with their responses, connectomes, covariates and BOLD.

    Raises
    ------
    ValueError
        Numbers of people differ.
    """

    labels: tuple[str, ...]
    segments: Segments  # what they saw and did, with an axis of people
    connectomes: Floats  # (people, edges), as measured
    covariates: Covariates = field(default_factory=Covariates)  # of participants.tsv
    families: Mapping[str, str] = field(default_factory=dict)  # by label, where known
    bold: BoldOfPeople | None = None  # of their task runs; None: nobody has any

    def __post_init__(self) -> None:
        if self.bold is not None:
            has_run = any(run is not None for runs in self.bold for run in runs)
            object.__setattr__(self, "bold", self.bold if has_run else None)
        sizes = {len(self.labels), len(self.segments.action), len(self.connectomes)}
        if len(sizes) > 1:
            raise ValueError(
                f"labels, segments and connectomes are of {sorted(sizes)} people"
            )

    @cached_property
    def kin(self) -> Indices:
        """Number of each person's family, (people,)."""
        return family_numbers(self.labels, self.families)

    def edges(self, adjustment: Adjustment | None) -> Floats:
        """Return connectomes (people, edges), adjusted for covariates if there is an adjustment."""
        if adjustment is None:
            return self.connectomes
        return adjustment.apply(self.connectomes, self.covariates)

    def taken_out(self, adjustment: Adjustment | None) -> Float64 | None:
        """Return the covariates that `edges` removes, (people, columns); None: none."""
        return None if adjustment is None else adjustment.columns(self.covariates)

    def of(self, rows: Integers) -> Cohort:
        """Return some of the people, by row."""
        return replace(
            self,
            labels=tuple(self.labels[row] for row in rows),
            segments=self.segments.people(rows),
            connectomes=self.connectomes[rows],
            covariates=self.covariates.of(rows),
            bold=None if self.bold is None else [self.bold[row] for row in rows],
        )


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's predictions for people; None: it does not predict that."""

    # (people, targets): mean response times and effects, seconds.
    times: Float64 | None = None
    seconds: Float64 | None = None  # (people, trials, steps), from each trial's onset
    # (people, trials, steps): share of responses by then
    answered: Float64 | None = None
    correct: Float64 | None = None  # the same, with the correct button
    shares: Float64 | None = None  # (people, trials, 3): correct, wrong and miss
    button: Integers | None = None  # (people, trials); -1: none
    losses: Float64 | None = None  # (people,): cross-entropy of button time series


Models = dict[str, Predicted]


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions for people by each model, none of which was fitted to them."""

    models: Mapping[str, Predicted]  # by name; `TWIN` is one
    # (people, people): of twins (rows) on people; NaN: of different fits, or unknown
    losses: Float64
    # (people,); None: one fit of other people serves all.
    folds: Indices | None = None
    # `observed`, `twin` and `training_mean`: responses to conditions (people, regions, conditions),
    # in SD of the training people; with the ending `_contrasts`, second condition minus the first
    # (people, regions, tasks). `contrast_sds`: their SD over training people. `open`: whether
    # connectomes predict the region (people, regions). `ridge` and, in units of BOLD, `OWN_HALF`:
    # further responses. None: there is no BOLD.
    bold: Mapping[str, Values] | None = None
    regions: tuple[str, ...] = ()  # of BOLD

    def each(self, part: str) -> dict[str, Values]:
        """Return a part of the predictions of the models that have it, by name."""
        parts = {name: getattr(model, part) for name, model in self.models.items()}
        return {name: values for name, values in parts.items() if values is not None}


def predict_people(
    fitted: Fitted,
    people: Cohort,
    training: Cohort | None = None,
    *,
    adjustment: Adjustment | None = None,
    seed: int = 0,
) -> Judged:
    """Predict people by a twin, and by baselines that are fitted to its training people.

    Parameters
    ----------
    fitted
        The twin.
    people
        People to predict.
    training
        The twin's training people; None, or fewer than three: there are no baselines.
    adjustment
        Adjustment of connectomes for covariates; None: connectomes are as measured.
    seed
        Of the choice of people whose twins are run on each other's sequences.
    """
    edges = people.edges(adjustment)
    outputs = fitted.perform(edges, people.segments)
    models = {TWIN: predict_by_network(outputs, people.segments)}
    group = fitted.perform_group(people.segments)
    if group is not None:
        models[GROUP] = predict_by_network(group, people.segments)
    if training is not None and len(training.labels) >= FEWEST_TRAINING:
        models |= _baselines(training, people, adjustment)
    losses = _cross_losses(fitted, edges, outputs, people.segments, seed)
    bold = _judged_bold(fitted, people, edges)
    regions = fitted.bold.regions if bold and fitted.bold else ()
    return Judged(models, losses, bold=bold, regions=regions)


def _judged_bold(
    fitted: Fitted, people: Cohort, edges: Floats
) -> dict[str, Values] | None:
    """Predict BOLD in the volumes that were measured; None where there is nothing to compare."""
    if people.bold is None or fitted.bold is None:
        return None
    ridges, segments = fitted.bold, people.segments
    predicted = predict_bold(ridges, fitted.twin, edges, segments, people.bold)
    measured = ridges.scaled(people.bold)
    observed = contrasts(measured, segments)
    is_measured = np.isfinite(observed)  # people without BOLD do not count
    twin_contrasts = contrasts(predicted, segments)
    ridge = ridges.predict(torch.tensor(edges)).numpy()
    bold = {
        "observed": responses(measured, segments),
        "twin": responses(predicted, segments),
        "ridge": np.where(ridges.open[:, None], ridge, np.nan),
        "observed_contrasts": observed,
        "twin_contrasts": np.where(is_measured, twin_contrasts, np.nan),
        "training_mean_contrasts": np.where(is_measured, ridges.contrasts, np.nan),
    }
    group_values = {
        "training_mean": ridges.responses,
        "contrast_sds": ridges.contrast_sds,
        "open": ridges.differ(fitted.twin),
    }
    number = len(people.labels)
    for name, values in group_values.items():
        bold[name] = np.broadcast_to(values, (number, *values.shape))
    return bold


def join_folds(parts: Sequence[tuple[Integers, Judged]]) -> Judged:
    """Return everybody's predictions by the models that all folds have.

    Parameters
    ----------
    parts
        Rows of each fold's people, and their predictions.

    Raises
    ------
    ValueError
        Somebody is in two folds, or in none.
    """
    rows = np.concatenate([fold_rows for fold_rows, _ in parts])
    folds, people = [judged for _, judged in parts], len(rows)
    if sorted(rows.tolist()) != list(range(people)):
        raise ValueError(f"folds have other people than {people}, each once")

    def together(values: Sequence[Any]) -> Any:
        if any(value is None for value in values):
            return None
        joined = np.empty((people, *values[0].shape[1:]), values[0].dtype)
        joined[rows] = np.concatenate(values)
        return joined

    losses = np.full((people, people), np.nan)
    fold_of = np.empty(people, np.intp)
    for number, (fold_rows, judged) in enumerate(parts):
        losses[np.ix_(fold_rows, fold_rows)] = judged.losses
        fold_of[fold_rows] = number
    models = {}
    for name, model in folds[0].models.items():
        if all(name in judged.models for judged in folds):
            predicted = [vars(judged.models[name]) for judged in folds]
            joined = {
                part: together([fold[part] for fold in predicted])
                for part in vars(model)
            }
            models[name] = Predicted(**joined)
    bold = None
    bold_of_folds = [fold.bold for fold in folds if fold.bold is not None]
    if len(bold_of_folds) == len(folds):
        bold = {
            name: together([fold[name] for fold in bold_of_folds])
            for name in bold_of_folds[0]
        }
    return Judged(models, losses, fold_of, bold, folds[0].regions)


def predict_by_network(outputs: Outputs, segments: Segments) -> Predicted:
    """Decode the outputs of networks, (1 or people, segments, steps, buttons or more)."""
    rows, people = segments.trials, len(segments.action)
    decoded = decode(outputs, segments)

    def all_people(values: Values, axes: int) -> Values:
        values = values if values.ndim == axes else values[None]
        return np.broadcast_to(values, (people, *values.shape[1:]))

    correct_button = all_people(rows.correct_button, 2)
    several = len(rows.correct_button) > 1 and decoded.curve.ndim == 4
    shown = rows.correct_button if several else rows.correct_button[:1]
    missed = all_people(decoded.miss, 2) > 0.5
    seconds = torch.from_numpy(np.ascontiguousarray(decoded.mean_seconds))
    times = mean_times(seconds, segments)
    return Predicted(
        times=times.double().numpy(),
        seconds=all_people(decoded.seconds, 3),
        answered=all_people(decoded.answered, 3),
        correct=all_people(decoded.correct(shown), 3),
        shares=outcome_shares(all_people(decoded.ends, 3), correct_button),
        button=np.where(missed, -1, all_people(decoded.button, 2)),
        losses=own_losses(outputs, segments),
    )


def own_losses(buttons: Outputs, segments: Segments) -> Float64:
    """Return the cross-entropy of each person's own network, (people,), a mean over scored steps.

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, buttons or more): probabilities; 1: one network serves all.
    segments
        Segments of people; NaN for those without a scored step.
    """
    weight = segments.scored[..., None].astype(np.float64)
    loss = button_losses(buttons, segments.action)
    count = weight.sum(axis=(1, 2, 3)) * segments.action.shape[-1]
    total = (loss * weight).sum(axis=(1, 2, 3))
    return np.asarray(total / np.where(count > 0, count, np.nan))


def cross_losses(buttons: Outputs, segments: Segments) -> Float64:
    """Return the cross-entropy of each twin's outputs with each person's responses.

    The cross-entropy is linear in the responses, so all pairs take two matrix products.

    Parameters
    ----------
    buttons
        (twins, segments, steps, buttons or more): probabilities, of twins that saw what the people
        saw.
    segments
        Segments of people who saw the same; one person is enough.

    Returns
    -------
    numpy.ndarray
        (twins, people): means over scored steps and buttons; NaN for people without scored steps.
    """
    weight, action = segments.scored.astype(np.float32)[..., None], segments.action
    likely = np.clip(buttons[..., : action.shape[-1]], SMALLEST, 1 - SMALLEST)

    def flat(values: Values) -> Values:
        return values.reshape(len(values), -1).astype(np.float32)

    pressed, free = flat(action * weight), flat((1 - action) * weight)
    total = flat(np.log(likely)) @ pressed.T + flat(np.log1p(-likely)) @ free.T
    count = weight.sum(axis=(1, 2, 3)) * action.shape[-1]
    return -np.asarray(total, np.float64) / np.where(count > 0, count, np.nan)


def _cross_losses(
    fitted: Fitted,
    edges: Floats,
    outputs: Outputs,
    segments: Segments,
    seed: int,
) -> Float64:
    """Return the loss of each twin on each person's data; if sequences differ, for some people."""
    people = len(edges)
    if len(segments.inputs) == 1:
        return cross_losses(outputs, segments)
    losses = np.full((people, people), np.nan)
    some = np.sort(np.random.default_rng(seed).permutation(people)[:_PAIRS_AT_ONCE])
    for row in some:
        seen = segments.people(np.array([row]))
        twins = fitted.perform(edges[some], seen)
        losses[some, row] = cross_losses(twins, seen)[:, 0]
    return losses


def _baselines(
    training: Cohort, people: Cohort, adjustment: Adjustment | None
) -> Models:
    """Predict people by models that need no network."""
    times = observed_times(training.segments)
    enough = np.isfinite(times).sum(axis=0) >= FEWEST_TRAINING
    mean = np.where(enough, np.nanmean(times, axis=0), np.nan)
    seconds, answered, shares = _empirical(training.segments, people.segments)
    everybody = np.tile(mean, (len(people.labels), 1))
    models = {GROUP_MEAN: Predicted(everybody, seconds, answered, shares=shares)}
    if training.covariates.names:
        features, people_features = _encoded(training.covariates, people.covariates)
        deviation = fit_ridges(features, times).predict(people_features)
        models[COVARIATES] = Predicted(times=mean + deviation)
    edges, removed = training.edges(adjustment), training.taken_out(adjustment)
    ridges = fit_ridges(edges, times, removed)
    ridge = mean + ridges.predict(people.edges(adjustment))
    models[RIDGE] = Predicted(times=ridge)
    stretched = _stretched(answered, seconds, ridge / mean, people.segments)
    models[STRETCHED] = Predicted(seconds=seconds, answered=stretched, shares=shares)
    return models


def _encoded(training: Covariates, people: Covariates) -> tuple[Float64, Float64]:
    """Return numbers, their squares and levels as features, scaled by training people alone.

    Unknown values, and levels that no training person has, become the training mean.
    """
    names = training.names
    training_columns = training.columns(names)
    columns = np.concatenate([training_columns, people.columns(names)])
    number = len(training_columns)
    columns = np.where(np.isfinite(columns), columns, mean_of_known(training_columns))
    sd = columns[:number].std(axis=0)
    centred = columns - columns[:number].mean(axis=0)
    features = centred / np.where(sd > 0, sd, np.inf)
    squares = features[:, : len(training.number_names)] ** 2
    features = np.hstack([features, squares])
    return features[:number], features[number:]


def _empirical(
    training: Segments, people: Segments
) -> tuple[Float64, Float64, Float64]:
    """Return the training people's distributions for the conditions of other people's trials.

    Returns
    -------
    tuple
        Times since the onset and shares of responses by then, (people, trials, steps) each, and
        shares of correct, wrong and missed trials, (people, trials, 3).
    """
    rows, training_rows = people.trials, training.trials
    rt_seconds = training_rows.rt_seconds
    shape, steps = rows.scored.shape, people.tasks.window_steps
    seconds = np.full((*shape, steps), np.nan)
    answered, shares = np.full((*shape, steps), np.nan), np.full((*shape, 3), np.nan)
    for number, task in enumerate(people.tasks.tasks):
        grid = np.minimum(STEP_SECONDS * np.arange(1, steps + 1), task.window_seconds)
        for condition in range(-1, len(task.conditions)):
            people_trials, training_trials = (
                (trials.task == number) & (trials.condition == condition)
                for trials in (rows, training_rows)
            )
            people_trials = np.broadcast_to(people_trials, shape)
            training_trials = training_rows.scored & training_trials
            rt = np.sort(rt_seconds[training_trials & np.isfinite(rt_seconds)])
            scored = training_trials.sum()
            count = scored or np.nan
            correct = (training_trials & training_rows.correct).sum()
            misses = scored - len(rt)
            outcomes = np.array([correct, scored - correct - misses, misses])
            seconds[people_trials] = grid
            answered[people_trials] = np.searchsorted(rt, grid, side="right") / count
            shares[people_trials] = outcomes / count
    return seconds, answered, shares


def _stretched(
    answered: Float64, seconds: Float64, stretch: Float64, segments: Segments
) -> Float64:
    """Stretch distributions in time by predicted over mean response times, (people, targets)."""
    columns = [target.what == RT for target in targets_of(segments.tasks)]
    task = np.broadcast_to(segments.trials.task, answered.shape[:2])
    task = np.clip(task, 0, None).astype(np.intp)
    factor = np.take_along_axis(stretch[:, columns], task, axis=1)
    times = seconds / np.where(factor > 0, factor, np.nan)[..., None]
    stretched = np.full(answered.shape, np.nan)
    for person, trial in np.argwhere(np.isfinite(times).all(axis=-1)):
        knots = np.append(0.0, seconds[person, trial])
        heights = np.append(0.0, answered[person, trial])
        stretched[person, trial] = np.interp(times[person, trial], knots, heights)
    return stretched
