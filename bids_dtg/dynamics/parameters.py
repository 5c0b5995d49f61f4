"""Regional parameters of a fitted model: their use, their order, their reliability.

Signs and order of the parameters that a model learns are arbitrary: they are compared in the order
of their use, each with the sign of its correlation with a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.agreement import Agreement, agreement
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]

# Features that correlate positively with the published parameters, in the parameters' order.
SIGNED_BY = ("zero_crossings", "mean_signal_r", "network_input_r")


def latent_kl(mean: Values, sd: Values) -> Values:
    """Return the KL divergence of normal posteriors from the standard normal prior, in nats.

    Parameters
    ----------
    mean, sd
        Means and sds of the posteriors, in any common shape, such as (people, regions, parameters).

    Examples
    --------
    >>> latent_kl(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    array([0. , 0.5])
    """
    kl: Values = (sd**2 + mean**2 - 1.0) / 2.0 - np.log(sd)
    return kl


@dataclass(frozen=True, eq=False)
class Alignment:
    """The order and the signs in which parameters are compared."""

    order: NDArray[np.intp]  # (parameters,), of the model's, by decreasing use
    signs: Values  # (parameters,), 1 or -1, in that order

    def apply(self, theta: Values) -> Values:
        """Return parameters (..., parameters) in this order and with these signs.

        Examples
        --------
        >>> Alignment(np.array([1, 0]), np.array([-1.0, 1.0])).apply(np.array([3.0, 5.0]))
        array([-5.,  3.])
        """
        aligned: Values = theta[..., self.order] * self.signs
        return aligned


def align(theta: Values, kl: Values, features: Mapping[str, Values]) -> Alignment:
    """Return the order and signs that define the published parameters.

    Parameters
    ----------
    theta
        (people, regions, parameters), posterior means.
    kl
        (people, regions, parameters), as `latent_kl` returns it; or its mean, (parameters,).
    features
        By name, (people, regions), as `features.features_of` returns them.

    Returns
    -------
    Alignment
        By decreasing mean KL; the first three correlate positively with zero-crossings, correlation
        with the mean signal, and correlation with the network input, over all people and regions.

    Notes
    -----
    The order is that of Sip et al. 2023 (doi 10.1126/sciadv.abq7547), table 1; the signs are
    those of their table 2.

    Examples
    --------
    >>> theta = np.random.default_rng(0).standard_normal((4, 30, 2))
    >>> features = {"zero_crossings": -theta[..., 1], "mean_signal_r": theta[..., 0]}
    >>> found = align(theta, np.array([0.5, 2.0]), features)
    >>> found.order, found.signs
    (array([1, 0]), array([-1.,  1.]))
    """
    order = np.argsort(-np.asarray(kl).reshape(-1, theta.shape[-1]).mean(axis=0), kind="stable")
    signs = np.ones(len(order))
    for place, (number, name) in enumerate(zip(order, SIGNED_BY, strict=False)):
        if correlation(theta[..., number].ravel(), features[name].ravel()) < 0:
            signs[place] = -1.0
    return Alignment(order, signs)


@dataclass(frozen=True, eq=False)
class Retest:
    """Agreement of regional values between two sessions."""

    pairs: Agreement  # (values,), over all pairs of a person and a region
    pairs_r: Values  # (values,), Pearson r of them
    regions: Agreement  # (regions, values), over people: individual differences in a region
    regions_r: Values  # (regions, values)
    people: Agreement  # (people, values), over regions: regional differences in a person
    people_r: Values  # (people, values)


def retest(first: Values, second: Values) -> Retest:
    """Return the agreement of regional values between two sessions.

    Parameters
    ----------
    first, second
        (people, regions, values), as parameters or features, of the same people.

    Returns
    -------
    Retest
        Over all pairs, the common map of all people counts as agreement; within a region it
        does not.

    Raises
    ------
    ValueError
        If shapes differ.

    Examples
    --------
    >>> first = np.random.default_rng(0).standard_normal((10, 5, 2))
    >>> found = retest(first, first)
    >>> found.pairs.absolute.round(3), found.regions_r.shape
    (array([1., 1.]), (5, 2))
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(
            f"both sessions are (people, regions, values), found {first.shape} and {second.shape}"
        )
    both = np.stack([first, second], axis=-1).transpose(2, 0, 1, 3)  # values people regions two
    of_pairs = both.reshape(len(both), -1, 2)
    of_regions = both.transpose(2, 0, 1, 3)  # regions values people two
    of_people = both.transpose(1, 0, 2, 3)  # people values regions two
    return Retest(
        *(agreement(of_pairs), correlation(of_pairs[..., 0], of_pairs[..., 1])),
        *(agreement(of_regions), correlation(of_regions[..., 0], of_regions[..., 1])),
        *(agreement(of_people), correlation(of_people[..., 0], of_people[..., 1])),
    )
