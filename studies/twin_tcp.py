"""Does the twin's group network perform tasks like real people outside its training set?

    python studies/twin_tcp.py DATA --work FOLDER [--png FILE] [--folds 5] [--epochs 40]
        [--people FILE]

DATA is the folder with bids/ (event files) of 182 people of the Transdiagnostic Connectome
Project (CC0). Each fold of people is left out of a fit to the faces run
and the first Stroop run of all others; no fit uses the second Stroop run (another order). Runs
below chance, misses counted as errors, are left out, as are those of another sequence. There is no
connectome: the group network predicts everybody. Fits stay in FOLDER, so that a stopped call
resumes. Intervals are 95 %, by resampling people.

`--people FILE` judges other people by these fits and prints the same tables of them. FILE has their
trials in the layout of tcp_trials.tsv.gz; none of them may be in the training of a fit. They are
dealt out to the folds: each is predicted by the fit and the training people of one. Fits that are
in FOLDER are used as they are.
"""

from __future__ import annotations

import argparse
import math
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.judging.behaviour import MISS, Answers, condition_effect, figures
from bids_dtg.twin.judging.scores import (
    QUANTILES,
    always_correct,
    by_condition,
    choice_agreement,
    outcome_brier,
    outcome_shares,
    quantile_table,
    rt_crps,
)
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import trial_sequence
from bids_dtg.twin.recipe import find_architecture, find_recipe
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import Segments, TaskSet, stack_people
from bids_dtg.twin.trials import Trials, read_trials

Values = NDArray[np.float64]
# Task entity of each run -> its task; the first two are fitted to, the last one is never.
RUNS = {"hammerAP": "faces", "stroopAP": "stroop", "stroopPA": "stroop"}
FITTED, UNSEEN = ("hammerAP", "stroopAP"), ("stroopPA",)
GRID = np.arange(0.02, 2.001, 0.02)  # seconds from onset, of distributions of what people did
TASKS = TaskSet((find_task("faces"), find_task("stroop")))
SAME_SECONDS = 0.5  # of onsets and cues, from those of the shipped sequence
# Columns of event files, by those of the table of trials.
EVENT_COLUMNS = {
    "onset": "onset",
    "duration": "duration",
    "trial_type": "trial_type",
    "rt": "response_time",
    "correct": "accuracy_binarized",
    "word": "stimulus_text",
    "ink": "stimulus_color",
    "stim_top": "stimTop",
    "stim_left": "stimLeft",
    "stim_right": "stimRight",
    "cue_start": "cueStartTime",
    "cue_end": "cueEndTime",
    "run_end": "runEndTime",
}
SOURCE_NAMES = {"faces": "hammer"}  # of tasks, where event files have others than the table
# Of a person in a run: label, task entity, rows of events, where they are from.
EventRun = tuple[str, str, Sequence[Mapping[str, str]], str]


@dataclass(frozen=True, eq=False)
class Cohort:
    """People, and the runs of each that count."""

    labels: tuple[str, ...]
    runs: tuple[dict[str, Trials], ...]  # of each person, by task entity
    left_out: dict[str, tuple[int, int]]  # runs below chance and with another sequence, by entity
    everything: dict[str, Answers]  # of all people by entity, also what is implausible

    def segments(self, names: Sequence[str]) -> Segments:
        """Return everybody's runs as one table of segments; who has none of them fills rows."""
        runs = [[own[name] for name in names if name in own] for own in self.runs]
        return stack_people(runs, tasks=TASKS)


def runs_of_files(data: Path) -> Iterator[EventRun]:
    """Yield the runs of event files."""
    for file in find_events(data / "bids", list(RUNS)):
        yield file.participant, file.task, read_events(file.path), str(file.path)


