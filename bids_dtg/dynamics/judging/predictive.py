"""A person's own session compared with simulated sessions of the person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.measures import (
    FCD_FRAMES,
    MEASURES,
    connectivity,
    fc_fit,
    fcd_shares,
    ks_distance,
)
from bids_dtg.stats.paired import Interval, wilson_interval

Series = NDArray[np.floating[Any]]
Values = NDArray[np.floating[Any]]

# Stride of FCD's windows, for speed: neighbours still share 77 of 82 frames, and distances differ
# by less than 0.01 from those of every window.
FCD_STRIDE = 5
OUTSIDE_P = 0.1  # largest p of a session outside the middle 90 % of the simulated ones
FEWEST_SIMULATIONS = 19  # with fewer, no p is that small
_MIDDLE = (0.05, 0.95)  # the quantiles around these 90 %


@dataclass(frozen=True)
class Checked:
    """A measure of sessions, by which own and simulated sessions are compared."""

    name: str  # of a row
    words: str  # description for pages
    unit: str  # "" where it has none
    fewest_frames: int  # needed for the measure
    # Sessions (sessions, regions, frames) and TR in s to (sessions,).
    of: Callable[[Series, float], Values]


def _likeness(sessions: Series, _: float) -> Values:
    """Return the mean fit of each session's functional connectivity with the other sessions'."""
    fcs = connectivity(sessions)
    # Row by row, as all pairs of sessions' connectivities would fill the memory.
    return _mean_of_others(np.stack([fc_fit(fc, fcs) for fc in fcs]))


def _fcd_distance(sessions: Series, _: float) -> Values:
    shares = fcd_shares(sessions, stride=FCD_STRIDE)
    return _mean_of_others(np.stack([ks_distance(own, shares) for own in shares]))


def _mean_of_others(likeness: Values) -> Values:
    sums = likeness.sum(axis=1) - likeness.diagonal()
    mean: Values = sums / (len(likeness) - 1)
    return mean


CHECKED = (
    *(
        Checked(measure.name, measure.words, measure.unit, 2, measure.session)
        for measure in MEASURES
    ),
    Checked("fc_fit", "fit of functional connectivity with simulations", "r", 3, _likeness),
    Checked(
        "fcd_distance",
        "distance of the dynamics of functional connectivity from simulations'",
        "KS distance",
        FCD_FRAMES + FCD_STRIDE + 1,
        _fcd_distance,
    ),
)


@dataclass(frozen=True, eq=False)
class Check:
    """Own sessions of people compared with simulated ones, by one measure."""

    of: Checked
    observed: Values  # (people,)
    simulated: Values  # (people, simulations)

    @cached_property
    def p(self) -> Values:
        """(people,), two-sided: share of all sessions that are as far from the middle."""
        observed, simulations = self.observed[:, None], self.simulated.shape[1]
        below = 1 + (self.simulated <= observed).sum(axis=1)
        above = 1 + (self.simulated >= observed).sum(axis=1)
        p = np.minimum(2 * np.minimum(below, above) / (1 + simulations), 1.0)
        known = np.isfinite(self.observed) & np.isfinite(self.simulated).all(axis=1)
        return np.where(known, p, np.nan)

    @property
    def interval(self) -> Values:
        """(2, people), ends of the middle 90 % of a person's simulations."""
        ends: Values = np.quantile(self.simulated, _MIDDLE, axis=1)
        return ends

    @property
    def outside(self) -> Interval:
        """Share of people outside the 90 % of their simulations; a correct model has 0.1 at most.

        NaN with fewer than 19 simulations, as no own session can lie outside those.
        """
        known = self.p[np.isfinite(self.p)]
        few = self.simulated.shape[1] < FEWEST_SIMULATIONS or not len(known)
        share = float("nan") if few else float((known <= OUTSIDE_P).mean())
        return wilson_interval(share, len(known))

    def row(self) -> dict[str, str | float | Interval]:
        """Return a table's row: means over people, and the share of people outside.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> own = Check(CHECKED[0], rng.standard_normal(30), rng.standard_normal((30, 99)))
        >>> list(own.row())[:4], own.row()["people"]
        (['measure', 'unit', 'people', 'observed'], 30)
        """
        low, high = self.interval
        known = self.p[np.isfinite(self.p)]
        return {
            "measure": self.of.name,
            "unit": self.of.unit,
            "people": len(self.observed),
            "observed": float(self.observed.mean()),
            "simulated": float(self.simulated.mean()),
            "low": float(low.mean()),
            "high": float(high.mean()),
            "median_p": float(np.median(known)) if len(known) else float("nan"),
            "outside": self.outside,
        }


def check(people: Iterable[tuple[Series, Series]], tr_seconds: float) -> tuple[Check, ...]:
    """Compare people's own sessions with those simulated for them.

    Parameters
    ----------
    people
        For each person the observed session (regions, frames), and the simulated ones
        (simulations, regions, frames). If they are generated lazily, only one person's are in
        memory at a time.
    tr_seconds
        Time between frames in seconds.

    Returns
    -------
    tuple
        A row for each measure of `CHECKED` for which the sessions have enough frames.

    Raises
    ------
    ValueError
        If there are no people, or a person's sessions have other regions or frames.

    Notes
    -----
    Posterior-predictive checks (Gelman, Meng & Stern 1996, Stat. Sinica 6: 733) with
    p = 2 min(1 + below, 1 + above) / (1 + simulations). Fits and distances compare each
    session, own or simulated, with all the others, so p is valid for them, too.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sessions = rng.standard_normal((8, 1 + 19, 5, 150))
    >>> rows = check(((own[0], own[1:]) for own in sessions), 0.72)
    >>> [row.of.name for row in rows]
    ['zero_crossings', 'low_power', 'autocorrelation_1', 'fc_strength', 'fc_fit', 'fcd_distance']
    >>> rows[0].simulated.shape
    (8, 19)
    """
    found: list[list[Values]] = []
    checked: list[Checked] = []
    for observed, simulated in people:
        if simulated.ndim != 3 or simulated.shape[1:] != observed.shape:
            raise ValueError(
                "simulated sessions are (simulations, regions, frames) of an observed one "
                f"(regions, frames), found {simulated.shape} and {observed.shape}"
            )
        sessions = np.concatenate([observed[None], simulated])
        checked = [figure for figure in CHECKED if sessions.shape[-1] >= figure.fewest_frames]
        found.append([figure.of(sessions, tr_seconds) for figure in checked])
    if not found:
        raise ValueError("there is nobody to be checked")
    values = np.array(found)  # people figures sessions
    return tuple(
        Check(figure, values[:, number, 0], values[:, number, 1:])
        for number, figure in enumerate(checked)
    )
