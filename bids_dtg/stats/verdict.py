"""The one rule of judging: whether one of two is better over people, or what is missing for that.

Better and worse need 8 people (and 15 of the rarer level where there are two levels), a 95 %
interval of the difference without 0, and a two-sided p of at most 0.05 by flipping the signs of
people's differences. A family counts as one person. Every workflow, table and page judges by this
module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted
from bids_dtg.stats.paired import (
    DRAWS,
    Interval,
    false_discovery_rate,
    jackknife_shares,
    sign_flip_test,
    t_interval,
)

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
# A score, or a difference of two, by how often each person counts: (samples, people) -> (samples,).
Weighted = Callable[[Array], Array]

FEWEST = 8  # people: with fewer, no interval and no test is to be relied on
FEWEST_RARER = 15  # people of the rarer of two levels
BETTER, WORSE = "better", "worse"
TOO_FEW, TOO_FEW_OF_A_LEVEL = "too few people", "too few of a level"
HOLDS_ZERO, P_ABOVE = "interval holds 0", "p above 0.05"
NO_DIFFERENCE = "no significant difference"  # either of these two
# Of interventions in a model: every page of them begins with this.
NO_EVIDENCE = "An effect inside a model is not evidence of an effect in a person."
_LARGEST_P = 0.05
_LEARNT = 2.0**0.5  # spread of a cross-validated score over that of given predictions
_ROUNDING = 1e-6  # of scores that are summed up in float32: a smaller difference is none
_SAMPLES = 2000  # of people, for an interval of a score of a group
_CELLS_AT_ONCE = 4_000_000  # of (samples, people)
RULE = (
    f"better and worse need {FEWEST} participants ({FEWEST_RARER} of the rarer level where there "
    "are two; a family counts as one), a 95 % interval without 0, and p of sign flips over "
    "participants up to "
    f"{_LARGEST_P:g}; otherwise the words say what is missing"
)


@dataclass(frozen=True)
class Verdict:
    """What can be said of the difference between two scores on the same people.

    Examples
    --------
    >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=12).word
    'better'
    >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=7).why
    'No verdict with 7 participants (8 are needed)'
    >>> Verdict(Interval(0.2, -0.1, 0.5), p=0.3, people=12).why
    '95 % interval holds 0; p above 0.05'
    """

    difference: Interval  # one minus the other, with its 95 % interval; above 0: the one is better
    p: float  # two-sided; corrected where several differences are asked about together
    people: int  # who have both scores; a family counts once
    rarer: int | None = None  # how many of them are of the rarer level; None: there are no levels

    @classmethod
    def unknown(cls, people: int, rarer: int | None = None) -> Verdict:
        """Return the verdict on a difference that is not defined.

        Parameters
        ----------
        people, rarer
            Number of people, and of people of the rarer level, as of a verdict.
        """
        nothing = float("nan")
        return cls(Interval(nothing, nothing, nothing), nothing, people, rarer)

    @property
    def word(self) -> str:
        """Better or worse; else the first that is missing for either."""
        if self.people < FEWEST:
            return TOO_FEW
        if self.rarer is not None and self.rarer < FEWEST_RARER:
            return TOO_FEW_OF_A_LEVEL
        if self._unknown:
            return not_computable(self._unknown)
        if self._holds_zero:
            return HOLDS_ZERO
        if not self.p <= _LARGEST_P:
            return P_ABOVE
        return BETTER if self.difference.mean > 0 else WORSE

    @property
    def why(self) -> str:
        """All that is missing, without a full stop; empty where it is better or worse."""
        if few := too_few(self.people, self.rarer):
            return few
        if self._unknown:
            return self.word
        missing = [
            *([f"95 % {HOLDS_ZERO}"] if self._holds_zero else []),
            *([P_ABOVE] if not self.p <= _LARGEST_P else []),
        ]
        return "; ".join(missing)

    def named(self, better: str, worse: str) -> str:
        """Return better and worse in other words, as lower and higher; else what is missing.

        Parameters
        ----------
        better, worse
            The words.

        Examples
        --------
        >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=12).named("lower", "higher")
        'lower'
        >>> Verdict(Interval(0.2, -0.1, 0.5), p=0.01, people=12).named("lower", "higher")
        'no significant difference'
        >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=7).named("lower", "higher")
        'too few people'
        """
        words = {BETTER: better, WORSE: worse, HOLDS_ZERO: NO_DIFFERENCE, P_ABOVE: NO_DIFFERENCE}
        return words.get(self.word, self.word)

    @property
    def decided(self) -> bool:
        """Whether it is better or worse."""
        return self.word in (BETTER, WORSE)

    def columns(self, name: str) -> dict[str, float | Interval]:
        """Return the difference with its interval, and p, as the columns of a table.

        Parameters
        ----------
        name
            Of the column of the difference.
        """
        return {name: self.difference, f"{name}_p": self.table_p}

    @property
    def table_p(self) -> float:
        """P as tables have it: NaN where people are too few for a verdict."""
        return float("nan") if too_few(self.people, self.rarer) else self.p

    @property
    def _unknown(self) -> str:
        """What was not computed; empty where all was."""
        found = self.difference
        values = {"difference": found.mean, "95 % interval": found.low + found.high, "p": self.p}
        return next(
            (f"{name} not defined" for name, value in values.items() if np.isnan(value)), ""
        )

    @property
    def _holds_zero(self) -> bool:
        """Whether the interval holds 0, or nothing but rounding differs."""
        found = self.difference
        return not (found.low > 0 or found.high < 0) or not abs(found.mean) > _ROUNDING


def not_computable(why: str) -> str:
    """Return the word where nothing was computed.

    Parameters
    ----------
    why
        The reason, in a few words.

    Examples
    --------
    >>> not_computable("motion is not known")
    'not computable (motion is not known)'
    """
    return f"not computable ({why})"


def too_few(people: int, rarer: int | None = None) -> str:
    """Say that people are too few for a verdict, without a full stop; empty where they are enough.

    Parameters
    ----------
    people
        Who have all that is compared.
    rarer
        How many of them are of the rarer of two levels; None: there are no levels.

    Examples
    --------
    >>> too_few(4)
    'No verdict with 4 participants (8 are needed)'
    >>> too_few(40, rarer=9)
    'No verdict with 9 participants of the rarer level (15 are needed)'
    """
    if people < FEWEST:
        return f"No verdict with {counted(people, 'participant')} ({FEWEST} are needed)"
    if rarer is not None and rarer < FEWEST_RARER:
        found = counted(rarer, "participant")
        return f"No verdict with {found} of the rarer level ({FEWEST_RARER} are needed)"
    return ""


def judge_differences(
    differences: Values,
    families: NDArray[Any] | None = None,
    *,
    cross_validated: bool = False,
    seed: int = 0,
) -> Verdict:
    """Judge a difference of which each person has a value.

    Parameters
    ----------
    differences
        (people,), one score minus the other; NaN is left out. Of a score that people have only
        together, their shares by the jackknife (`jackknife_shares`).
    families
        (people,) labels: a family counts as one person, by its mean. None: nobody is related.
    cross_validated
        As of `judge_scores`.
    seed
        Seed of the sign flips.

    Examples
    --------
    >>> judge_differences(np.array([0.3, 0.1, 0.2, 0.25, 0.15, 0.2, 0.3, 0.1])).word
    'better'
    """
    own = np.asarray(differences)[None]
    return judge_each(own, families, cross_validated=cross_validated, seed=seed)[0]


def judge_each(
    differences: Values,
    families: NDArray[Any] | None = None,
    *,
    cross_validated: bool = False,
    seed: int = 0,
) -> tuple[Verdict, ...]:
    """Judge several differences over the same people, each alone.

    Parameters
    ----------
    differences
        (tests, people), as of `judge_differences`; signs of a person are flipped in all together.
    families
        As of `judge_differences`.
    cross_validated
        As of `judge_scores`.
    seed
        Seed of the sign flips.
    """
    differences = family_means(differences, families)
    if cross_validated:
        differences = spread_as_learnt(differences)
    # Rounding has signs, too, and would have a p of its own.
    own = np.asarray(differences, np.float64)
    differences = np.where(np.abs(own) <= _ROUNDING, 0.0, own)
    p = sign_flip_test(differences, seed=seed)
    return tuple(
        Verdict(t_interval(own), float(one), int(np.isfinite(own).sum()))
        for own, one in zip(differences, p, strict=True)
    )


def family_means(values: Values, families: NDArray[Any] | None) -> Array:
    """Return the means of families, (..., families); values of people as they are if unrelated.

    Parameters
    ----------
    values
        (..., people); NaN is left out.
    families
        (people,) labels; None: nobody is related.

    Examples
    --------
    >>> family_means(np.array([1.0, 5.0, 3.0, np.nan]), np.array([0, 1, 0, 1])).tolist()
    [2.0, 5.0]
    """
    own = np.asarray(values, np.float64)
    if families is None or len(names := np.unique(families)) == len(families):
        return own
    member = (np.asarray(families)[:, None] == names).astype(np.float64)
    known = np.isfinite(own)
    count = known @ member
    means: Array = np.where(known, own, 0.0) @ member / np.maximum(count, 1)
    return np.where(count > 0, means, np.nan)


def spread_as_learnt(differences: Values) -> Array:
    """Return differences that vary as much as they do if models are learnt from these people.

    Parameters
    ----------
    differences
        (..., people), of scores by cross-validation; NaN stays. `judge_scores` has the reason.

    Examples
    --------
    >>> spread_as_learnt(np.array([1.0, 3.0])).round(3).tolist()
    [0.586, 3.414]
    """
    own = np.asarray(differences, np.float64)
    known = np.isfinite(own)
    total = np.where(known, own, 0.0).sum(axis=-1, keepdims=True)
    mean = total / np.maximum(known.sum(axis=-1, keepdims=True), 1)
    wider: Array = mean + _LEARNT * (own - mean)
    return wider


def corrected(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Correct p for the number of verdicts (false discovery rate); NaN does not count.

    Parameters
    ----------
    verdicts
        On differences that are asked about together.
    """
    adjusted = false_discovery_rate(np.array([found.p for found in verdicts]))
    return tuple(replace(found, p=float(p)) for found, p in zip(verdicts, adjusted, strict=True))