def runs_of_table(path: Path) -> Iterator[EventRun]:
    """Yield the runs of a table of trials; people and runs in order, trials in any."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    keys = ["participant_id", "task", "run"]
    if lacking := sorted({*keys, *EVENT_COLUMNS} - set(table.columns)):
        raise SystemExit(f"{path} lacks the columns {', '.join(lacking)}")
    entities = table.task.replace(SOURCE_NAMES) + table.run
    if absent := sorted({*RUNS} - {*entities}):
        raise SystemExit(f"{path} has no trials of {', '.join(absent)}")
    for (person, task, run), rows in table.groupby(keys):
        name = f"{SOURCE_NAMES.get(task, task)}{run}"
        if name in RUNS:
            events = rows[list(EVENT_COLUMNS)].rename(columns=EVENT_COLUMNS).to_dict("records")
            yield person.removeprefix("sub-"), name, events, f"{path}: {person} {name}"


def read_cohort(runs: Iterable[EventRun]) -> Cohort:
    """Read runs of events; those below chance (misses as errors), or of another order, go."""
    found: dict[str, dict[str, Trials]] = {}
    everything: dict[str, list[Trials]] = {name: [] for name in RUNS}
    left_out = {name: [0, 0] for name in RUNS}
    for person, name, rows, source in runs:
        task = find_task(RUNS[name])
        run = read_trials(task, rows, source)
        response = replace(task.response, shortest_rt_seconds=-math.inf)
        everything[name].append(read_trials(replace(task, response=response), rows))
        shown = trial_sequence(name).trials
        own = found.setdefault(person, {})
        if figures(observed([run])).correct[0, 0] < 1 / len(run.task.buttons):  # misses are errors
            left_out[name][0] += 1
        elif not same_sequence(run, shown, SAME_SECONDS):
            left_out[name][1] += 1
        else:
            own[name] = on_the_clock_of(shown, run)
    kept = {label: own for label, own in found.items() if own}
    return Cohort(
        labels=tuple(kept),
        runs=tuple(kept.values()),
        left_out={name: (below, other) for name, (below, other) in left_out.items()},
        everything={name: observed(own) for name, own in everything.items() if own},
    )


def observed(runs: Sequence[Trials]) -> Answers:
    """Return the answers of people, one run of each; shorter runs are filled with no trial."""
    tasks = {run.task.name for run in runs}
    if len(tasks) != 1:
        raise ValueError(f"answers are of one task, found {sorted(tasks) or 'no run'}")
    trials = max(len(run.onset_seconds) for run in runs)

    def table(values: Sequence[NDArray[Any]], fill: Any) -> NDArray[Any]:
        found = np.full((len(runs), trials), fill, values[0].dtype)
        for row, own in zip(found, values, strict=True):
            row[: len(own)] = own
        return found

    return Answers(
        condition=table([run.condition for run in runs], -1),
        correct_button=table([run.correct_button for run in runs], -1),
        button=table([run.button for run in runs], MISS),
        rt_seconds=table([run.rt_seconds for run in runs], np.nan),
        correct=table([run.correct for run in runs], False),
        scored=table([run.scored for run in runs], False),
    )


def same_sequence(one: Trials, other: Trials, tolerance_seconds: float = 0.08) -> bool:
    """Return whether two people were shown the same, at the same times."""
    shown = ("stimulus", "condition", "correct_button")
    times = ("onset_seconds", "cues")
    return one.task == other.task and all(
        (mine := getattr(one, name)).shape == (theirs := getattr(other, name)).shape
        and np.allclose(mine, theirs, rtol=0, atol=tolerance_seconds if name in times else 1e-6)
        for name in (*shown, *times)
    )


def on_the_clock_of(shown: Trials, run: Trials) -> Trials:
    """Return a run with the times of the shipped sequence; a response keeps its time from onset."""
    times = ("onset_seconds", "display_seconds", "cues", "cut", "run_seconds")
    return replace(run, **{name: getattr(shown, name) for name in times})


def fold_fit(
    cohort: Cohort,
    training: NDArray[np.intp],
    place: Path,
    seed: int,
    epochs: int,
    report: Callable[[str], None] = print,
) -> Fitted:
    """Fit a group network to behaviour alone, or read the fit of an earlier call."""
    file = place.with_suffix(".pickle")
    people = tuple(cohort.labels[row] for row in training)
    if file.is_file():
        found: Fitted = pickle.loads(file.read_bytes())  # noqa: S301, of this script's own
        if found.people != people:
            raise SystemExit(f"{file} is a fit to other people than those of DATA and --folds")
        return found
    recipe = replace(find_recipe("lowrank"), group_epochs=epochs)
    segments = cohort.segments(FITTED).people(training)
    start = time.process_time()
    fitted = fit(
        None,
        segments,
        people=people,
        architecture=find_architecture("lowrank", recipe),
        seed=seed,
        workplace=Workplace(place),
        report=report,
    )
    print(f"{place.name}: {len(people)} people, {time.process_time() - start:.0f} s", flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(fitted))
    return fitted


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a model says of each person's trials of one run, before it sees them."""

    seconds: Values  # (steps,) or (trials, steps), since the onset
    answered: Values  # (people, trials, steps): how likely there is a response by then
    outcomes: Values  # (people, trials, 3): correct, wrong, miss
    button: NDArray[np.integer[Any]]  # (people, trials): the likeliest; -1: none
    rt_seconds: Values  # (people, trials): where half have answered

    @classmethod
    def of(cls, outputs: NDArray[Any], segments: Segments, task: int, own: Answers) -> Forecast:
        """Decode outputs (people, s, steps, buttons) that performed the segments of some people."""
        here = np.flatnonzero(segments.trials.task[0] == task)
        found = decode(outputs, segments)
        seconds = np.broadcast_to(found.seconds, found.answered.shape)[0]
        ends = found.ends[..., here, :]
        return cls(
            seconds=np.asarray(seconds[here], np.float64),
            answered=_of_each(found.answered[..., here, :], own),
            outcomes=outcome_shares(ends, own.correct_button),
            button=_of_each(found.button[..., here], own),
            rt_seconds=_of_each(found.rt_seconds[..., here], own),
        )

    @classmethod
    def like(cls, others: Answers, groups: NDArray[np.intp], own: Answers) -> Forecast:
        """Predict the people of a run by the distribution of others in trials of the same group.

        Parameters
        ----------
        others
            Answers of the others.
        groups
            (2, ...): group of each of the others' trials, and of each trial of the run.
        own
            Answers of the people to predict.
        """
        of_others, of_run = groups
        curves, outcomes = [], []
        for group in of_run:
            used = others.scored & (of_others == group)
            times, right = others.rt_seconds[used], others.correct[used]
            curves.append((times[:, None] <= GRID).mean(axis=0))
            missed = ~np.isfinite(times)
            outcomes.append([right.mean(), (~right & ~missed).mean(), missed.mean()])
        half = [np.interp(0.5, *_rising(curve)) for curve in curves]
        return cls(
            seconds=GRID,
            answered=_of_each(np.array(curves)[None], own),
            outcomes=_of_each(np.array(outcomes)[None], own),
            button=own.correct_button,
            rt_seconds=_of_each(np.array(half)[None], own),
        )

    @classmethod
    def joined(cls, parts: Sequence[tuple[NDArray[np.intp], Forecast]], people: int) -> Forecast:
        """Return forecasts of some people each as one of everybody; NaN and -1: none."""
        first = parts[0][1]

        def table(name: str, fill: float) -> NDArray[Any]:
            values = getattr(first, name)
            found = np.full((people, *values.shape[1:]), fill, values.dtype)
            for rows, part in parts:
                found[rows] = getattr(part, name)
            return found

        names = {"answered": np.nan, "outcomes": np.nan, "button": -1, "rt_seconds": np.nan}
        return cls(first.seconds, **{name: table(name, fill) for name, fill in names.items()})

    def mean_seconds(self) -> Values:
        """Return mean response times, given that there is one: (people, trials)."""
        times = np.concatenate([np.zeros((*self.seconds.shape[:-1], 1)), self.seconds], axis=-1)
        rising = np.concatenate([np.zeros((*self.answered.shape[:-1], 1)), self.answered], axis=-1)
        middle = (times[..., 1:] + times[..., :-1]) / 2
        mean: Values = (np.diff(rising) * middle).sum(axis=-1) / self.answered[..., -1]
        return mean


