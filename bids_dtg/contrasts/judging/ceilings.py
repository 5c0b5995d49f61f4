"""How well measured maps repeat, by contrast, and how high a prediction's r can be for it.

A prediction of a person's true map correlates with a measured one by the root of the measured maps'
reliability at most: the r of two measurements (Spearman 1904, Am. J. Psychol. 15: 72). The same
holds of deviations from the mean over people, and so of residual r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.model_scores import mean_over
from bids_dtg.contrasts.people import Person
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.float64]
Pair = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
_ALONE = 2  # people who have a value at a place: the mean of one is the person's own


@dataclass(frozen=True, eq=False)
class Ceilings:
    """Agreement of two measurements of the same people's maps."""

    r: Values  # (contrasts, people), of the two maps; NaN where one of them is missing
    residual_r: Values  # likewise, after the mean over these people is subtracted from each side

    @classmethod
    def of(cls, people: Sequence[Person], here: NDArray[np.bool_] | None = None) -> Ceilings | None:
        """Compare the two sessions of everybody who has two; None where nobody has.

        Parameters
        ----------
        people
            With sessions (contrasts, places) of the same contrasts and places. Places that one of
            a person's maps does not cover are left out of that person's r: they are not zeros.
        here
            (places,), those that count; None: all.
        """
        twice = [person.sessions[:2] for person in people if len(person.sessions) > 1]
        if not twice:
            return None
        of = slice(None) if here is None else here
        found = [
            _agreement([(first[q][of], again[q][of]) for first, again in twice])
            for q in range(len(twice[0][0]))
        ]
        r, residual_r = zip(*found, strict=True)
        return cls(np.stack(r), np.stack(residual_r))

    @property
    def people(self) -> int:
        """How many people have two maps of a contrast or more."""
        return int(np.isfinite(self.r).any(axis=0).sum())

    @property
    def reliability(self) -> Values:
        """Mean r over people, (contrasts,); NaN where nobody has both maps."""
        return mean_over(self.r, axis=1)

    @property
    def residual_reliability(self) -> Values:
        """Mean residual r over people, (contrasts,)."""
        return mean_over(self.residual_r, axis=1)

    @property
    def by_contrast(self) -> Values:
        """Ceiling of r, (contrasts,)."""
        return _root(self.reliability)

    @property
    def mean(self) -> float:
        """Mean ceiling of r over contrasts."""
        return float(mean_over(self.by_contrast, axis=0))

    @property
    def residual_mean(self) -> float:
        """Mean ceiling of residual r over contrasts."""
        return float(mean_over(_root(self.residual_reliability), axis=0))

    def rows(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return a row a contrast that was measured twice, as bundles keep them.

        Parameters
        ----------
        labels
            Labels of the contrasts, in their order.

        Examples
        --------
        >>> r = np.array([[0.81, 0.81], [np.nan, np.nan]])
        >>> (row,) = Ceilings(r, r - 0.45).rows(["faces", "words"])
        >>> row["contrast"], row["retest_people"], row["ceiling"], row["residual_ceiling"]
        ('faces', 2, 0.9, 0.6)
        """
        figures = {
            "reliability": self.reliability,
            "ceiling": self.by_contrast,
            "residual_reliability": self.residual_reliability,
            "residual_ceiling": _root(self.residual_reliability),
        }
        return [
            {
                "contrast": label,
                "retest_people": int(np.isfinite(self.r[n]).sum()),
                **{name: _number(values[n]) for name, values in figures.items()},
            }
            for n, label in enumerate(labels)
            if np.isfinite(self.r[n]).any()
        ]


def _agreement(pairs: Sequence[Pair]) -> tuple[Values, Values]:
    """Return r and residual r of the two maps of each person, (people,), one person at a time."""
    places = pairs[0][0].shape
    totals, count = np.zeros((2, *places)), np.zeros(places, np.intp)
    for pair in pairs:
        both = np.isfinite(pair).all(axis=0)
        totals += np.where(both, pair, 0.0)
        count += both
    means = np.where(count >= _ALONE, totals / np.maximum(count, 1), np.nan)
    found = [
        [correlation(*sides) for sides in (values, values - means)]
        for values in (np.array(pair, np.float64) for pair in pairs)
    ]
    r, residual_r = np.array(found, np.float64).T
    return r, residual_r


def _root(reliability: Values) -> Values:
    return np.asarray(np.sqrt(np.maximum(reliability, 0.0)))


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
