"""Moves of main networks' weights along the direction that goes with a figure, beside a null.

The published intervention (Takahashi et al., 2026, doi:10.34133/bmef.0231): partial least squares
with one component between people's generated weights, standardised, and a figure of theirs. What
a move of weights changes in a person is not known, not even of simulated people, as no weights
made them; the direction can be pulled back to the connectome, where it is.

In-sample correlations of the component are high by chance: there are many more weights than
people. Each has a null, of the same with the figure permuted over people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bids_dtg.stats.correlation import correlation
from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.interventions.attribution import p_of
from bids_dtg.twin.interventions.moves import DOSES, Move, performed_outcomes
from bids_dtg.twin.interventions.outcomes import Outcomes, outcomes_of
from bids_dtg.twin.network.main import MainWeights
from bids_dtg.twin.traces import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Flat = NDArray[np.float32]
DOSE = 2.0  # as published
PERMUTATIONS = 1000  # of correlations, which touch the weights once only
MOVED_PERMUTATIONS = 20  # of moves, in each of which everybody performs
FOLDS = 5
_COLUMNS = 20_000  # of weights, as double numbers at a time
_AT_ONCE = 20  # people whose weights are made together
_CONSTANT = 1e-6  # of a weight's mean: people who differ by less differ by rounding
_FEWEST = 3  # people: fewer have no correlation


@dataclass(frozen=True, eq=False)
class WeightDirection:
    """A direction of weights; a dose of 1 is one standard deviation of people's scores on it."""

    unit: Array  # (weights,): of standardised weights, of length 1; 0: a weight that all share
    mean: Array  # (weights,)
    scale: Array  # (weights,): standard deviations of people; 0: a weight that all share
    sd: float  # of people's scores

    @classmethod
    def lowering(cls, flat: Flat, indicator: Floats) -> WeightDirection:
        """Return the direction along which people have less of a figure.

        ``-W's / ||W's||``, with W and s standardised over people: the first component of partial
        least squares.

        Parameters
        ----------
        flat
            (people, weights), as `flat_weights` makes them.
        indicator
            (people,): the figure; who has none (NaN) does not count.

        Raises
        ------
        ValueError
            Fewer than three people have the figure, they do not differ in it, or no weight goes
            with it.

        Examples
        --------
        >>> people = np.array([[0, 5, 0], [2, 5, 30], [4, 5, 0]], np.float32)
        >>> direction = WeightDirection.lowering(people, np.array([0.6, 0.7, 0.8]))
        >>> direction.delta(1.0).round(3) + 0.0  # the second weight is everybody's
        array([-2.,  0.,  0.])
        """
        rows, values = _known(flat, indicator)
        unit, mean, scale = (np.zeros(flat.shape[1]) for _ in range(3))
        for part in _standardised(flat, rows):
            unit[part.columns] = -values @ part.values[rows]
            mean[part.columns], scale[part.columns] = part.mean, part.scale
        length = float(np.linalg.norm(unit))
        if not length > 0:
            raise ValueError("no weight goes with the figure")
        unit /= length
        known = cls(unit, mean, scale, 1.0)
        return cls(unit, mean, scale, float(known.scores(flat)[rows].std(ddof=1)))

    @property
    def slope(self) -> Array:
        """By how much the score changes with each weight, (weights,)."""
        found: Array = np.divide(
            self.unit, self.scale, out=np.zeros_like(self.unit), where=self.scale > 0
        )
        return found

    def scores(self, flat: Flat) -> Array:
        """Return people's scores on the direction, (people,): z1 of the publication.

        Parameters
        ----------
        flat
            (people, weights), of anybody.
        """
        slope = self.slope
        found = np.zeros(len(flat))
        for start in range(0, flat.shape[1], _COLUMNS):
            some = slice(start, start + _COLUMNS)
            found += (flat[:, some].astype(np.float64) - self.mean[some]) @ slope[some]
        return found

    def delta(self, dose: float) -> Array:
        """Return the change of weights of a dose, (weights,), in units of the weights.

        Parameters
        ----------
        dose
            In standard deviations of people's scores.
        """
        return np.asarray(dose * self.sd * self.unit * self.scale)


