"""Fit twins: networks generated from connectomes that perform people's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Values
from bids_dtg.errors import RunError
from bids_dtg.stats.splits import family_numbers
from bids_dtg.training.loop import (
    Best,
    Report,
    Schedule,
    Workplace,
    identity_of,
    place_of,
    restored_random_state,
    run_epochs,
    torch_seed,
)
from bids_dtg.training.loop import Task as TrainingTask
from bids_dtg.twin.bold import BoldRidges, Twin, bold_targets
from bids_dtg.twin.bold_runs import People as Bold
from bids_dtg.twin.network import (
    AT_ONCE,
    HyperNetwork,
    LowRank,
    MainWeights,
    ModulatedNetwork,
    Sizes,
    perform,
)
from bids_dtg.twin.recipe import (
    DEFAULT_ARCHITECTURE,
    Recipe,
    find_architecture,
    find_recipe,
)
from bids_dtg.twin.times import (
    RT,
    Gate,
    find_gate,
    fit_ridges,
    measures_of,
    observed_measures,
)
from bids_dtg.twin.training import (
    GroupTask,
    HyperTask,
    Targets,
    TimesTask,
    performed_measures,
    spread_of,
)
from bids_dtg.twin.trial_series import Segments, TaskSet

_WEIGHTS, _VALIDATION = 0, 1  # streams of random numbers of a seed
_SAMPLED = 8  # people whose trials give the first matrix of weights
_SLOWER = 1 / 3  # factor of the rate after a training that made a condition worse
_ROUNDING = 1e-3  # share by which a loss may grow and is not worse
# Distance of probabilities from 0 and 1; float32 cannot be much closer to 1.
SMALLEST = 1e-6
_PREDICTED = 1e-6  # smallest SD of predictions, as a share of the measure's
# (people, segments, steps, outputs): probabilities of buttons.
Outputs = Float32
History = Mapping[str, tuple[Mapping[str, float], ...]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted twin, and the labels of its training participants."""

    # Makes networks from connectomes; on the CPU, in eval mode.
    twin: Twin
    architecture: str  # a row of `recipe.ARCHITECTURES`
    recipe: Recipe
    tasks: TaskSet  # tasks that it performs
    people: tuple[str, ...]  # labels of the training participants
    seed: int
    history: History  # epochs of each stage
    gate: Gate | None = None  # of behaviour; None: unknown, or there is none
    bold: BoldRidges | None = None  # task BOLD; None: nobody had any

    def perform(self, connectomes: Floats, segments: Segments) -> Float32:
        """Run people's twins, made from their connectomes.

        Parameters
        ----------
        connectomes
            (people, edges), in or outside the training set.
        segments
            What they see: the same for all, or of the same people.
        """
        values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
        return run_networks(self.twin, values, segments)

    def perform_group(self, segments: Segments) -> Outputs | None:
        """Run the group's network, once for each row of inputs; None where there is none."""
        group = self.twin.group()
        if group is None:
            return None
        rows = torch.zeros(len(segments.inputs), 1)
        return run_networks(lambda some: group, rows, segments)


@torch.no_grad()
def run_networks(
    make: Callable[[Tensor], MainWeights], values: Tensor, segments: Segments
) -> Outputs:
    """Run the networks made from values, (people, n), on what the people see."""
    inputs, shared = torch.from_numpy(segments.inputs), len(segments.inputs) == 1
    presses = []
    for some in torch.split(torch.arange(len(values)), AT_ONCE):
        outputs = perform(make(values[some]), inputs if shared else inputs[some])
        outputs = outputs[..., : segments.tasks.buttons]
        presses.append(torch.sigmoid(outputs).numpy())
    return np.concatenate(presses)


def empty_twin(
    architecture: str, recipe: Recipe, edges: int, tasks: TaskSet, regions: int = 0
) -> Twin:
    """Return an untrained twin, with random or zero weights; `regions` is the number with BOLD."""
    sizes = Sizes(tasks.inputs, recipe.units, tasks.buttons)
    if find_architecture(architecture).generates_all:
        outputs = tasks.buttons + (regions if outputs_bold(architecture, recipe) else 0)
        return HyperNetwork(
            edges,
            replace(sizes, outputs=outputs),
            hidden=recipe.hyper_units,
            dropout=recipe.dropout,
            with_group=recipe.group_epochs > 0,
        )
    return LowRank(edges, len(measures_of(tasks)), sizes, rank=recipe.rank)


