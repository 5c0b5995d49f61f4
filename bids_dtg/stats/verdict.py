"""The one rule of judging: is one score better than another, or what is missing to say so.

Better and worse need at least 8 people (and 15 with the rarer level if there are two levels), a
95 % interval of the difference that excludes 0, and a two-sided p of at most 0.05 by flipping the
signs of people's differences. A family counts as one person. Every workflow, table and page uses
this rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices, Values
from bids_dtg.notices import counted
from bids_dtg.stats.paired import (
    Interval,
    false_discovery_rate,
    jackknife_shares,
    sign_flip_test,
    t_interval,
)

# A score or a difference of scores, given how often each person counts: (samples, people) ->
# (samples,).
Weighted = Callable[[Float64], Float64]

FEWEST = 8  # people; with fewer, neither intervals nor tests can be relied on
FEWEST_RARER = 15  # people with the rarer of two levels
BETTER = "better"
WORSE = "worse"
TOO_FEW = "too few people"
TOO_FEW_OF_A_LEVEL = "too few of a level"
HOLDS_ZERO = "interval holds 0"
P_ABOVE = "p above 0.05"
# Where the interval holds 0 or p is above 0.05.
NO_DIFFERENCE = "no significant difference"
# Every page about interventions in a model begins with this sentence.
NO_EVIDENCE = "An effect inside a model is not evidence of an effect in a person."
_LARGEST_P = 0.05
# How much wider a cross-validated score spreads than one of fixed predictions.
_LEARNT = 2.0**0.5
_ROUNDING = 1e-6  # a smaller difference is rounding error of scores summed in float32
_SAMPLES = 2000  # bootstrap samples of people, for the interval of a group's score
_CELLS_AT_ONCE = 4_000_000  # cells of (samples, people)
RULE = (
    f"better and worse need {FEWEST} participants ({FEWEST_RARER} of the rarer level if there are "
    "two; a family counts as one), a 95 % interval that excludes 0, and p by sign flips over "
    "participants of "
    f"up to {_LARGEST_P:g}; otherwise the verdict says what is missing"
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

    # The first score minus the second, with its 95 % interval; above 0: the first is better.
    difference: Interval
    p: float  # two-sided; corrected if several differences are tested together
    people: int  # number with both scores; a family counts once
    # How many of them have the rarer level; None: there are no levels.
    rarer: int | None = None

    @classmethod
    def unknown(cls, people: int, rarer: int | None = None) -> Verdict:
        """Return the verdict on a difference that is not defined.

        Parameters
        ----------
        people, rarer
            Number of people, and of people with the rarer level, as in `Verdict`.
        """
        return cls(Interval(), np.nan, people, rarer)

    @property
    def word(self) -> str:
        """Better or worse; otherwise the first requirement that is not met."""
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
        """All requirements that are not met, without a full stop; empty for better or worse."""
        if few := too_few(self.people, self.rarer):
            return few
        if self._unknown:
            return self.word
        missing = []
        if self._holds_zero:
            missing.append(f"95 % {HOLDS_ZERO}")
        if not self.p <= _LARGEST_P:
            missing.append(P_ABOVE)
        return "; ".join(missing)

    def named(self, better: str, worse: str) -> str:
        """Return `word` with other words for better and worse, such as lower and higher.

        Parameters
        ----------
        better, worse
            The words to use instead.

        Examples
        --------
        >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=12).named("lower", "higher")
        'lower'
        >>> Verdict(Interval(0.2, -0.1, 0.5), p=0.01, people=12).named("lower", "higher")
        'no significant difference'
        >>> Verdict(Interval(0.2, 0.1, 0.3), p=0.01, people=7).named("lower", "higher")
        'too few people'
        """
        words = {
            BETTER: better,
            WORSE: worse,
            HOLDS_ZERO: NO_DIFFERENCE,
            P_ABOVE: NO_DIFFERENCE,
        }
        return words.get(self.word, self.word)

    @property
    def decided(self) -> bool:
        """Whether the verdict is better or worse."""
        return self.word in (BETTER, WORSE)

    def columns(self, name: str) -> dict[str, float | Interval]:
        """Return the difference with its interval, and p, as the columns of a table.

        Parameters
        ----------
        name
            Name of the difference's column.
        """
        return {name: self.difference, f"{name}_p": self.table_p}

    @property
    def table_p(self) -> float:
        """P as shown in tables: NaN where people are too few for a verdict."""
        return np.nan if too_few(self.people, self.rarer) else self.p

    @property
    def _unknown(self) -> str:
        """What is not defined, in words; empty if everything is."""
        interval = self.difference
        values = {
            "difference": interval.mean,
            "95 % interval": interval.low + interval.high,
            "p": self.p,
        }
        for name, value in values.items():
            if np.isnan(value):
                return f"{name} not defined"
        return ""

    @property
    def _holds_zero(self) -> bool:
        """Whether the interval includes 0, or the difference is only rounding error."""
        interval = self.difference
        excludes_zero = interval.low > 0 or interval.high < 0
        return not excludes_zero or not abs(interval.mean) > _ROUNDING


def not_computable(why: str) -> str:
    """Return the word for a verdict that cannot be computed.

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
    """Return a sentence if people are too few for a verdict, without a full stop; else nothing.

    Parameters
    ----------
    people
        Number of people with all values that are compared.
    rarer
        How many of them have the rarer of two levels; None: there are no levels.

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
        number = counted(rarer, "participant")
        return (
            f"No verdict with {number} of the rarer level ({FEWEST_RARER} are needed)"
        )
    return ""


def judge_differences(
    differences: Floats,
    families: Values | None = None,
    *,
    cross_validated: bool = False,
    seed: int = 0,
) -> Verdict:
    """Judge a difference that has one value per person.

    Parameters
    ----------
    differences
        (people,), one score minus the other; NaN is left out. For a score of the whole group,
        each person's share in it (`jackknife_shares`).
    families
        (people,) labels: a family counts as one person, by its mean. None: nobody is related.
    cross_validated
        As for `judge_scores`.
    seed
        Seed of the sign flips.

    Examples
    --------
    >>> judge_differences(np.array([0.3, 0.1, 0.2, 0.25, 0.15, 0.2, 0.3, 0.1])).word
    'better'
    """
    differences = family_means(differences, families)
    if cross_validated:
        differences = spread_as_learnt(differences)
    # Rounding errors have signs too, and could look significant.
    differences = np.asarray(differences, np.float64)
    differences = np.where(np.abs(differences) <= _ROUNDING, 0.0, differences)
    p = float(sign_flip_test(differences[None], seed=seed)[0])
    people = int(np.isfinite(differences).sum())
    return Verdict(t_interval(differences), p, people)


def family_means(values: Floats, families: Values | None) -> Float64:
    """Return the means of families, (..., families), or the values unchanged if all are unrelated.

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
    person_values = np.asarray(values, np.float64)
    if families is None:
        return person_values
    names = np.unique(families)
    if len(names) == len(families):
        return person_values
    member = (np.asarray(families)[:, None] == names).astype(np.float64)
    finite = np.isfinite(person_values)
    count = finite @ member
    means: Float64 = (
        np.where(finite, person_values, 0.0) @ member / np.maximum(count, 1)
    )
    return np.where(count > 0, means, np.nan)


