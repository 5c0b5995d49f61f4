"""Mean and covariance of a connectome's figures over people, by the amount of rest.

A connectome is a person's own plus noise, whose variance goes with 1 / degrees of freedom. So the
mean of a figure over people is a smooth function of these, and how much people differ in it as
well; over several segments of a run, only what differs within a person averages out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.training_distribution.summary import independent_share

Float = NDArray[np.float64]

# Means are parabolas in sqrt(reference / degrees of freedom) - 1: a straight line is nearly enough.
# Few data leave the slope and the bend undetermined: these many standard deviations are usual.
_USUAL_SLOPE, _USUAL_BEND = 20.0, 3.0
# Exponents by which standard deviations go with degrees of freedom are usually as small as this.
_USUAL_GROWTH = 0.3
_SD_OF_LOGARITHM = 1.11  # of the absolute value of a standard normal number
# Of the figures' correlations this share is kept: few people determine them badly.
_KEPT_CORRELATION = 0.8
# The least variance that people differ in by, as a share of a single connectome's.
_LEAST_BETWEEN = 0.1
# So many differences within people are needed to know how much averages out.
_LEAST_WITHIN = 8
# Beyond the amounts that were learned from, means are continued so far, and no farther.
_FEWER, _MORE = 1.25, 2.0
_NO_MEMORY = 1e-3  # in seconds, where none is known: all frames are independent
_LEAST, _NEVER = 1e-6, 1e6


@dataclass(frozen=True, eq=False)
class Parts:
    """Figures of disjoint parts of one person's rest, all about as long."""

    person: int
    figures: Float  # (parts, figures), NaN where not defined
    residual_dof: Float  # (parts,), NaN where not known
    memory_s: Float  # (parts,), see `ConnectomeSummary`
    seconds: Float  # (parts,)
    frames: Float  # (parts,)

    def single(self) -> Iterator[Parts]:
        """Yield each part alone."""
        for n in range(len(self.figures)):
            rows = {f.name: getattr(self, f.name)[n : n + 1] for f in fields(self)[1:]}
            yield Parts(self.person, **rows)

    def amounts(self, memory_s: float) -> Float:
        """Return degrees of freedom (parts,) less what autocorrelation usually takes of them.

        A run with more autocorrelation than usual, as one that was not cleaned, is not excused.
        """
        return self.residual_dof * independent_share(memory_s, self.seconds / self.frames)


@dataclass(frozen=True, eq=False)
class FigureStatistics:
    """Mean and covariance of figures, as functions of the degrees of freedom."""

    by_time: bool  # whether amounts are seconds: degrees of freedom were not known
    memory_s: float  # of people's series, by which degrees of freedom are corrected
    per_second: float  # corrected ones a second, where a run's are not known
    reference: float  # amount that `sd` is of
    lowest: float  # least amount that was learned from
    highest: float  # largest
    centre: Float  # (3, figures): mean at the reference, slope, bend
    sd: Float  # (figures,), of single connectomes at the reference
    growth: Float  # (figures,), exponent by which it goes with the amount
    between: Float  # (figures, figures), covariance of people, in units of `sd`
    within: Float  # (figures, figures), covariance of the parts of a person's rest

    @classmethod
    def fit(cls, samples: Sequence[Parts]) -> FigureStatistics:
        """Learn what is usual.

        Parameters
        ----------
        samples
            Of many people, and best of several lengths.

        Raises
        ------
        ValueError
            If there are too few connectomes to know how figures go together.
        """
        figures = np.concatenate([sample.figures for sample in samples])
        size = figures.shape[1]
        if len(figures) <= 2 * size:
            raise ValueError(
                f"more than {2 * size} samples of {size} figures are needed, found {figures.shape}"
            )
        by_time, memory, amounts = _amounts(samples)
        seconds = np.concatenate([sample.seconds for sample in samples])
        reference = float(np.exp(np.log(amounts).mean()))
        trends = [_Trend.fit(amounts / reference, values) for values in figures.T]
        z = np.stack([trend.z for trend in trends], axis=1)
        between, within = _covariances(samples, z)
        return cls(
            by_time=by_time,
            memory_s=memory,
            per_second=float(np.median(amounts / seconds)),
            reference=reference,
            lowest=float(amounts.min()),
            highest=float(amounts.max()),
            centre=np.stack([trend.centre for trend in trends], axis=1),
            sd=np.array([trend.sd for trend in trends]),
            growth=np.array([trend.growth for trend in trends]),
            between=between,
            within=within,
        )

    def deviation(self, sample: Parts) -> Float:
        """Return the deviation of the mean over parts from the training's, (figures,), in `sd`.

        Figures that are not defined count as usual ones.
        """
        amounts = self._known(sample)
        expected = _shape(amounts) @ self.centre
        z = (sample.figures - expected) / (self.sd * amounts[:, None] ** self.growth)
        mean: Float = np.nan_to_num(z, nan=0.0).mean(axis=0)
        return mean

    def covariance(self, parts: int) -> Float:
        """Return the covariance of `deviation` over people, for means over so many parts."""
        covariance: Float = self.between + self.within / parts
        return covariance

    def distance(self, sample: Parts) -> float:
        """Return the Mahalanobis distance, a square root of the mean over figures: about 1."""
        deviation = self.deviation(sample)
        square = deviation @ np.linalg.solve(self.covariance(len(sample.figures)), deviation)
        return float(np.sqrt(square / len(deviation)))

    def interval(self, sample: Parts) -> tuple[Float, Float]:
        """Return between which values 95 % of people's figures lie, on as much rest."""
        amounts = self._known(sample)
        centre = (_shape(amounts) @ self.centre).mean(axis=0)
        sd = (self.sd * amounts[:, None] ** self.growth).mean(axis=0)
        half = 1.96 * sd * np.sqrt(np.diag(self.covariance(len(sample.figures))))
        return centre - half, centre + half

    def _known(self, sample: Parts) -> Float:
        """Return amounts (parts,) in units of the reference, where means are known."""
        given = sample.seconds if self.by_time else sample.amounts(self.memory_s)
        amounts = np.where(np.isfinite(given), given, sample.seconds * self.per_second)
        known: Float = np.clip(amounts, self.lowest / _FEWER, self.highest * _MORE) / self.reference
        return known


