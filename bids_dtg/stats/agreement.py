"""How well repeated measurements agree: intraclass correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Floats


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well measurements of the same targets agree; NaN where it is not defined."""

    absolute: Floats  # (...), ICC(A,1): an offset between measurements lowers it
    consistency: Floats  # (...), ICC(C,1): an offset between measurements is ignored


def agreement(ratings: Floats) -> Agreement:
    """Return the intraclass correlations of single measurements, from a two-way analysis.

    Parameters
    ----------
    ratings
        (..., targets, measurements), such as people and sessions.

    Returns
    -------
    Agreement
        ICC(A,1) and ICC(C,1) of McGraw & Wong 1996, which are ICC(2,1) and ICC(3,1) of Shrout &
        Fleiss 1979; NaN where all ratings are equal or any is not finite.

    Raises
    ------
    ValueError
        If there are fewer than two targets or measurements.

    Notes
    -----
    Shrout & Fleiss 1979, Psychol. Bull. 86: 420; McGraw & Wong 1996, Psychol. Methods 1: 30.

    Examples
    --------
    >>> icc = agreement(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))
    >>> float(icc.absolute.round(3)), float(icc.consistency.round(3))
    (0.667, 1.0)
    """
    values = np.asarray(ratings, np.float64)
    if values.ndim < 2 or min(values.shape[-2:]) < 2:
        raise ValueError(
            "agreement compares 2 or more measurements of 2 or more targets, found ratings "
            f"(..., targets, measurements) of shape {values.shape}"
        )
    targets, times = values.shape[-2:]
    grand_mean = values.mean(axis=(-2, -1), keepdims=True)
    target_effects = values.mean(axis=-1, keepdims=True) - grand_mean
    time_effects = values.mean(axis=-2, keepdims=True) - grand_mean
    residuals = values - grand_mean - target_effects - time_effects

    def squares(effects: Floats) -> Floats:
        return np.asarray((effects**2).sum(axis=(-2, -1)))

    # Mean squares, by their names in the papers: between targets, between measurements, residual.
    msr = times * squares(target_effects) / (targets - 1)
    msc = targets * squares(time_effects) / (times - 1)
    mse = squares(residuals) / ((targets - 1) * (times - 1))
    consistent = msr + (times - 1) * mse
    absolute = consistent + times * (msc - mse) / targets
    return Agreement(_ratio(msr - mse, absolute), _ratio(msr - mse, consistent))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return part / np.where(whole > 0, whole, np.nan)


def stepped_up(r: float) -> float:
    """Return the reliability of the whole from the r between its halves (Spearman-Brown).

    NaN for an r of 0 or less, for which the formula does not hold.

    Notes
    -----
    Spearman 1910, Br. J. Psychol. 3: 271; Brown 1910, ibid. 296.

    Examples
    --------
    >>> stepped_up(0.5)
    0.6666666666666666
    """
    return 2 * r / (1 + r) if r > 0 else float("nan")
