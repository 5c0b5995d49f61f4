"""Whether a twin moves a figure: the same procedure with refitted twins and permuted behaviour.

A direction that lowers a twin's own figure lowers it in any twin, also in one that was fitted to
noise, and people of one fit share what the fit got wrong. The change is therefore compared with the
changes by twins of permuted behaviour, each along its own direction, and its interval is over
refits to halves of the training participants (delete-half jackknife; Shao & Wu, 1989,
doi:10.1214/aos/1176347263). Where people outside the training set are at hand, each change is
calibrated by them: a twin that was fitted to noise predicts changes as large as any other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import Verdict, corrected
from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.interventions.attribution import FittedPeople, p_of, with_factor_map
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.perturbations import Direction, performed_outcomes
from bids_dtg.twin.judging.cohort import targets_of
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
FEWEST_FITTED = 4  # two in each half: one person has no differences to map
_FEWEST = 3  # people, for a slope
_ROUNDING_SECONDS = 1e-6  # by which figures of the same network differ between people
STEP_SIZE = 2.0  # in standard deviations of the figure, as predicted by the twins


@dataclass(frozen=True, eq=False)
class Movers:
    """People whose twins are moved."""

    connectomes: Floats  # (people, edges), Fisher z
    segments: Segments  # what they saw and did
    rows: NDArray[np.integer]  # of those that changes are averaged over
    # (people, targets): their own figures, of people outside the training set; None: not known.
    observed: Array | None = None


@dataclass(frozen=True, eq=False)
class Change:
    """Changes of figures by one twin, seconds, mean over people: (targets,) each."""

    predicted: Array
    calibrated: Array  # times the slope of observed on predicted figures over people, where known
    # The predicted change times r of predicted and observed figures over people, where known: a
    # twin that was fitted to noise predicts changes, too, and no differences between people.
    evidence: Array


def lowering_directions(outcomes: Outcomes, connectomes: Floats) -> dict[str, Direction]:
    """Return the direction of the connectome that lowers each figure of a twin.

    Parameters
    ----------
    outcomes
        Of people's twins.
    connectomes
        (people, edges): directions are differences between these people.

    Returns
    -------
    dict
        By the name of the figure, without those that do not vary between twins.
    """
    found = {}
    for target in outcomes.targets:
        figure = outcomes.of(target)
        if differ(figure):
            found[target] = Direction.between(connectomes, figure).reversed
    return found


def differ(seconds: Array) -> bool:
    """Return whether a figure of people differs between them by more than rounding.

    Parameters
    ----------
    seconds
        (people,): NaN is left out.

    Examples
    --------
    >>> differ(np.array([0.8, np.nan, 0.8 + 1e-8])), differ(np.array([0.8, 0.81]))
    (False, True)
    """
    known = seconds[np.isfinite(seconds)]
    return len(known) > 1 and bool(np.ptp(known) > _ROUNDING_SECONDS)


def changes_along(
    fitted: Fitted,
    directions: Mapping[str, Direction],
    targets: tuple[str, ...],
    connectomes: Floats,
    segments: Segments,
) -> Array:
    """Return the change of each figure along its direction, seconds, mean over people.

    Parameters
    ----------
    fitted
        The twin that performs.
    directions
        By the name of the figure, of this twin or another one.
    targets
        Names of the figures.
    connectomes, segments
        Connectomes of the people, and what they saw.

    Returns
    -------
    numpy.ndarray
        (targets,); 0 where there is no direction, NaN where the figure is not known.
    """
    before = performed_outcomes(fitted, connectomes, segments)
    found = np.zeros(len(targets))
    for number, target in enumerate(targets):
        if target not in directions:
            continue
        delta = directions[target].delta(STEP_SIZE)
        after = performed_outcomes(fitted, connectomes + delta, segments)
        change = after.of(target) - before.of(target)
        known = change[np.isfinite(change)]
        found[number] = known.mean() if known.size else np.nan
    return found


def judged_changes(
    fitted: Fitted, movers: Movers, directions: Mapping[str, Direction] | None = None
) -> Change:
    """Return the change of each figure by a twin: what moves are judged by.

    Parameters
    ----------
    fitted
        The twin.
    movers
        The people whose twins are moved.
    directions
        By the name of the figure; None: those that lower the figures of this twin.

    Returns
    -------
    Change
        0 where twins do not differ.
    """
    targets = tuple(target.name for target in targets_of(movers.segments.tasks))
    if not fitted.twins_differ:
        nothing = np.zeros(len(targets))
        return Change(nothing, nothing, nothing)
    outcomes = performed_outcomes(fitted, movers.connectomes, movers.segments)
    if directions is None:
        directions = lowering_directions(outcomes, movers.connectomes)
    over = movers.connectomes[movers.rows], movers.segments.people(movers.rows)
    found = changes_along(fitted, directions, targets, *over)
    if movers.observed is None:
        return Change(found, found, found)
    slope, r = np.transpose(
        [
            _slope_and_r(outcomes.of(target), own)
            for target, own in zip(targets, movers.observed.T, strict=True)
        ]
    )
    return Change(found, found * slope, found * r)


def _slope_and_r(predicted: Array, observed: Array) -> tuple[float, float]:
    """Return slope and r of observed with predicted figures; 0 where either is alike in all."""
    known = np.isfinite(predicted) & np.isfinite(observed)
    x, y = predicted[known], observed[known]
    if len(x) < _FEWEST or not differ(x) or not differ(y):
        return 0.0, 0.0
    r = float(np.corrcoef(x, y)[0, 1])
    return r * float(y.std() / x.std()), r


def with_twin(fitted: Fitted, twin: Twin) -> Fitted:
    """Return the fit with another twin of the same architecture."""
    return replace(fitted, twin=twin, own_factors=None)


def refitted_twins(
    fitted: Fitted, people: FittedPeople, *, splits: int, seed: int = 0
) -> Iterator[tuple[Twin, Twin]]:
    """Yield twins that are refitted to two halves of people, for each split, not judged.

    Parameters
    ----------
    fitted
        A twin with a group network and latent factors; its network is kept.
    people
        Its training participants, with their factors.
    splits
        Number of random splits of the people into halves.
    seed
        Seed of the splits' random numbers.

    Raises
    ------
    ValueError
        There are fewer than four people.
    """
    number = len(people.connectomes)
    if number < FEWEST_FITTED:
        raise ValueError(f"{number} people are too few for two halves to fit twins to")
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        order = rng.permutation(number)
        first, second = (
            with_factor_map(fitted.twin, people.of_rows(rows), judged=False)
            for rows in (order[: number // 2], order[number // 2 :])
        )
        yield first, second


def judge_moves(
    own: Change, permuted: Sequence[Change], refitted: Sequence[Change], people: int
) -> tuple[Verdict, ...]:
    """Judge whether each figure is lowered, over refits and beside permuted behaviour.

    Parameters
    ----------
    own
        By the twin along its own directions (`judged_changes`).
    permuted
        By twins of permuted behaviour, each along its own directions.
    refitted
        Along the twin's directions, by twins that are refitted to halves of the training
        participants.
    people
        Number of training participants.

    Returns
    -------
    tuple of Verdict
        Of each figure: by how much it is lowered, with the interval over refits; better means
        lower. p is of the evidence beside that of permuted behaviour, and is corrected for the
        number of figures (false discovery rate).

    Examples
    --------
    >>> def of(*seconds: float) -> Change:
    ...     return Change(*[np.array(seconds)] * 3)
    >>> rng = np.random.default_rng(0)
    >>> permuted = [of(*0.01 * rng.standard_normal(2)) for _ in range(99)]
    >>> refitted = [of(*[-0.05, -0.005] + 0.01 * rng.standard_normal(2)) for _ in range(10)]
    >>> [found.word for found in judge_moves(of(-0.05, -0.005), permuted, refitted, 40)]
    ['better', 'interval holds 0']
    """
    from scipy.special import stdtrit

    spread = np.std([each.calibrated for each in refitted], axis=0, ddof=1)
    half = float(stdtrit(len(refitted) - 1, 0.975)) * spread
    null = -np.array([each.evidence for each in permuted])
    return corrected(
        [
            Verdict(
                Interval(float(change), float(change - wide), float(change + wide)),
                p_of(float(evidence), of),
                people,
            )
            for change, wide, evidence, of in zip(
                -own.calibrated, half, -own.evidence, null.T, strict=True
            )
        ]
    )