def _of_each(values: NDArray[Any], own: Answers) -> NDArray[Any]:
    """Give each person the row of all, where there is one row."""
    return np.broadcast_to(values, (len(own.condition), *values.shape[1:]))


def _rising(curve: Values) -> tuple[Values, Values]:
    rises = np.append(True, np.diff(curve) > 0)
    return curve[rises], GRID[rises]


def answers_of(segments: Segments, task: int) -> Answers:
    """Return what the people of segments answered in a task, in the order of the trials."""
    rows = segments.trials
    here = np.flatnonzero(rows.task[0] == task)
    here = here[np.argsort(rows.trial[0, here], kind="stable")]
    assert (np.diff(here) == 1).all()  # forecasts keep the order of the rows
    names = [field.name for field in fields(Answers)]
    return Answers(
        **{name: np.broadcast_to(getattr(rows, name), rows.button.shape)[:, here] for name in names}
    )


@dataclass(frozen=True, eq=False)
class Run:
    """One run of everybody, with the forecasts of models."""

    name: str
    own: Answers
    forecasts: dict[str, Forecast]
    folds: tuple[NDArray[np.intp], ...]  # rows of the people who are left out together

    def r_over_trials(self, forecast: Forecast) -> float:
        """Correlate predicted and observed mean response times of trials: a mean over folds.

        Correlations are within folds, because the training sets of all folds cover everybody.
        """
        times = forecast.mean_seconds()
        each = [
            correlation(times[rows].mean(axis=0), np.nanmean(self.own.rt_seconds[rows], axis=0))
            for rows in self.folds
        ]
        return float(np.mean(each))

    @property
    def conditions(self) -> tuple[str, ...]:
        return find_task(RUNS[self.name]).conditions

    @property
    def buttons(self) -> int:
        return len(find_task(RUNS[self.name]).buttons)


