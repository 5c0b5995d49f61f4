"""Regional parameters of a fitted model: their use, order, roles and reliability.

The signs and the order of learned parameters are arbitrary. To compare models, parameters are
sorted by decreasing use, and each is given the sign of its correlation with a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Floats, Indices
from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.inference import Inferred
from bids_dtg.dynamics.measures import low_power
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.simulation import Drawn, external_path, run
from bids_dtg.stats.agreement import agreement
from bids_dtg.stats.correlation import correlation

# Features that correlate positively with the published parameters, in the order of the parameters.
SIGNED_BY = ("zero_crossings", "mean_signal_r", "network_input_r")
# Measures of simulated regions, by their names in tables.
FIGURES = {
    "low_power": "power below 0.1 Hz, without network input",
    "external": "correlation with the external input",
    "network": "correlation with the network input",
}
_QUANTILE = 0.8  # the chosen network input has this quantile of power
_DROPPED = 1 / 3  # share of the frames dropped at the start


def latent_kl(mean: Floats, sd: Floats) -> Floats:
    """Return the KL divergence of normal posteriors from the standard normal prior, in nats.

    Parameters
    ----------
    mean, sd
        Means and sds of the posteriors, in the same shape, such as (people, regions, parameters).

    Examples
    --------
    >>> latent_kl(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    array([0. , 0.5])
    """
    return (sd**2 + mean**2 - 1.0) / 2.0 - np.log(sd)


@dataclass(frozen=True, eq=False)
class Alignment:
    """The order and the signs in which parameters are compared."""

    order: Indices  # (parameters,), the model's parameters by decreasing use
    signs: Floats  # (parameters,), 1 or -1, in that order

    def apply(self, theta: Floats) -> Floats:
        """Return parameters (..., parameters) in this order and with these signs.

        Examples
        --------
        >>> Alignment(np.array([1, 0]), np.array([-1.0, 1.0])).apply(np.array([3.0, 5.0]))
        array([-5.,  3.])
        """
        return theta[..., self.order] * self.signs


def align(theta: Floats, kl: Floats, features: Mapping[str, Floats]) -> Alignment:
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
        Parameters by decreasing mean KL. Over all people and regions, the first correlates
        positively with zero-crossings, the second with the correlation with the mean signal, and
        the third with the correlation with the network input.

    Notes
    -----
    Order and signs follow tables 1 and 2 of Sip et al. 2023 (doi 10.1126/sciadv.abq7547).

    Examples
    --------
    >>> theta = np.random.default_rng(0).standard_normal((4, 30, 2))
    >>> features = {"zero_crossings": -theta[..., 1], "mean_signal_r": theta[..., 0]}
    >>> alignment = align(theta, np.array([0.5, 2.0]), features)
    >>> alignment.order, alignment.signs
    (array([1, 0]), array([-1.,  1.]))
    """
    mean_kl = np.asarray(kl).reshape(-1, theta.shape[-1]).mean(axis=0)
    order = np.argsort(-mean_kl, kind="stable")
    signs = np.ones(len(order))
    for place, (number, name) in enumerate(zip(order, SIGNED_BY, strict=False)):
        if correlation(theta[..., number].ravel(), features[name].ravel()) < 0:
            signs[place] = -1.0
    return Alignment(order, signs)


def alignment_of(inferred: Inferred, networks: Networks) -> Alignment:
    """Return the order and the signs in which a model's parameters are compared."""
    kl = latent_kl(inferred.region_mean, inferred.region_sd)
    return align(inferred.region_mean, kl, features_of(networks))


def retest(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Return the agreement of regional values between two sessions, (values,) each.

    Parameters
    ----------
    first, second
        (people, regions, values), parameters or features of the same people.

    Returns
    -------
    pair_agreement
        ICC(A,1) over all pairs of a person and a region; the map that all people share counts as
        agreement.
    people_agreement
        ICC(A,1) over people in each region, averaged over regions: the reliability of individual
        differences.

    Examples
    --------
    >>> first = np.random.default_rng(0).standard_normal((10, 5, 2))
    >>> pair_agreement, people_agreement = retest(first, first)
    >>> pair_agreement.round(3), people_agreement.round(3)
    (array([1., 1.]), array([1., 1.]))
    """
    sessions = np.stack([first, second], axis=-1)
    sessions = sessions.transpose(2, 1, 0, 3)  # (values, regions, people, sessions)
    people_agreement = np.nanmean(agreement(sessions), axis=1)
    pairs = sessions.reshape(len(sessions), -1, 2)
    return agreement(pairs), people_agreement


def parameter_effects(
    model: NetworkModel, networks: Networks, *, simulations: int = 1000, seed: int = 0
) -> dict[str, Floats]:
    """Simulate single regions with parameters from the prior (Sip et al., 2023 [1]_, figure 7).

    Parameters
    ----------
    model
        Fitted model; person parameters are 0.
    networks
        People's networks; the network input at the 80th percentile of power drives all regions.
    simulations
        Number of simulated regions, each with its own parameters.
    seed
        Seed of all random draws.

    Returns
    -------
    dict
        By measure of `FIGURES`: (region parameters,), Spearman's rho of the measure with each
        parameter. The measures are the power below 0.1 Hz, simulated without network input, and
        the correlations with the external input and with the network input, simulated with both.
        A model without external input has no `external`.

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> import torch
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> rng = np.random.default_rng(0)
    >>> networks = Networks(
    ...     people=("01",),
    ...     regions=("A", "B"),
    ...     series=rng.standard_normal((1, 2, 90)).astype("f4"),
    ...     weights=np.ones((1, 2, 2), "f4") - np.eye(2, dtype="f4"),
    ...     tr_seconds=2.0,
    ... )
    >>> with torch.random.fork_rng([]):
    ...     _ = torch.manual_seed(0)
    ...     model = NetworkModel(Recipe(), people=1, regions=2, frames=90)
    >>> rhos = parameter_effects(model, networks, simulations=20)
    >>> {name: rho.shape for name, rho in rhos.items()}
    {'low_power': (3,), 'external': (3,), 'network': (3,)}
    """
    drawn = _draw(model, simulations, networks.frames, np.random.default_rng(seed))
    network = typical_input(networks)
    drop = int(_DROPPED * networks.frames)
    alone = run(model, drawn, None, drop=drop)[0, :, 0]
    driven = run(model, drawn, None, drop=drop, network=network)[0, :, 0]
    figures = {"low_power": low_power(alone, networks.tr_seconds)}
    if model.recipe.external_inputs:
        figures["external"] = correlation(driven, drawn.external[drop:, 0, :, 0].T)
    figures["network"] = correlation(driven, network[drop:])
    region = drawn.region[0, :, 0]
    return {name: _spearman(region, figure) for name, figure in figures.items()}


def typical_input(networks: Networks) -> Floats:
    """Return the network input, (frames,), whose power is the 80th percentile over all regions.

    Examples
    --------
    >>> series = np.outer([1, 2, 3, 4, 5, 6], [1, -1]).astype("f4")[None]
    >>> networks = Networks(
    ...     ("01",), tuple("ABCDEF"), series, 2.0, weights=np.eye(6, dtype="f4")[None]
    ... )
    >>> typical_input(networks)
    array([ 5., -5.], dtype=float32)
    """
    inputs = networks.network_input.reshape(-1, networks.frames)
    power = np.square(inputs).mean(axis=1)
    return inputs[np.argsort(power)[int(_QUANTILE * len(power))]]


def _draw(
    model: NetworkModel, simulations: int, frames: int, rng: np.random.Generator
) -> Drawn:
    recipe = model.recipe
    size = (1, simulations)
    noise = rng.standard_normal((simulations, frames, max(1, recipe.external_inputs)))
    paths = [external_path(model, simulation_noise) for simulation_noise in noise]
    return Drawn(
        region=rng.standard_normal((*size, 1, recipe.region_parameters)),
        person=np.zeros((*size, recipe.person_parameters)),
        first=rng.standard_normal((*size, 1, recipe.states)),
        external=np.stack(paths, 1)[:, None],
        system=rng.standard_normal((frames, recipe.states, *size, 1), np.float32),
        observed=rng.standard_normal((frames, *size, 1), np.float32),
    )


def _spearman(region: Floats, figure: Floats) -> Floats:
    """Return rho with each parameter, (region parameters,), leaving NaN out."""
    from scipy.stats import spearmanr

    tests = [spearmanr(values, figure, nan_policy="omit") for values in region.T]
    return np.array([test.statistic for test in tests])
