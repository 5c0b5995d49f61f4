"""Compare twins of simulated people with the truth, and the group network with real people.

    python studies/twin_worlds.py FOLDER [--seeds 41 42 43 44 45] [--regimes hard easy]
        [--architectures lowrank hypernetwork] [--shuffles 64] [--tcp DATA]

Each world has 400 simulated people who perform the faces run and the Stroop run of a real study.
Twins are fitted to 200 of them, and 200 are unseen. Half of the unseen people calibrate
interventions, which are applied to the other half. The results of each world stay in FOLDER, so an
interrupted run can be resumed. Tables have means over worlds with 95 % intervals (Student's t).
DATA is the folder with bids/ (event files) of 182 people of the Transdiagnostic Connectome Project
(CC0), who have no connectomes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.stats.paired import t_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.twin.bold import fit_bold, responses
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.interventions import (
    along,
    functions_of,
    gradients_of,
    observed_functions,
    predicted_functions,
    selective,
    slope_of,
)
from bids_dtg.twin.judging.evaluation import group_r, score_bold
from bids_dtg.twin.judging.predictions import (
    GROUP,
    RIDGE,
    STRETCHED,
    TWIN,
    Cohort,
    predict_people,
)
from bids_dtg.twin.judging.scores import conditions_of, means, rt_crps
from bids_dtg.twin.phantom.bold import OWN, REGIONS, simulate_bold, true_responses
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.world import SEQUENCES, trial_sequence
from bids_dtg.twin.recipe import find_recipe
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.times import (
    ACCURACY,
    SPREAD,
    find_gate,
    fit_ridges,
    measures_of,
    observed_measures,
    observed_times,
)
from bids_dtg.twin.training import performed_measures
from bids_dtg.twin.trial_series import TaskSet, stack_people
from bids_dtg.twin.trials import read_trials

Values = NDArray[np.float64]
Row = dict[str, float]
PEOPLE, FITTED, STEP = 400, 200, 2.0  # STEP: size of an intervention, in SD
RUNS = ("hammerAP", "stroopAP")
EPOCHS = 40  # of the group network
NAMES = ("faces_rt", "faces_effect", "stroop_rt", "stroop_effect")


def true_functions(people: TwinPeople) -> Values:
    """Return true mean response times and true effects, in the order of `NAMES`."""
    found = []
    for name in RUNS:
        trials = trial_sequence(name).trials
        number = np.bincount(trials.condition, minlength=2)
        of_condition = people.mean_rt_seconds(trials.task.name)
        found += [of_condition @ number / number.sum(), np.diff(of_condition)[:, 0]]
    return np.stack(found, axis=1)


def r_of(one: Values, other: Values) -> float:
    """Return r of two columns; 0 if either does not vary."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    return (
        float(np.corrcoef(one, other)[0, 1])
        if one.std() > 1e-9 and other.std() > 0
        else 0.0
    )


def world_figures(regime: Any, seed: int, architecture: str, shuffles: int) -> Row:
    """Simulate a world, fit twins, and return its metrics."""
    people = simulate_twin_people(PEOPLE, regime, seed=seed)
    sequences = [trial_sequence(name) for name in RUNS]
    runs = people.runs(sequences, seed=seed)
    segments = stack_people(runs)
    rows = np.arange(PEOPLE)
    known, unseen = (
        Cohort(people.select(own).labels, segments.people(own), people.connectomes[own])
        for own in (rows[:FITTED], rows[FITTED:])
    )
    start = time.process_time()
    recipe = replace(find_recipe(architecture), group_epochs=EPOCHS)
    given: dict[str, Any] = {
        "people": known.labels,
        "architecture": architecture,
        "recipe": recipe,
    }
    fitted = fit(known.connectomes, known.segments, **given)
    found = {"CPU of the fit, s": time.process_time() - start}
    others = people.select(rows[FITTED:])
    found |= behaviour_figures(fitted, known, unseen, true_functions(others))
    for kind in ("known", "unknown", "noise"):
        bold = simulate_bold(people, runs, seed=seed, kind=kind)
        found |= bold_figures(
            fitted, known, unseen, bold, true_responses(others, kind), kind
        )
    found |= move_figures(fitted, unseen, others)
    return found | shuffled_gates(
        known, simulate_bold(people, runs, seed=seed)[:FITTED], shuffles
    )