def fit(
    connectomes: Floats,
    segments: Segments,
    *,
    people: tuple[str, ...] | None = None,
    families: Mapping[str, str] = MappingProxyType({}),
    covariates: Float64 | None = None,
    bold: Bold | None = None,
    architecture: str = DEFAULT_ARCHITECTURE,
    recipe: Recipe | None = None,
    seed: int = 0,
    workplace: Workplace | None = None,
    report: Report = lambda line: None,
) -> Fitted:
    """Fit twins to what people did.

    Parameters
    ----------
    connectomes
        (people, edges): Fisher z of correlations, or any other numbers that describe people.
        Without any edge, all networks are the group's.
    segments
        What the same people saw and did (`bids_dtg.twin.trial_series.stack_people`).
    people
        Labels of the people; None: p1, p2, …
    families
        Families by label, where known: relatives are left out together.
    covariates
        (people, columns), finite: covariates that were removed from the connectomes
        (`bids_dtg.twin.adjustment`), and are removed from the mean times as well. None: none.
    bold
        Task BOLD of the same people, on which the published recipe is trained as well; None: none.
        For other twins, ridges predict it (`bids_dtg.twin.bold.fit_bold`).
    architecture
        A row of `bids_dtg.twin.recipe.ARCHITECTURES`.
    recipe
        Sizes and training; None: the architecture's default.
    seed
        Seed of weights, batches and the choice of validation people.
    workplace
        Device, progress bar and folder of checkpoints, from which a stopped fit resumes; None: the
        CPU, and no checkpoints are kept.
    report
        Function that gets a line of text after each epoch.

    Raises
    ------
    ValueError
        Connectomes are not finite, or not of the same people as the segments.
    RunError
        The folder holds a training with other people, another recipe or another seed.
    """
    recipe = recipe or find_recipe(architecture)
    measured = None
    if bold is not None and outputs_bold(architecture, recipe):
        measured = bold_targets(bold, segments)
    regions = 0 if measured is None else measured.shape[-1]
    values = _checked(connectomes, segments)
    labels = people or tuple(f"p{number + 1}" for number in range(len(values)))
    numbers = family_numbers(labels, families)
    with restored_random_state():
        torch.manual_seed(torch_seed(seed, _WEIGHTS))
        sizes = Sizes(segments.tasks.inputs, recipe.units, segments.tasks.buttons)
        group = (
            ModulatedNetwork(sizes, rank=recipe.rank) if recipe.group_epochs else None
        )
        twin = empty_twin(
            architecture, recipe, values.shape[1], segments.tasks, regions
        )
    arrays = (values, numbers) if measured is None else (values, numbers, measured)
    identity = _identity(arrays, segments, architecture, recipe, seed)
    with place_of(workplace) as place:
        run = _Run(
            recipe,
            segments,
            seed,
            identity,
            place,
            report,
            _split(recipe, numbers, seed),
        )
        history: History = {}
        gate, opened = None, group is None
        if group is not None:
            history = run.group(group)
            twin.start_from(group)
            if values.shape[1]:
                measures = observed_measures(segments)
                gate = find_gate(values, measures, covariates, numbers, seed=seed)
                opened = bool(gate.open.all())
        if opened:
            differences = (
                run.times(twin, values, covariates)
                if isinstance(twin, LowRank)
                else run.people(twin, values, measured, covariates)
            )
            history = {**history, **differences}
    return Fitted(
        twin.eval(), architecture, recipe, segments.tasks, labels, seed, history, gate
    )


def outputs_bold(architecture: str, recipe: Recipe) -> bool:
    """Return whether networks are trained on BOLD, as published."""
    return find_architecture(architecture).generates_all and not recipe.group_epochs


