"""Fits the network model to people's networks, resumable and with restarts (extra ``train``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from bids_dtg.array_types import Float32, Mask
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.model import NetworkModel, restored
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.recipe import DEFAULT, Recipe, find_recipe
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.dynamics.task import NetworkTask
from bids_dtg.errors import RunError
from bids_dtg.training.loop import (
    IDENTITY,
    Schedule,
    Workplace,
    identity_of,
    past_epochs,
    place_of,
    run_epochs,
    torch_threads,
)

_HELD_OUT = 4  # added to the seed, for the random choice of held-out series


@dataclass(frozen=True, eq=False)
class Restart:
    """One training, from its own random initial weights."""

    seed: int
    elbo: float  # of the last epoch, mean over training series
    held_out_elbo: float  # the same over held-out series; NaN: there are none
    history: tuple[Mapping[str, float], ...]  # a record for each epoch
    state: Mapping[str, Tensor]  # the model's weights after the last epoch


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted network model, and its training data."""

    model: NetworkModel  # on the CPU
    people: tuple[str, ...]  # labels, in the order of the model's tables
    regions: tuple[str, ...]  # names
    tr_seconds: float
    frames: int  # of each series
    trained: Mask  # (people, regions): whether a series was trained on
    restarts: tuple[Restart, ...] = ()  # all trainings, in order
    chosen: int = 0  # number of the chosen restart

    @property
    def recipe(self) -> Recipe:
        """Recipe of the model."""
        return self.model.recipe

    def infer(self, networks: Networks) -> Inferred:
        """Infer the parameters of training participants.

        Parameters
        ----------
        networks
            Their networks, from the training session or another one.

        Raises
        ------
        ValueError
            A person is not in the training set.
        """
        return infer(self.model, networks, self.people)

    def simulate(
        self, networks: Networks, *, simulations: int = 50, seed: int = 0
    ) -> Float32:
        """Simulate sessions of training participants.

        Parameters
        ----------
        networks
            People to simulate, as for `infer`; simulated sessions are as long as theirs.
        simulations
            Number of simulations for each person.
        seed
            Seed of all random numbers.

        Returns
        -------
        numpy.ndarray
            (people, simulations, regions, frames), in standard deviations of the measured series.

        Raises
        ------
        ValueError
            A person is not in the training set.
        """
        inferred = self.infer(networks)
        sessions = simulate(
            self.model, networks, inferred, simulations=simulations, seed=seed
        )
        return np.stack(list(sessions))


