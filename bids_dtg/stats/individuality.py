"""How much of a person's own part of a map is the person's, and how much is chance of the rest.

Two figures estimate it:

- over segments of rest: the squared distance from the mean of other people, less what maps of
  other segments of the same length would differ by, as a share of the former (a reliability as in
  Cronbach 1951, Psychometrika 16: 297: true variance over all variance);
- over halves of rest: the correlation of the deviations of two half-maps, brought to the whole
  length (Spearman 1910, Br. J. Psychol. 3: 271; Brown 1910, ibid.: 296).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.correlation import correlation

Array = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Individuality:
    """Figures of a person's maps, (contrasts,) each; NaN where there is none."""

    distance: Values  # from the mean of others: root mean square deviation, in spreads
    chance: Values  # of it, what the choice of rest makes: that of the standard error, in spreads
    share: Values  # 1 - chance² / distance², at least 0: what other rest would show again
    halves_r: Values  # of the deviations of two halves of rest, over places
    reliability: Values  # of the whole, by the halves: 2 r / (1 + r)


def individuality(
    deviations: Array,
    segment_error: Array | None = None,
    halves: tuple[Array, Array] | None = None,
) -> Individuality:
    """Return how individual maps are.

    Parameters
    ----------
    deviations
        (contrasts, places), in units of the spread between people; NaN: none.
    segment_error
        (contrasts, places), standard error of the maps over segments of rest (their standard
        deviation over the root of their number), in the same units; None: there is one segment.
    halves
        Deviations of the maps of two halves of the rest; None: there are none.

    Raises
    ------
    ValueError
        If shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> own, noise = rng.standard_normal((2, 1, 10000)).astype(np.float32)
    >>> found = individuality(own + noise, np.ones_like(own), (own + noise, own - noise))
    >>> found.distance.round(1), found.share.round(1)
    (array([1.4]), array([0.5]))
    """
    for other in (segment_error, *(halves or ())):
        if other is not None and other.shape != deviations.shape:
            raise ValueError(f"arrays are {deviations.shape}, found {other.shape}")
    squares = _mean_squares(deviations)
    nothing = np.full(len(deviations), np.nan)
    chance = nothing if segment_error is None else _mean_squares(segment_error)
    share = 1 - np.divide(chance, squares, out=nothing.copy(), where=squares > 0)
    r = nothing if halves is None else _r(*halves)
    return Individuality(
        distance=np.sqrt(squares),
        chance=np.sqrt(chance),
        share=np.maximum(share, 0.0),
        halves_r=r,
        # Halves that disagree say that nothing repeats, and no more.
        reliability=2 * np.maximum(r, 0.0) / (1 + np.maximum(r, 0.0)),
    )


def _r(odd: Array, even: Array) -> Values:
    # A contrast at a time, in 64 bits, over places with data.
    found = np.full(len(odd), np.nan)
    for row, pair in enumerate(zip(odd, even, strict=True)):
        both = np.array(pair, np.float64)
        if (data := ~np.isnan(both).any(axis=0)).any():
            found[row] = correlation(*both[:, data])
    return found


def _mean_squares(values: Array) -> Values:
    known = np.isfinite(values)
    total = np.square(values, where=known, out=np.zeros(values.shape, np.float32))
    count = known.sum(axis=1)
    mean = total.sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)
