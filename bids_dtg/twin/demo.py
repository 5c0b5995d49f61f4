"""The demo: twins of simulated people's connectomes predict their responses in a Stroop run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import say, show
from bids_dtg.report.demo import TABLE, run_fitted_demo
from bids_dtg.twin.cuts import STEP_SECONDS
from bids_dtg.twin.demo_perturbation import DemoPerturbation, perturb_people
from bids_dtg.twin.demo_picture import (
    PredictedPanel,
    PredictionRow,
    SeriesPanel,
    ShownTrial,
    draw_twin,
)
from bids_dtg.twin.judging.cohort import EFFECT, RT, Cohort
from bids_dtg.twin.judging.scores import people_fit
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.sequences import TrialSequence, trial_sequence
from bids_dtg.twin.phantom.world import Regime
from bids_dtg.twin.recipe import DEFAULT_ARCHITECTURE, Recipe, find_architecture, find_recipe
from bids_dtg.twin.trial_series import Segments, stack_people
from bids_dtg.twin.trials import Trials

if TYPE_CHECKING:
    from bids_dtg.stats.paired import Interval
    from bids_dtg.twin.fitting import Fitted
    from bids_dtg.twin.judging.evaluation import Evaluation

Values = NDArray[np.float64]

PEOPLE = 300  # connectomes of fewer than 200 often predict nobody who is left out
FEWEST_PEOPLE = 12
_SEQUENCE = "stroopAP"
_UNSEEN = 3  # one person of so many is left out of the fit
_DIGITS = 4  # of a table
_MS = 1000.0
_PICTURED_QUANTILES = (0.1, 0.9)  # of predicted response times: people whose trials are drawn
_PICTURED_TRIALS = 8
_TARGETS = (RT, EFFECT)  # of people, in seconds
_RT = _TARGETS.index(RT)
TWIN, STRANGER, RIDGE, MEAN, TRUTH = (
    "own twin",
    "a stranger's twin",
    "connectome ridge",
    "group mean",
    "true parameters",
)
# Names of those that the evaluation knows; the others are of simulated people only.
_EVALUATED = {TWIN: "twin", RIDGE: "connectome_ridge", MEAN: "group_mean"}

# Of one task: about a minute of one core.
_RECIPE = replace(find_recipe(DEFAULT_ARCHITECTURE), group_epochs=40)


@dataclass(frozen=True)
class DemoSize:
    """Sizes of the simulation and the fit."""

    regime: Regime = "hard"
    regions: int = 100
    recipe: Recipe = _RECIPE


@dataclass(frozen=True, eq=False)
class Simulated:
    """People of the demo, and what they did."""

    people: TwinPeople
    runs: list[list[Trials]]


@dataclass(frozen=True, eq=False)
class Demo:
    """Results of the demo, all simulated, of unseen people only."""

    people: TwinPeople
    sequence: TrialSequence
    segments: Segments  # performed by people and twins
    outputs: NDArray[np.float32]  # (people, segments, steps, buttons), of their twins
    found: Evaluation  # as ``--analysis evaluate`` makes it
    predictions: Mapping[str, Values]  # (people, targets), seconds, by the prediction's name
    perturbation: DemoPerturbation | None  # None: twins do not differ

    @property
    def observed(self) -> Values:
        """Observed figures, (people, targets), seconds."""
        return self.found.observed

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.sequence.trials.task.name

    def fit(self, name: str, what: str) -> tuple[Interval, Interval]:
        """Return r over people and the mean error of a prediction, with their intervals."""
        if name in _EVALUATED:
            score = self.found.score(what, self.task, _EVALUATED[name])
            assert score.error is not None
            return score.value, score.error
        column = _TARGETS.index(what)
        other = people_fit(self.predictions[name][:, column], self.observed[:, column])
        return other.r, other.error


def run_twin_demo(
    out: Path, *, participants: int = PEOPLE, seed: int = 0, size: DemoSize | None = None
) -> None:
    """Simulate people, fit twins to two thirds of them, predict the others, and draw.

    Raises
    ------
    SettingsError
        A package is missing.
    RunError
        No twin presses a button after the training.
    """
    size, sequence = size or DemoSize(), trial_sequence(_SEQUENCE)

    def simulate(folder: Path) -> Simulated:
        people = simulate_twin_people(participants, size.regime, regions=size.regions, seed=seed)
        runs = people.runs([sequence], seed=seed)
        write_twin_people(folder, people, [sequence], runs)
        return Simulated(people, runs)

    def compare(demo: Demo) -> None:
        _write_table(out / TABLE, demo)
        _print_scores(demo, size, participants)

    run_fitted_demo(
        out,
        model="digital twin",
        participants=participants,
        simulate=simulate,
        fit=lambda simulated: _fitted(simulated, sequence, size, seed),
        compare=compare,
        draw=_picture,
    )


def _fitted(simulated: Simulated, sequence: TrialSequence, size: DemoSize, seed: int) -> Demo:
    """Fit twins to some people, and evaluate the twins of the others."""
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.twin.fitting import fit

    people, runs = simulated.people, simulated.runs
    segments = stack_people(runs)
    known = np.arange(len(runs) - len(runs) // _UNSEEN)
    unseen = np.arange(len(known), len(runs))
    training, others = (
        _cohort(people.select(rows), segments.people(rows)) for rows in (known, unseen)
    )
    say(f"fitting twins to the responses of {len(known)} people …")
    fitted = fit(
        training.connectomes,
        training.segments,
        people=training.labels,
        architecture=find_architecture(DEFAULT_ARCHITECTURE, size.recipe),
        seed=seed,
        report=say,
    )
    demo = _evaluated(fitted, people.select(unseen), sequence, others, training)
    say(f"perturbing the connectomes of {len(unseen)} unseen people …")
    own = demo.segments, demo.observed[:, _RT]
    return replace(demo, perturbation=perturb_people(fitted, demo.people, *own, seed=seed))


def _cohort(people: TwinPeople, segments: Segments) -> Cohort:
    return Cohort(people.labels, segments, people.connectomes)


def _evaluated(
    fitted: Fitted, people: TwinPeople, sequence: TrialSequence, unseen: Cohort, training: Cohort
) -> Demo:
    """Evaluate the twins of unseen people as ``--analysis evaluate`` does."""
    from bids_dtg.twin.judging.evaluation import evaluate

    say(f"running the twins of {unseen.people} unseen people …")
    found = evaluate(fitted, unseen, training)
    of_twins = found.predicted[_EVALUATED[TWIN]]
    if not np.isfinite(of_twins).any():
        raise RunError("no twin presses any button: the training has failed")
    assert unseen.connectomes is not None
    return Demo(
        people=people,
        sequence=sequence,
        segments=unseen.segments,
        outputs=fitted.perform(unseen.connectomes, unseen.segments),
        found=found,
        predictions={
            TWIN: of_twins,
            STRANGER: np.roll(of_twins, 1, axis=0),
            RIDGE: found.predicted[_EVALUATED[RIDGE]],
            MEAN: found.predicted[_EVALUATED[MEAN]],
            TRUTH: _truth(people, sequence),
        },
        perturbation=None,
    )


def _truth(people: TwinPeople, sequence: TrialSequence) -> Values:
    """Return true mean response times over the sequence's trials, and true effects."""
    task = sequence.trials.task
    trials = np.bincount(sequence.trials.condition, minlength=len(task.conditions))
    means = people.mean_rt_seconds(task.name)
    return np.column_stack([means @ trials / trials.sum(), people.effects(task.name)])