def judge_scores(
    difference: Weighted,
    people: int,
    *,
    rarer: int | None = None,
    families: NDArray[Any] | None = None,
    cross_validated: bool = False,
    seed: int = 0,
) -> Verdict | None:
    """Judge a difference of scores that people have only together, as r over people or an AUC.

    Parameters
    ----------
    difference
        One score minus the other, given how often each person counts: (samples, people) whole
        numbers to (samples,); NaN where it is not defined.
    people
        Number of people who have both scores.
    rarer
        How many of them are of the rarer level; None: there are no levels. Samples of few people
        vary too little: interval and flips are wider, as Student's t is for so many.
    families
        (people,) labels: a family is drawn, left out, flipped and counted as one. None: nobody is
        related.
    cross_validated
        Whether what the scores are of was learnt from the same people, in other folds. Interval
        and flips are then wider by the square root of 2.
    seed
        Of samples of people and of sign flips.

    Returns
    -------
    Verdict or None
        Its interval is by drawing people again, corrected for bias and skewness (BCa); its p by
        sign flips of people's shares in the difference by the jackknife. None where the
        difference is not defined, or not without one of the people.

    Notes
    -----
    Efron 1987, doi:10.1080/01621459.1987.10478410. Few people: the expanded interval of Hesterberg
    2015, doi:10.1080/00031305.2015.1089789.

    A cross-validated score is a sum over pairs of one who is tested and one who was trained on.
    Each pair of people is in it twice, with one product if nothing can be learnt: its variance is
    then twice that of as many sums over given predictions. Where there is something to learn, less
    than that (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366).

    Examples
    --------
    >>> from bids_dtg.stats.correlation import weighted_correlation
    >>> x, y = np.random.default_rng(0).standard_normal((2, 40))
    >>> good, bad = x + 0.5 * y, y
    >>> judge_scores(
    ...     lambda w: weighted_correlation(good, x, w) - weighted_correlation(bad, x, w), 40
    ... ).word
    'better'
    """
    labels = np.arange(people) if families is None else families
    unit = np.unique(labels, return_inverse=True)[1].ravel()
    count = int(unit.max()) + 1 if people else 0
    if not count:
        return None
    observed = float(difference(np.ones((1, people)))[0])
    if not np.isfinite(observed):
        return None
    if count < 3:
        nothing = float("nan")
        return Verdict(Interval(observed, nothing, nothing), nothing, count, rarer)
    without = _scored(difference, unit, _left_out(count, people))
    if not np.isfinite(without).all():
        return None
    drawn = _scored(difference, unit, _drawn(count, people, seed))
    wider = _of_few(rarer) * (_LEARNT if cross_validated else 1.0)
    without, drawn = (observed + wider * (own - observed) for own in (without, drawn))
    interval = bca_interval(observed, without, drawn)
    shares = jackknife_shares(observed, without)
    p = float(sign_flip_test(shares[None], seed=seed, permutations=DRAWS)[0])
    return Verdict(interval, p, count, rarer)