@dataclass(frozen=True, eq=False)
class _Run:
    """One fit."""

    recipe: Recipe
    segments: Segments
    seed: int
    identity: str
    workplace: Workplace
    report: Report
    # Rows of the people for training and for validation.
    split: Mapping[str, Indices]

    @property
    def parts(self) -> dict[str, Segments]:
        return {name: self.segments.people(rows) for name, rows in self.split.items()}

    def group(self, network: ModulatedNetwork) -> History:
        """Train the group's network."""
        data = {
            name: Targets.of(segments).average()
            for name, segments in self.parts.items()
        }
        length = (self.recipe.group_epochs, self.recipe.group_updates)
        best = self.train("group", partial(GroupTask, network), length, data)
        network.load_state_dict(best.state_of("network"))
        network.find_modes()
        return {"group": tuple(best.history)}

    def times(
        self,
        twin: LowRank,
        connectomes: Float32,
        covariates: Float64 | None,
    ) -> History:
        """Fit the ridges, and train the mapping of measures to weights.

        It is trained again, slower, if a condition gets worse. At last it is stretched.
        """
        ridges = fit_ridges(connectomes, observed_measures(self.segments), covariates)
        twin.edge_mean.copy_(torch.from_numpy(ridges.edge_mean))
        twin.edge_weights.copy_(torch.from_numpy(ridges.weights))
        network = twin.network.requires_grad_(False)
        observed = self.observed(self.split)
        length = (self.recipe.times_epochs, self.recipe.times_updates)
        start, rate = self._start(network), self.recipe.times_rate
        history = {}
        for stage in ("times", "times-slower"):
            make = partial(TimesTask, network, start, self.parts, observed, rate=rate)
            best = self.train(stage, make, length)
            network.cpu()  # a training on a GPU leaves it there, as no part of its task
            twin.of_measures.copy_(
                best.state["matrix"] / spread_of(observed["training"])
            )
            history[stage] = tuple(best.history)
            if not self._worse(twin, observed["training"]):
                break
            rate *= _SLOWER
        twin.of_measures.mul_(self._stretch(twin, torch.from_numpy(connectomes)))
        return history

    def _stretch(self, twin: LowRank, connectomes: Tensor) -> float:
        """Return the ratio of the SDs over people of predicted and of performed mean times.

        Training shrinks differences between people, as single presses hardly depend on them.
        """
        predicted = twin.measures(connectomes)
        buttons = run_networks(twin.with_measures, predicted, self.segments)
        performed = performed_measures(torch.from_numpy(buttons), self.segments)
        times = [measure.what == RT for measure in measures_of(self.segments.tasks)]
        sums = [
            float(np.nanstd(measures.numpy()[:, times], axis=0).sum())
            for measures in (predicted, performed)
        ]
        return sums[0] / sums[1] if all(sums) else 1.0

    def observed(self, split: Mapping[str, Indices]) -> dict[str, Tensor]:
        """Return people's measures minus the training people's mean."""
        measures = observed_measures(self.segments)
        mean = np.nanmean(measures[split["training"]], axis=0)
        return {
            name: torch.from_numpy(measures[rows] - mean).float()
            for name, rows in split.items()
        }

    def _start(self, network: ModulatedNetwork) -> Tensor:
        """Return the smallest modulation per unit of a measure: the Jacobian's pseudo-inverse."""
        some = np.arange(min(_SAMPLED, len(self.segments.action)))
        segments = self.segments.people(some)
        modulation = torch.zeros(1, network.modulations, requires_grad=True)
        shown = np.broadcast_to(
            segments.trials.task >= 0, segments.trials.scored.shape
        ).copy()
        with torch.enable_grad():
            outputs = perform(
                network.weights(modulation), torch.from_numpy(segments.inputs)
            )
            measures = performed_measures(
                torch.sigmoid(outputs), segments, shown
            ).nanmean(0)
            rows = [
                torch.autograd.grad(measure, modulation, retain_graph=True)[0]
                for measure in measures
            ]
        return torch.linalg.pinv(torch.cat(rows).nan_to_num().double()).float()

    def _worse(self, twin: LowRank, measures: Tensor) -> bool:
        """Return whether a condition's responses are less likely than under the group's network."""
        training = self.parts["training"]
        performed = run_networks(twin.with_measures, measures.nan_to_num(), training)
        nothing = torch.zeros(len(training.inputs), measures.shape[1])
        group = run_networks(twin.with_measures, nothing, training)
        losses = [condition_losses(buttons, training) for buttons in (performed, group)]
        return bool((losses[0] > losses[1] * (1 + _ROUNDING)).any())

    def people(
        self,
        twin: HyperNetwork,
        connectomes: Float32,
        bold: Float32 | None,
        covariates: Float64 | None,
    ) -> History:
        """Train a hypernetwork.

        With a network of the group, everybody is trained on, as the ridges in the first layer have
        seen everybody. The best epoch could then not be chosen: the last one is taken.
        """
        split, last = self.split, twin.group() is not None
        if last:
            split = {**split, "training": np.arange(len(connectomes))}
        if self.recipe.scale_edges:
            training_edges = connectomes[split["training"]]
            twin.edge_mean.copy_(torch.from_numpy(training_edges.mean(axis=0)))
            twin.edge_sd.copy_(
                torch.from_numpy(np.maximum(training_edges.std(axis=0), 1e-6))
            )
        if last:
            twin.start_with(self._ridges(twin, connectomes, covariates))
        parts = {name: self.segments.people(rows) for name, rows in split.items()}
        values = {
            name: torch.from_numpy(connectomes[rows]) for name, rows in split.items()
        }
        length = (self.recipe.hyper_epochs, self.recipe.hyper_updates)
        data = {
            name: Targets.of(parts[name], None if bold is None else bold[rows])
            for name, rows in split.items()
        }
        make = partial(HyperTask, twin, values, parts, self.observed(split))
        best = self.train("people", make, length, data, last=last)
        twin.load_state_dict(best.state_of("network"))
        return {"people": tuple(best.history)}

    def _ridges(
        self,
        twin: HyperNetwork,
        connectomes: Float32,
        covariates: Float64 | None,
    ) -> Tensor:
        """Return weights of ridges on scaled edges, (edges, measures), in SD of predictions.

        Measures of which nothing is predicted are left out.
        """
        scaled = (connectomes - twin.edge_mean.numpy()) / twin.edge_sd.numpy()
        measures = observed_measures(self.segments)
        ridges = fit_ridges(scaled, measures, covariates)
        spread = ridges.predict(scaled).std(axis=0)
        predicted = spread > _PREDICTED * np.nanstd(measures, axis=0)
        weights = ridges.weights[:, predicted] / spread[predicted]
        return torch.from_numpy(weights).float()

    def train(
        self,
        stage: str,
        make: Callable[..., TrainingTask],
        length: tuple[int, int],
        data: Mapping[str, Targets] | None = None,
        *,
        last: bool = False,
    ) -> Best:
        """Run or resume a stage; `length` is the number of epochs, and of updates in each.

        With `last`, all epochs are trained and the last one is taken, else the best one.
        """
        data_of_sets = data or {
            name: Targets.of(part) for name, part in self.parts.items()
        }
        task = partial(
            make,
            data_of_sets["training"],
            data_of_sets["validation"],
            self.recipe,
            length=length,
            seed=self.seed,
            identity=f"{stage} {self.identity}",
        )
        schedule = Schedule(
            epochs=length[0],
            monitor="epoch" if last else "validation_loss",
            better="max" if last else "min",
            stop_after=None if last else self.recipe.patience,
        )
        place = replace(self.workplace, folder=self.workplace.folder / stage)
        best = run_epochs(task, schedule, place, self.report)
        if not np.isfinite(best.history[best.epoch]["validation_loss"]):
            raise RunError(
                "no epoch of the training has a finite loss",
                remedy="train with lower learning rates",
            )
        return best