@dataclass(frozen=True, eq=False)
class Study:
    """Everybody, the folds of people, and the fits that leave each fold out."""

    cohort: Cohort
    folds: tuple[NDArray[np.intp], ...]  # rows of the people who are left out together
    fits: tuple[Fitted, ...]  # to all others
    segments: dict[str, Segments]  # by the first entity of `FITTED` and of `UNSEEN`
    simulated: dict[str, Answers]
    training: tuple[NDArray[np.intp], ...]  # rows of the people of each fit

    @property
    def who(self) -> NDArray[np.intp]:
        """Rows of the people who are judged."""
        return np.sort(np.concatenate(self.folds))

    def own(self, name: str) -> Answers:
        """Return everybody's answers in a run."""
        return answers_of(self.segments[_table(name)], TASKS.names.index(RUNS[name]))

    def judged(self, name: str) -> Run:
        """Return a run with the forecasts of everybody by the fits that left them out."""
        own, task = self.own(name), TASKS.names.index(RUNS[name])
        segments, parts = self.segments[_table(name)], _Parts()
        groups = own.condition[0].astype(np.intp), np.arange(own.condition.shape[1])
        source = self.own("stroopAP") if name in UNSEEN else own
        source_groups = source.condition[0].astype(np.intp)
        for rows, fitted, others in zip(self.folds, self.fits, self.training, strict=True):
            test, group = rows_of(own, rows), fitted.perform_group(segments)
            parts.add(GROUP, rows, Forecast.of(group, segments, task, test))
            by_condition = (source_groups, groups[0])
            parts.add(CONDITION, rows, Forecast.like(rows_of(source, others), by_condition, test))
            by_trial = (groups[1], groups[1])
            parts.add(TRIAL, rows, Forecast.like(rows_of(own, others), by_trial, test))
        own, forecasts = rows_of(own, self.who), parts.joined(self.who)
        forecasts[SIMULATED] = Forecast.like(self.simulated[name], (groups[1], groups[1]), own)
        folds = tuple(np.searchsorted(self.who, rows) for rows in self.folds)
        return Run(name, own, forecasts, folds)


GROUP, CONDITION, TRIAL = (
    "group network",
    "training people, a condition",
    "training people, a trial",
)
SIMULATED = "simulated people, a trial"


