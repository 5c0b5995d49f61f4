"""In-silico interventions: a twin's behaviour after its connectome moves along a gradient.

A function of behaviour, such as a mean response time, has a gradient with respect to the
connectome, computed by backpropagation through the network (Takahashi et al., 2026,
doi:10.34133/bmef.0231). It is shown as a map of edges. Most of it is noise of the fit, along which
people hardly differ. Connectomes are therefore moved along the gradient times the covariance of
connectomes over people outside the training set. For a linear model, this is the difference between
people who differ in the predicted function (Haufe et al., 2014,
doi:10.1016/j.neuroimage.2013.10.067).

An effect inside a model is not evidence of an effect in a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float64, Floats, Integers, Values
from bids_dtg.stats.permutation import permuted_orders
from bids_dtg.twin.bold import (
    BoldRidges,
    performed_responses,
    response_conditions,
    responses,
)
from bids_dtg.twin.bold_runs import People
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.network import AT_ONCE, LowRank, MainWeights, perform
from bids_dtg.twin.times import (
    ACCURACY,
    EFFECT,
    RT,
    Target,
    fit_ridges,
    observed_measures,
    targets_of,
)
from bids_dtg.twin.training import performed_measures
from bids_dtg.twin.trial_series import Segments, TaskSet

_AMYGDALA = "amygdala"  # in the names of regions
FEWEST_PEOPLE = 10  # outside the training set
STEP_SIZES = (0.5, 1.0, 1.5, 2.0, 2.5)
# Of SmoothGrad: noisy connectomes, and their noise in SD of all edges.
COPIES, NOISE = 10, 0.1
_AT_ONCE = 20  # people in a batch: states of all steps are kept for the gradient
_SAMPLES = 2000  # of people, for the interval of a slope
_ROUNDING = 1e-12  # share of a variance that is rounding
_SINGLE = 1e-5  # share of the largest value that is rounding of single precision


def functions_of(tasks: TaskSet, bold: BoldRidges | None = None) -> tuple[Target, ...]:
    """Return the functions of behaviour: mean times and effects, then each task's accuracy.

    With BOLD, regional contrasts (second condition minus first) follow, for regions whose responses
    connectomes predict, and for the amygdalae, whose response to faces is the published affective
    function.
    """
    return (
        *targets_of(tasks),
        *(Target(task.name, ACCURACY) for task in tasks.tasks),
        *(Target(task, region) for task, region, _, _ in _contrasts(tasks, bold)),
    )


def _contrasts(
    tasks: TaskSet, bold: BoldRidges | None
) -> Iterator[tuple[str, str, int, int]]:
    """Yield task and region of each function of BOLD, with row and first column of responses."""
    if bold is None:
        return
    columns = response_conditions(tasks)
    for task in tasks.tasks:
        if len(task.conditions) < 2:
            continue
        first = columns.index((task.name, task.conditions[0]))
        for row, region in enumerate(bold.regions):
            if bold.open[row] or (
                _AMYGDALA in region.lower() and np.isfinite(bold.sd[row])
            ):
                yield task.name, region, row, first


def _differences(amplitudes: Any, tasks: TaskSet, bold: BoldRidges) -> list[Any]:
    """Return each function of BOLD, (people,), from responses (people, regions, conditions)."""
    return [
        amplitudes[:, row, first + 1] - amplitudes[:, row, first]
        for _, _, row, first in _contrasts(tasks, bold)
    ]


def sign_of(function: Target) -> int:
    """Return whether an intervention raises (1) or lowers (-1) a function."""
    return 1 if function.what == ACCURACY else -1


def performed_functions(buttons: Tensor, segments: Segments) -> Tensor:
    """Return the functions of networks' behaviour, (people, functions); differentiable.

    Parameters
    ----------
    buttons
        (people, segments, steps, buttons or more): probabilities of presses.
    segments
        What the people saw, and which of their trials are scored.
    """
    return performed_measures(buttons, segments)[:, : len(functions_of(segments.tasks))]


def observed_functions(
    segments: Segments, ridges: BoldRidges | None = None, bold: People | None = None
) -> Float64:
    """Return the functions of people's own behaviour, (people, functions).

    Parameters
    ----------
    segments
        What the people saw and did.
    ridges, bold
        Ridges of BOLD, and people's BOLD; None: none, or not measured.
    """
    measures = observed_measures(segments)[:, : len(functions_of(segments.tasks))]
    if ridges is None:
        return measures
    amplitudes = np.full((len(measures), *ridges.responses.shape), np.nan)
    if bold is not None:
        amplitudes = responses(ridges.scaled(bold), segments)
    contrasts = _differences(amplitudes, segments.tasks, ridges)
    return np.column_stack([measures, *contrasts])


def predicted_functions(
    fitted: Fitted, connectomes: Floats, segments: Segments
) -> Float64:
    """Run the twins of connectomes (people, edges) and return their functions."""
    buttons = torch.from_numpy(fitted.perform(connectomes, segments))
    measures = performed_functions(buttons, segments).double()
    values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
    with torch.no_grad():
        bold_values = [
            _responses(fitted, values[some], segments.people(some.numpy()))
            for some in torch.split(torch.arange(len(values)), AT_ONCE)
        ]
    return torch.cat([measures, torch.cat(bold_values)], -1).numpy()


def _responses(fitted: Fitted, connectomes: Tensor, segments: Segments) -> Tensor:
    """Return the functions of BOLD, (people, functions); differentiable in connectomes."""
    ridges, tasks = fitted.bold, segments.tasks
    if ridges is None or not any(_contrasts(tasks, ridges)):
        return torch.zeros(len(connectomes), 0, dtype=torch.float64)
    amplitudes = performed_responses(ridges, fitted.twin, connectomes, segments)
    return torch.stack(_differences(amplitudes, tasks, ridges), -1)


def gradients_of(
    fitted: Fitted, connectomes: Floats, segments: Segments, *, seed: int = 0
) -> tuple[Float64, Float64 | None]:
    """Compute the gradients of all functions by backpropagation, averaged over people.

    For hypernetworks they are averaged over 10 noisy copies of each connectome as well (SmoothGrad:
    Smilkov et al., 2017, arXiv:1706.03825); the paper used 100 copies.

    Parameters
    ----------
    fitted
        The twin.
    connectomes
        (people, edges), Fisher z, of the people to average over.
    segments
        What they see: the same for all, or of the same people.
    seed
        Of the noise.

    Returns
    -------
    tuple
        Gradients in edges, (functions, edges), units of the function per unit of Fisher z, and in
        predicted measures, (functions of behaviour, measures); None: the twin predicts none.
    """
    values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
    twin = fitted.twin
    if isinstance(twin, LowRank):
        behaviour = partial(_performed, twin.with_measures)
        measures = _mean_gradient(behaviour, twin.measures(values), segments)
        edges = measures @ twin.edge_weights.double().numpy().T
        bold_values = _mean_gradient(partial(_responses, fitted), values, segments)
        return np.concatenate([edges, bold_values]), measures
    generator = torch.Generator().manual_seed(seed)
    spread = NOISE * float(values.std(correction=0))

    def everything(some: Tensor, part: Segments) -> Tensor:
        return torch.cat(
            [_performed(twin, some, part), _responses(fitted, some, part)], -1
        )

    gradients = [
        _mean_gradient(
            everything,
            values + spread * torch.randn(values.shape, generator=generator),
            segments,
        )
        for _ in range(COPIES)
    ]
    return np.mean(gradients, axis=0), None


def _performed(
    make: Callable[[Tensor], MainWeights], values: Tensor, segments: Segments
) -> Tensor:
    """Return the functions of behaviour of networks made from values."""
    outputs = perform(make(values), torch.from_numpy(segments.inputs))
    return performed_functions(torch.sigmoid(outputs), segments)


def _mean_gradient(
    find: Callable[[Tensor, Segments], Tensor], values: Tensor, segments: Segments
) -> Float64:
    """Return each function's gradient in values, (functions, n): a mean over known people."""
    total = people = torch.zeros(())
    for some in torch.split(torch.arange(len(values)), _AT_ONCE):
        part = segments.people(some.numpy())
        leaf = values[some].detach().requires_grad_()
        with torch.enable_grad():
            functions = find(leaf, part)
            rows = [
                torch.autograd.grad(function.nansum(), leaf, retain_graph=True)[0]
                for function in functions.T
            ]
        if not rows:
            return np.zeros((0, values.shape[1]))
        total = total + torch.stack(rows).double().sum(1)
        people = people + functions.isfinite().sum(0)
    return (total / people.clamp(min=1)[:, None]).numpy()