def spread_as_learnt(differences: Floats) -> Float64:
    """Widen differences of cross-validated scores about their mean, by the square root of 2.

    Parameters
    ----------
    differences
        (..., people); NaN stays. `judge_scores` explains the factor.

    Examples
    --------
    >>> spread_as_learnt(np.array([1.0, 3.0])).round(3).tolist()
    [0.586, 3.414]
    """
    differences = np.asarray(differences, np.float64)
    finite = np.isfinite(differences)
    total = np.where(finite, differences, 0.0).sum(axis=-1, keepdims=True)
    mean = total / np.maximum(finite.sum(axis=-1, keepdims=True), 1)
    return mean + _LEARNT * (differences - mean)


def corrected(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Correct p for the number of verdicts (false discovery rate); NaN does not count.

    Parameters
    ----------
    verdicts
        Verdicts on differences that are tested together.
    """
    adjusted = false_discovery_rate(np.array([verdict.p for verdict in verdicts]))
    return tuple(
        replace(verdict, p=float(p))
        for verdict, p in zip(verdicts, adjusted, strict=True)
    )


def judge_scores(
    difference: Weighted,
    people: int,
    *,
    rarer: int | None = None,
    families: Values | None = None,
    cross_validated: bool = False,
    seed: int = 0,
) -> Verdict | None:
    """Judge a difference between two scores of a whole group, such as r over people or an AUC.

    Parameters
    ----------
    difference
        One score minus the other, given how often each person counts: (samples, people) whole
        numbers to (samples,); NaN where it is not defined.
    people
        Number of people with both scores.
    rarer
        How many of them have the rarer level; None: there are no levels. Bootstrap samples of few
        people vary too little, so the interval and the flipped values are widened as Student's t
        is for that number.
    families
        (people,) labels: a family is resampled, left out, flipped and counted as one. None: nobody
        is related.
    cross_validated
        Whether the predictions that are scored were learnt from the same people, in other folds.
        Interval and flipped values are then wider by the square root of 2.
    seed
        Seed of the bootstrap samples and of the sign flips.

    Returns
    -------
    Verdict or None
        Its interval is from the bootstrap over people, corrected for bias and skewness (BCa). Its
        p is from sign flips of people's jackknife shares in the difference. None if the
        difference is not defined, with everybody or with one person left out.

    Notes
    -----
    Efron 1987, doi:10.1080/01621459.1987.10478410. Few people: the expanded interval of Hesterberg
    2015, doi:10.1080/00031305.2015.1089789.

    A cross-validated score is a sum over pairs of a test person and a training person. Each pair
    occurs twice, in both roles. If nothing can be learnt, both terms are equal, and the variance
    is twice that of a score of fixed predictions; if something can be learnt, it is less than
    twice (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366).

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
    if not people:
        return None
    labels = np.arange(people) if families is None else families
    names, family_of_person = np.unique(labels, return_inverse=True)
    family_of_person = family_of_person.ravel()
    count = len(names)
    observed = float(difference(np.ones((1, people)))[0])
    if not np.isfinite(observed):
        return None
    if count < 3:
        return Verdict(Interval(observed), np.nan, count, rarer)
    without = _scored(difference, family_of_person, _left_out(count, people))
    if not np.isfinite(without).all():
        return None
    drawn = _scored(difference, family_of_person, _drawn(count, people, seed))
    wider = _narrowness(rarer) * (_LEARNT if cross_validated else 1.0)
    without = observed + wider * (without - observed)
    drawn = observed + wider * (drawn - observed)
    interval = bca_interval(observed, without, drawn)
    shares = jackknife_shares(observed, without)
    p = float(sign_flip_test(shares[None], seed=seed)[0])
    return Verdict(interval, p, count, rarer)


def bca_interval(observed: float, without: Float64, drawn: Float64) -> Interval:
    """Return a score with its 95 % interval, corrected for bias and skewness (BCa).

    Parameters
    ----------
    observed
        Score computed from all people.
    without
        (people,), the score when each was left out.
    drawn
        (samples,), the score of each bootstrap sample; NaN is left out.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> people = np.random.default_rng(0).integers(20, size=(2000, 20))
    >>> interval = bca_interval(9.5, (x.sum() - x) / 19, x[people].mean(axis=1))
    >>> 6.5 < interval.low < 7.5, 11.5 < interval.high < 12.5
    (True, True)
    """
    from scipy.special import ndtr, ndtri

    samples = drawn[np.isfinite(drawn)]
    if not len(samples):
        return Interval(observed)
    # Samples that equal the observed score count half as below it.
    below = ((samples < observed).mean() + (samples <= observed).mean()) / 2
    least = 0.5 / len(samples)
    bias = ndtri(np.clip(below, least, 1 - least))
    deviations = without.mean() - without
    squares = float(np.square(deviations).sum())
    cubes = float((deviations**3).sum())
    skewness = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    reach = bias + ndtri(np.array([0.025, 0.975]))
    quantiles = ndtr(bias + reach / (1 - skewness * reach))
    low, high = np.quantile(samples, quantiles)
    return Interval(observed, float(low), float(high))


def _narrowness(rarer: int | None) -> float:
    """Return the factor by which a bootstrap interval is too narrow with few people of a level."""
    from scipy.special import ndtri, stdtrit

    if rarer is None or rarer < 2:
        return 1.0
    t_to_normal = stdtrit(rarer - 1, 0.975) / ndtri(0.975)
    return float(t_to_normal * np.sqrt(rarer / (rarer - 1)))


def _scored(
    difference: Weighted, family_of_person: Indices, blocks: Iterator[Float64]
) -> Float64:
    """Score samples of families in blocks; a person counts as often as their family."""
    scores = [difference(counts[:, family_of_person]) for counts in blocks]
    return np.concatenate(scores)


def _left_out(count: int, people: int) -> Iterator[Float64]:
    """Yield blocks of family weights, with each family left out in turn."""
    step = max(1, _CELLS_AT_ONCE // people)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        yield (rows[:, None] != np.arange(count)).astype(np.float64)


def _drawn(count: int, people: int, seed: int) -> Iterator[Float64]:
    """Yield blocks of family weights of bootstrap samples."""
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_ONCE // people)
    for start in range(0, _SAMPLES, step):
        samples = min(step, _SAMPLES - start)
        drawn = rng.integers(count, size=(samples, count))
        # Each sample counts its families in bins of its own.
        bins = drawn + count * np.arange(samples)[:, None]
        counts = np.bincount(bins.ravel(), minlength=samples * count)
        yield counts.reshape(samples, count).astype(np.float64)