class _Parts:
    """Forecasts of some people each, by model."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[NDArray[np.intp], Forecast]]] = {}

    def add(self, model: str, rows: NDArray[np.intp], forecast: Forecast) -> None:
        self._of.setdefault(model, []).append((rows, forecast))

    def joined(self, who: NDArray[np.intp]) -> dict[str, Forecast]:
        return {
            model: Forecast.joined([(np.searchsorted(who, rows), f) for rows, f in parts], len(who))
            for model, parts in self._of.items()
        }


def _table(name: str) -> str:
    return FITTED[0] if name in FITTED else name


def rows_of(answers: Answers, people: NDArray[np.intp]) -> Answers:
    """Return the answers of some people."""
    return Answers(**{f.name: getattr(answers, f.name)[people] for f in fields(Answers)})


def simulated_answers(people: int, seed: int) -> dict[str, Answers]:
    """Have simulated people of the hard regime perform the shipped sequences."""
    simulated = simulate_twin_people(people, "hard", regions=20, seed=seed)
    runs = simulated.runs([trial_sequence(name) for name in RUNS], seed=seed)
    found = {}
    for place, name in enumerate(RUNS):
        segments = stack_people([[own[place]] for own in runs], tasks=TASKS)
        found[name] = answers_of(segments, TASKS.names.index(RUNS[name]))
    return found


def print_row(cells: Sequence[str]) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def print_head(cells: Sequence[str]) -> None:
    """Print the head of a table."""
    print()
    print_row(cells)
    print_row(["---"] * len(cells))


def text(interval: Interval, digits: int = 3) -> str:
    """Return a mean with its interval."""
    return f"{interval.mean:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def scores_table(runs: Sequence[Run]) -> None:
    """Print CRPS and Brier scores of each condition: means over people."""
    print_head(["run", "condition", "model", "CRPS (ms)", "less the group network's", "Brier"])
    for run in runs:
        number = len(run.conditions)
        found = {}
        for model, forecast in run.forecasts.items():
            crps = 1000 * rt_crps(forecast.answered, forecast.seconds, run.own.rt_seconds)
            brier = outcome_brier(forecast.outcomes, run.own)
            found[model] = [by_condition(each, run.own, number) for each in (crps, brier)]
        for place, condition in enumerate(run.conditions):
            for model, (crps, brier) in found.items():
                less = bootstrap_interval(crps[:, place] - found[GROUP][0][:, place])
                mean = f"{np.nanmean(crps[:, place]):.1f}"
                cells = [mean, "" if model == GROUP else text(less, 1)]
                brier_text = f"{np.nanmean(brier[:, place]):.4f}"
                print_row([run.name, condition, model, *cells, brier_text])


def effects_table(runs: Sequence[Run]) -> None:
    """Print mean response times and the condition effect, observed and predicted."""
    print_head(["run", "of", "first (s)", "second (s)", "effect (s)", "r over trials of a fold"])
    for run in runs:
        shown = run.own.condition[0]
        means_of = figures(run.own, 2).mean_rt_seconds
        effect = bootstrap_interval(condition_effect(means_of))
        cells = [f"{value:.3f}" for value in np.nanmean(means_of, axis=0)]
        print_row([run.name, "observed", *cells, text(effect), ""])
        for model, forecast in run.forecasts.items():
            of_trials = np.nanmean(forecast.mean_seconds(), axis=0)
            first, second = (of_trials[shown == place].mean() for place in range(2))
            values = first, second, second - first, run.r_over_trials(forecast)
            numbers = [f"{value:.3f}" for value in values]
            print_row([run.name, model, *numbers])


def quantiles_of(run: Run) -> dict[str, Values]:
    """Return quantiles (conditions, quantiles) in seconds, observed and of each model."""
    tables = {
        model: quantile_table(
            np.where(np.isfinite(forecast.answered), forecast.answered, 0.0),
            forecast.seconds,
            run.own,
            len(run.conditions),
        )
        for model, forecast in run.forecasts.items()
    }
    observed_quantiles = tables[GROUP].observed_seconds
    return {"observed": observed_quantiles} | {
        model: table.predicted_seconds for model, table in tables.items()
    }


def quantiles_table(runs: Sequence[Run]) -> None:
    """Print quantiles of each condition."""
    print_head(["run", "condition", "of", *(str(q) for q in QUANTILES), "largest difference (ms)"])
    for run in runs:
        found = quantiles_of(run)
        for place, condition in enumerate(run.conditions):
            for name, values in found.items():
                off = 1000 * np.abs(values[place] - found["observed"][place]).max()
                cells = [f"{value:.3f}" for value in values[place]]
                last = "" if name == "observed" else f"{off:.0f}"
                print_row([run.name, condition, name, *cells, last])


def choices_table(runs: Sequence[Run]) -> None:
    """Print how often the model, or always the correct button, agrees with people's buttons."""
    print_head(["run", "group network", "always correct"])
    for run in runs:
        button = run.forecasts[GROUP].button
        each = [
            choice_agreement(button, run.own, buttons=run.buttons),
            always_correct(run.own, buttons=run.buttons),
        ]
        print_row([run.name, *(text(bootstrap_interval(values), 4) for values in each)])


