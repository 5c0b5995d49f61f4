"""The world that simulated people share: effects of traits on connectome and responses.

It has 6 traits, which load on 15 % of the edges (30 % for images), and 12 nuisance components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bids_dtg.array_types import Codes, Float64, Floats
from bids_dtg.files.foreign import parse_table
from bids_dtg.files.text import read_packaged
from bids_dtg.phantom.streams import Purpose, stream
from bids_dtg.twin.tasks import Task, find_task
from bids_dtg.twin.trials import Trials, read_trials

Regime = Literal["easy", "hard", "images"]

TRAITS = 6
PARAMETERS = (
    "non-decision time",  # seconds
    "boundary separation",
    "drift",  # per second; in the easy condition of each task
    "face cost",  # of the drift
    "incongruent cost",  # of the drift
)
# Numbers that are drawn and not used, so that a seed still gives the worlds and people of published
# results.
SKIPPED = 20

_NUISANCE = 12
_NETWORKS = 7
_MEAN_BETWEEN, _MEAN_WITHIN = 0.05, 0.35


@dataclass(frozen=True)
class Difficulty:
    """How well behaviour can be predicted from the connectome."""

    shared: float  # share of the variance of each parameter that is due to traits
    edge_noise_sd: float  # Fisher z, like the following standard deviations
    loaded: float = 0.15  # share of the edges that a trait loads on
    loading_sd: float = 0.04
    nuisance_sd: float = 0.05
    mean_sd: float = 0.12  # over edges of the same network, or of two


# Edge noise: with 100 regions, a ridge regression on 200 people's connectomes recovers the traits
# of unseen people with r 0.99 (easy) and 0.93 (hard). Series of few regions cannot have such
# correlations, because the matrices have negative eigenvalues. Therefore connectomes of images vary
# less between edges and people.
REGIMES: dict[Regime, Difficulty] = {
    "easy": Difficulty(shared=1.0, edge_noise_sd=0.11),
    "hard": Difficulty(shared=0.4, edge_noise_sd=0.20),
    "images": Difficulty(
        shared=1.0,
        edge_noise_sd=0.02,
        loaded=0.3,
        loading_sd=0.06,
        nuisance_sd=0.015,
        mean_sd=0.05,
    ),
}


@dataclass(frozen=True, eq=False)
class TwinWorld:
    """Loadings, weights and patterns that all people of one simulation share."""

    seed: int
    regime: Regime
    regions: int
    mean: Float64  # (edges,): connectome without traits, Fisher z
    # (traits, edges): effect of one unit of a trait on the connectome
    loadings: Float64
    nuisance: Float64  # (components, edges): the same for components without effect on behaviour
    weights: Float64  # (traits, parameters): orthonormal columns

    @property
    def difficulty(self) -> Difficulty:
        """Parameters of the regime."""
        return REGIMES[self.regime]

    def traits_of(self, delta_edges: Floats) -> Float64:
        """Return the change of traits that corresponds to a change of the connectome.

        The change is projected on the generating loadings and nuisance components together, by
        least squares: the part explained by nuisance, and the part orthogonal to both, do not
        change behaviour.

        Parameters
        ----------
        delta_edges
            (..., edges): change of the connectome, Fisher z.

        Returns
        -------
        numpy.ndarray
            (..., traits): change in standard deviations of each trait.

        Examples
        --------
        >>> world = simulate_twin_world("hard", regions=20, seed=1)
        >>> world.traits_of(world.loadings[0] - 2 * world.loadings[3]).round(6) + 0.0
        array([ 1.,  0.,  0., -2.,  0.,  0.])
        >>> bool(abs(world.traits_of(world.nuisance)).max() < 1e-9)
        True
        """
        delta = np.asarray(delta_edges, np.float64)
        basis = np.concatenate([self.loadings, self.nuisance])
        return np.asarray(delta @ np.linalg.pinv(basis)[:, : len(self.loadings)])


def simulate_twin_world(regime: Regime, *, regions: int = 100, seed: int) -> TwinWorld:
    """Draw a world that people share.

    Parameters
    ----------
    regime
        ``easy``: traits determine all parameters, and edges have little noise; ``hard``: traits
        determine 40 % of the parameters' variance, and edges have more noise; ``images``: as
        ``easy``, with connectomes that series of 20 regions can nearly have.
    regions
        Number of regions of the connectome, from 8: fewer have too few edges to separate traits
        and nuisance.
    seed
        Seed of the world; the same seed gives both regimes the same loadings and weights.

    Examples
    --------
    >>> world = simulate_twin_world("easy", regions=20, seed=1)
    >>> world.loadings.shape, world.weights.shape, world.difficulty.shared
    ((6, 190), (6, 5), 1.0)
    """
    rng, edges = stream(seed, Purpose.TWIN_WORLD), regions * (regions - 1) // 2
    difficulty = REGIMES[regime]
    loaded = rng.random((TRAITS, edges)) < difficulty.loaded
    # Orthonormal columns, so that parameters are independent of each other.
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
    )


def _mean_connectome(regions: int, sd: float, rng: np.random.Generator) -> Float64:
    """Draw mean edges, stronger within networks than between them."""
    network = np.arange(regions) * _NETWORKS // regions
    rows, columns = np.triu_indices(regions, 1)
    level = np.where(network[rows] == network[columns], _MEAN_WITHIN, _MEAN_BETWEEN)
    return level + rng.normal(0.0, sd, len(rows))


# Conditions of each task: the easy one, and the one whose drift a cost lowers.
TASKS = {"faces": ("shape", "face"), "stroop": ("congruent", "incongruent")}
_COSTS = {"faces": 3, "stroop": 4}  # column of the cost in the parameters


# Means, standard deviations and smallest values of the five parameters over people.
MEANS = np.array((0.516, 1.467, 2.576, 0.212, 0.551))
SDS = np.array((0.126, 0.281, 0.367, 0.461, 0.508))
_LEAST = np.array((0.15, 0.6, 0.3, -2.0, -2.0))
_LEAST_DRIFT = 0.3  # of any condition, so that nobody is at chance
# Seconds: of the hard condition, in non-decision time.
_DELAYS = {"faces": 0.08, "stroop": 0.127}
# SDs, seconds: of a person's non-decision time from run to run, and of its change within a run.
RUN_SD, TREND_SD = 0.035, 0.10
# Share of trials without a response: a beta distribution.
_LAPSE_MEAN, _LAPSE_SD = 0.022, 0.057


def parameters_of(standard: Floats) -> Float64:
    """Return parameters from standardised ones, (people, 5).

    Examples
    --------
    >>> parameters_of(np.zeros((1, 5))).shape
    (1, 5)
    """
    return np.asarray(np.maximum(MEANS + SDS * standard, _LEAST))


def start_seconds(parameters: Float64, task: str) -> Float64:
    """Return the non-decision time in both conditions of a task, (people, 2)."""
    return np.asarray(parameters[:, :1] + np.array([0.0, _DELAYS[task]]))


def drifts_of(parameters: Float64, task: str) -> Float64:
    """Return the drift in both conditions of a task, (people, 2)."""
    drift, cost = parameters[:, 2], parameters[:, _COSTS[task]]
    return np.maximum(np.stack([drift, drift - cost], axis=1), _LEAST_DRIFT)


def lapses_of(uniform: Float64) -> Float64:
    """Return shares of trials without a response from quantiles (0 to 1) over people."""
    from scipy.special import betaincinv

    size = _LAPSE_MEAN * (1.0 - _LAPSE_MEAN) / _LAPSE_SD**2 - 1.0
    return np.asarray(
        betaincinv(_LAPSE_MEAN * size, (1.0 - _LAPSE_MEAN) * size, uniform)
    )


# Task entity of each shipped sequence -> name of its task.
SEQUENCES: Mapping[str, str] = {
    "hammerAP": "faces",
    "stroopAP": "stroop",
    "stroopPA": "stroop",
}
_WORD = "stimulus_text"  # the column with the word, which may name a wrong button


@dataclass(frozen=True, eq=False)
class TrialSequence:
    """Stimuli of a run, without responses."""

    name: str  # task entity of its event files
    trials: Trials  # without responses
    rows: tuple[Mapping[str, str], ...]  # of the event file, one row per trial
    lure: Codes  # (n,): the button that the word stands for; -1: no word


def trial_sequence(name: str) -> TrialSequence:
    """Return a shipped sequence.

    Parameters
    ----------
    name
        ``hammerAP`` (faces), ``stroopAP`` or ``stroopPA``.

    Examples
    --------
    >>> stroop = trial_sequence("stroopAP")
    >>> stroop.trials.task.name, len(stroop.rows), stroop.lure[:3]
    ('stroop', 78, array([2, 0, 1], dtype=int8))
    """
    file = f"sequence_files/task-{name}_events.tsv"
    rows = parse_table(read_packaged("bids_dtg.twin.phantom", file), Path(file)).dicts()
    task = find_task(SEQUENCES[name])
    return TrialSequence(name, read_trials(task, rows), tuple(rows), _lures(task, rows))


def _lures(task: Task, rows: list[dict[str, str]]) -> Codes:
    words = [row.get(_WORD, "") for row in rows]
    return np.array(
        [task.buttons.index(w) if w in task.buttons else -1 for w in words], np.int8
    )
