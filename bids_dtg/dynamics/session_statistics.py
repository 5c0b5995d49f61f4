"""Statistics of a session that models with few parameters are fitted to.

They are of functional connectivity, of lag covariances, and of the dynamics of connectivity.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.measures import FCD_FRAMES, fcd
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]

FCD_STRIDE = 8  # frames from a window to the next
FEWEST_FRAMES = FCD_FRAMES + 2 * FCD_STRIDE  # of a session: three windows

STATISTICS: Mapping[str, str] = MappingProxyType(
    {
        "fc_mean": "mean functional connectivity (FC)",
        "fc_sd": "standard deviation of FC over pairs of regions",
        "fc_structure": "r of FC and square roots of structural connections",
        "fc_strength": "r of regions' mean FC and structural strength",
        "lag1_mean": "mean autocorrelation one frame later",
        "lag1_sd": "standard deviation over regions of autocorrelation one frame later",
        "lag1_strength": "r of autocorrelation one frame later and structural strength",
        "lag1_others": "mean correlation with other regions one frame later",
        "lag2_mean": "mean autocorrelation two frames later",
        "fcd_mean": "mean similarity of FC in two windows (FCD)",
        "fcd_sd": "standard deviation of FCD over pairs of windows",
    }
)


def session_statistics(
    series: Values, weights: Values, kept: NDArray[np.bool_] | None = None
) -> Array:
    """Return the statistics of a session.

    Parameters
    ----------
    series
        (regions, frames), in any unit; frames that were left out are filled.
    weights
        (regions, regions), structural connectome.
    kept
        (frames,), which frames were measured and kept; None: all.

    Returns
    -------
    numpy.ndarray
        (statistics,), in the order of `STATISTICS`.

    Raises
    ------
    ValueError
        There are fewer than 98 frames, or a series is constant or not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = session_statistics(rng.standard_normal((4, 300)), rng.random((4, 4)))
    >>> dict(zip(STATISTICS, found.round(1) + 0.0))["lag1_mean"]
    np.float64(0.0)
    """
    if series.shape[1] < FEWEST_FRAMES:
        raise ValueError(f"statistics need {FEWEST_FRAMES} frames, found {series.shape[1]}")
    now, later, later_still = LagCovariances.of(series, kept).values
    regions = len(now)
    edges, strength = upper_edges(now), weights.sum(axis=1)
    auto = later.diagonal()
    others = (later.sum() - auto.sum()) / (regions * (regions - 1))
    flow = upper_edges(fcd(series, stride=FCD_STRIDE))
    return np.array(
        [
            edges.mean(),
            edges.std(),
            _alike(edges, np.sqrt(upper_edges(weights))),
            _alike(now.sum(axis=1), strength),
            auto.mean(),
            auto.std(),
            _alike(auto, strength),
            others,
            later_still.diagonal().mean(),
            flow.mean(),
            flow.std(),
        ]
    )


def _alike(one: Values, other: Values) -> float:
    """Return r; 0 of what does not vary."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(correlation(one, other))