def button_losses(buttons: Outputs, action: Float32) -> Float32:
    """Return the cross-entropy of each button at each step, (people, segments, steps, buttons).

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, buttons or more): probabilities.
    action
        Targets of the people, as in `Segments`.
    """
    likely = np.clip(buttons[..., : action.shape[-1]], SMALLEST, 1 - SMALLEST)
    return np.asarray(-(action * np.log(likely) + (1 - action) * np.log1p(-likely)))


def condition_losses(buttons: Floats, segments: Segments) -> Float64:
    """Return the mean cross-entropy of buttons in trials of each task and condition.

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, outputs): probabilities.
    segments
        What the people saw and did.
    """
    loss = button_losses(buttons, segments.action).mean(axis=-1)
    rows = segments.trials
    shown = rows.task, rows.condition, rows.segment, rows.first_step, rows.last_step
    task, condition, segment, first, last = (
        np.broadcast_to(column, rows.scored.shape).astype(np.intp) for column in shown
    )
    step = first[..., None] + np.arange(segments.tasks.window_steps)
    within = (step <= last[..., None]) & rows.scored[..., None]
    person, trial, place = np.nonzero(within)
    losses = loss[person, segment[person, trial], step[person, trial, place]]
    group = (task * (condition.max() + 2) + condition + 1)[person, trial]
    total, number = np.bincount(group, losses), np.bincount(group)
    return np.asarray(total[number > 0] / number[number > 0])


def _split(recipe: Recipe, families: Indices, seed: int) -> dict[str, Indices]:
    """Return rows of the people for training and for validation; relatives stay together."""
    people = len(families)
    order = np.random.default_rng((seed, _VALIDATION)).permutation(people)
    few = max(1, round(recipe.validation * people)) if people > 1 else 0
    held_out = np.isin(families, families[order[:few]])
    if held_out.all() or not few:  # all are of one family
        return dict.fromkeys(("training", "validation"), np.arange(people))
    return {
        "training": np.flatnonzero(~held_out),
        "validation": np.flatnonzero(held_out),
    }


def _checked(connectomes: Floats, segments: Segments) -> Float32:
    values = np.ascontiguousarray(connectomes, np.float32)
    people = len(segments.action)
    if values.ndim != 2 or len(values) != people:
        raise ValueError(
            f"connectomes have the shape {values.shape}, expected ({people}, edges), as segments "
            f"have {people} people"
        )
    if not np.isfinite(values).all():
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise ValueError(
            f"connectomes have values that are not finite, in rows {wrong.tolist()}"
        )
    return values


def _identity(
    people: tuple[Values, ...],
    segments: Segments,
    architecture: str,
    recipe: Recipe,
    seed: int,
) -> str:
    """Return a hash that identifies a training: people, responses, recipe and seed."""
    shaping = sorted({**asdict(recipe), "patience": None}.items())
    rows = segments.trials  # tasks and conditions define the mean times
    seen = segments.inputs, segments.action, segments.scored, rows.rt_seconds
    arrays = (*people, *seen, rows.task, rows.condition)
    return identity_of(repr((architecture, shaping, seed)), arrays)