def bca_interval(observed: float, without: Array, drawn: Array) -> Interval:
    """Return a score with its 95 % interval, corrected for bias and skewness (BCa).

    Parameters
    ----------
    observed
        Score computed from all people.
    without
        (people,), the score when each was left out.
    drawn
        (samples,), the score of people drawn again; NaN is left out.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> people = np.random.default_rng(0).integers(20, size=(2000, 20))
    >>> found = bca_interval(9.5, (x.sum() - x) / 19, x[people].mean(axis=1))
    >>> 6.5 < found.low < 7.5, 11.5 < found.high < 12.5
    (True, True)
    """
    from scipy.special import ndtr, ndtri

    samples = drawn[np.isfinite(drawn)]
    if not len(samples):
        return Interval(observed, float("nan"), float("nan"))
    # Half of the samples that are equal to the observed score count as below it.
    below = ((samples < observed).mean() + (samples <= observed).mean()) / 2
    least = 0.5 / len(samples)
    bias = ndtri(np.clip(below, least, 1 - least))
    apart = without.mean() - without
    power = float(np.square(apart).sum())
    skewness = float((apart**3).sum()) / (6 * power**1.5) if power > 0 else 0.0
    reach = bias + ndtri(np.array([0.025, 0.975]))
    low, high = np.quantile(samples, ndtr(bias + reach / (1 - skewness * reach)))
    return Interval(observed, float(low), float(high))