def _amounts(samples: Sequence[Parts]) -> tuple[bool, float, Float]:
    """Return whether amounts are seconds, the people's memory (s), and amounts (parts,)."""
    memories = np.concatenate([sample.memory_s for sample in samples])
    known = memories[np.isfinite(memories)]
    memory = float(np.median(known)) if len(known) else _NO_MEMORY
    amounts = np.concatenate([sample.amounts(memory) for sample in samples])
    if (amounts > 0).all():
        return False, memory, amounts
    return True, memory, np.concatenate([sample.seconds for sample in samples])


def _shape(amounts: Float) -> Float:
    """Return 1, x and x² of x = 1 / sqrt(amount) - 1, (parts, 3)."""
    x = 1 / np.sqrt(amounts) - 1
    shape: Float = np.stack([np.ones(len(x)), x, x**2], axis=1)
    return shape


@dataclass(frozen=True, eq=False)
class _Trend:
    """Mean and standard deviation of one figure as functions of the amount."""

    centre: Float  # (3,)
    sd: float
    growth: float
    z: Float  # (parts,), deviations of what was fitted; NaN where not defined

    @classmethod
    def fit(cls, amounts: Float, values: Float) -> _Trend:
        """Fit to the values (parts,) that are defined, in units of the reference."""
        z = np.full(len(values), np.nan)
        known = np.isfinite(values)
        if not known.any():
            return cls(np.zeros(3), _NEVER, 0.0, z)
        shape, logarithms = _shape(amounts[known]), np.log(amounts[known])
        # Least squares, with a pull to none of slope and bend.
        pull = np.diag([0.0, _USUAL_SLOPE**-2, _USUAL_BEND**-2])
        centre = np.linalg.solve(shape.T @ shape + pull, shape.T @ values[known])
        deviations = values[known] - shape @ centre
        # The size of deviations goes with a power of the amount.
        x = logarithms - logarithms.mean()
        y = np.log(np.maximum(np.abs(deviations), _LEAST))
        pull_to_none = (_SD_OF_LOGARITHM / _USUAL_GROWTH) ** 2
        growth = float(x @ (y - y.mean()) / (x @ x + pull_to_none))
        deviations = deviations / amounts[known] ** growth
        sd = max(float(np.sqrt((deviations**2).mean())), _LEAST)
        z[known] = deviations / sd
        return cls(np.asarray(centre, np.float64), sd, growth, z)


def _covariances(samples: Sequence[Parts], z: Float) -> tuple[Float, Float]:
    """Split the covariance of the deviations (parts, figures) into that of people and the rest.

    Each pair of figures counts where both are defined.
    """
    known = np.isfinite(z).astype(np.float64)
    values = np.where(np.isfinite(z), z, 0.0)
    total = values.T @ values / np.maximum(known.T @ known, 1)
    within, differences, start = np.zeros_like(total), np.zeros_like(total), 0
    for sample in samples:
        rows = slice(start, start := start + len(sample.figures))
        everywhere = known[rows].all(axis=0)
        own = np.where(everywhere, values[rows] - values[rows].mean(axis=0), 0.0)
        within += own.T @ own
        differences += (len(own) - 1) * np.outer(everywhere, everywhere)
    enough = differences >= _LEAST_WITHIN
    within = _shrunk(np.where(enough, within / np.maximum(differences, 1), 0.0))
    between = _shrunk(total) - within
    return _definite(between, _LEAST_BETWEEN), within


def _shrunk(covariance: Float) -> Float:
    diagonal = np.diag(np.diag(covariance))
    return _definite(_KEPT_CORRELATION * covariance + (1 - _KEPT_CORRELATION) * diagonal, 0.0)


def _definite(covariance: Float, least: float) -> Float:
    """Raise eigenvalues that are too small."""
    values, vectors = np.linalg.eigh(covariance)
    definite: Float = (vectors * np.maximum(values, least)) @ vectors.T
    return definite