def shuffled_gates(known: Cohort, bold: Any, shuffles: int) -> Row:
    """Return how often a gate of behaviour, and that of any region, opens for no information."""
    if not shuffles:
        return {}
    measures, rng = observed_measures(known.segments), np.random.default_rng(0)
    columns = responses(bold, known.segments).reshape(len(measures), -1)
    opened = []
    for _ in range(shuffles):
        shuffled = rng.permutation(known.connectomes)
        behaviour = find_gate(shuffled, measures).open.any()
        opened.append(
            [behaviour, find_gate(shuffled, columns, groups=len(REGIONS)).open.any()]
        )
    shares = np.mean(opened, axis=0)
    names = ("behaviour", "BOLD of any region")
    return {
        f"gate open, {name}, share of shuffled": own
        for name, own in zip(names, shares, strict=True)
    }


def behaviour_figures(
    fitted: Fitted, known: Cohort, unseen: Cohort, true: Values
) -> Row:
    """Return metrics of unseen people's behaviour, predicted by twins and by the ridge."""
    judged = predict_people(fitted, unseen, known)
    found: Row = {}
    observed = observed_times(unseen.segments)
    twin, ridge = (judged.models[name].times for name in (TWIN, RIDGE))
    assert twin is not None
    assert ridge is not None
    for column, name in enumerate(NAMES):
        wanted = observed[:, column] if name.endswith("rt") else true[:, column]
        what = f"r of {name}" if name.endswith("rt") else f"r of true {name}"
        own, simple = r_of(twin[:, column], wanted), r_of(ridge[:, column], wanted)
        found |= {what: own, f"{what}, twin less ridge": own - simple}
        if name.endswith("rt"):  # the ridge may predict no effect at all
            spread = float(twin[:, column].std() / ridge[:, column].std())
            found[f"SD of {name}, twin / ridge"] = spread
    found |= measure_figures(fitted, known, unseen)
    for model in (TWIN, GROUP):
        losses = judged.models[model].losses
        assert losses is not None
        found[f"cross-entropy of buttons, {model}"] = float(losses.mean())
        found[f"Brier, {model}"] = brier_of(judged.models[model], unseen)
    for model in (TWIN, GROUP, STRETCHED):
        of = judged.models[model]
        assert of.answered is not None
        assert of.seconds is not None
        scores = rt_crps(of.answered, of.seconds, unseen.segments.trials.rt_seconds)
        for task, condition, used in conditions_of(unseen.segments):
            score = 1e3 * float(np.nanmean(means(scores, used)))
            found[f"CRPS of {task} {condition}, {model}, ms"] = score
    return found


def measure_figures(fitted: Fitted, known: Cohort, unseen: Cohort) -> Row:
    """Return r over people of accuracies and SDs of times, by twins and by ridges."""
    outputs = torch.from_numpy(fitted.perform(unseen.connectomes, unseen.segments))
    performed = performed_measures(outputs, unseen.segments).double().numpy()
    ridges = fit_ridges(known.connectomes, observed_measures(known.segments))
    predicted, observed = (
        ridges.predict(unseen.connectomes),
        observed_measures(unseen.segments),
    )
    figures = {}
    for column, measure in enumerate(measures_of(fitted.tasks)):
        if measure.what in (ACCURACY, SPREAD):
            for words, values in (("twin", performed), ("ridge", predicted)):
                name = f"r of {measure.name}, {words}"
                figures[name] = r_of(values[:, column], observed[:, column])
    return figures


def brier_of(predicted: Any, people: Cohort) -> float:
    """Return the mean squared error of shares of correct, wrong and missed trials."""
    rows = people.segments.trials
    missed = ~np.isfinite(rows.rt_seconds)
    outcome = np.stack(
        [rows.correct & ~missed, ~rows.correct & ~missed, missed], axis=-1
    )
    return float(((predicted.shares - outcome) ** 2).sum(axis=-1)[rows.scored].mean())


