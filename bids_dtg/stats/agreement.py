"""How well repeated measurements agree: intraclass correlations."""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Floats


def agreement(ratings: Floats) -> Floats:
    """Return the intraclass correlation of single measurements, from a two-way analysis.

    Parameters
    ----------
    ratings
        (..., targets, measurements), such as people and sessions.

    Returns
    -------
    numpy.ndarray
        (...), ICC(A,1) of McGraw & Wong 1996, which is ICC(2,1) of Shrout & Fleiss 1979: an offset
        between measurements lowers it. NaN where all ratings are equal or any is not finite.

    Raises
    ------
    ValueError
        If there are fewer than two targets or measurements.

    Notes
    -----
    Shrout & Fleiss 1979, Psychol. Bull. 86: 420; McGraw & Wong 1996, Psychol. Methods 1: 30.

    Examples
    --------
    >>> float(agreement(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])).round(3))
    0.667
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
    whole = msr + (times - 1) * mse + times * (msc - mse) / targets
    return np.asarray((msr - mse) / np.where(whole > 0, whole, np.nan))


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
    return 2 * r / (1 + r) if r > 0 else np.nan