def along(gradient: Float64, connectomes: Floats) -> Float64:
    """Return the change of a connectome that raises a function by one SD over people, (edges,).

    Parameters
    ----------
    gradient
        (edges,), of the function.
    connectomes
        (people, edges), of people outside the training set, whose covariance is the metric.

    Examples
    --------
    >>> people = np.array([[0.0, 1.0], [2.0, 1.0]])
    >>> along(np.array([0.1, 5.0]), people).round(3).tolist()
    [1.414, 0.0]
    """
    centred = np.asarray(connectomes, np.float64) - np.mean(connectomes, axis=0)
    direction = centred.T @ (centred @ gradient) / (len(centred) - 1)
    return np.asarray(direction / np.sqrt(gradient @ direction))


def selective(
    gradients: Float64, target: int, held: Sequence[int], connectomes: Floats
) -> Float64:
    """Return the change that raises one function and keeps others constant, to first order.

    Parameters
    ----------
    gradients
        (functions, edges).
    target, held
        Rows of the function to move, and of the functions to hold.
    connectomes
        As in `along`.

    Examples
    --------
    >>> people = np.random.default_rng(0).standard_normal((50, 6))
    >>> gradients = np.eye(6)[:2]
    >>> float((gradients @ selective(gradients, 0, [1], people)).round(6)[1]) + 0.0
    0.0
    """
    centred = np.asarray(connectomes, np.float64) - np.mean(connectomes, axis=0)
    scores = centred @ gradients.T
    covariance = scores.T @ scores / (len(centred) - 1)
    held_rows = np.asarray(held, np.intp)
    share = np.linalg.lstsq(
        covariance[np.ix_(held_rows, held_rows)],
        covariance[held_rows, target],
        rcond=None,
    )[0]
    return along(gradients[target] - share @ gradients[held_rows], connectomes)