def _of_few(rarer: int | None) -> float:
    """Return by what an interval of samples of people is too narrow with so few of a level."""
    from scipy.special import ndtri, stdtrit

    if rarer is None or rarer < 2:
        return 1.0
    return float(stdtrit(rarer - 1, 0.975) / ndtri(0.975) * np.sqrt(rarer / (rarer - 1)))


def _scored(difference: Weighted, unit: NDArray[np.intp], counts: Iterator[Array]) -> Array:
    """Score samples of families, block by block; a person counts as often as the family."""
    return np.concatenate([np.asarray(difference(own[:, unit])) for own in counts])


def _left_out(count: int, people: int) -> Iterator[Array]:
    """Yield weights of families, each left out in turn."""
    step = max(1, _CELLS_AT_ONCE // people)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        yield (rows[:, None] != np.arange(count)).astype(np.float64)


def _drawn(count: int, people: int, seed: int) -> Iterator[Array]:
    """Yield weights of families in bootstrap samples."""
    rng, step = np.random.default_rng(seed), max(1, _CELLS_AT_ONCE // people)
    for start in range(0, _SAMPLES, step):
        drawn = rng.integers(count, size=(min(step, _SAMPLES - start), count))
        rows = count * np.arange(len(drawn))[:, None]
        counts = np.bincount((drawn + rows).ravel(), minlength=len(drawn) * count)
        yield counts.reshape(len(drawn), count).astype(np.float64)
