"""Named models with few parameters a person: Hopf oscillators, and the reduced Wong–Wang model.

All regions of a person have the same parameters; regions differ by their connections and, of
oscillators, by their frequency. Connections have no delays, and series are the models' own
variables: no haemodynamics are between them and the measured ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.hopf import PUBLISHED_STEP_SECONDS as HOPF_STEP
from bids_dtg.dynamics.hopf import Hopf, HopfRecipe, simulate_hopf
from bids_dtg.dynamics.steps import Array
from bids_dtg.dynamics.wong_wang import INITIAL_GATING, WongWang, WongWangRecipe, simulate_wong_wang

Series = NDArray[np.float32]

_HOPF_SECONDS = 0.1  # the longest step
_WONG_WANG_SECONDS = 0.02
_DROPPED_SECONDS = 30.0  # at the start, until the state no longer depends on it
_START_SD = 0.1  # of x and y


@dataclass(frozen=True, eq=False)
class Substrate:
    """What simulations of everybody share.

    Raises
    ------
    ValueError
        Shapes do not belong together, or there are no connections.
    """

    weights: Array  # (regions, regions), structural connectome whose largest weight is 1
    frequencies: Array  # (regions,), Hz, of the oscillators
    tr_seconds: float  # between frames

    def __post_init__(self) -> None:
        regions = len(self.weights)
        if self.weights.shape != (regions, regions) or self.frequencies.shape != (regions,):
            raise ValueError(
                f"weights is (regions, regions) and frequencies (regions,), found "
                f"{self.weights.shape} and {self.frequencies.shape}"
            )
        if not (np.isfinite(self.weights).all() and self.weights.any()):
            raise ValueError("weights are finite, and some are not 0")

    @property
    def radius(self) -> float:
        """Size of the connectome's largest eigenvalue, in which coupling is measured."""
        return float(np.abs(np.linalg.eigvals(self.weights)).max())


@dataclass(frozen=True)
class Parameter:
    """A parameter of people, and its prior: uniform between both ends.

    Examples
    --------
    >>> Parameter("noise", "noise", 0.01, 1.0, logarithmic=True).value(np.array([0.0, 0.5, 1.0]))
    array([0.01, 0.1 , 1.  ])
    """

    name: str
    words: str  # what it is, with its unit
    least: float
    most: float
    logarithmic: bool = False  # whether its logarithm is uniform

    def value(self, unit: Array) -> Array:
        """Return values from shares of the prior's range, 0 to 1."""
        if self.logarithmic:
            found: Array = self.least * (self.most / self.least) ** unit
            return found
        return self.least + (self.most - self.least) * unit


_Simulate = Callable[[Substrate, Array, int, np.random.Generator], Series]


@dataclass(frozen=True)
class NamedModel:
    """A row: a model that is known by its name."""

    words: str  # what it is
    citation: str
    parameters: tuple[Parameter, ...]
    # Of parameters (sessions, parameters), frames and a generator: (sessions, regions, frames).
    simulate: _Simulate

    def values(self, unit: Array) -> Array:
        """Return parameters (..., parameters) from shares of the prior's ranges, 0 to 1."""
        columns = [row.value(unit[..., n]) for n, row in enumerate(self.parameters)]
        return np.stack(columns, axis=-1)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[Any]:
    while True:
        yield rng.standard_normal(shape, np.float32)


def _single(values: Array) -> Any:
    return np.ascontiguousarray(values, np.float32)


def _timing(substrate: Substrate, frames: int, longest: float) -> dict[str, Any]:
    """Return the fields of a recipe: a whole number of steps a frame, none longer than that."""
    tr = substrate.tr_seconds
    dropped = int(np.ceil(_DROPPED_SECONDS / tr))
    return {
        "step_seconds": tr / int(np.ceil(tr / longest - 1e-9)),
        "frame_seconds": tr,
        "seconds": (frames + dropped) * tr,
        "dropped_seconds": dropped * tr,
        "noise_scaling": "root-time",
        "precision": np.float32,
    }


def _hopf(substrate: Substrate, values: Array, frames: int, rng: np.random.Generator) -> Series:
    """Simulate oscillators: of G, a and the noise of each session."""
    coupling, bifurcation, noise = values.T
    sessions, regions = len(values), len(substrate.weights)
    network = Hopf(
        _single(substrate.weights[None]),
        _single(coupling[None] / substrate.radius),
        _single(bifurcation[None, :, None]),
        _single(substrate.frequencies[None]),
        HopfRecipe(**_timing(substrate, frames, _HOPF_SECONDS), noise_of="departure"),
        _single(noise[None] * np.sqrt(HOPF_STEP)),
    )
    shape = (1, sessions, 2, regions)
    start: Any = _START_SD * rng.standard_normal(shape, np.float32)
    return np.asarray(simulate_hopf(network, start, _noise(rng, shape))[0], np.float32)


def _wong_wang(
    substrate: Substrate, values: Array, frames: int, rng: np.random.Generator
) -> Series:
    """Simulate mean-field models: of G and sigma of each session."""
    coupling, sigma = values.T
    shape = (1, len(values), len(substrate.weights))
    network = WongWang(
        _single(substrate.weights[None]),
        _single(coupling[None] / substrate.radius),
        _single(sigma[None, :, None]),
        WongWangRecipe(**_timing(substrate, frames, _WONG_WANG_SECONDS), frame_times="ends"),
    )
    start: Any = rng.uniform(*INITIAL_GATING, shape).astype(np.float32)
    return np.asarray(simulate_wong_wang(network, start, _noise(rng, shape))[0], np.float32)


_COUPLING = "global coupling, times the largest eigenvalue of the structural connectome"
# A new named model is a row; its name is a recipe.
NAMED: Mapping[str, NamedModel] = MappingProxyType(
    {
        "hopf": NamedModel(
            words="Hopf oscillators",
            citation="Deco G, Kringelbach ML, Jirsa VK, Ritter P (2017). The dynamics of resting "
            "fluctuations in the brain: metastability and its dynamical cortical core. Scientific "
            "Reports 7, 3095. https://doi.org/10.1038/s41598-017-03073-5",
            parameters=(
                Parameter("G", _COUPLING, 0.0, 2.0),
                Parameter("a", "distance of all regions from the bifurcation, 1/s", -0.6, 0.1),
                Parameter("noise", "noise, 1/√s", 0.02, 0.3, logarithmic=True),
            ),
            simulate=_hopf,
        ),
        "wong-wang": NamedModel(
            words="the reduced Wong-Wang model",
            citation="Deco G, Ponce-Alvarez A, Mantini D, Romani GL, Hagmann P, Corbetta M (2013). "
            "Resting-state functional connectivity emerges from structurally and dynamically "
            "shaped slow linear fluctuations. Journal of Neuroscience 33, 11239-11252. "
            "https://doi.org/10.1523/JNEUROSCI.1091-13.2013",
            parameters=(
                Parameter("G", _COUPLING, 0.05, 1.0),
                Parameter("sigma", "noise in a step of 10 ms", 0.01, 0.2, logarithmic=True),
            ),
            simulate=_wong_wang,
        ),
    }
)