@dataclass(frozen=True)
class Slope:
    """The slope of an observed function on the predicted one, over unseen people.

    Multiplied by the slope, the predicted change of a move becomes the mean difference between
    people that far apart (Cox, 1958, doi:10.1093/biomet/45.3-4.562). This does not show that the
    difference is causal.
    """

    value: float
    low: float  # of the 95 % interval, by bootstrap over families
    high: float
    r: float
    people: int  # a family counts as one

    @property
    def why_not(self) -> str:
        """Why changes cannot be calibrated; empty where they can."""
        if self.people < FEWEST_PEOPLE:
            return f"{self.people} people outside the training set, {FEWEST_PEOPLE} are needed"
        if not (self.low > 0 or self.high < 0):
            return "predicted and observed values are not correlated over people"
        return ""


def slope_of(
    predicted: Float64,
    observed: Float64,
    families: Integers | None = None,
    *,
    seed: int = 0,
) -> Slope:
    """Return the slope over people, (people,) each; a person with NaN is left out.

    Families, given by number, are resampled as wholes; None: nobody has relatives.

    Examples
    --------
    >>> predicted = np.linspace(0.7, 0.9, 30)
    >>> round(slope_of(predicted, 2 * predicted).value, 9)
    2.0
    """
    finite = np.isfinite(predicted) & np.isfinite(observed)
    x, y = np.asarray(predicted)[finite], np.asarray(observed)[finite]
    names = np.arange(len(finite)) if families is None else families
    kin, unit = np.unique(names[finite], return_inverse=True)
    number, r = len(kin), correlation_of(x, y)
    if number < 2 or np.isnan(r):
        return Slope(np.nan, np.nan, np.nan, np.nan, number)
    drawn = np.random.default_rng(seed).multinomial(
        number, np.full(number, 1 / number), _SAMPLES
    )
    low, high = np.nanpercentile(_slopes(x, y, drawn[:, unit]), [2.5, 97.5])
    (value,) = _slopes(x, y, np.ones((1, len(x))))
    return Slope(float(value), float(low), float(high), r, number)