def fit(
    networks: Networks,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    workplace: Workplace | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Fit the model to all people together (Sip et al., 2023).

    Parameters
    ----------
    networks
        People to train on.
    recipe
        Architecture and training of the model; None: the default recipe.
    seed
        Seed of held-out series, weights, batches and noise; each further restart adds 1.
    workplace
        Device, progress bar, and the folder of checkpoints, from which an interrupted training
        continues; None: the CPU, without checkpoints.
    report
        Receives a line of text after each epoch.

    Returns
    -------
    Fitted
        The restart with the best ELBO on held-out series, or on all if none are held out.

    Raises
    ------
    RunError
        See `require_continuable`; or no training reached a finite ELBO.

    Examples
    --------
    >>> from bids_dtg.dynamics.networks import make_networks
    >>> rng = np.random.default_rng(0)
    >>> series, weights = rng.normal(size=(2, 5, 80)), rng.random((2, 5, 5))
    >>> networks = make_networks(series, weights + weights.swapaxes(1, 2), tr_seconds=0.72)
    >>> fitted = fit(networks, replace(Recipe(), epochs=1))
    >>> fitted.simulate(networks, simulations=3).shape
    (2, 3, 5, 80)
    >>> fitted.infer(networks).region_mean.shape
    (2, 5, 3)
    """
    recipe = recipe or find_recipe(DEFAULT)
    trained = choose_trained(len(networks.people), len(networks.regions), recipe, seed)
    with place_of(workplace) as place:
        require_continuable(networks, recipe, place.folder, seed=seed)
        restarts = tuple(
            _train(networks, trained, recipe, seed, number, place, report)
            for number in range(recipe.restarts)
        )
    chosen = choose_restart(restarts)
    return Fitted(
        model=restored(recipe, networks.series.shape, restarts[chosen].state),
        people=networks.people,
        regions=networks.regions,
        tr_seconds=networks.tr_seconds,
        frames=networks.frames,
        trained=trained,
        restarts=restarts,
        chosen=chosen,
    )


def require_continuable(
    networks: Networks, recipe: Recipe, folder: Path, *, seed: int = 0
) -> None:
    """Refuse to continue a training that was started with other data or settings.

    Parameters
    ----------
    networks, recipe, seed
        As for `fit`.
    folder
        Folder of the checkpoints; it may be empty.

    Raises
    ------
    RunError
        The folder holds a training with other people, another recipe or another seed.
    """
    now = _identity(networks, recipe, seed)
    for number in range(recipe.restarts):
        past = past_epochs(_place(folder, number), recipe.epochs)
        if past["history"] and past.get(IDENTITY) != now:
            raise RunError(
                f"{folder} has a training with other options, series or structural connectomes",
                expected="the same as when the training was started",
                remedy="use those of the first run, or choose another folder",
            )


def choose_trained(people: int, regions: int, recipe: Recipe, seed: int) -> Mask:
    """Draw which series are trained on, (people, regions); all if none are held out.

    Examples
    --------
    >>> int(choose_trained(5, 20, Recipe(), seed=0).sum())
    80
    """
    rng = np.random.default_rng((seed, _HELD_OUT))
    number = people * regions
    trained = np.ones(number, bool)
    trained[rng.permutation(number)[: round(recipe.held_out * number)]] = False
    return trained.reshape(people, regions)


def choose_restart(restarts: tuple[Restart, ...]) -> int:
    """Return the number of the restart with the best ELBO on held-out series, or on all.

    Raises
    ------
    RunError
        No restart has a finite ELBO.
    """
    scores = []
    for restart in restarts:
        held_out = restart.held_out_elbo
        scores.append(restart.elbo if np.isnan(held_out) else held_out)
    finite = [number for number, score in enumerate(scores) if np.isfinite(score)]
    if not finite:
        raise RunError(
            "the ELBO is not finite at the end of training",
            expected="a loss that decreases",
            remedy="train with a lower --learning-rate",
        )
    return max(finite, key=lambda number: scores[number])


def _train(
    networks: Networks,
    trained: Mask,
    recipe: Recipe,
    seed: int,
    number: int,
    workplace: Workplace,
    report: Callable[[str], None],
) -> Restart:
    """Train one restart, or continue it where an earlier run was interrupted."""
    if recipe.restarts > 1:
        report(f"restart {number + 1} of {recipe.restarts}")
    make = partial(
        NetworkTask,
        networks,
        trained,
        recipe,
        seed=seed + number,
        identity=_identity(networks, recipe, seed),
    )
    place = replace(workplace, folder=_place(workplace.folder, number))
    # A frame of the LSTMs is too little work to share: on two threads, an epoch of the published
    # recipe takes 1.8 times as long.
    with torch_threads(1):
        best = run_epochs(make, Schedule(recipe.epochs, "epoch", "max"), place, report)
    last = best.history[-1]
    return Restart(
        seed=seed + number,
        elbo=last["elbo"],
        held_out_elbo=last.get("held_out_elbo", np.nan),
        history=tuple(best.history),
        state=best.state_of("model"),
    )


def _place(folder: Path, number: int) -> Path:
    """Return the folder of a restart's checkpoints."""
    return folder / f"restart-{number + 1}"


def _identity(networks: Networks, recipe: Recipe, seed: int) -> str:
    """Return a digest of everything that a training depends on."""
    options = json.dumps({"seed": seed, **asdict(recipe)}, sort_keys=True)
    return identity_of(options, (networks.series, networks.weights))
