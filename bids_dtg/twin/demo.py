"""The demo: twins of simulated people's connectomes predict their responses in a Stroop run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import say, show
from bids_dtg.report.demo import TABLE, run_fitted_demo
from bids_dtg.twin.cuts import STEP_SECONDS
from bids_dtg.twin.decoding import Decoded, decode
from bids_dtg.twin.demo_perturbation import STEP_SIZES, DemoPerturbation, perturb_people
from bids_dtg.twin.demo_picture import (
    PredictedPanel,
    PredictionRow,
    QuantilePanel,
    SeriesPanel,
    ShownTrial,
    draw_twin,
)
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict
from bids_dtg.twin.judging.behaviour import Answers, condition_effect, decoded, figures
from bids_dtg.twin.judging.cohort import answers_of
from bids_dtg.twin.judging.cross_losses import cross_losses
from bids_dtg.twin.judging.matching import Matching, match
from bids_dtg.twin.judging.scores import (
    PeopleFit,
    always_correct,
    choice_agreement,
    people_fit,
    quantile_table,
    rt_crps,
)
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.sequences import TrialSequence, trial_sequence
from bids_dtg.twin.phantom.world import Regime
from bids_dtg.twin.recipe import DEFAULT_ARCHITECTURE, Recipe, find_architecture, find_recipe
from bids_dtg.twin.trial_series import Segments, stack_people
from bids_dtg.twin.trials import Trials

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

PEOPLE = 180
FEWEST_PEOPLE = 12
_SEQUENCE = "stroopAP"
_UNSEEN = 3  # one person of so many is left out of the fit
_DIGITS = 4  # of a table
_LINES = 10  # every tenth line is printed while the network is trained
_MS = 1000.0
_LEAST = 1e-6  # of a probability, so that its logarithm is finite
_PICTURED_QUANTILES = (0.1, 0.9)  # of predicted response times: people whose trials are drawn
_PICTURED_TRIALS = 8
_TARGETS = ("rt", "rt_congruent", "rt_incongruent", "effect")  # of people, in seconds
_RT, _EFFECT = 0, 3
TWIN, STRANGER, RIDGE, MEAN, TRUTH = (
    "own twin",
    "a stranger's twin",
    "connectome ridge",
    "group mean",
    "true parameters",
)


# Of one task: about a minute of one core.
_RECIPE = replace(find_recipe(DEFAULT_ARCHITECTURE), group_epochs=60)


@dataclass(frozen=True)
class DemoSize:
    """Sizes of the simulation and the fit."""

    regime: Regime = "hard"
    regions: int = 100
    recipe: Recipe = _RECIPE


@dataclass(frozen=True, eq=False)
class Demo:
    """Results of the demo, all simulated, of unseen people only."""

    people: TwinPeople
    sequence: TrialSequence
    segments: Segments  # performed by people and twins
    answers: Answers  # of the people
    outputs: NDArray[np.float32]  # (people, segments, steps, buttons), of their twins
    twin: Decoded  # decoded from these outputs
    group: Decoded  # decoded from the group's network
    observed: Values  # (people, targets), seconds
    predictions: Mapping[str, Values]  # the same, by the prediction's name
    perturbation: DemoPerturbation | None  # None: twins do not differ

    def fit(self, name: str, target: int) -> PeopleFit:
        """Return how well a figure is predicted, over people."""
        return people_fit(self.predictions[name][:, target], self.observed[:, target])

    def matching(self) -> Matching:
        """Compare the losses of people's own twins with those of other people's twins."""
        return match(cross_losses(self.outputs, self.segments))


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

    def simulate(folder: Path) -> tuple[TwinPeople, list[list[Trials]]]:
        people = simulate_twin_people(participants, size.regime, regions=size.regions, seed=seed)
        runs = people.runs([sequence], seed=seed)
        write_twin_people(folder, people, [sequence], runs)
        return people, runs

    def compare(demo: Demo) -> None:
        _write_table(out / TABLE, demo)
        _write_perturbations(out / "perturbations.tsv", demo)
        _print_scores(demo, size, participants)

    run_fitted_demo(
        out,
        model="digital twin",
        participants=participants,
        simulate=simulate,
        fit=lambda simulated: _fitted(*simulated, sequence, size, seed),
        compare=compare,
        draw=_picture,
    )


def _fitted(
    people: TwinPeople, runs: list[list[Trials]], sequence: TrialSequence, size: DemoSize, seed: int
) -> Demo:
    """Fit twins to some people, and run the twins of the others."""
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.twin.fitting import fit

    segments = stack_people(runs)
    known = np.arange(len(runs) - len(runs) // _UNSEEN)
    unseen = np.arange(len(known), len(runs))
    say(f"fitting twins to the responses of {len(known)} people …")
    fitted = fit(
        people.connectomes[known],
        segments.people(known),
        architecture=find_architecture(DEFAULT_ARCHITECTURE, size.recipe),
        seed=seed,
        report=_every_tenth(),
    )
    targets = targets_of(figures(answers_of(segments, 0).answers, 2).median_rt_seconds)
    training = Training(
        Known(len(known), connectome=people.connectomes[known]),
        targets[known],
        (sequence.trials.task.name,) * len(_TARGETS),
    )
    demo = _performed(
        fitted, people.select(unseen), sequence, segments.people(unseen), targets[unseen], training
    )
    say(f"perturbing the connectomes of {len(unseen)} unseen people …")
    own = demo.segments, demo.observed[:, _RT]
    return replace(demo, perturbation=perturb_people(fitted, demo.people, *own, seed=seed))


def _performed(
    fitted: Fitted,
    people: TwinPeople,
    sequence: TrialSequence,
    segments: Segments,
    observed: Values,
    training: Training,
) -> Demo:
    """Run the twins of unseen people, and predict the same figures by baselines."""
    say(f"running the twins of {len(observed)} unseen people …")
    outputs = fitted.perform(people.connectomes, segments).buttons
    twin, answers = decode(outputs, segments), answers_of(segments, 0).answers
    times, missed = (np.asarray(values, np.float64) for values in (twin.rt_seconds, twin.miss))
    own = decoded(answers, times, twin.button, missed)
    of_twins = targets_of(figures(own, 2).median_rt_seconds)
    if not np.isfinite(of_twins).any():
        raise RunError("no twin presses any button: the training has failed")
    unseen = Known(len(observed), connectome=people.connectomes)
    simple = {row.name: row for row in BASELINES}
    return Demo(
        people=people,
        sequence=sequence,
        segments=segments,
        answers=answers,
        outputs=outputs,
        twin=twin,
        group=decode(fitted.perform_group(segments).buttons[0], segments),
        observed=observed,
        predictions={
            TWIN: of_twins,
            STRANGER: np.roll(of_twins, 1, axis=0),
            RIDGE: predict(simple["connectome_ridge"], training, unseen),
            MEAN: predict(simple["group_mean"], training, unseen),
            TRUTH: targets_of(people.median_rt_seconds(sequence.trials.task.name)),
        },
        perturbation=None,
    )


def _every_tenth() -> Callable[[str], None]:
    """Return a reporter of every tenth epoch and of all lines that are not epochs."""
    numbers = count()

    def report(line: str) -> None:
        if next(numbers) % _LINES == 0 or not line.startswith("epoch"):
            say(line)

    return report


def targets_of(by_condition: Values) -> Values:
    """Return the targets of people: mean of both conditions, each one, second less first.

    Parameters
    ----------
    by_condition
        (people, 2), response times in seconds.

    Examples
    --------
    >>> targets_of(np.array([[0.75, 1.0]]))
    array([[0.875, 0.75 , 1.   , 0.25 ]])
    """
    effect = condition_effect(by_condition)
    return np.column_stack([by_condition.mean(axis=1), by_condition, effect])


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


def _write_perturbations(path: Path, demo: Demo) -> None:
    """Write the predicted and true changes by perturbations of the connectome."""
    if demo.perturbation is None:
        return
    perturbation, last = demo.perturbation, STEP_SIZES[-1]
    rows = [
        *zip(
            ["lower rt"] * len(STEP_SIZES),
            STEP_SIZES,
            perturbation.predicted,
            perturbation.true,
            strict=True,
        ),
        *(
            (f"random {number}", last, predicted, true)
            for number, (predicted, true) in enumerate(
                zip(perturbation.controls_predicted, perturbation.controls_true, strict=True), 1
            )
        ),
    ]
    columns = ["direction", "step_size", "rt_change_predicted", "rt_change_true"]
    write_tsv(
        path, columns, [(name, step_size, _cell(a), _cell(b)) for name, step_size, a, b in rows]
    )


def _cell(value: float) -> object:
    return round(float(value), _DIGITS) if math.isfinite(value) else "n/a"


def _print_scores(demo: Demo, size: DemoSize, participants: int) -> None:
    unseen = len(demo.observed)
    show("")
    show(
        f"SIMULATED people, regime {size.regime}: median response times (rt) of {unseen} people "
        f"in a Stroop run,"
    )
    show(
        f"predicted from their connectomes by what was fitted to {participants - unseen} others; "
        "95 % intervals over people"
    )
    _line("", "rt: r", "error (ms)", "effect: r", "error (ms)")
    for name in demo.predictions:
        rt, effect = demo.fit(name, _RT), demo.fit(name, _EFFECT)
        _line(name, _r_words(rt), _error_words(rt), _r_words(effect), _error_words(effect))
    perturbed = () if demo.perturbation is None else demo.perturbation.words()
    found = (*_trial_words(demo), *_matching_words(demo), *perturbed)
    for line in (*_WORDS, *found, *_last_words(size)):
        show(line)


_WORDS = (
    "The effect is incongruent less congruent. Ridge regression predicts both from connectomes",
    "directly: where it does as well, a twin's gain is that it performs trials, not a better r.",
    "True parameters show the best possible prediction, given this many trials of each person.",
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


def _r_words(fit: PeopleFit) -> str:
    r = fit.r
    if not math.isfinite(r.mean):
        return "none"
    return f"{r.mean:.2f} ({r.low:.2f} to {r.high:.2f})"


def _error_words(fit: PeopleFit) -> str:
    return f"{_MS * fit.error.mean:.0f}"


def _trial_words(demo: Demo) -> list[str]:
    """Describe how well single trials are predicted."""
    answers, buttons = demo.answers, demo.outputs.shape[-1]
    agreement = float(np.nanmean(choice_agreement(demo.twin.button, answers, buttons=buttons)))
    correct = float(np.nanmean(always_correct(answers, buttons=buttons)))
    twin, group = (
        _MS * float(np.nanmean(rt_crps(of.answered, of.seconds, answers.rt_seconds)))
        for of in (demo.twin, demo.group)
    )
    return [
        f"trials in which the person pressed the predicted button: {agreement:.1%}; the correct "
        f"one: {correct:.1%}",
        f"distribution of response times, CRPS: own twin {twin:.1f} ms, the group's network "
        f"{group:.1f} ms",
    ]


def _matching_words(demo: Demo) -> list[str]:
    """Describe whether people's own twins fit them better."""
    found = demo.matching()
    return [
        f"loss on people's presses: own twin {found.matched:.4f}, strangers' twins "
        f"{found.mismatched:.4f} (p = {found.p:.4f});",
        f"own twin better than the mean stranger's: {found.better_than_average.mean:.0%} of people",
    ]


