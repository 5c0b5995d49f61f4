"""Regional BOLD during tasks, predicted from connectomes.

A person's BOLD has the course of the displays, convolved with the haemodynamic response. Ridges on
the connectome predict the response to each condition in regions whose gate is open, that is, where
such predictions hold in left-out people. Elsewhere it is the training people's mean response.

Published hypernetworks generate networks with outputs for BOLD. These are trained together with the
buttons (Takahashi et al., 2026, doi:10.34133/bmef.0231) and start anew in each segment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Integers, Mask
from bids_dtg.twin.bold_runs import BoldRun, People, convolved
from bids_dtg.twin.network import AT_ONCE, HyperNetwork, LowRank, perform
from bids_dtg.twin.times import by_known, find_gate, fit_ridges
from bids_dtg.twin.trial_series import STEP_SECONDS, Segments, TaskSet

Twin = LowRank | HyperNetwork

_HIGH_PASS_HZ = 0.01  # as in the published regressions
_NOTHING = 1e-3  # a condition's regressor below this has no volumes left


@dataclass(frozen=True, eq=False)
class BoldRidges:
    """Mean responses, and how they differ between people; in training SDs."""

    regions: tuple[str, ...]
    tr_seconds: float  # of the training people
    mean: Float64  # (regions,): of the training people's BOLD; NaN: the region has no signal
    sd: Float64  # (regions,)
    offsets: Float64  # (regions, tasks): mean BOLD of a run
    # (regions, conditions): mean of the training people; NaN: not measured
    responses: Float64
    contrasts: Float64  # (regions, tasks): mean of the training people
    contrast_sds: Float64  # (regions, tasks): over the training people
    edge_mean: Float64  # (edges,), of the training people
    # (edges, open regions, conditions): response per unit of an edge
    edge_weights: Float64
    z: Float64  # (regions,): agreement of predictions with responses of left-out people
    least_z: Float64  # (1,): above which a region's gate opens

    @property
    def open(self) -> Mask:
        """Regions with an open gate: connectomes predict their responses, (regions,)."""
        return np.asarray(self.z > self.least_z)

    def differ(self, twin: Twin) -> Mask:
        """Return the regions whose responses differ between twins, (regions,)."""
        return np.asarray(np.isfinite(self.sd)) if _outputs_bold(twin) else self.open

    def tensors(self) -> dict[str, Float64]:
        """Return arrays for a bundle, which cannot hold NaN: unknown values are 0."""
        arrays = {
            name: values
            for name, values in vars(self).items()
            if isinstance(values, np.ndarray)
        }
        arrays["known"] = np.isfinite(self.responses)
        return {
            name: np.nan_to_num(np.asarray(values, np.float64))
            for name, values in arrays.items()
        }

    @classmethod
    def from_tensors(
        cls,
        regions: tuple[str, ...],
        tr_seconds: float,
        arrays: Mapping[str, Float64],
        tasks: TaskSet,
    ) -> BoldRidges:
        """Return the ridges whose arrays `tensors` returned."""
        fields = {name: values.copy() for name, values in arrays.items()}
        is_known = fields.pop("known") > 0
        fields["responses"][~is_known] = np.nan
        for task in range(len(tasks.tasks)):
            fields["offsets"][~is_known[:, _columns(tasks, task)].any(axis=1), task] = (
                np.nan
            )
        for name in ("contrasts", "contrast_sds"):
            fields[name][arrays["contrast_sds"] == 0] = np.nan
        for name in ("mean", "sd"):
            fields[name][arrays["sd"] == 0] = np.nan
        return cls(regions, tr_seconds, **fields)

    def scaled(self, bold: People) -> list[list[BoldRun | None]]:
        """Return measured BOLD in SD of the training people."""
        return _scaled(bold, self.mean, self.sd)

    def predict(self, connectomes: Tensor) -> Tensor:
        """Predict responses, (people, regions, conditions): the group's where a gate is closed."""
        edges = connectomes.double() - torch.from_numpy(self.edge_mean)
        change = torch.einsum("pe,erc->prc", edges, torch.from_numpy(self.edge_weights))
        opened = torch.from_numpy(np.eye(len(self.open))[:, self.open])
        return torch.from_numpy(np.nan_to_num(self.responses)) + opened @ change


