"""Scores of one contrast over many people, read a slab of voxels at a time.

All scores follow from sums over voxels, which for each slab are three matrix products of people by
people. Apart from these, memory does not grow with the number of people.

Maps enter the sums as their mean over people and deviations from it. So maps that are the same for
everybody give exact zeros, and leave-one-out scores follow from the same sums. How much a score
changes without each person gives its standard error.
"""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Integers, Mask
from bids_dtg.stats.metrics import fingerprinting_score, rivals
from bids_dtg.stats.paired import jackknife_shares

SLAB_BYTES = 1 << 26  # size of the maps in one slab
_SLAB_VOXELS = 1 << 16  # float32 sums over more voxels would lose precision


def score_people(
    predicted: Floats,
    measured: Floats,
    training_mean: Floats | None = None,
    *,
    families: Indices | None = None,
    here: Mask | None = None,
    slab_bytes: int = SLAB_BYTES,
) -> tuple[Float64, dict[str, Float64]]:
    """Score the predicted maps of one contrast.

    Parameters
    ----------
    predicted, measured
        (people, voxels), the same people; in memory or memory-mapped. Voxels that are NaN
        in anybody's map are left out.
    training_mean
        (voxels,), mean map of the training people; `residual_r_training_mean` is NaN
        without it.
    families
        (people,), number of each person's family. Only people of other families count as
        other people. None: nobody has relatives.
    here
        (voxels,), which voxels count; None: all.
    slab_bytes
        Size of both maps, in float32, that are in memory at once.

    Returns
    -------
    matrix
        (measured people, predicted people), correlation over voxels; NaN where a map is constant.
    scores
        Every score by name, (people,); the mean over people is the score. The spread over people is
        valid for intervals and tests, because scores that depend on other people are given as
        jackknife shares: their mean is that of people's own values, and their spread also includes
        that each person's maps enter the scores of others. A constant map counts as r 0.

        - ``r``: own prediction with own measured map
        - ``others_r``: mean r of predictions for people of other families with the own measured map
        - ``own_mean_r``: r of the mean prediction over people with the own measured map
        - ``index``: r minus others_r, the model minus another person's prediction
        - ``product``: index times r
        - ``identification``: 1 if the own prediction is the most similar, 1 / k for k ties
        - ``residual_r``: r after subtracting these people's means from both sides
        - ``residual_r_training_mean``: r after subtracting the training mean
        - ``fingerprint``: share identified times mean r, as published; ties are misses
        - ``own_`` and the name of a score: people's own values, for tables of people but not for
          tests of a mean

    Raises
    ------
    ValueError
        No voxel is left.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    >>> matrix, scores = score_people(maps, maps)
    >>> matrix.shape, scores["own_residual_r"].round(3).tolist()
    ((3, 3), [1.0, 1.0, 1.0])
    """
    family = np.arange(len(predicted)) if families is None else families
    here = np.ones(predicted.shape[1], bool) if here is None else here
    products, voxels = _products(predicted, measured, training_mean, here, slab_bytes)
    if not voxels:
        raise ValueError("no voxel is covered by everybody's map")
    centred = products - np.outer(products[:, _ONES], products[_ONES]) / voxels
    matrix = _correlations(centred, products, _PREDICTED_MEAN, _MEASURED_MEAN).T
    # A person with a constant prediction has r 0 with everybody.
    r_of_pairs = np.nan_to_num(matrix)
    r = np.diagonal(r_of_pairs)
    others_r, others_r_without = _others_r(r_of_pairs, family[:, None] != family)
    index, index_without = r - others_r, r - others_r_without
    own_mean_r = map(np.nan_to_num, _own_mean_r(centred, products))
    residual_r = _residual_r(centred, products)
    training_r = np.full(len(r), np.nan)
    if training_mean is not None:
        training_r = _correlations(
            centred, products, _PREDICTED_SHIFT, _MEASURED_SHIFT
        ).diagonal()
    if np.isfinite(training_r).any():
        training_r = np.nan_to_num(training_r)
    identified, identified_without, fingerprint_without = _identification(matrix)
    # As published, with relatives among the others.
    mean_of_others = (r_of_pairs.sum(axis=1) - r) / max(len(r) - 1, 1)
    return matrix, {
        "r": r,
        "residual_r_training_mean": training_r,
        "others_r": _shares(others_r, others_r_without),
        "own_mean_r": _shares(*own_mean_r),
        "index": _shares(index, index_without),
        "product": _shares(index * r, index_without * r),
        "identification": _shares(identified, identified_without),
        "residual_r": _shares(*residual_r),
        "fingerprint": jackknife_shares(
            fingerprinting_score(matrix), fingerprint_without
        ),
        "own_index": index,
        "own_product": (r - mean_of_others) * r,
        "own_residual_r": residual_r[0],
        "own_identification": identified,
    }


