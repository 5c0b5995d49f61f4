"""The world that simulated people share: effects of traits on connectome and responses.

It has 6 traits, 12 nuisance components and loadings on 15 % of the edges, with the population
values of `population`. In two regimes confounders change both the connectome and the responses:
edges then predict responses that they do not cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.streams import Purpose, stream

Array = NDArray[np.float64]
Regime = Literal["easy", "hard", "images", "measured", "unmeasured"]

TRAITS = 6
PARAMETERS = (
    "non-decision time",  # seconds
    "boundary separation",
    "drift",  # a second; of the easy condition of each task
    "face cost",  # of the drift
    "incongruent cost",  # of the drift
)
# Numbers that are drawn and not used: with them, worlds and people of a seed stay those whose
# figures were published.
SKIPPED = 20

_NUISANCE = 12
_NETWORKS = 7
_MEAN_BETWEEN, _MEAN_WITHIN = 0.05, 0.35


@dataclass(frozen=True)
class Confounder:
    """What changes edges and responses at once, in standard deviations of people."""

    name: str
    # Change of each of `PARAMETERS`, in their standard deviations, per standard deviation.
    effects: tuple[float, ...] = (0.0,) * len(PARAMETERS)
    # Index of the parameter whose own part, independent of traits, shows in the edges; None: the
    # confounder is drawn.
    carries: int | None = None
    measured: bool = False  # whether it is a column of the table of participants


@dataclass(frozen=True)
class Difficulty:
    """How well behaviour can be predicted from the connectome."""

    shared: float  # share of the variance of each parameter that is due to traits
    edge_noise_sd: float  # Fisher z, like the following standard deviations
    loaded: float = 0.15  # share of the edges that a trait loads on
    loading_sd: float = 0.04
    nuisance_sd: float = 0.05
    mean_sd: float = 0.12  # over edges of the same network, or of two
    confounders: tuple[Confounder, ...] = ()


# Edge noise: with 100 regions, a ridge regression on 200 people's connectomes recovers the traits
# of unseen people at r 0.99 and 0.93. Series of few regions cannot have such correlations, as the
# matrices have negative eigenvalues: connectomes of images vary less between edges and people.
REGIMES: dict[Regime, Difficulty] = {
    "easy": Difficulty(shared=1.0, edge_noise_sd=0.11),
    "hard": Difficulty(shared=0.4, edge_noise_sd=0.20),
    "images": Difficulty(
        shared=1.0, edge_noise_sd=0.02, loaded=0.3, loading_sd=0.06, nuisance_sd=0.015, mean_sd=0.05
    ),
    "measured": Difficulty(
        shared=0.4,
        edge_noise_sd=0.20,
        confounders=(
            Confounder("age", (0.6, 0.3, -0.4, 0.0, 0.0), measured=True),
            Confounder("motion", (0.3, 0.0, -0.4, 0.0, 0.0), measured=True),
        ),
    ),
    "unmeasured": Difficulty(
        shared=0.4,
        edge_noise_sd=0.20,
        confounders=(
            Confounder("arousal", (-0.4, 0.0, 0.4, 0.0, 0.0)),
            Confounder("own non-decision time", carries=0),
        ),
    ),
}


@dataclass(frozen=True, eq=False)
class TwinWorld:
    """Loadings, weights and patterns that all people of one simulation share."""

    seed: int
    regime: Regime
    regions: int
    mean: Array  # (edges,): connectome without traits, Fisher z
    loadings: Array  # (traits, edges): effect of one unit of a trait on the connectome
    nuisance: Array  # (components, edges): the same for components without effect on behaviour
    weights: Array  # (traits, parameters): orthonormal columns
    confounding: Array  # (confounders, edges): effect of one unit of a confounder on the connectome

    @property
    def confounders(self) -> tuple[Confounder, ...]:
        """What changes edges and responses at once, in the order of `confounding`."""
        return self.difficulty.confounders

    @property
    def difficulty(self) -> Difficulty:
        """Parameters of the regime."""
        return REGIMES[self.regime]

    def traits_of(self, delta_edges: NDArray[np.floating]) -> Array:
        """Return the change of traits that corresponds to a change of the connectome.

        The change is projected on the generating loadings, nuisance components and loadings of
        confounders together, by least squares: the part explained by nuisance or confounders, and
        the part orthogonal to all, do not change behaviour.

        Parameters
        ----------
        delta_edges
            (..., edges): change of the connectome, Fisher z.

        Returns
        -------
        numpy.ndarray
            (..., traits): change in standard deviations of each trait.

        Raises
        ------
        ValueError
            The change has another number of edges than the connectome.

        Examples
        --------
        >>> world = simulate_twin_world("hard", regions=20, seed=1)
        >>> world.traits_of(world.loadings[0] - 2 * world.loadings[3]).round(6) + 0.0
        array([ 1.,  0.,  0., -2.,  0.,  0.])
        >>> abs(world.traits_of(world.nuisance)).max() < 1e-9
        np.True_
        """
        delta = np.asarray(delta_edges, np.float64)
        if delta.shape[-1:] != self.mean.shape:
            raise ValueError(f"a change has {len(self.mean)} edges, not {delta.shape[-1:]}")
        basis = np.concatenate([self.loadings, self.nuisance, self.confounding])
        found: Array = delta @ np.linalg.pinv(basis)[:, : len(self.loadings)]
        return found


def simulate_twin_world(regime: Regime, *, regions: int = 100, seed: int) -> TwinWorld:
    """Draw a world that people share.

    Parameters
    ----------
    regime
        ``easy``: traits determine all parameters, and edges have little noise; ``hard``: traits
        determine 40 % of the parameters' variance, and edges have more noise; ``images``: as
        ``easy``, with connectomes that series of 20 regions can nearly have; ``measured``: as
        ``hard``, with age and motion, which are known, as confounders; ``unmeasured``: as ``hard``,
        with arousal and each person's own non-decision time, which are not.
    regions
        Number of regions of the connectome, from 8: fewer have too few edges to separate traits
        and nuisance.
    seed
        Seed of the world; the same seed gives both regimes the same loadings and weights.

    Raises
    ------
    ValueError
        The regime is not known, or regions are fewer than 8.

    Examples
    --------
    >>> world = simulate_twin_world("easy", regions=20, seed=1)
    >>> world.loadings.shape, world.weights.shape, world.difficulty.shared
    ((6, 190), (6, 5), 1.0)
    """
    if regime not in REGIMES:
        raise ValueError(f"a regime is one of {', '.join(REGIMES)}, not {regime!r}")
    if regions < 8:
        raise ValueError(f"a simulated connectome needs 8 regions or more, not {regions}")
    rng, edges = stream(seed, Purpose.TWIN_WORLD), regions * (regions - 1) // 2
    difficulty = REGIMES[regime]
    loaded = rng.random((TRAITS, edges)) < difficulty.loaded
    # A column each: parameters are independent of each other in every world.
    weights = np.linalg.qr(rng.standard_normal((TRAITS, len(PARAMETERS))))[0]
    rng.standard_normal((TRAITS, SKIPPED))
    return TwinWorld(
        seed=seed,
        regime=regime,
        regions=regions,
        mean=_mean_connectome(regions, difficulty.mean_sd, rng),
        loadings=loaded * rng.normal(0.0, difficulty.loading_sd, (TRAITS, edges)),
        nuisance=rng.normal(0.0, difficulty.nuisance_sd, (_NUISANCE, edges)),
        weights=weights,
        confounding=_confounding(difficulty, edges, seed),
    )


def _confounding(difficulty: Difficulty, edges: int, seed: int) -> Array:
    """Draw loadings of confounders as those of traits are drawn, from a stream of their own."""
    rng, shape = stream(seed, Purpose.TWIN_CONFOUNDERS), (len(difficulty.confounders), edges)
    loaded = rng.random(shape) < difficulty.loaded
    found: Array = loaded * rng.normal(0.0, difficulty.loading_sd, shape)
    return found


def _mean_connectome(regions: int, sd: float, rng: np.random.Generator) -> Array:
    """Draw mean edges, stronger within networks than between them."""
    network = np.arange(regions) * _NETWORKS // regions
    rows, columns = np.triu_indices(regions, 1)
    level = np.where(network[rows] == network[columns], _MEAN_WITHIN, _MEAN_BETWEEN)
    mean: Array = level + rng.normal(0.0, sd, len(rows))
    return mean