def response_conditions(tasks: TaskSet) -> tuple[tuple[str, str], ...]:
    """Return the task and condition of each column of responses.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> response_conditions(TaskSet((find_task("stroop"),)))
    (('stroop', 'congruent'), ('stroop', 'incongruent'))
    """
    return tuple((task.name, name) for task in tasks.tasks for name in task.conditions)


def _scaled(bold: People, mean: Float64, sd: Float64) -> list[list[BoldRun | None]]:
    """Return BOLD z-scored by a mean and SD."""

    def scale(run: BoldRun) -> BoldRun:
        return replace(run, values=((run.values - mean) / sd).astype(np.float32))

    return [[run and scale(run) for run in runs] for runs in bold]


@dataclass(frozen=True, eq=False)
class _Layout:
    """A person's run as networks perform it."""

    number: int  # of the run
    task: int
    segment: Indices  # of each step
    step: Indices  # in its segment
    seconds: Float64  # of each step in the run
    trials: Float64  # (trials, 3): onset and end in the run, condition

    def resembles(self, layout: _Layout) -> bool:
        """Return whether the same conditions are shown at the same times, within a step."""
        trials, layout_trials = self.trials, layout.trials
        if (self.task, trials.shape) != (layout.task, layout_trials.shape):
            return False
        is_same = np.abs(trials - layout_trials) <= [STEP_SECONDS, STEP_SECONDS, 0]
        segments = np.unique(self.segment), np.unique(layout.segment)
        return bool(is_same.all()) and np.array_equal(*segments)

    def volumes(self, tr_seconds: float) -> Float64:
        """Return times of volumes from the run's start to its last step."""
        return np.arange(min(0.0, self.seconds[0]), self.seconds[-1], tr_seconds)

    def regressors(self, volume_seconds: Float64, conditions: int) -> Float64:
        """Return regressors of conditions, the offset and, if any, trials without a condition."""
        on, off, condition = self.trials.T
        by_trial = convolved(volume_seconds, on, off)
        by_condition = [
            by_trial[:, condition == number].sum(axis=1) for number in range(conditions)
        ]
        columns = [*by_condition, np.ones(len(by_trial))]
        if (condition < 0).any():
            columns.append(by_trial[:, condition < 0].sum(axis=1))
        return np.stack(columns, axis=1)

    def between(self, volume_seconds: Float64) -> Any:
        """Return weights that interpolate steps linearly at volumes, sparse (volumes, steps).

        Volumes before the first or after the last step have no weights.
        """
        from scipy.sparse import csr_array

        after = np.clip(
            np.searchsorted(self.seconds, volume_seconds), 1, len(self.seconds) - 1
        )
        first, last = self.seconds[after - 1], self.seconds[after]
        share = (volume_seconds - first) / (last - first)
        row = np.flatnonzero((share >= 0) & (share <= 1))
        values = np.append(1 - share[row], share[row])
        places = np.tile(row, 2), np.append(after[row] - 1, after[row])
        return csr_array((values, places), shape=(len(share), len(self.seconds)))


MadeForLayouts = list[tuple[_Layout, tuple[Any, ...], Any]]


def _once(
    made_earlier: MadeForLayouts,
    layout: _Layout,
    also: tuple[Any, ...],
    make: Callable[[], Any],
) -> Any:
    """Return what was made for a similar layout and the same further key, or make it."""
    for earlier_layout, earlier_key, earlier in made_earlier:
        if earlier_key == also and layout.resembles(earlier_layout):
            return earlier
    made_earlier.append((layout, also, make()))
    return made_earlier[-1][2]


def _layouts(segments: Segments, person: int) -> Iterator[_Layout]:
    """Yield the runs of a person."""
    shown = segments.person(person)
    rows = shown.trials
    for number in np.unique(shown.run[shown.run >= 0]):
        chosen = np.flatnonzero(shown.run == number)
        chosen = chosen[np.argsort(shown.start_seconds[chosen])]
        start = shown.start_seconds[chosen]
        seconds = start[:, None] + STEP_SECONDS * np.arange(shown.inputs.shape[-2])
        # A segment is performed until the next one begins.
        place, step = np.nonzero(
            seconds < np.append(start[1:], np.inf)[:, None] - STEP_SECONDS / 2
        )
        in_run = np.isin(rows.segment, chosen) & (rows.task >= 0)
        onset = shown.start_seconds[rows.segment] + STEP_SECONDS * rows.onset_step
        trials = np.stack(
            [onset, onset + rows.display_seconds, rows.condition], axis=1
        )[in_run]
        task = int(shown.task[chosen[0]])
        yield _Layout(
            int(number), task, chosen[place], step, seconds[place, step], trials
        )


