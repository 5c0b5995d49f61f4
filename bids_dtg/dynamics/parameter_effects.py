"""Effects of regional parameters on the simulated series of a single region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.measures import low_power
from bids_dtg.dynamics.model import GenerativeModel
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
    model: GenerativeModel, networks: Networks, *, simulations: int = 1000, seed: int = 0
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
    figures = {
        "low_power": low_power(alone, networks.tr_seconds),
        "external": _with_inputs(driven, drawn.external[drop:, 0]),
        "network": correlation(driven, network[drop:]),
    }
    if not model.recipe.external_inputs:
        del figures["external"]
    region = drawn.region[0, :, 0]
    fits = {name: _linear(region, figure) for name, figure in figures.items()}
    return ParameterEffects(
        region=region,
        figures=figures,
        spearman={name: spearman_by_parameter(region, figure) for name, figure in figures.items()},
        slopes={name: slopes for name, (slopes, _) in fits.items()},
        r2={name: r2 for name, (_, r2) in fits.items()},
    )


SWEPT = (-3.0, -1.5, 0.0, 1.5, 3.0)  # values of a swept parameter, as published
SINE_HZ, SINE_AMPLITUDE = 0.014, 2.0  # of the input that drives a swept region, as published
_PERIODS = 3  # of the input that are kept; another one is dropped before them


@dataclass(frozen=True, eq=False)
class Sweep:
    """A single region simulated with some values of a parameter, without observation noise."""

    parameter: int  # its number in the model's order, from 0
    values: Values  # (values,), of that parameter; all others are 0
    driven: Values  # (frames,), the input; 0 throughout where there is none
    series: Values  # (values, frames), expected observations


def parameter_sweeps(
    model: GenerativeModel,
    strongest: Mapping[str, tuple[int, float]],
    tr_seconds: float,
    *,
    seed: int = 0,
) -> dict[str, Sweep]:
    """Simulate a region with some values of a parameter (Sip et al., 2023, figure 7, A to C).

    Parameters
    ----------
    model
        Fitted model; person parameters are 0.
    strongest
        By measure (`FIGURES`): number of the parameter to sweep, in the model's order, and its
        sign: 1, or -1 where the swept values are of its negative.
    tr_seconds
        Seconds between frames.
    seed
        Seed of the noise.

    Returns
    -------
    dict
        By measure. For `low_power` the region has no input, and all values the same noise of the
        states. For `external` and `network`, a sine of amplitude 2 at 0.014 Hz is the input, and
        there is no noise; of several external inputs, the one with the largest effect at 0 is it.
    """
    period = 1.0 / (SINE_HZ * tr_seconds)  # in frames
    drop, frames = int(np.ceil(period)), int(np.ceil((1 + _PERIODS) * period))
    sine = SINE_AMPLITUDE * np.sin(2 * np.pi * np.arange(frames) / period)
    noise = np.random.default_rng(seed).standard_normal((frames, model.recipe.states))
    inputs = model.recipe.external_inputs
    found = {}
    for name, (number, sign) in strongest.items():
        region = np.zeros((len(SWEPT), model.recipe.region_parameters))
        region[:, number] = sign * np.asarray(SWEPT)
        driven = np.zeros(frames) if name == "low_power" else sine
        shaken = noise if name == "low_power" else np.zeros_like(noise)
        network = sine if name == "network" else None
        given = np.eye(inputs) if name == "external" else np.zeros((1, inputs))
        series = [
            run(model, _still(model, region, own * driven[:, None], shaken), None, network=network)
            for own in given
        ]
        largest = max(series, key=lambda one: float(np.var(one[0, len(SWEPT) // 2, 0])))
        found[name] = Sweep(number, region[:, number], driven[drop:], largest[0, :, 0, drop:])
    return found


def _still(model: GenerativeModel, region: Values, external: Values, system: Values) -> Drawn:
    """Return simulations that start at 0 and have no observation noise.

    `region` is (simulations, region parameters), `external` (frames, external inputs) and `system`
    (frames, states), the same for all of them.
    """
    recipe, size, frames = model.recipe, (1, len(region)), len(external)
    return Drawn(
        region=region[None, :, None],
        person=np.zeros((*size, recipe.person_parameters)),
        first=np.zeros((*size, 1, recipe.states)),
        external=np.tile(external[:, None, None], (*size, 1)),
        system=np.tile(system[:, :, None, None, None], (*size, 1)),
        observed=np.zeros((frames, *size, 1)),
    )


def _with_inputs(series: Values, external: Values) -> Values:
    """Return correlations of series with their external inputs; of several, the largest in size.

    Parameters
    ----------
    series
        Simulated series, (simulations, frames).
    external
        External inputs, (frames, simulations, external inputs).
    """
    each = np.array([correlation(series, own.T) for own in np.moveaxis(external, -1, 0)])
    if not len(each):
        return np.zeros(len(series))
    largest = np.abs(each).argmax(axis=0)
    found: Values = np.take_along_axis(each, largest[None], axis=0)[0]
    return found


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


def _draw(model: GenerativeModel, simulations: int, frames: int, rng: np.random.Generator) -> Drawn:
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
