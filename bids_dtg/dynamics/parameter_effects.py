"""Effects of regional parameters on the simulated series of a single region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.measures import low_power
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.simulation import Drawn, external_path, run
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]

_QUANTILE = 0.8  # of the power of all network inputs: quantile of the chosen input
_DROPPED = 1 / 3  # share of the frames, at the start


@dataclass(frozen=True, eq=False)
class ParameterEffects:
    """Measures of simulated single regions, and their dependence on the parameters."""

    region: Values  # (simulations, region parameters), drawn from the prior
    figures: dict[str, Values]  # measures by name: (simulations,)
    spearman: dict[str, Values]  # by name: (region parameters,), rho with each
    slopes: dict[str, Values]  # by name: (region parameters,), of a linear fit to all
    r2: dict[str, float]  # by name: share of the variance that the linear fit explains


# Measures by their names in tables, and in words.
FIGURES = {
    "low_power": "power below 0.1 Hz, without network input",
    "external": "correlation with the external input",
    "network": "correlation with the network input",
}


def parameter_effects(
    model: NetworkModel, networks: Networks, *, simulations: int = 1000, seed: int = 0
) -> ParameterEffects:
    """Simulate single regions with parameters from the prior (Sip et al., 2023 [1]_, figure 7).

    Parameters
    ----------
    model
        Fitted model; person parameters are 0.
    networks
        People's networks: the network input at the 80th percentile of power drives all regions.
    simulations
        Number of simulated regions, each with its own parameters.
    seed
        Seed of all random draws.

    Returns
    -------
    ParameterEffects
        Measures: power below 0.1 Hz (without network input), and the correlation with the external
        and with the network input (with both). Without an external input there is no `external`.

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> rng = np.random.default_rng(0)
    >>> networks = Networks(
    ...     people=("01",),
    ...     regions=("A", "B"),
    ...     series=rng.standard_normal((1, 2, 90)).astype("f4"),
    ...     weights=np.ones((1, 2, 2), "f4") - np.eye(2, dtype="f4"),
    ...     tr_seconds=2.0,
    ... )
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=90)
    >>> found = parameter_effects(model, networks, simulations=20)
    >>> {name: rho.shape for name, rho in found.spearman.items()}
    {'low_power': (3,), 'external': (3,), 'network': (3,)}
    """
    drawn = _draw(model, simulations, networks.frames, np.random.default_rng(seed))
    network, drop = typical_input(networks), int(_DROPPED * networks.frames)
    alone = run(model, drawn, None, drop=drop)[0, :, 0]
    driven = run(model, drawn, None, drop=drop, network=network)[0, :, 0]
    figures = {"low_power": low_power(alone, networks.tr_seconds)}
    if model.recipe.external_inputs:
        figures["external"] = correlation(driven, drawn.external[drop:, 0, :, 0].T)
    figures["network"] = correlation(driven, network[drop:])
    region = drawn.region[0, :, 0]
    fits = {name: _linear(region, figure) for name, figure in figures.items()}
    return ParameterEffects(
        region=region,
        figures=figures,
        spearman={name: spearman_by_parameter(region, figure) for name, figure in figures.items()},
        slopes={name: slopes for name, (slopes, _) in fits.items()},
        r2={name: r2 for name, (_, r2) in fits.items()},
    )


def typical_input(networks: Networks) -> Values:
    """Return the network input, (frames,), at the 80th percentile of power of all regions.

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
    series: Values = inputs[np.argsort(power)[int(_QUANTILE * len(power))]]
    return series


def _draw(model: NetworkModel, simulations: int, frames: int, rng: np.random.Generator) -> Drawn:
    recipe, size = model.recipe, (1, simulations)
    noise = rng.standard_normal((simulations, frames, max(1, recipe.external_inputs)))
    return Drawn(
        region=rng.standard_normal((*size, 1, recipe.region_parameters)),
        person=np.zeros((*size, recipe.person_parameters)),
        first=rng.standard_normal((*size, 1, recipe.states)),
        external=np.stack([external_path(model, own) for own in noise], 1)[:, None],
        system=rng.standard_normal((frames, recipe.states, *size, 1), np.float32),
        observed=rng.standard_normal((frames, *size, 1), np.float32),
    )


def spearman_by_parameter(region: Values, figure: Values) -> Values:
    """Return Spearman's rho of a measure with each parameter.

    Parameters
    ----------
    region
        Parameters, (cases, region parameters).
    figure
        The measure, (cases,); a NaN is passed over.

    Returns
    -------
    numpy.ndarray
        (region parameters,); NaN where the parameter or the measure is constant.

    Examples
    --------
    >>> spearman_by_parameter(np.array([[1.0, 9.0], [2.0, 4.0], [3.0, 1.0]]), np.arange(3.0))
    array([ 1., -1.])
    """
    from scipy.stats import spearmanr

    return np.array([spearmanr(own, figure, nan_policy="omit").statistic for own in region.T])


def _linear(region: Values, figure: Values) -> tuple[Values, float]:
    """Return slopes, (region parameters,), and the share of the variance they explain."""
    known = np.isfinite(figure)
    wanted = figure[known] - figure[known].mean()
    design = region[known] - region[known].mean(axis=0)
    slopes, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    return slopes, float(1.0 - np.var(wanted - design @ slopes) / np.var(wanted))