def bold_figures(
    fitted: Fitted, known: Cohort, unseen: Cohort, bold: Any, true: Values, kind: str
) -> Row:
    """Return metrics of unseen people's BOLD, predicted by twins, training mean and ridge."""
    people = bold[:FITTED], known.connectomes, known.segments
    readout = fit_bold(people[0], fitted.twin, *people[1:], regions=REGIONS)
    of = predict_people(
        replace(fitted, bold=readout), replace(unseen, bold=bold[FITTED:])
    ).bold
    assert of is not None
    scores, name = score_bold(of, fitted.tasks), f"BOLD {kind}"
    found = {
        f"{name}: group r of t, twins": group_r(scores, "twin"),
        f"{name}: group r of t, training mean": group_r(scores, "training_mean"),
        f"{name}: regions with open gate": float(readout.open.sum()),
        f"{name}: share of t beyond 3": float(
            (np.abs(scores["observed_t"]) > 3).mean()
        ),
    }
    if kind == "known":
        measured = responses(readout.scaled(people[0]), known.segments)
        ridges = fit_ridges(known.connectomes, task_means(measured))
        models = {
            "twins": task_means(of["twin"]),
            "ridge": ridges.predict(unseen.connectomes),
            "true amplitude": task_means(true),
        }
        places = [2 * region + task for region in OWN for task in (0, 1)]
        for words, values in models.items():
            own = [r_of(values[:, n], task_means(of["observed"])[:, n]) for n in places]
            found[f"{name}: r over people where amplitudes differ, {words}"] = float(
                np.mean(own)
            )
        spreads = [models[words][:, places].std(axis=0) for words in ("twins", "ridge")]
        found[f"{name}: SD of amplitudes, twins / ridge"] = float(
            np.mean(spreads[0] / spreads[1])
        )
    return found


def task_means(values: Values) -> Values:
    """Return means over the two conditions of each task, (people, regions * tasks)."""
    means = values.reshape(*values.shape[:2], 2, 2).mean(axis=-1)
    return np.asarray(means.reshape(len(values), -1))


def move_figures(fitted: Fitted, unseen: Cohort, people: TwinPeople) -> Row:
    """Return ratios of predicted to true changes by interventions; half of the people calibrate."""
    functions = functions_of(fitted.tasks)
    rows = [
        number for number, function in enumerate(functions) if function.name in NAMES
    ]
    half = np.arange(len(unseen.labels)) % 2 == 0
    edges, segments = unseen.connectomes, unseen.segments
    before = predicted_functions(fitted, edges, segments)
    observed = observed_functions(segments)
    moved, own = (
        segments.people(np.flatnonzero(~half)),
        people.select(np.flatnonzero(~half)),
    )
    gradients, _ = gradients_of(
        fitted, edges[half], segments.people(np.flatnonzero(half))
    )
    true_before, found = true_functions(own), {}

    def changes(delta: Values) -> tuple[Values, Values]:
        after = predicted_functions(fitted, edges[~half] + delta, moved)[:, rows]
        return after - before[~half][:, rows], true_functions(
            own.after(delta)
        ) - true_before

    for column, row in enumerate(rows):
        name = NAMES[column]
        slope = slope_of(before[half, row], observed[half, row])
        try:
            delta = -STEP * along(gradients[row], edges[half])
        except ValueError:
            continue
        predicted, true = changes(delta)
        refused = "refused" if slope.why_not else "calibrated / true"
        mean, truth = predicted[:, column].mean(), true[:, column].mean()
        found[f"move of {name}: raw / true"] = float(mean / truth)
        found[f"move of {name}: {refused}"] = float(slope.value * mean / truth)
        found[f"move of {name}: r of people's changes with the true ones"] = r_of(
            predicted[:, column], true[:, column]
        )
        found[f"move of {name}: r of the own level with the true changes"] = -r_of(
            observed[~half, row], true[:, column]
        )
        found[
            f"move of {name}: r of the predicted level with the true changes"
        ] = -r_of(before[~half, row], true[:, column])
        norm = np.linalg.norm(gradients[row])
        length = float((edges[half] @ gradients[row] / norm).std(ddof=1))
        raw, true_raw = changes(-STEP * length * gradients[row] / norm)
        ratio = raw[:, column].mean() / true_raw[:, column].mean()
        found[f"move of {name}: along the raw gradient, predicted / true"] = float(
            ratio
        )
        held = [
            r for r, n in zip(rows, NAMES, strict=True) if n.endswith("rt") and r != row
        ]
        chosen = -STEP * selective(gradients, row, held, edges[half])
        _, true = changes(chosen)
        others = [rows.index(other) for other in held]
        target, other = (
            true[:, column].mean(),
            np.abs(true[:, others].mean(axis=0)).max(),
        )
        found[f"selective move of {name}: true target, ms"] = float(1e3 * target)
        found[f"selective move of {name}: true target / largest other"] = float(
            -target / other
        )
    return found