def _picture(demo: Demo) -> bytes | None:
    rt, size = demo.fit(TWIN, _RT), len(demo.observed)
    predicted = demo.predictions[TWIN][:, _RT]
    table = quantile_table(demo.twin.answered, demo.twin.seconds, demo.answers, 2)
    order = np.argsort(predicted)
    chosen = [int(order[round(q * (size - 1))]) for q in _PICTURED_QUANTILES]
    return draw_twin(
        PredictedPanel(
            name="median response time (s)",
            observed=demo.observed[:, _RT],
            predicted=predicted,
            group_mean=float(demo.predictions[MEAN][0, _RT]),
            words=f"{size} unseen people, each predicted by the own twin:\n"
            f"r = {_r_words(rt)}, mean error {_error_words(rt)} ms",
        ),
        [_row(name, demo.fit(name, _RT)) for name in demo.predictions],
        QuantilePanel(
            demo.sequence.trials.task.conditions,
            table.probabilities,
            table.observed_seconds,
            table.predicted_seconds,
        ),
        [_series(demo, person) for person in chosen],
        title="SIMULATED people perform a real Stroop run: predictions by networks made from their "
        "connectomes",
    )


def _row(name: str, fit: PeopleFit) -> PredictionRow:
    return PredictionRow(
        name=name,
        r=fit.r.mean,
        low=fit.r.low,
        high=fit.r.high,
        words=f"r {_r_words(fit)}, error {_error_words(fit)} ms",
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
        words=f"sub-{demo.people.labels[person]}: median response time {observed:.2f} s, "
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
