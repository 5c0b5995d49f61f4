"""Fit twins: networks generated from connectomes that perform people's tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bids_dtg.errors import RunError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.stats.splits import family_numbers
from bids_dtg.training.chance import borrowed_chance
from bids_dtg.training.loop import Best, Schedule, Workplace, run_epochs
from bids_dtg.training.loop import Task as TrainingTask
from bids_dtg.twin.factors import find_factors, map_factors
from bids_dtg.twin.learning import GroupTask, HyperTask, Length
from bids_dtg.twin.network.hypernetwork import HyperNetwork
from bids_dtg.twin.network.main import AT_ONCE, MainWeights, Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import Targets
from bids_dtg.twin.recipe import (
    DEFAULT_ARCHITECTURE,
    Architecture,
    Recipe,
    find_architecture,
)
from bids_dtg.twin.trial_series import Segments, TaskSet

_WEIGHTS, _VALIDATION = 0, 1  # streams of random numbers of a seed
_PREFIX = "network."
Report = Callable[[str], None]
Outputs = NDArray[np.float32]  # (people, segments, steps, buttons): probabilities


class Twin(nn.Module):
    """Makes main networks from connectomes; the part of a fit that a bundle keeps.

    Parameters
    ----------
    architecture, recipe
        How a connectome becomes a network, and how large the networks are.
    edges
        Length of a connectome's vector of edges.
    sizes
        Numbers of inputs, units and outputs of main networks.
    factors
        Number of latent factors of a modulated network; 0 where all weights are generated.
    """

    def __init__(
        self, architecture: Architecture, recipe: Recipe, edges: int, sizes: Sizes, factors: int = 0
    ) -> None:
        super().__init__()
        self.network: HyperNetwork | ModulatedNetwork
        if architecture.generates_all:
            self.network = make_hypernetwork(edges, sizes, recipe)
            return
        self.network = ModulatedNetwork(sizes, rank=recipe.rank)
        self.register_buffer("directions", torch.zeros(self.network.modulations, factors))
        self.register_buffer("edge_mean", torch.zeros(edges))
        self.register_buffer("edge_weights", torch.zeros(edges, factors))

    directions: Tensor
    edge_mean: Tensor
    edge_weights: Tensor

    def weights(self, connectomes: Tensor) -> MainWeights:
        """Make main networks from connectomes (people, edges)."""
        if isinstance(self.network, HyperNetwork):
            found: MainWeights = self.network(connectomes)
            return found
        factors = (connectomes - self.edge_mean) @ self.edge_weights
        return self.network.weights(factors @ self.directions.T)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted twin, and the labels of its training participants."""

    twin: Twin  # on the CPU, in eval mode
    architecture: str  # a row of `recipe.ARCHITECTURES`
    recipe: Recipe
    tasks: TaskSet  # tasks that it performs
    people: tuple[str, ...]  # labels of the training participants
    seed: int
    own_factors: NDArray[np.float64] | None  # (people, factors), fitted to their data; None: none
    history: Mapping[str, tuple[Mapping[str, float], ...]]  # epochs of each stage
    # Of mean times, predicted with observed, of people left out of all choices; None: not known.
    z: float | None = None

    @property
    def twins_differ(self) -> bool:
        """Whether twins of different connectomes are different; else all are the group's."""
        of_all = isinstance(self.twin.network, HyperNetwork)
        return of_all or bool(self.twin.edge_weights.any())

    def perform(self, connectomes: NDArray[np.floating], segments: Segments) -> Outputs:
        """Run people's twins, made from their connectomes.

        Parameters
        ----------
        connectomes
            (people, edges), in or outside the training set.
        segments
            What they see: the same for all, or of the same people.
        """
        values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
        return self._perform(self.twin.weights, values, segments)

    def perform_group(self, segments: Segments) -> Outputs:
        """Run the group's network, once for each row of inputs.

        Raises
        ------
        ValueError
            The architecture has no group network.
        """
        network = self.twin.network
        if not isinstance(network, ModulatedNetwork):
            raise ValueError(f"{self.architecture} has no network of the group")
        rows = torch.zeros(len(segments.inputs), network.modulations)
        return self._perform(network.weights, rows, segments)

    @torch.no_grad()
    def _perform(
        self, make: Callable[[Tensor], MainWeights], values: Tensor, segments: Segments
    ) -> Outputs:
        inputs, shared = torch.from_numpy(segments.inputs), len(segments.inputs) == 1
        found = []
        for some in torch.split(torch.arange(len(values)), AT_ONCE):
            outputs = perform(make(values[some]), inputs if shared else inputs[some])
            found.append(torch.sigmoid(outputs).numpy())
        return np.concatenate(found)


def make_hypernetwork(edges: int, sizes: Sizes, recipe: Recipe) -> HyperNetwork:
    """Return the hypernetwork of a recipe."""
    return HyperNetwork(
        edges,
        sizes,
        hidden=recipe.hyper_units,
        dropout=recipe.dropout,
        last_layer_scale=recipe.last_layer_scale,
    )