def plot(runs: Sequence[Run], file: Path) -> None:
    """Draw quantiles of people who were left out, and what models say of them."""
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot

    styles = {
        "observed": ("black", "people left out"),
        GROUP: ("tab:blue", "group network"),
        SIMULATED: ("tab:orange", "simulated people"),
        CONDITION: ("tab:gray", "training people"),
    }
    figure, axes = pyplot.subplots(
        2, len(runs), figsize=(9.6, 5.6), sharey="row", layout="constrained", squeeze=False
    )
    for column, run in enumerate(runs):
        found = quantiles_of(run)
        for place, condition in enumerate(run.conditions):
            line, marker = ("-", "o") if place == 0 else ("--", "s")
            for name, (colour, words) in styles.items():
                values = found[name][place]
                look = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2}
                label = f"{words}, {condition}" if name == "observed" else words
                label = label if name == "observed" or place == 0 else None
                axes[0, column].plot(values, QUANTILES, linestyle=line, label=label, **look)
                off = 1000 * (values - found["observed"][place])
                axes[1, column].plot(QUANTILES, off, linestyle=line, **look)
        words = " (never fitted to)" if run.name in UNSEEN else ""
        axes[0, column].set_title(f"{RUNS[run.name]} {run.name[-2:]}{words}")
        axes[0, column].set_xlabel("response time (s)")
        axes[0, column].legend(fontsize=6.5, frameon=False, loc="lower right")
        axes[1, column].set_xlabel("quantile")
    axes[0, 0].set_ylabel("quantile")
    axes[1, 0].set_ylabel("less the observed one (ms)")
    figure.savefig(file, dpi=90)
    pyplot.close(figure)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(64).save(file, optimize=True)


def conditions_table(real: dict[str, Answers], simulated: dict[str, Answers]) -> None:
    """Print figures of all trials and people, nobody left out, as in the README of the data."""
    print_head(["run", "condition", "of", "mean RT (s)", "proportion correct", "missed"])
    for name, task in RUNS.items():
        for place, condition in enumerate(find_task(task).conditions):
            for words, answers in (("all real people", real), ("simulated people", simulated)):
                used = answers[name].condition == place
                times, right = answers[name].rt_seconds[used], answers[name].correct[used]
                values = np.nanmean(times), right.mean(), np.isnan(times).mean()
                print_row([name, condition, words, *(f"{value:.3f}" for value in values)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="of fits: a stopped call goes on")
    parser.add_argument("--png", type=Path, help="picture of quantiles")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40, help="of the group network, at most")
    parser.add_argument("--simulated", type=int, default=400, help="people")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=Path, help="table of trials of people to judge instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    trained = read_cohort(runs_of_files(args.data))
    cohort = read_cohort(runs_of_table(args.people)) if args.people else trained
    for name, (below, other) in cohort.left_out.items():
        people = sum(name in own for own in cohort.runs)
        print(f"{name}: {people} people; left out: {below} below chance, {other} of another order")
    simulated = simulated_answers(args.simulated, args.seed + 1)
    conditions_table(cohort.everything, simulated)
    study = make_study(trained, simulated, args)
    if args.people:
        study = with_people(study, cohort)
    runs = [study.judged(name) for name in RUNS]
    effects_table(runs)
    quantiles_table(runs)
    scores_table(runs)
    choices_table(runs)
    if args.png:
        plot(runs, args.png)
    print(f"\n{time.process_time() - start:.0f} s of the processor")


def make_study(cohort: Cohort, simulated: dict[str, Answers], args: argparse.Namespace) -> Study:
    """Fit without each fold."""
    folds = tuple(
        np.flatnonzero(np.isin(cohort.labels, fold))
        for fold in fold_people(cohort.labels, args.folds, seed=args.seed)
    )
    training = tuple(np.setdiff1d(np.arange(len(cohort.labels)), rows) for rows in folds)
    fits = tuple(
        fold_fit(cohort, rows, args.work / f"fold{n}", args.seed, args.epochs)
        for n, rows in enumerate(training)
    )
    return Study(cohort, folds, fits, tables_of(cohort), simulated, training)


def tables_of(cohort: Cohort) -> dict[str, Segments]:
    """Return everybody's segments, of the runs that are fitted and of the one that never is."""
    return {names[0]: cohort.segments(names) for names in (FITTED, UNSEEN)}


def with_people(study: Study, people: Cohort) -> Study:
    """Return the study with other people in the place of those who were left out of its fits.

    Raises
    ------
    SystemExit
        One of them is in a fit's training, or is one of the people of the study.
    """
    seen = {label for fitted in study.fits for label in fitted.people} | {*study.cohort.labels}
    if again := sorted(seen & {*people.labels}):
        raise SystemExit(
            f"{len(again)} of {len(people.labels)} people are in the training of a fit: "
            f"{', '.join(again[:5])}. Expected: people whom no fit has seen"
        )
    first = len(study.cohort.labels)
    both = replace(
        people,
        labels=study.cohort.labels + people.labels,
        runs=study.cohort.runs + people.runs,
    )
    rows = first + np.arange(len(people.labels))
    folds = tuple(rows[n :: len(study.folds)] for n in range(len(study.folds)))
    return replace(study, cohort=both, folds=folds, segments=tables_of(both))


if __name__ == "__main__":
    main()