def _columns(tasks: TaskSet, task: int) -> slice:
    """Return the columns of a task's conditions."""
    counts = [len(performed.conditions) for performed in tasks.tasks]
    return slice(sum(counts[:task]), sum(counts[: task + 1]))


def _measured(
    bold: People, segments: Segments
) -> Iterator[tuple[int, _Layout, BoldRun]]:
    """Yield person, layout and BOLD of each run that has BOLD."""
    for person, runs in enumerate(bold):
        for layout in _layouts(segments, person):
            run = runs[layout.number] if layout.number < len(runs) else None
            if run is not None:
                yield person, layout, run


def _by_person(
    bold: People,
    segments: Segments,
    find: Callable[[_Layout, BoldRun, int], Float64],
    columns: Callable[[int], slice],
) -> Float64:
    """Return values of people, (people, regions, columns), averaged over runs of a task.

    Parameters
    ----------
    bold, segments
        As in `responses`.
    find
        Function of layout, BOLD and number of conditions that returns a run's values, (regions, n);
        NaN: unknown.
    columns
        Function that returns the columns of a task's values; the last task has the last column.
    """
    tasks = segments.tasks.tasks
    regions = next(
        (run.values.shape[1] for runs in bold for run in runs if run is not None), 0
    )
    total = np.zeros((len(bold), regions, columns(len(tasks) - 1).stop))
    number = np.zeros(total.shape)
    for person, layout, run in _measured(bold, segments):
        values = find(layout, run, len(tasks[layout.task].conditions))
        at = columns(layout.task)
        total[person, :, at] += np.nan_to_num(values)
        number[person, :, at] += np.isfinite(values)
    return np.asarray(total / np.where(number > 0, number, np.nan))


def responses(bold: People, segments: Segments) -> Float64:
    """Return the response of each region to each condition, by least squares.

    Regressors are the stimuli, convolved with the haemodynamic response, and an offset for each
    run. Several runs of a task are averaged.

    Parameters
    ----------
    bold
        BOLD of each person.
    segments
        What the same people saw.

    Returns
    -------
    numpy.ndarray
        (people, regions, conditions), in the units of BOLD, for a stimulus that stays on. The
        conditions are those of `response_conditions`; NaN: unknown.
    """

    def find(layout: _Layout, run: BoldRun, conditions: int) -> Float64:
        design = layout.regressors(run.seconds, conditions)[run.kept]
        # Censoring may leave nothing of a condition.
        if np.linalg.matrix_rank(design) < design.shape[1]:
            return np.full((run.values.shape[1], conditions), np.nan)
        return np.asarray(np.linalg.pinv(design)[:conditions] @ run.values[run.kept]).T

    return _by_person(bold, segments, find, lambda task: _columns(segments.tasks, task))


def contrasts(bold: People, segments: Segments) -> Float64:
    """Return each person's second condition minus the first one, as published.

    Regressors are the stimuli of each condition, convolved with Glover's response and its
    derivative, cosine drifts and an offset (Takahashi et al., 2026).

    Parameters
    ----------
    bold, segments
        As in `responses`.

    Returns
    -------
    numpy.ndarray
        (people, regions, tasks), in the units of BOLD; the response in a task with one condition.
    """
    import pandas as pd
    from nilearn.glm.first_level import make_first_level_design_matrix
    from scipy.linalg import pinv

    designs: MadeForLayouts = []

    def find(layout: _Layout, run: BoldRun, conditions: int) -> Float64:
        effects = np.full((run.values.shape[1], 1), np.nan)
        on, off, condition = layout.trials.T
        names = [f"c{int(level)}" for level in condition]
        events = pd.DataFrame({"onset": on, "duration": off - on, "trial_type": names})
        volumes = run.tr_seconds, run.start_seconds, len(run.values)
        design = _once(
            designs,
            layout,
            volumes,
            partial(
                make_first_level_design_matrix,
                run.seconds,
                events,
                hrf_model="glover + derivative",
                drift_model="cosine",
                high_pass=_HIGH_PASS_HZ,
            ),
        )
        values = run.values[run.kept]
        finite = np.asarray(np.isfinite(values).all(axis=0))
        signs = {"c0": -1.0, "c1": 1.0} if conditions > 1 else {"c0": 1.0}
        regressors = design.to_numpy()[run.kept]
        shown = list(signs) if set(signs) <= set(design.columns) else []
        at = [design.columns.get_loc(name) for name in shown]
        # Censoring may remove all volumes of a condition.
        if (
            at
            and np.abs(regressors[:, at]).max(axis=0).min() > _NOTHING
            and finite.any()
        ):
            fits = pinv(regressors) @ values[:, finite].astype(float)
            weights = np.array([signs.get(name, 0.0) for name in design.columns])
            effects[finite, 0] = weights @ fits
        return effects

    return _by_person(bold, segments, find, _column)


