"""Interventions in a person's effective connectivity, and how reliable their effects are.

An effect inside a model is not evidence of an effect in a person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.effective_connectivity import (
    EffectiveConnectivity,
    UnboundedError,
    response,
    scaled,
    without_connections,
)
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.notices import named

Array = NDArray[np.float64]
Values = NDArray[np.floating[Any]]

LESION, STIMULATION, GAIN = "lesion", "stimulation", "gain"
_FEWEST_REGIONS = 3  # of which one can be taken out
_FEWEST = 3  # people: a difference from the mean of fewer is the other person's


@dataclass(frozen=True)
class Intervention:
    """A change of a person's connections, or an input.

    - lesion of a region: all of its connections are taken out, its decay and noise stay
    - lesion between two regions: their connections in both directions are taken out
    - gain: all connections are multiplied by a factor
    - stimulation: a region gets a constant input, that would raise it by 1 standard deviation if it
      had no connections

    Examples
    --------
    >>> coupling = np.array([[-1.0, 0.5, 0.0], [0.0, -1.0, 0.5], [0.0, 0.0, -1.0]])
    >>> own = EffectiveConnectivity(coupling, np.ones(3))
    >>> cut = Intervention.lesion("A:B", ("A", "B", "C"))
    >>> cut.name, cut.effect(own).round(3)
    ('lesion of A:B', array([-0.261, -0.058,  0.   ]))
    """

    kind: str
    name: str  # with its regions or factor
    targets: tuple[int, ...] = ()  # numbers of regions: of a lesion one, or the two ends
    factor: float = 1.0  # of a gain

    @classmethod
    def lesion(cls, text: str, regions: Sequence[str]) -> Intervention:
        """Return the lesion of a region, or of the connections between two, ``A:B``.

        Raises
        ------
        SettingsError
            No region is called so, one stands on both sides, or nothing would be left.
        """
        if text in regions:
            if len(regions) < _FEWEST_REGIONS:
                raise SettingsError(
                    f"--lesion is '{text}', of {len(regions)} regions",
                    expected=f"{_FEWEST_REGIONS} or more regions: of two, one is left",
                )
            return cls(LESION, f"lesion of {text}", (regions.index(text),))
        # A name may have a colon: the first that divides the text into two names counts.
        cuts = [n for n, letter in enumerate(text) if letter == ":"]
        for cut in cuts:
            ends = (text[:cut], text[cut + 1 :])
            if all(end in regions for end in ends):
                if ends[0] == ends[1]:
                    raise SettingsError(f"--lesion is '{text}'", expected="two different regions")
                found = (regions.index(ends[0]), regions.index(ends[1]))
                return cls(LESION, f"lesion of {text}", found)
        parts = [text] if not cuts else [text[: cuts[0]], text[cuts[0] + 1 :]]
        absent = next(part for part in parts if part not in regions)
        raise _unknown("--lesion", absent, regions)

    @classmethod
    def stimulation(cls, text: str, regions: Sequence[str]) -> Intervention:
        """Return the stimulation of a region.

        Raises
        ------
        SettingsError
            No region is called so.
        """
        if text not in regions:
            raise _unknown("--stimulate", text, regions)
        return cls(STIMULATION, f"stimulation of {text}", (regions.index(text),))

    @classmethod
    def gain(cls, factor: float) -> Intervention:
        """Return the multiplication of all connections by a factor.

        Raises
        ------
        SettingsError
            The factor is below 0, not finite, or 1.
        """
        if not 0 <= factor < math.inf or factor == 1:
            raise SettingsError(f"--gain is {factor:g}", expected="0 or more, finite, and not 1")
        return cls(GAIN, f"gain of {factor:g}", factor=factor)

    def changed(self, own: EffectiveConnectivity) -> EffectiveConnectivity:
        """Return the process with the intervention; a stimulation changes none of it."""
        if self.kind == GAIN:
            return scaled(own, self.factor)
        if self.kind == LESION:
            return without_connections(own, self._cut(own.regions))
        return own

    def effect(self, own: EffectiveConnectivity) -> Array:
        """Return what the intervention changes.

        Parameters
        ----------
        own
            Effective connectivity of a person.

        Returns
        -------
        numpy.ndarray
            Of a stimulation (regions,), change of means in standard deviations; NaN of the region
            itself. Else (edges,), change of functional connectivity above the diagonal, row by
            row; NaN of pairs with a region that was taken out. All NaN where activity would grow
            without bounds.
        """
        if self.kind == STIMULATION:
            found = response(own, self.targets[0])
            found[self.targets[0]] = np.nan
            return found
        try:
            change = self.changed(own).connectivity - own.connectivity
        except UnboundedError:
            change = np.full((own.regions, own.regions), np.nan)
        if len(self.targets) == 1:
            change[self.targets[0]] = change[:, self.targets[0]] = np.nan
        return np.asarray(upper_edges(change), np.float64)

    def by_region(self, effect: Values) -> Array:
        """Return an effect by region, (regions,): of edges, the mean over those of the region."""
        if self.kind == STIMULATION:
            return np.asarray(effect, np.float64)
        found = self.as_matrix(effect)
        known = np.isfinite(found)
        total = np.where(known, found, 0.0).sum(axis=1)
        count = known.sum(axis=1)
        mean = np.divide(total, count, out=np.full(len(found), np.nan), where=count > 0)
        return np.asarray(mean, np.float64)

    @staticmethod
    def as_matrix(edges: Values) -> Array:
        """Return edges as (regions, regions), NaN on the diagonal."""
        regions = round((1 + math.sqrt(1 + 8 * len(edges))) / 2)
        found = np.full((regions, regions), np.nan)
        found[np.triu_indices(regions, 1)] = edges
        return np.where(np.isfinite(found), found, found.T)

    def _cut(self, regions: int) -> NDArray[np.bool_]:
        cut = np.zeros((regions, regions), bool)
        if len(self.targets) == 1:
            cut[self.targets[0]] = cut[:, self.targets[0]] = True
        else:
            one, other = self.targets
            cut[one, other] = cut[other, one] = True
        return cut


def _unknown(flag: str, text: str, regions: Sequence[str]) -> SettingsError:
    return SettingsError(
        f"{flag}: no region is called '{text}'",
        expected=f"one of {named(regions)}",
        remedy=did_you_mean(text, regions),
    )


@dataclass(frozen=True, eq=False)
class Retest:
    """How alike two sessions' effects, or other values, are in each person."""

    own: Array  # (people,), r of both sessions' values of the person
    # (people,), mean r of the first session's values with others' of the second one: the null
    others: Array
    individual: Array  # (people,), r of differences from people's mean; NaN with fewer than three
    identified: int  # people whose difference is most like their own of the other session

    @classmethod
    def of(cls, first: Values, second: Values, families: NDArray[np.intp] | None = None) -> Retest:
        """Compare the values of two sessions.

        Parameters
        ----------
        first, second
            (people, values), of the same people; values that are NaN in anybody are left out.
        families
            (people,), number of each person's family: relatives are not others. None: nobody is
            related.

        Examples
        --------
        >>> first = np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 0.0, 1.0], [0.0, 4.0, 1.0, 2.0]])
        >>> found = Retest.of(first, first + [0.0, 0.1, 0.0, 0.2])
        >>> found.own.round(2), found.identified
        (array([1.  , 0.99, 1.  ]), 3)
        """
        known = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
        people = len(first)
        nothing = np.full(people, np.nan)
        if known.sum() < _FEWEST or people == 0:
            return cls(nothing, nothing, nothing, 0)
        first, second = first[:, known], second[:, known]
        r = _each_with_each(first, second)
        own = r.diagonal().copy()
        kin = np.arange(people) if families is None else families
        related = kin[:, None] == kin
        total = r.sum(axis=1) - np.where(related, r, 0.0).sum(axis=1)
        number = (~related).sum(axis=1)
        others = np.divide(total, number, out=nothing.copy(), where=number > 0)
        if people < _FEWEST:
            return cls(own, others, nothing, 0)
        apart = _each_with_each(first - first.mean(axis=0), second - second.mean(axis=0))
        nearest = np.where(np.isfinite(apart), apart, -np.inf).argmax(axis=1)
        identified = int((nearest == np.arange(people)).sum())
        return cls(own, others, apart.diagonal().copy(), identified)


def _each_with_each(first: Values, second: Values) -> Array:
    """Return r of everybody's values with everybody's, (people, people)."""
    parts = []
    for values in (first, second):
        centred = values - values.mean(axis=1, keepdims=True)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        parts.append(
            np.divide(centred, length, out=np.full_like(centred, np.nan), where=length > 0)
        )
    return np.asarray(parts[0] @ parts[1].T, np.float64)
