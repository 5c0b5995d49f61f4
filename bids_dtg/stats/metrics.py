"""Scores of predicted maps against measured ones: fidelity and individuality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask

Maps = Floats  # (people, voxels)


# Dice is taken at the strongest 5 %, 10 %, …, 50 % of the voxels.
DICE_PERCENTAGES = range(5, 51, 5)
_TIE = 1e-6  # r that differ by less count as equal, because float32 sums are rounded


@dataclass(frozen=True)
class Diagonality:
    """How much more a person's prediction resembles their own map than others'."""

    index: float  # mean over people of r_ii minus the mean of the row's other entries
    product: float  # mean over people of that difference times r_ii ("as published")
    ratio: float  # index divided by the mean r_ii


def correlation_matrix(pred: Maps, true: Maps) -> Float64:
    """Correlate each predicted map with each measured map, over voxels.

    Parameters
    ----------
    pred, true
        Maps of one contrast, (people, voxels). The numbers of people may differ.

    Returns
    -------
    numpy.ndarray
        Pearson r, (predicted people, measured people): **rows are predictions**,
        columns measured maps. NaN in the row or column of a constant map, for which r is
        not defined.

    Raises
    ------
    ValueError
        If the inputs are not (people, voxels) with the same number of voxels.

    Examples
    --------
    >>> import numpy as np
    >>> true = np.random.default_rng(0).standard_normal((3, 500))
    >>> correlation_matrix(2 * true + 1, true).round(1).diagonal()
    array([1., 1., 1.])
    """
    predicted, measured = _as_maps(pred, "pred"), _as_maps(true, "true")
    if predicted.shape[1] != measured.shape[1]:
        raise ValueError(
            f"pred and true need the same voxels, found {predicted.shape[1]} "
            f"and {measured.shape[1]}"
        )
    r: Float64 = _standardised(predicted) @ _standardised(measured).T
    return np.clip(r, -1.0, 1.0)


def diagonality(matrix: Floats) -> Diagonality:
    """Summarise a people × people correlation matrix as individuality.

    Parameters
    ----------
    matrix
        Square, people in the same order on both axes; rows are measured maps, so
        ``correlation_matrix(predicted, measured).T``. Swapping the axes leaves the index and the
        ratio as they are, and changes the product slightly.

    Returns
    -------
    Diagonality
        Index, product and ratio. All are NaN if an entry is NaN, so that nothing is left out
        silently; the ratio is NaN if the mean of the diagonal is 0.

    Raises
    ------
    ValueError
        If the matrix is not square or has fewer than two people.

    Notes
    -----
    Serin et al. 2025 define "normalised diagonality" as a ratio, but the values in their figures
    agree only with the product. Both are returned, under their own names.

    Examples
    --------
    >>> import numpy as np
    >>> scores = diagonality(np.array([[0.8, 0.2], [0.3, 0.7]]))
    >>> round(scores.index, 2)
    0.5
    """
    r = np.asarray(matrix, dtype=np.float64)
    if r.ndim != 2 or r.shape[0] != r.shape[1]:
        raise ValueError(f"a people-by-people matrix is square, found {r.shape}")
    people = r.shape[0]
    if people < 2:
        raise ValueError(
            f"diagonality compares people: at least 2 needed, found {people}"
        )
    same_person = np.diagonal(r)
    mean_of_rest = (r.sum(axis=1) - same_person) / (people - 1)
    advantage = same_person - mean_of_rest
    index = float(advantage.mean())
    mean_r = float(same_person.mean())
    return Diagonality(
        index=index,
        product=float((advantage * same_person).mean()),
        ratio=index / mean_r if mean_r else np.nan,
    )


def identification_accuracy(matrix: Floats) -> float:
    """Return the share of measured maps that match their own person's prediction best.

    Parameters
    ----------
    matrix
        Square, of one contrast: **rows are measured maps**, columns predictions, so
        ``correlation_matrix(predicted, measured).T``.

    Returns
    -------
    float
        0 to 1. If n predictions tie for the best (to six decimals), the person's own among them,
        the person counts as 1 / n. So a constant prediction scores 1 / people, which is chance.
        An undefined r counts as lower than any other.

    Raises
    ------
    ValueError
        If the matrix is not square.

    Examples
    --------
    >>> import numpy as np
    >>> identification_accuracy(np.array([[0.8, 0.2], [0.9, 0.7]]))
    0.5
    >>> identification_accuracy(np.full((4, 4), np.nan))
    0.25
    """
    better, tied = rivals(matrix)
    credit = 1.0 / (1 + tied.sum(axis=1))
    return float(np.where(better.any(axis=1), 0.0, credit).mean())


def fingerprinting_score(matrix: Floats) -> float:
    """Return the published fingerprinting score: share identified times mean r with the own map.

    Parameters
    ----------
    matrix
        As for `identification_accuracy`, of one contrast.

    Returns
    -------
    float
        -1 to 1. A tie counts as a miss. So does an undefined r, which is 0 in the mean; a
        constant prediction therefore scores 0.

    Raises
    ------
    ValueError
        If the matrix is not square.

    Notes
    -----
    Serin et al. 2025, Commun. Biol. 8: 1572, as their public code computes it.

    Examples
    --------
    >>> import numpy as np
    >>> round(fingerprinting_score(np.array([[0.8, 0.2], [0.9, 0.6]])), 3)
    0.35
    """
    better, tied = rivals(matrix)
    same_person = np.diagonal(np.asarray(matrix, dtype=np.float64))
    identified = ~(better | tied).any(axis=1) & np.isfinite(same_person)
    return float(identified.mean() * np.nan_to_num(same_person).mean())


def relative_gain(mean_r: Floats, mean_r_linear: Floats) -> Float64:
    """Return a model's gain in mean r relative to the linear model.

    Parameters
    ----------
    mean_r, mean_r_linear
        Mean r over people of the model, and of the linear model of Tavor et al. 2016; one value
        per contrast.

    Returns
    -------
    numpy.ndarray
        For each contrast, the ratio of the two mean r minus 1: 0.1 where the model's is 10 %
        higher, 0 where they are equal. NaN where the linear model's mean r is 0 or negative, for
        which a ratio has no meaning.

    Examples
    --------
    >>> import numpy as np
    >>> relative_gain(np.array([0.55, 0.4, 0.3]), np.array([0.5, 0.5, -0.1])).round(2)
    array([ 0.1, -0.2,  nan])
    """
    linear = np.asarray(mean_r_linear, np.float64)
    positive = np.where(linear > 0, linear, np.nan)
    return np.asarray(mean_r, np.float64) / positive - 1


def rivals(matrix: Floats) -> tuple[Mask, Mask]:
    """Return which other people's predictions match a map better than, or as well as, its own.

    Parameters
    ----------
    matrix
        (people, people): similarity of measured (rows) and predicted maps (columns).

    Returns
    -------
    tuple
        Two boolean arrays (measured people, predicted people), False on the diagonal. Values of r
        that agree to six decimals are equal; an undefined r is lower than any defined one.

    Raises
    ------
    ValueError
        If the matrix is not square.
    """
    r = np.asarray(matrix, dtype=np.float64)
    if r.ndim != 2 or r.shape[0] != r.shape[1] or not r.size:
        raise ValueError(f"a people-by-people matrix is square, found {r.shape}")
    defined = np.where(np.isfinite(r), r, -2.0)
    advantage = defined - np.diagonal(defined)[:, None]
    off_diagonal = ~np.eye(len(r), dtype=bool)
    better = off_diagonal & (advantage > _TIE)
    tied = off_diagonal & (np.abs(advantage) <= _TIE)
    return better, tied


def residual_correlation(pred: Maps, true: Maps, mean: Maps | None = None) -> Float64:
    """Correlate predicted with measured deviations from a mean map, one value per person.

    Parameters
    ----------
    pred, true
        Maps of one contrast, (people, voxels).
    mean
        None (residual r): predictions deviate from the mean prediction for these people, and
        measured maps from their mean measured map. Adding one map to everybody's prediction does
        not change it. A map, (voxels,), such as the mean of the training people (residual r,
        training mean): both deviate from it. A better mean map raises this score, most of all
        with few training people.

    Returns
    -------
    numpy.ndarray
        Pearson r, (people,); NaN where a deviation is constant, as when a model predicts the
        same map for everybody, or with one person only.

    Raises
    ------
    ValueError
        If shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> group, deviations = rng.standard_normal(500), rng.standard_normal((3, 500))
    >>> residual_correlation(deviations, 3 * group + 2 * deviations).round(2)
    array([1., 1., 1.])
    """
    predicted, measured = _as_pair(pred, true)
    if mean is None:
        mean_predicted = predicted.mean(axis=0)
        mean_measured = measured.mean(axis=0)
    else:
        mean_predicted = mean_measured = np.asarray(mean, dtype=np.float64)
        if mean_predicted.shape != (predicted.shape[1],):
            raise ValueError(
                f"the mean map is ({predicted.shape[1]},), found {mean_predicted.shape}"
            )
    # Rounding is judged by the size of the map, not of the deviation: a map that
    # equals the mean leaves nothing but rounding error.
    predicted_size = np.abs(predicted).max(axis=1)
    measured_size = np.abs(measured).max(axis=1)
    predicted_deviations = _standardised(predicted - mean_predicted, predicted_size)
    measured_deviations = _standardised(measured - mean_measured, measured_size)
    r = (predicted_deviations * measured_deviations).sum(axis=1)
    return np.asarray(np.clip(r, -1.0, 1.0))


def dice_auc(pred: Maps, true: Maps) -> Float64:
    """Return the area under the curve of Dice overlap against threshold, one value per person.

    At each fraction p = 5 %, 10 %, …, 50 % a map's strongest voxels are those with
    ``|a| > sort(|a|)[(1 - p) n]`` (strictly; the sign is ignored), and the Dice
    overlap of both maps is integrated over p by the trapezoid rule.

    Parameters
    ----------
    pred, true
        Maps of one contrast, (people, voxels).

    Returns
    -------
    numpy.ndarray
        (people,); 0 to 0.45. The overlap is 0 if neither map has a voxel above threshold (both
        are constant).

    Raises
    ------
    ValueError
        If the shapes differ or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.random.default_rng(0).standard_normal((2, 1000))
    >>> dice_auc(maps, maps).round(2)
    array([0.45, 0.45])
    """
    predicted, measured = _as_pair(pred, true)
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all()):
        raise ValueError("dice_auc needs finite maps, found NaN or infinity")
    maps = zip(np.abs(predicted), np.abs(measured), strict=True)
    return np.array([_dice_area(pred_map, true_map) for pred_map, true_map in maps])


def _dice_area(pred: Float64, true: Float64) -> float:
    sorted_pred = np.sort(pred)
    sorted_true = np.sort(true)
    dice = []
    for percentage in DICE_PERCENTAGES:
        # Integers, because (1 - 0.05) * n in floating point is just below an integer for some n.
        rank = (100 - percentage) * len(pred) // 100
        strong_pred = pred > sorted_pred[rank]
        strong_true = true > sorted_true[rank]
        shared = int((strong_pred & strong_true).sum())
        total = int(strong_pred.sum()) + int(strong_true.sum())
        dice.append(2 * shared / total if total else 0.0)
    step = DICE_PERCENTAGES.step / 100
    mean_of_ends = (dice[0] + dice[-1]) / 2
    return float(step * (sum(dice) - mean_of_ends))


def _as_maps(maps: Maps, name: str) -> Float64:
    array = np.asarray(maps)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {array.dtype}. Expected: real numbers")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} is (people, voxels), found {array.shape}")
    return array.astype(np.float64, copy=False)


def _as_pair(pred: Maps, true: Maps) -> tuple[Float64, Float64]:
    predicted, measured = _as_maps(pred, "pred"), _as_maps(true, "true")
    if predicted.shape != measured.shape:
        raise ValueError(
            f"pred and true need the same shape, found {predicted.shape} and {measured.shape}"
        )
    return predicted, measured


def _standardised(maps: Float64, size: Float64 | None = None) -> Float64:
    """Centre each row and scale it to length 1; NaN where it is constant up to rounding."""
    largest = np.abs(maps).max(axis=1) if size is None else size
    usable = (largest > 0) & np.isfinite(largest)
    scale = np.where(usable, largest, 1.0)
    centred = maps - maps.mean(axis=1, keepdims=True)
    # Scale first: the square of a value such as 1e200 overflows.
    length = np.linalg.norm(centred / scale[:, None], axis=1) * scale
    rounding = 8 * np.finfo(np.float64).eps * largest * np.sqrt(maps.shape[1])
    length = np.where(length > rounding, length, np.nan)
    return centred / length[:, None]