def group_t(values: Float64, sds: Float64 | None = None) -> Float64:
    """Return the one-sample t statistic over people, against 0.

    Parameters
    ----------
    values
        (people, …), for example contrasts; NaN: unknown.
    sds
        (…): SD over people; None: that of the values. Predictions vary less between people than
        measurements, so their t uses the SD of measured people.

    Examples
    --------
    >>> round(float(group_t(np.array([1.0, 2.0, 3.0, np.nan]))), 3)
    3.464
    """
    number, mean = np.isfinite(values).sum(axis=0), known_mean(values)
    return np.asarray(mean * np.sqrt(number) / (_sd(values) if sds is None else sds))


def known_mean(values: Floats) -> Float64:
    """Return the mean of known values along the first axis; NaN where there are none."""
    number = np.isfinite(values).sum(axis=0)
    return np.asarray(
        np.nansum(values, axis=0, dtype=float) / np.where(number > 0, number, np.nan)
    )


def _sd(values: Floats) -> Float64:
    """Return the sample SD of known values along the first axis; NaN where it is 0."""
    number = np.isfinite(values).sum(axis=0)
    squares = np.nansum((values - known_mean(values)) ** 2, axis=0, dtype=float)
    return np.asarray(
        np.sqrt(np.where(squares > 0, squares, np.nan) / np.maximum(number - 1, 1))
    )


def fit_bold(
    bold: People,
    connectomes: Floats,
    segments: Segments,
    *,
    regions: tuple[str, ...],
    covariates: Float64 | None = None,
    families: Integers | None = None,
) -> BoldRidges:
    """Fit ridges of responses on the connectomes of the training people.

    Parameters
    ----------
    bold
        BOLD of each person.
    connectomes
        (people, edges).
    segments
        What the same people saw.
    regions
        Names of the regions.
    covariates, families
        As in `bids_dtg.twin.times.find_gate`.
    """
    runs = [run for person in bold for run in person if run is not None]
    mean, sd = _constants([run.values for run in runs])
    scaled = _scaled(bold, mean, sd)
    amplitudes, contrast = responses(scaled, segments), contrasts(scaled, segments)
    edges = np.asarray(connectomes, np.float64)
    columns = amplitudes.reshape(len(amplitudes), -1)
    gate = find_gate(edges, columns, covariates, families, groups=len(sd))
    # Ridges on principal-component scores equal ridges on edges, with far fewer columns.
    centred = edges - edges.mean(axis=0)
    people_vectors, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    weights = fit_ridges(people_vectors * sizes, columns, covariates).weights
    weights = weights.reshape(-1, *amplitudes.shape[1:])[:, gate.open]
    return BoldRidges(
        regions=regions,
        tr_seconds=float(np.median([run.tr_seconds for run in runs])),
        mean=mean,
        sd=sd,
        offsets=known_mean(_by_person(scaled, segments, _level, _column)),
        responses=known_mean(amplitudes),
        contrasts=known_mean(contrast),
        contrast_sds=_sd(contrast),
        edge_mean=edges.mean(axis=0),
        edge_weights=np.tensordot(axes.T, weights, 1),
        z=gate.z,
        least_z=np.array([gate.least_z]),
    )


def _outputs_bold(twin: Twin) -> bool:
    """Return whether networks have outputs for BOLD: published ones, without one of the group."""
    return twin.group() is None