def correlation_of(x: Float64, y: Float64) -> float:
    """Return r over the people with both values; NaN where one of them does not vary."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    defined = len(x) > 1 and varies(x) and varies(y)
    return float(np.corrcoef(x, y)[0, 1]) if defined else np.nan


def varies(values: Float64) -> bool:
    """Return whether values differ by more than the rounding of single precision."""
    return bool(
        np.nanmax(values) - np.nanmin(values) > _SINGLE * np.nanmax(np.abs(values))
    )


def _slopes(x: Float64, y: Float64, counts: Values) -> Float64:
    """Return slopes of y on x by weights of people, (samples, people); NaN: x is constant."""
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y, xx, xy = (
        counts @ values / counts.sum(axis=1) for values in (x, y, x * x, x * y)
    )
    power = xx - mean_x**2
    varies = power > _ROUNDING * x.var()
    slopes = np.full(len(power), np.nan)
    return np.asarray(np.divide(xy - mean_x * mean_y, power, out=slopes, where=varies))


def evidence_of(measures: Float64, gradients: Float64, observed: Float64) -> Float64:
    """Return each function's SD over people times its correlation with the observed function.

    Functions are taken as linear in predicted measures.

    Parameters
    ----------
    measures
        (people, measures), predicted for people outside the training set.
    gradients
        (functions, measures).
    observed
        (people, functions).

    Returns
    -------
    numpy.ndarray
        (functions,): the part of a step of one SD that is predicted correctly.
    """
    evidence = []
    for function, observed_values in zip(
        (measures @ gradients.T).T, observed.T, strict=True
    ):
        finite = np.isfinite(observed_values)
        x, y = function[finite], observed_values[finite]
        enough = len(x) >= FEWEST_PEOPLE and varies(x) and varies(y)
        evidence.append(
            function.std(ddof=1) * np.corrcoef(x, y)[0, 1] if enough else 0.0
        )
    return np.array(evidence)


def permuted_evidence(
    training: tuple[Floats, Float64, Float64 | None, Integers],
    unseen: Floats,
    gradients: Float64,
    observed: Float64,
    *,
    permutations: int,
    seed: int = 0,
) -> Float64:
    """Return the evidence (`evidence_of`) of ridges that are fitted to permuted behaviour.

    Only the ridges of a twin depend on connectomes, so only they are fitted again.

    Parameters
    ----------
    training
        Connectomes (people, edges), measures (people, measures), covariates and numbers of families
        (people,) of the training people: whole families are permuted.
    unseen
        Connectomes of the people outside the training set.
    gradients, observed
        As in `evidence_of`.
    permutations, seed
        Number and seed of permutations of behaviour over training people.

    Returns
    -------
    numpy.ndarray
        (permutations, functions).
    """
    connectomes, measures, covariates, families = training
    evidence = []
    for order in permuted_orders(families, permutations, seed=seed):
        permuted_covariates = None if covariates is None else covariates[order]
        ridges = fit_ridges(connectomes, measures[order], permuted_covariates)
        evidence.append(evidence_of(ridges.predict(unseen), gradients, observed))
    return np.array(evidence)


def held_with(functions: Sequence[Target], target: int) -> list[int]:
    """Return the rows of the functions that a selective move holds: the other mean times."""
    return [
        row
        for row, function in enumerate(functions)
        if function.what == RT
        and row != target
        and functions[target].what in (RT, EFFECT)
    ]