def _write_table(path: Path, demo: Demo) -> None:
    sources = {
        "true": demo.predictions[TRUTH],
        "observed": demo.observed,
        "predicted": demo.predictions[TWIN],
        "ridge": demo.predictions[RIDGE],
        "group_mean": demo.predictions[MEAN],
    }
    columns = {
        f"{target}_{source}": values[:, place]
        for place, target in enumerate(_TARGETS)
        for source, values in sources.items()
    }
    rows = [
        (f"sub-{label}", *(_cell(values[row]) for values in columns.values()))
        for row, label in enumerate(demo.people.labels)
    ]
    write_tsv(path, ["participant_id", *columns], rows)


def _cell(value: float) -> object:
    return round(float(value), _DIGITS) if math.isfinite(value) else "n/a"


def _print_scores(demo: Demo, size: DemoSize, participants: int) -> None:
    unseen = len(demo.observed)
    show("")
    show(
        f"SIMULATED people, regime {size.regime}: mean response times (rt) of {unseen} people "
        f"in a Stroop run,"
    )
    show(
        f"predicted from their connectomes by what was fitted to {participants - unseen} others; "
        "95 % intervals over people"
    )
    for line in _winner_words(demo):
        show(line)
    _line("", "rt: r", "error (ms)", "effect: r", "error (ms)")
    for name in demo.predictions:
        cells = (words for what in _TARGETS for words in _fit_words(*demo.fit(name, what)))
        _line(name, *cells)
    perturbed = _ALIKE if demo.perturbation is None else demo.perturbation.words()
    for line in (*_WORDS, *perturbed, *_last_words(size)):
        show(line)