def _column(task: int) -> slice:
    """Return the column of a task, for values with one column per task."""
    return slice(task, task + 1)


def _level(layout: _Layout, run: BoldRun, conditions: int) -> Float64:
    """Return the mean BOLD of each region in a run, (regions, 1)."""
    return known_mean(run.values)[:, None]


def _constants(values: Sequence[Floats]) -> tuple[Float64, Float64]:
    """Return mean and SD of each region over people and volumes; NaN where it has no signal."""
    number = sum(np.isfinite(run_values).sum(axis=0) for run_values in values)
    number = np.where(number > 0, number, np.nan)
    mean = (
        sum(np.nansum(run_values, axis=0, dtype=float) for run_values in values)
        / number
    )
    squares = sum(
        np.nansum((run_values - mean) ** 2, axis=0, dtype=float)
        for run_values in values
    )
    sd = np.sqrt(np.where(squares > 0, squares, np.nan) / number)
    return np.asarray(mean), np.asarray(sd)


def bold_targets(bold: People, segments: Segments) -> Float32:
    """Return z-scored BOLD, interpolated to the networks' steps by cubic splines as published.

    Parameters
    ----------
    bold, segments
        As in `responses`.

    Returns
    -------
    numpy.ndarray
        (people, segments, steps, regions); NaN: not measured, or the nearest volume is censored.
    """
    from scipy.interpolate import make_interp_spline

    mean, sd = _constants(
        [run.values for runs in bold for run in runs if run is not None]
    )
    targets = np.full((*segments.action.shape[:3], len(sd)), np.nan, np.float32)
    for person, layout, run in _measured(_scaled(bold, mean, sd), segments):
        nearest = np.rint((layout.seconds - run.start_seconds) / run.tr_seconds).astype(
            int
        )
        within_run = (nearest >= 0) & (nearest < len(run.values))
        for volumes, columns in by_known(np.isfinite(run.values)):
            if volumes.sum() < 4:  # volumes that a cubic spline needs
                continue
            spline = make_interp_spline(
                run.seconds[volumes], run.values[np.ix_(volumes, columns)]
            )
            at = np.flatnonzero(within_run)
            at = at[volumes[nearest[at]]]
            place = layout.segment[at, None], layout.step[at, None], columns
            targets[person][place] = spline(layout.seconds[at], extrapolate=False)
    return targets


def performed_responses(
    ridges: BoldRidges, twin: Twin, connectomes: Tensor, segments: Segments
) -> Tensor:
    """Return the responses of people's twins to conditions, differentiable in connectomes.

    Parameters
    ----------
    ridges, twin
        Fitted ridges (`fit_bold`), and the twin.
    connectomes
        (people, edges).
    segments
        What the same people see.

    Returns
    -------
    torch.Tensor
        (people, regions, conditions), in SD: equal to `responses` of the BOLD of `predict_bold`.
    """
    if _outputs_bold(twin):
        by_step = torch.from_numpy(_response_weights(segments, ridges.tr_seconds))
        performed = _performed(twin, connectomes, segments)
        amplitudes = torch.einsum("pcsk,pskr->prc", by_step, performed).double()
    else:
        amplitudes = ridges.predict(connectomes)
    return torch.where(
        torch.from_numpy(np.isfinite(ridges.responses)), amplitudes, torch.nan
    )


def _performed(twin: Twin, connectomes: Tensor, segments: Segments) -> Tensor:
    """Return the BOLD that networks output, (people, segments, steps, regions)."""
    outputs = perform(twin(connectomes), torch.from_numpy(segments.inputs))
    return outputs[..., segments.tasks.buttons :]


def _response_weights(segments: Segments, tr_seconds: float) -> Float32:
    """Return the weight of each step in responses, (people, conditions, segments, steps)."""
    shape = len(response_conditions(segments.tasks)), *segments.inputs.shape[1:3]
    weights = np.zeros((len(segments.run), *shape), np.float32)
    slopes_of_layouts: MadeForLayouts = []
    for person, person_weights in enumerate(weights):
        layouts = list(_layouts(segments, person))
        runs_of_task = Counter(layout.task for layout in layouts)
        for layout in layouts:
            conditions = len(segments.tasks.tasks[layout.task].conditions)
            find = partial(_slopes, layout, tr_seconds, conditions)
            slopes = _once(slopes_of_layouts, layout, (len(layout.step),), find)
            columns = _columns(segments.tasks, layout.task)
            at = columns, layout.segment, layout.step
            person_weights[at] += slopes / runs_of_task[layout.task]
    return weights