def kept(path: Path, make: Any) -> Row:
    """Return the results of an earlier run, or make and keep them."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=1))
        print(f"{path.stem}: done", flush=True)
    found: Row = json.loads(path.read_text())
    return found


def table(title: str, worlds: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Yield a Markdown table of means over worlds, with intervals."""
    yield f"\n| {title} | {' | '.join(worlds)} |\n|---{'|---' * len(worlds)}|"
    names = dict.fromkeys(
        name for rows in worlds.values() for row in rows for name in row
    )
    for name in names:
        cells = []
        for rows in worlds.values():
            values = np.array([row[name] for row in rows if name in row])
            interval = t_interval(values) if len(values) > 1 else None
            ends = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
            cells.append(f"{values.mean():.3f}{ends}" if len(values) else "n/a")
        yield f"| {name} | {' | '.join(cells)} |"


def tcp_rows(data: Path) -> Iterator[str]:
    """Yield mean response times of real people, and those of a group network fitted to others."""
    tasks, runs = TaskSet((find_task("faces"), find_task("stroop"))), {}
    for file in find_events(data / "bids", list(RUNS)):
        run = read_trials(
            find_task(SEQUENCES[file.task]), read_events(file.path), str(file.path)
        )
        if run.correct[run.scored].mean() >= 1 / len(
            run.task.buttons
        ):  # misses are errors
            runs.setdefault(file.participant, []).append(run)
    segments = stack_people(list(runs.values()), tasks=tasks)
    labels, rt = tuple(runs), segments.trials.rt_seconds
    predicted = np.full(rt.shape, np.nan)
    recipe = replace(find_recipe("lowrank"), group_epochs=EPOCHS)
    for fold in fold_people(labels, 5, seed=0):
        out = np.array([labels.index(label) for label in fold])
        others = np.setdiff1d(np.arange(len(labels)), out)
        fitted = fit(np.zeros((len(others), 0)), segments.people(others), recipe=recipe)
        group = fitted.perform_group(segments)
        assert group is not None
        predicted[out] = np.broadcast_to(
            decode(group, segments).given_seconds, rt.shape
        )[out]
    yield f"\n| TCP, {len(labels)} people | people, ms | left-out group network, ms | less |"
    yield "|---|---|---|---|"
    for task, condition, used in conditions_of(segments):
        timed = used & np.isfinite(rt)
        own, other = (1e3 * np.nanmean(means(each, timed)) for each in (rt, predicted))
        yield f"| {task} {condition} | {own:.0f} | {other:.0f} | {other - own:+.0f} |"


def main() -> None:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[41, 42, 43, 44, 45])
    parser.add_argument("--regimes", nargs="+", default=["hard", "easy"])
    parser.add_argument(
        "--architectures", nargs="+", default=["lowrank", "hypernetwork"]
    )
    parser.add_argument("--shuffles", type=int, default=64)
    parser.add_argument("--tcp", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for architecture in given.architectures:
        worlds = {
            regime: [
                kept(
                    given.folder / f"{architecture}-{regime}-{seed}.json",
                    lambda regime=regime, seed=seed, name=architecture: world_figures(
                        regime, seed, name, given.shuffles if name == "lowrank" else 0
                    ),
                )
                for seed in given.seeds
            ]
            for regime in given.regimes
        }
        print("\n".join(table(architecture, worlds)))
    if given.tcp:
        print("\n".join(tcp_rows(given.tcp)))


if __name__ == "__main__":
    main()