@dataclass(frozen=True, eq=False)
class Permuted:
    """A correlation, negative if people's scores predict the figure, with its null."""

    observed: float
    null: Array  # (permutations,): the correlation with the figure permuted over people

    @property
    def p(self) -> float:
        """Share of the null that is as negative; the observed value is counted with it."""
        return p_of(-self.observed, -self.null)


@dataclass(frozen=True, eq=False)
class WeightCorrelations:
    """Correlations of scores on a direction of weights with the figure it was fitted to."""

    in_sample: Permuted  # scores of the people that the direction was fitted to
    cross_validated: Permuted  # scores on directions fitted to other people


def flat_weights(twin: Twin, connectomes: Floats) -> Flat:
    """Return people's main networks as rows, (people, weights); see `MainWeights.flat`.

    Parameters
    ----------
    twin
        Of any architecture.
    connectomes
        (people, edges), Fisher z.
    """
    values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
    found = np.empty((len(values), twin.network.sizes.weights), np.float32)
    with torch.no_grad():
        for some in torch.split(torch.arange(len(values)), _AT_ONCE):
            found[some.numpy()] = twin.weights(values[some]).flat().numpy()
    return found


def weight_moves(
    fitted: Fitted,
    connectomes: Floats,
    segments: Segments,
    direction: WeightDirection,
    doses: Sequence[float] = DOSES,
) -> tuple[Move, ...]:
    """Move people's networks along a direction of weights, and return what they do then.

    Parameters
    ----------
    fitted
        The twin.
    connectomes
        (people, edges), Fisher z: they stay as they are.
    segments
        What they see, with an axis of people.
    direction
        Along which all networks are moved.
    doses
        In standard deviations of people's scores.
    """
    before = performed_outcomes(fitted, connectomes, segments)
    return tuple(
        Move(dose, before, _moved_outcomes(fitted, connectomes, segments, direction.delta(dose)))
        for dose in doses
    )


def permuted_directions(
    flat: Flat, indicator: Floats, *, permutations: int = MOVED_PERMUTATIONS, seed: int = 0
) -> Iterator[WeightDirection]:
    """Yield the directions that permuted figures give: `moves_along` them is the null of a move.

    Parameters
    ----------
    flat, indicator
        As for `WeightDirection.lowering`.
    permutations
        Of the figure, over the people who have it.
    seed
        Of the permutations.
    """
    rng = np.random.default_rng(seed)
    rows, values = _known(flat, indicator)
    for _ in range(permutations):
        permuted = np.full(len(flat), np.nan)
        permuted[rows] = rng.permutation(values)
        yield WeightDirection.lowering(flat, permuted)


def moves_along(
    fitted: Fitted,
    connectomes: Floats,
    segments: Segments,
    directions: Iterable[WeightDirection],
    dose: float = DOSE,
) -> Iterator[Move]:
    """Yield the same move of people's networks along directions, one after another.

    Parameters
    ----------
    fitted, connectomes, segments
        As for `weight_moves`.
    directions
        Of weights; everybody performs along each.
    dose
        In standard deviations of people's scores on each direction.
    """
    before = performed_outcomes(fitted, connectomes, segments)
    for direction in directions:
        change = direction.delta(dose)
        yield Move(dose, before, _moved_outcomes(fitted, connectomes, segments, change))


def _moved_outcomes(
    fitted: Fitted, connectomes: Floats, segments: Segments, change: Array
) -> Outcomes:
    delta = torch.as_tensor(change, dtype=torch.float32)
    sizes = fitted.twin.network.sizes

    def moved(weights: MainWeights) -> MainWeights:
        return MainWeights.of_flat(weights.flat() + delta, sizes)

    performed = fitted.perform(connectomes, segments, change=moved)
    return outcomes_of(performed.buttons, segments)