def targets_of(segments: Segments) -> Targets:
    """Return the responses of several people as tensors."""
    return Targets(
        torch.from_numpy(segments.inputs),
        torch.from_numpy(segments.action),
        torch.from_numpy(segments.scored),
    )


def fit(
    connectomes: NDArray[np.floating] | None,
    segments: Segments,
    *,
    people: tuple[str, ...] | None = None,
    families: Mapping[str, str] = MappingProxyType({}),
    covariates: NDArray[np.float64] | None = None,
    architecture: Architecture | None = None,
    seed: int = 0,
    workplace: Workplace | None = None,
    report: Report = lambda line: None,
) -> Fitted:
    """Fit twins to what people did.

    Parameters
    ----------
    connectomes
        (people, edges): Fisher z of correlations, or any other numbers that describe people. None:
        networks are of the group.
    segments
        What the same people saw and did (`bids_dtg.twin.trial_series.stack_people`).
    people
        Labels of the people; None: p1, p2, …
    families
        Families by label, of those who have one: relatives are left out together.
    covariates
        (people, columns), finite: what was taken out of the connectomes
        (`bids_dtg.twin.adjustment`). Where people have latent factors, connectomes predict what
        covariates leave of mean times. None: nothing.
    architecture
        Architecture and recipe (`bids_dtg.twin.recipe.find_architecture`); None: the default.
    seed
        Seed of weights, batches and the choice of validation people.
    workplace
        Device, progress bar and folder of checkpoints, from which a stopped call resumes; None: the
        CPU, and no checkpoints are kept.
    report
        Function that gets a line of text after each epoch.

    Raises
    ------
    ValueError
        Connectomes or covariates are not finite, or not of the same people as the segments.
    RunError
        The folder has a training of other people, another recipe or another seed.
    """
    row = architecture or find_architecture(DEFAULT_ARCHITECTURE)
    if connectomes is None and row.generates_all:
        raise ValueError(f"{row.name} makes networks from connectomes, and none were given")
    values = _checked(_none(segments) if connectomes is None else connectomes, segments)
    labels = people or tuple(f"p{number + 1}" for number in range(len(values)))
    if covariates is not None:
        _require_numbers(covariates, len(values))
    identity = _identity(values, segments, row, seed)
    with temporary_folder() if workplace is None else nullcontext(workplace.folder) as folder:
        place = replace(workplace or Workplace(folder), folder=folder)
        numbers = family_numbers(labels, families)
        run = _Run(row, segments, seed, identity, place, report, covariates, numbers)
        found = run.hypernetwork(values) if row.generates_all else run.modulated(values)
    return Fitted(
        twin=found.twin.eval(),
        architecture=row.name,
        recipe=row.recipe,
        tasks=segments.tasks,
        people=labels,
        seed=seed,
        own_factors=found.own_factors,
        history=found.history,
        z=found.z,
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """What a training has made; the fields of `Fitted`."""

    twin: Twin
    history: Mapping[str, tuple[Mapping[str, float], ...]]
    own_factors: NDArray[np.float64] | None = None
    z: float | None = None


@dataclass(frozen=True, eq=False)
class _Run:
    """One fit."""

    architecture: Architecture
    segments: Segments
    seed: int
    identity: str
    workplace: Workplace
    report: Report
    covariates: NDArray[np.float64] | None
    families: NDArray[np.intp]  # (people,), number of each person's family

    @property
    def recipe(self) -> Recipe:
        return self.architecture.recipe

    @property
    def sizes(self) -> Sizes:
        return Sizes(
            inputs=self.segments.tasks.inputs,
            units=self.recipe.units,
            buttons=self.segments.tasks.buttons,
        )

    @property
    def split(self) -> dict[str, NDArray[np.intp]]:
        """Rows of the people used for training and for validation."""
        people = len(self.segments.action)
        order = np.random.default_rng((self.seed, _VALIDATION)).permutation(people)
        few = max(1, round(self.recipe.validation * people)) if people > 1 else 0
        held_out = np.isin(self.families, self.families[order[:few]])
        if held_out.all() or not few:  # all are of one family
            return dict.fromkeys(("training", "validation"), np.arange(people))
        return {"training": np.flatnonzero(~held_out), "validation": np.flatnonzero(held_out)}

    def data(self) -> dict[str, Targets]:
        """Return people's responses, for training and for validation."""
        return {
            f"{name}_data": targets_of(self.segments.people(rows))
            for name, rows in self.split.items()
        }

    def hypernetwork(self, connectomes: NDArray[np.float32]) -> _Found:
        """Train a hypernetwork."""
        recipe = self.recipe
        with _seeded(self.seed, _WEIGHTS):
            twin = Twin(self.architecture, recipe, connectomes.shape[1], self.sizes)
        network = twin.network
        assert isinstance(network, HyperNetwork)
        if recipe.scale_edges:
            _scale_edges(network, connectomes[self.split["training"]])
        parts = {name: torch.from_numpy(connectomes[rows]) for name, rows in self.split.items()}
        make = partial(HyperTask, network, parts)
        best = self.train("people", make, Length(recipe.hyper_epochs, recipe.hyper_updates))
        network.load_state_dict(_of_network(best))
        return _Found(twin, {"people": tuple(best.history)})

    def group(self) -> tuple[ModulatedNetwork, Best]:
        """Train the group's network."""
        with _seeded(self.seed, _WEIGHTS):
            network = ModulatedNetwork(self.sizes, rank=self.recipe.rank)
        data = {name: targets.average() for name, targets in self.data().items()}
        make = partial(GroupTask, network)
        length = Length(self.recipe.group_epochs, self.recipe.group_updates)
        best = self.train("group", make, length, data)
        network.load_state_dict(_of_network(best))
        network.find_modes()
        return network, best

    def modulated(self, connectomes: NDArray[np.float32]) -> _Found:
        """Train the group's network, then fit factors and their regression on connectomes."""
        recipe = self.recipe
        network, group = self.group()
        self.report("latent factors of people …")
        found = find_factors(
            network,
            self.segments,
            number=recipe.codes,
            prior=recipe.prior,
            report=self.report,
        )
        found = replace(found, covariates=self.covariates, families=self.families)
        mapped = map_factors(connectomes, found)
        twin = Twin(
            self.architecture, recipe, connectomes.shape[1], self.sizes, found.factors.shape[1]
        )
        twin.network = network
        twin.directions.copy_(torch.from_numpy(found.directions))
        twin.edge_mean.copy_(torch.from_numpy(mapped.edge_mean))
        twin.edge_weights.copy_(torch.from_numpy(mapped.weights))
        history = {"group": tuple(group.history)}
        return _Found(twin, history, found.factors, mapped.z)

    def train(
        self,
        stage: str,
        make: Callable[..., TrainingTask],
        length: Length,
        data: Mapping[str, Targets] | None = None,
    ) -> Best:
        """Run the epochs of a stage, or resume them."""
        own = data or self.data()
        task = partial(
            make,
            own["training_data"],
            own["validation_data"],
            self.recipe,
            length=length,
            seed=self.seed,
            identity=f"{stage} {self.identity}",
        )
        schedule = Schedule(
            epochs=length.epochs,
            monitor="validation_loss",
            better="min",
            stop_after=self.recipe.patience,
        )
        place = replace(self.workplace, folder=self.workplace.folder / stage)
        with borrowed_chance(place.device):  # each epoch begins with a seed of its own
            best = run_epochs(task, schedule, place, self.report)
        if not np.isfinite(best.history[best.epoch]["validation_loss"]):
            raise RunError(
                "no epoch of the training has a finite loss",
                remedy="train with lower learning rates",
            )
        return best


def _scale_edges(network: HyperNetwork, connectomes: NDArray[np.float32]) -> None:
    """Set the mean and SD of each edge from the training people."""
    network.edge_mean.copy_(torch.from_numpy(connectomes.mean(axis=0)))
    network.edge_sd.copy_(torch.from_numpy(np.maximum(connectomes.std(axis=0), 1e-6)))


def _of_network(best: Best) -> dict[str, Tensor]:
    return {
        name.removeprefix(_PREFIX): value
        for name, value in best.state.items()
        if name.startswith(_PREFIX)
    }


class _seeded:
    """Seed torch within the block and restore the state afterwards."""

    def __init__(self, *seed: int) -> None:
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._fork = borrowed_chance()

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)