_WORDS = (
    "The effect is incongruent less congruent. Ridge regression predicts both from connectomes",
    "directly: where it does as well, a twin's gain is that it performs trials, not a better r.",
    "True parameters show the best possible prediction, given this many trials of each person.",
)


_ALIKE = (
    "Connectomes are not shown to predict people who are left out: all twins are the group's",
    "network, and no connectome is perturbed.",
)


def _last_words(size: DemoSize) -> tuple[str, ...]:
    return (
        *_REGIME_WORDS[size.regime],
        "Everything here is SIMULATED: it says nothing about brains.",
        "",
    )


_REGIME_WORDS: Mapping[Regime, tuple[str, ...]] = {
    "hard": ("Connectomes explain 40 % of these people's differences (regime hard), with noise.",),
    "easy": (
        "Connectomes explain all of these people's differences (regime easy): in real people, "
        "expect less.",
    ),
}


def _line(label: str, *cells: str) -> None:
    wide, narrow = 23, 12
    words = "".join(f"{cell:>{(wide, narrow)[place % 2]}}" for place, cell in enumerate(cells))
    show(f"  {label:18}{words}")


def _fit_words(r: Interval, error: Interval) -> tuple[str, str]:
    known = math.isfinite(r.mean)
    words = f"{r.mean:.2f} ({r.low:.2f} to {r.high:.2f})" if known else "none"
    return words, f"{_MS * error.mean:.0f}"


def _winner_words(demo: Demo) -> list[str]:
    """Say which prediction is best, as the page of an evaluation does, and how large r can be."""
    from bids_dtg.twin.judging.winners import winner_sentences

    rt, effect = (demo.found.ceilings[f"{demo.task}_{what}"].r.mean for what in _TARGETS)
    return [
        *winner_sentences(demo.found),
        f"noise ceiling of r, by odd and even trials: rt {rt:.2f}, effect {effect:.2f}",
    ]


def _picture(demo: Demo) -> bytes | None:
    (r, error), size = _fit_words(*demo.fit(TWIN, RT)), len(demo.observed)
    predicted = demo.predictions[TWIN][:, _RT]
    order = np.argsort(predicted)
    chosen = [int(order[round(q * (size - 1))]) for q in _PICTURED_QUANTILES]
    return draw_twin(
        PredictedPanel(
            name="mean response time (s)",
            observed=demo.observed[:, _RT],
            predicted=predicted,
            group_mean=float(demo.predictions[MEAN][0, _RT]),
            words=f"{size} unseen people, each predicted by the own twin:\n"
            f"r = {r}, mean error {error} ms",
        ),
        [_row(name, *demo.fit(name, RT)) for name in demo.predictions],
        [_series(demo, person) for person in chosen],
        ceiling=demo.found.ceilings[f"{demo.task}_{RT}"].r.mean,
        title="SIMULATED people perform a real Stroop run: predictions by networks made from their "
        "connectomes",
    )


def _row(name: str, r: Interval, error: Interval) -> PredictionRow:
    words = _fit_words(r, error)
    return PredictionRow(
        name=name,
        r=r.mean,
        low=r.low,
        high=r.high,
        words=f"r {words[0]}, error {words[1]} ms",
        marked=name == TWIN,
    )


def _series(demo: Demo, person: int) -> SeriesPanel:
    """Return the first trials of a person, with the twin's outputs."""
    segments, task = demo.segments.person(person), demo.sequence.trials.task
    rows, first = segments.trials, 0
    trials = np.flatnonzero(rows.segment == first)[:_PICTURED_TRIALS]
    start = segments.start_seconds[first]
    steps = slice(0, int(rows.last_step[trials[-1]]) + 1)
    observed, predicted = demo.observed[person, _RT], demo.predictions[TWIN][person, _RT]
    return SeriesPanel(
        words=f"sub-{demo.people.labels[person]}: mean response time {observed:.2f} s, "
        f"predicted {predicted:.2f} s (above: the word in its ink; triangles: the person's "
        "presses; lines: the twin's buttons)",
        seconds=start + STEP_SECONDS * np.arange(steps.stop),
        buttons=task.buttons,
        outputs=demo.outputs[person, first, steps],
        trials=tuple(
            ShownTrial(
                onset_seconds=float(start + STEP_SECONDS * rows.onset_step[trial]),
                word=_name(task.buttons, demo.sequence.lure[rows.trial[trial]]),
                ink=_name(task.buttons, rows.correct_button[trial]),
                press_seconds=float(rows.rt_seconds[trial]),
                pressed=_name(task.buttons, rows.button[trial]),
            )
            for trial in trials
        ),
    )


def _name(buttons: tuple[str, ...], number: int) -> str:
    return buttons[number] if number >= 0 else ""