def weight_correlations(
    flat: Flat,
    indicator: Floats,
    *,
    permutations: int = PERMUTATIONS,
    fold: NDArray[np.integer] | None = None,
    seed: int = 0,
) -> WeightCorrelations:
    """Return how scores go with the figure, in sample and in people left out, with a null each.

    A component of partial least squares needs products of people's weights only, so that
    permutations do not touch the weights.

    Parameters
    ----------
    flat
        (people, weights).
    indicator
        (people,): the figure; who has none (NaN) does not count.
    permutations
        Of the figure over people.
    fold
        (people,): number of the fold in which each is left out; None: five, drawn by the seed.
        Scores of a fold are in standard deviations of the scores of the others.
    seed
        Of permutations and folds.

    Raises
    ------
    ValueError
        Fewer than three people have the figure, or a fold leaves fewer.
    """
    rows, values = _known(flat, indicator)
    rng = np.random.default_rng(seed)
    figures = np.stack([values, *(rng.permutation(values) for _ in range(permutations))])
    drawn = rng.permutation(np.arange(len(rows)) % FOLDS)
    of_fold = drawn if fold is None else np.asarray(fold)[rows]
    everybody = np.ones(len(rows), bool)
    inside = _scores_of_all(flat, rows, everybody, figures)
    outside = np.empty_like(figures)
    for number in np.unique(of_fold):
        left_out = of_fold == number
        if (~left_out).sum() < _FEWEST:
            raise ValueError(f"a fold leaves fewer than {_FEWEST} people to find a direction by")
        scores = _scores_of_all(flat, rows, ~left_out, figures)
        spread = scores[:, ~left_out].std(axis=1, ddof=1, keepdims=True)
        outside[:, left_out] = scores[:, left_out] / np.where(spread > 0, spread, 1.0)
    return WeightCorrelations(*(_permuted(scores, figures) for scores in (inside, outside)))


def _permuted(scores: Array, figures: Array) -> Permuted:
    observed, *null = np.asarray(correlation(scores, figures))
    return Permuted(float(observed), np.array(null))


def _scores_of_all(
    flat: Flat, rows: NDArray[np.intp], by: NDArray[np.bool_], figures: Array
) -> Array:
    """Return scores of all people on directions found by some, (figures, people), unscaled."""
    products = np.zeros((int(by.sum()), len(rows)))
    for part in _standardised(flat[rows] if len(rows) < len(flat) else flat, np.flatnonzero(by)):
        products += part.values[by] @ part.values.T
    own = figures[:, by]
    return np.asarray(-(own - own.mean(axis=1, keepdims=True)) @ products)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some of the weights, standardised; all at once in double numbers would be too many."""

    columns: slice
    values: Array  # (people, columns); 0: a weight that all share
    mean: Array  # (columns,)
    scale: Array  # (columns,)


def _standardised(flat: Flat, by: NDArray[np.integer]) -> Iterator[_Part]:
    """Yield the weights of all people, standardised by those of some."""
    for start in range(0, flat.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        values = flat[:, columns].astype(np.float64)
        mean, scale = values[by].mean(axis=0), values[by].std(axis=0, ddof=1)
        scale = np.where(scale > _CONSTANT * np.abs(mean), scale, 0.0)
        values -= mean
        values = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
        yield _Part(columns, values, mean, scale)


def _known(flat: Flat, indicator: Floats) -> tuple[NDArray[np.intp], Array]:
    """Return rows of people who have the figure, and theirs, standardised."""
    values = np.asarray(indicator, np.float64)
    if values.shape != (len(flat),):
        raise ValueError(f"the figure is of shape {values.shape}, expected ({len(flat)},)")
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) < _FEWEST:
        raise ValueError(f"{len(rows)} people have the figure; a direction needs {_FEWEST}")
    own = values[rows] - values[rows].mean()
    if not own.std() > _CONSTANT * abs(values[rows].mean()):
        raise ValueError("people do not differ in the figure")
    return rows, own / own.std(ddof=1)