def _none(segments: Segments) -> NDArray[np.float32]:
    """Return connectomes without edges."""
    return np.zeros((len(segments.action), 0), np.float32)


def _checked(connectomes: NDArray[np.floating], segments: Segments) -> NDArray[np.float32]:
    values = np.ascontiguousarray(connectomes, np.float32)
    people = len(segments.action)
    if values.ndim != 2 or len(values) != people:
        raise ValueError(
            f"connectomes have the shape {values.shape}, expected ({people}, edges), as segments "
            f"have {people} people"
        )
    if not np.isfinite(values).all():
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise ValueError(f"connectomes have values that are not finite, in rows {wrong.tolist()}")
    return values


def _require_numbers(covariates: NDArray[np.float64], people: int) -> None:
    shape = np.shape(covariates)
    if len(shape) != 2 or shape[0] != people or not np.isfinite(covariates).all():
        raise ValueError(f"covariates are not ({people}, columns) of finite numbers: {shape}")


def _identity(
    connectomes: NDArray[np.float32],
    segments: Segments,
    architecture: Architecture,
    seed: int,
) -> str:
    """Return a hash of data, recipe and seed: a training may resume only where it is the same."""
    shaping = sorted({**asdict(architecture.recipe), "patience": None}.items())
    digest = hashlib.sha256(repr((architecture.name, shaping, seed)).encode())
    for array in (connectomes, segments.inputs, segments.action, segments.scored):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