def _slopes(layout: _Layout, tr_seconds: float, conditions: int) -> Float64:
    """Return the weight of each step in the responses to conditions, (conditions, steps)."""
    seconds = layout.volumes(tr_seconds)
    seconds = seconds[layout.between(seconds).sum(axis=1) > 0]
    slopes = np.linalg.pinv(layout.regressors(seconds, conditions))[:conditions]
    return np.asarray(slopes @ layout.between(seconds))


@torch.no_grad()
def predict_bold(
    ridges: BoldRidges,
    twin: Twin,
    connectomes: Floats,
    segments: Segments,
    measured: People | None = None,
) -> list[list[BoldRun | None]]:
    """Return the BOLD of people's twins, in SD of the training people.

    Regressors of conditions have the responses that ridges predict (`performed_responses`), around
    the training people's mean BOLD. Tasks without BOLD in the training people have none here.
    Published hypernetworks' twins output BOLD themselves; volumes before their first or after their
    last step are NaN.

    Parameters
    ----------
    ridges, twin
        Fitted ridges (`fit_bold`), and the twin.
    connectomes
        (people, edges).
    segments
        What the same people see.
    measured
        Their measured BOLD, whose volume times are then used. Otherwise volumes follow the training
        people's repetition time from the run's start to the end of its last segment.

    Returns
    -------
    list of list of BoldRun
        For each person, the runs in the order of `Segments.run`; None: not performed.
    """
    predicted: list[list[BoldRun | None]] = []
    outputs_bold = _outputs_bold(twin)
    batches = math.ceil(len(connectomes) / AT_ONCE)
    for some in np.array_split(np.arange(len(connectomes)), batches):
        edges = torch.as_tensor(np.asarray(connectomes)[some], dtype=torch.float32)
        seen = segments.people(some)
        if outputs_bold:
            series = _performed(twin, edges, seen).numpy()
        else:
            amplitudes = ridges.predict(edges).numpy()
        for row, person in enumerate(some):
            runs: list[BoldRun | None] = [None] * (int(seen.run[row].max()) + 1)
            for layout in _layouts(seen, row):
                columns = _columns(seen.tasks, layout.task)
                if not np.isfinite(ridges.responses[:, columns]).any():
                    continue
                seconds, tr = layout.volumes(ridges.tr_seconds), ridges.tr_seconds
                run = None if measured is None else measured[person][layout.number]
                if run is not None:
                    seconds, tr = run.seconds, run.tr_seconds
                if outputs_bold:
                    values = _interpolated(ridges, layout, seconds, series[row])
                else:
                    run_amplitudes = amplitudes[row, :, columns]
                    values = _displayed(ridges, layout, seconds, run_amplitudes)
                start = float(seconds[0])
                runs[layout.number] = BoldRun(values.astype(np.float32), tr, start)
            predicted.append(runs)
    return predicted


def _displayed(
    ridges: BoldRidges, layout: _Layout, seconds: Float64, amplitudes: Float64
) -> Float64:
    """Return a run's BOLD from responses to its conditions, (regions, conditions).

    The response to trials without a condition is the mean of these.
    """
    conditions = amplitudes.shape[1]
    regressors = layout.regressors(seconds, conditions)
    without_condition = regressors[:, conditions + 1 :].sum(axis=1, keepdims=True)
    displays = regressors[:, :conditions] + without_condition / conditions
    course = (displays - displays.mean(axis=0)) @ amplitudes.T
    return np.asarray(course + ridges.offsets[:, layout.task])


def _interpolated(
    ridges: BoldRidges, layout: _Layout, seconds: Float64, outputs: Float32
) -> Float64:
    """Return a run's BOLD from what networks output, (segments, steps, regions)."""
    shares = layout.between(seconds)
    is_performed = (shares.sum(axis=1) > 0)[:, None] & np.isfinite(ridges.sd)
    steps = outputs[layout.segment, layout.step]
    return np.where(is_performed, shares @ steps, np.nan)
