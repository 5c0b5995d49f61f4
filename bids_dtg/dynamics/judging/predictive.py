"""A person's own session compared with simulated sessions of the person.

Posterior-predictive checks (Gelman, Meng & Stern 1996, Stat. Sinica 6: 733) of models that were
fitted to the session itself. A model that is shrunk towards other people is not meant to reproduce
the session, so it is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.connectome.parcels import fc_strength, finite_mean
from bids_dtg.dynamics.measures import (
    autocorrelation,
    connectivity,
    fc_fit,
    fcd_shares,
    ks_distance,
    low_power,
    zero_crossings,
)
from bids_dtg.stats.paired import wilson_interval

OUTSIDE_P = 0.1  # largest p of a session outside the middle 90 % of the simulations
FEWEST_SIMULATIONS = 19  # with fewer, p cannot be so small


def _fit_to_others(sessions: Floats) -> Floats:
    fcs = connectivity(sessions)
    # Row by row, as all pairs of connectivities together would fill the memory.
    return _mean_of_others(np.stack([fc_fit(fc, fcs) for fc in fcs]))


def _fcd_distance(sessions: Floats) -> Floats:
    shares = fcd_shares(sessions)
    distances = [ks_distance(session, shares) for session in shares]
    return _mean_of_others(np.stack(distances))


def _mean_of_others(likeness: Floats) -> Floats:
    sums = likeness.sum(axis=1) - likeness.diagonal()
    return sums / (len(likeness) - 1)


# By name: words, unit, and a function of sessions (sessions, regions, frames) and the time between
# frames that returns a value for each session. Fits and distances compare each session, own or
# simulated, with all others.
CHECKS: Mapping[str, tuple[str, str, Callable[[Floats, float], Floats]]] = {
    "zero_crossings": (
        "zero-crossings of a region's series",
        "",
        lambda sessions, _: finite_mean(zero_crossings(sessions)),
    ),
    "low_power": (
        "power below 0.1 Hz",
        "series units²",
        lambda sessions, tr: finite_mean(low_power(sessions, tr)),
    ),
    "autocorrelation_1": (
        "autocorrelation at a lag of one frame",
        "r",
        lambda sessions, _: finite_mean(autocorrelation(sessions)),
    ),
    "fc_strength": (
        "mean functional connectivity",
        "r",
        lambda sessions, _: fc_strength(connectivity(sessions)),
    ),
    "fc_fit": (
        "fit of functional connectivity to that of simulations",
        "r",
        lambda sessions, _: _fit_to_others(sessions),
    ),
    "fcd_distance": (
        "distance between the FCD of the session and of simulations",
        "KS distance",
        lambda sessions, _: _fcd_distance(sessions),
    ),
}


def check_person(
    measured: Floats, simulated: Floats, tr_seconds: float
) -> dict[str, Floats]:
    """Compute the measures of a person's own session and of simulated ones.

    Parameters
    ----------
    measured
        (regions, frames).
    simulated
        (simulations, regions, frames).
    tr_seconds
        Time between frames in seconds.

    Returns
    -------
    dict
        By name in `CHECKS`, (1 + simulations,), the own session first; NaN if a session has too
        few frames.

    Examples
    --------
    >>> sessions = np.random.default_rng(0).standard_normal((20, 5, 150))
    >>> checks = check_person(sessions[0], sessions[1:], 2.0)
    >>> [(name, len(values)) for name, values in checks.items()]
    [('zero_crossings', 20), ('low_power', 20), ('autocorrelation_1', 20), ('fc_strength', 20), \
('fc_fit', 20), ('fcd_distance', 20)]
    """
    sessions = np.concatenate([measured[None], simulated])
    return {
        name: measure(sessions, tr_seconds) for name, (_, _, measure) in CHECKS.items()
    }


def predictive_p(values: Floats) -> float:
    """Return the two-sided p of a person's own session among simulated ones.

    Parameters
    ----------
    values
        (1 + simulations,), as `check_person` returns them.

    Returns
    -------
    float
        2 min(1 + below, 1 + above) / (1 + simulations), at most 1.

    Examples
    --------
    >>> predictive_p(np.array([0.0, *range(1, 20)])), predictive_p(np.array([1.5, *range(1, 20)]))
    (0.1, 0.2)
    """
    measured, simulated = values[0], values[1:]
    below = 1 + int((simulated <= measured).sum())
    above = 1 + int((simulated >= measured).sum())
    return min(2 * min(below, above) / len(values), 1.0)


def summarise(
    people: Sequence[Mapping[str, Floats]],
) -> list[dict[str, Any]]:
    """Return a row of each measure: means over people, and the share of people outside.

    Parameters
    ----------
    people
        Results of `check_person`, one for each person. They differ in length where simulations of
        a person have diverged.

    Returns
    -------
    list
        ``outside`` is the share of people outside the middle 90 % of their simulations, at most 0.1
        with a correct model. People with fewer than 19 simulations do not count in it.
    """
    rows: list[dict[str, Any]] = []
    if not people:
        return rows
    for name, (_, unit, _) in CHECKS.items():
        finite = [person[name] for person in people if np.isfinite(person[name]).all()]
        if not finite:
            continue
        p = [
            predictive_p(values)
            for values in finite
            if len(values) > FEWEST_SIMULATIONS
        ]
        outside = float(np.mean(np.array(p) <= OUTSIDE_P)) if p else np.nan
        ends = [np.quantile(values[1:], (0.05, 0.95)) for values in finite]
        low, high = np.mean(ends, axis=0)
        row = {
            "measure": name,
            "unit": unit,
            "people": len(finite),
            "observed": float(np.mean([values[0] for values in finite])),
            "simulated": float(np.mean([values[1:].mean() for values in finite])),
            "low": float(low),
            "high": float(high),
            "outside": wilson_interval(outside, len(p)),
        }
        rows.append(row)
    return rows
