"""Which features a prediction goes with: patterns that can be read, unlike weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.prediction.phenotypes import Penalty, Target, choose_alpha
from bids_dtg.stats.prediction.ridge import Features, centred_blocks, fit_ridge

Values = NDArray[np.floating[Any]]
Index = NDArray[np.integer[Any]]


def haufe_pattern(
    values: Values, predicted: Values, *, block_bytes: int = 1 << 26
) -> NDArray[np.float64]:
    """Return how features change with a prediction: cov(features, predicted) / var(predicted).

    Parameters
    ----------
    values
        (people, columns); may be memory-mapped, and is read in blocks of columns.
    predicted
        (people,), predicted values in the phenotype's unit.
    block_bytes
        Memory of a block of columns, in bytes.

    Returns
    -------
    (columns,), units of features a unit of the prediction; 0 where the prediction is constant.

    Notes
    -----
    Haufe et al. 2014, doi:10.1016/j.neuroimage.2013.10.067. A weight may serve to cancel noise;
    the pattern says where what is predicted shows.

    Examples
    --------
    >>> import numpy as np
    >>> predicted = np.array([1.0, 2.0, 3.0])
    >>> haufe_pattern(np.stack([5 * predicted, -predicted], axis=1), predicted).tolist()
    [5.0, -1.0]
    """
    own = np.asarray(predicted, np.float64) - np.mean(predicted)
    pattern = np.zeros(values.shape[1])
    variance = float(own @ own)
    if variance > 0:
        for columns, block in centred_blocks(values, block_bytes):
            pattern[columns] = own @ block / variance
    return pattern


def haufe_weights(
    values: Values,
    features: Features,
    target: Target,
    *,
    families: Index,
    confounds: Values | None = None,
    penalty: Penalty = "nested",
    seed: int = 0,
) -> NDArray[np.float64]:
    """Fit everybody and return the pattern of the fit: which features it goes with.

    Parameters
    ----------
    values
        (people, columns), those that `features` was made of; read once more.
    features, target
        Features (people, features) and phenotype of the same people.
    families
        (people,), for the choice of the penalty.
    confounds
        (people, confounds), regressed out of features and target.
    penalty, seed
        As of `predict_phenotype`; "equal" is none.

    Returns
    -------
    (columns,), units of features a unit of the fitted phenotype (of two levels, which are 2
    apart, a unit is half the way); less confounds.

    Raises
    ------
    ValueError
        If people differ.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.standard_normal(100)
    >>> x = np.outer(y, [1.0, 0.0]) + 0.1 * rng.standard_normal((100, 2))
    >>> target = Target.numbers(y)
    >>> haufe_weights(x, Features.of(x), target, families=np.arange(100)).round(1).tolist()
    [1.0, 0.0]
    """
    everybody = np.arange(len(values))
    if not len(values) == features.people == len(target.values) == len(families):
        raise ValueError("values, features, phenotype and families are not of the same people")
    fit = fit_ridge(features, everybody, everybody[:0], confounds)
    y = target.values[:, None]
    alpha = float(choose_alpha(fit, y, families, penalty, seed)[0])
    # What is fitted is at right angles to confounds, so that features need not be freed of them.
    return haufe_pattern(values, fit.fitted(y, alpha)[:, 0])