# Rows of `_products` after people's deviations, which are common to all people.
_COMMON_ROWS = 5
_ONES = -5  # 1 at each voxel
_PREDICTED_MEAN = -4  # mean of the predictions
_MEASURED_MEAN = -3  # of the measured maps
_PREDICTED_SHIFT = -2  # mean of the predictions minus the training mean
_MEASURED_SHIFT = -1


def _products(
    predicted: Floats,
    measured: Floats,
    training_mean: Floats | None,
    here: Mask,
    slab_bytes: int,
) -> tuple[Float64, int]:
    """Return sums over voxels of products between maps, and the number of voxels.

    They are (2 * people + 5, 2 * people + 5). The rows are predictions minus their mean over
    people, measured maps minus theirs, and the five rows common to all people.
    """
    people, all_voxels = predicted.shape
    products, voxels = np.zeros((2 * people + _COMMON_ROWS,) * 2), 0
    step = min(max(1, slab_bytes // (8 * people)), _SLAB_VOXELS)
    for start in range(0, all_voxels, step):
        slab = slice(start, start + step)
        p = np.asarray(predicted[:, slab], np.float32)  # (people, voxels of the slab)
        m = np.asarray(measured[:, slab], np.float32)
        in_all = here[slab] & np.isfinite(m).all(axis=0) & np.isfinite(p).all(axis=0)
        if not in_all.all():
            p, m = p[:, in_all], m[:, in_all]
        p_mean, m_mean = _mean_map(p), _mean_map(m)
        training = p_mean
        if training_mean is not None:
            training = np.asarray(training_mean[slab], np.float32)[in_all]
        common = np.stack(
            [
                np.ones_like(p_mean),
                p_mean,
                m_mean,
                _deviations(p_mean, training),
                m_mean - training,
            ]
        )
        deviations = np.concatenate([_deviations(p, p_mean), m - m_mean])
        products[:-_COMMON_ROWS, :-_COMMON_ROWS] += deviations @ deviations.T
        products[:-_COMMON_ROWS, -_COMMON_ROWS:] += deviations @ common.T
        products[-_COMMON_ROWS:, -_COMMON_ROWS:] += common.astype(np.float64) @ common.T
        voxels += p.shape[1]
    with_common = products[:-_COMMON_ROWS, -_COMMON_ROWS:]
    products[-_COMMON_ROWS:, :-_COMMON_ROWS] = with_common.T
    return products, voxels


def _mean_map(maps: Float32) -> Float32:
    """Return the mean over people, in float32 like the maps: a rounded centre is as good."""
    return maps.mean(axis=0, dtype=np.float64).astype(np.float32)


def _others_r(matrix: Float64, is_other: Mask) -> tuple[Float64, Float64]:
    """Return mean r with people of other families, (people,), and with each left out.

    `is_other` is (people, people), whether two people are of different families.
    """
    r = np.where(is_other, matrix, 0.0)
    total, number = r.sum(axis=1), is_other.sum(axis=1)
    mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    without = (total[None] - r.T) / np.maximum(number[None] - is_other, 1)
    return mean, without


def _identification(matrix: Float64) -> tuple[Float64, Float64, Float64]:
    """Return who is identified, (people,), with each left out, and the fingerprint without each.

    The second is (left out, people), the third (left out,).
    """
    better, tied = rivals(matrix)
    number_better, number_tied = better.sum(axis=1), tied.sum(axis=1)
    better_without = number_better[None] - better.T
    tied_without = number_tied[None] - tied.T
    is_best = (better_without + tied_without) == 0
    hits = is_best & np.isfinite(np.diagonal(matrix))
    r = np.broadcast_to(np.diagonal(np.nan_to_num(matrix)), matrix.shape)
    fingerprint_without = _rest(hits * 1.0) * _rest(r)
    return (
        _identified(number_better, number_tied),
        _identified(better_without, tied_without),
        fingerprint_without,
    )


def _variances(products: Float64, p: int, m: int) -> tuple[Float64, Float64]:
    """Return variances of predictions and measured maps: deviations plus common rows p and m."""
    people = (len(products) - _COMMON_ROWS) // 2
    squares = np.diagonal(products)[:-_COMMON_ROWS]
    return (
        squares[:people] + 2 * products[:people, p] + products[p, p],
        squares[people:] + 2 * products[people:-_COMMON_ROWS, m] + products[m, m],
    )


def _correlations(centred: Float64, products: Float64, p: int, m: int) -> Float64:
    """Return r of predictions with measured maps (people, people); NaN where one is constant."""
    people = (len(products) - _COMMON_ROWS) // 2
    predicted_rows, measured_rows = slice(people), slice(people, -_COMMON_ROWS)
    covariances = (
        centred[predicted_rows, measured_rows]
        + centred[predicted_rows, m][:, None]
        + centred[p, measured_rows]
        + centred[p, m]
    )
    p_squares, m_squares = _variances(products, p, m)
    p_variance, m_variance = _variances(centred, p, m)
    p_variance = _or_nan(p_variance, p_squares)
    m_variance = _or_nan(m_variance, m_squares)
    sizes = np.sqrt(np.outer(p_variance, m_variance))
    return np.clip(covariances / sizes, -1.0, 1.0)


def _own_mean_r(centred: Float64, products: Float64) -> tuple[Float64, Float64]:
    """Return r of the mean prediction, (people,), and with each left out, (left out, people)."""
    n = (len(products) - _COMMON_ROWS) // 2
    p_squares, m_squares = _variances(products, _PREDICTED_MEAN, _MEASURED_MEAN)
    _, m_variance = _variances(centred, _PREDICTED_MEAN, _MEASURED_MEAN)
    m_variance = _or_nan(m_variance, m_squares)
    covariance = (
        centred[n:-_COMMON_ROWS, _PREDICTED_MEAN]
        + centred[_PREDICTED_MEAN, _MEASURED_MEAN]
    )
    # Without person k, the mean prediction is the mean less p_k / (n - 1).
    remaining = max(n - 1, 1)
    person_covariance = (
        centred[:n, _MEASURED_MEAN][:, None] + centred[:n, n:-_COMMON_ROWS]
    )
    covariance_without = covariance - person_covariance / remaining
    p_own = np.diagonal(centred)[:n]
    variance_without = (
        centred[_PREDICTED_MEAN, _PREDICTED_MEAN]
        - 2 * centred[:n, _PREDICTED_MEAN] / remaining
        + p_own / remaining**2
    )
    # A mean map that is constant up to rounding has no r.
    variance = _or_nan(centred[_PREDICTED_MEAN, _PREDICTED_MEAN], p_squares.mean())
    variance_without = _or_nan(variance_without, p_squares.mean())
    sizes = np.sqrt(variance * m_variance)
    sizes_without = np.sqrt(variance_without[:, None] * m_variance)
    return (
        np.clip(covariance / sizes, -1.0, 1.0),
        np.clip(covariance_without / sizes_without, -1.0, 1.0),
    )


def _residual_r(centred: Float64, products: Float64) -> tuple[Float64, Float64]:
    """Return r of the deviations, (people,), and with each left out, (left out, people)."""
    n = (len(products) - _COMMON_ROWS) // 2
    p, m = slice(n), slice(n, -_COMMON_ROWS)
    remaining = max(n - 1, 1)

    def without_each(part: Float64) -> Float64:
        # Without person k, the deviation of person i is p_i + p_k / (n - 1).
        diagonal = np.diagonal(part)
        return diagonal + (part + part.T) / remaining + diagonal[:, None] / remaining**2

    squares = np.diagonal(products)

    def r(covariance: Float64, p_variance: Float64, m_variance: Float64) -> Float64:
        sizes = _or_nan(p_variance, squares[p]) * _or_nan(m_variance, squares[m])
        return np.clip(covariance / np.sqrt(sizes), -1, 1)

    parts = [centred[p, m], centred[p, p], centred[m, m]]
    return r(*map(np.diagonal, parts)), r(*map(without_each, parts))


def _identified(better: Integers, tied: Integers) -> Float64:
    """Return 1 where nobody is more similar, 1 / k for k ties, from numbers of such people."""
    return np.where(better > 0, 0.0, 1.0 / (1 + tied))


def _shares(values: Float64, without: Float64) -> Float64:
    """Return jackknife shares in a mean (people,), from values without each, (left out, people)."""
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    values = np.nan_to_num(values)
    if len(values) < 3:
        return values
    return jackknife_shares(float(values.mean()), _rest(np.nan_to_num(without)))


def _rest(values: Float64) -> Float64:
    """Return means of (left out, people) over all people except the one left out."""
    return (values.sum(axis=1) - np.diagonal(values)) / max(len(values) - 1, 1)


def _or_nan(variance: Float64 | float, squares: Float64 | float) -> Float64:
    """Return variances, NaN where a map is constant up to float32 rounding."""
    return np.where(variance > 1e-6 * np.asarray(squares), variance, np.nan)


def _deviations(maps: Float32, mean: Float32) -> Float32:
    """Return maps minus a mean, with 0 in place of rounding error."""
    deviations = maps - mean
    deviations[np.abs(deviations) < 1e-6 * np.abs(mean)] = 0.0
    return deviations
