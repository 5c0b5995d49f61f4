"""Compare twins of simulated people with the truth, and the group network with real people.

    python studies/twin_worlds.py FOLDER [--seeds 41 42 43 44 45] [--regimes hard easy]
        [--architectures lowrank hypernetwork] [--epochs 40] [--shuffles 64] [--tcp DATA]

Each world has 400 simulated people who perform the faces run and the Stroop run of a real study.
Twins are fitted to 200 of them, and 200 are unseen. Half of the unseen people calibrate
interventions, which are applied to the other half. The results of each world stay in FOLDER, so an
interrupted run can be resumed; other epochs or shuffles need another FOLDER. Tables have means over
worlds with 95 % intervals (Student's t).
DATA is the folder with bids/ (event files) of 182 people of the Transdiagnostic Connectome Project
(CC0), who have no connectomes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bids_dtg.array_types import Float64
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
from bids_dtg.twin.judging.scores import (
    means,
    outcome_brier,
    rt_crps,
    scored_trials,
)
from bids_dtg.twin.phantom.bold import REGIONS, VARYING, simulate_bold, true_responses
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
from bids_dtg.twin.trials import Trials, read_trials

Row = dict[str, float]
PEOPLE, FITTED, STEP = 400, 200, 2.0  # STEP: size of an intervention, in SD
RUNS = ("hammerAP", "stroopAP")
EPOCHS = 40  # of the group's network at most; the default recipe has 100
NAMES = ("faces_rt", "faces_effect", "stroop_rt", "stroop_effect")


def true_functions(people: TwinPeople) -> Float64:
    """Return true mean response times and true effects, in the order of `NAMES`."""
    functions = people.functions(RUNS)
    return np.stack([functions[name] for name in NAMES], axis=1)


def r_of(predicted: Float64, observed: Float64) -> float:
    """Return r of two columns; 0 if either does not vary."""
    complete = np.isfinite(predicted) & np.isfinite(observed)
    predicted, observed = predicted[complete], observed[complete]
    varies = predicted.std() > 1e-9 and observed.std() > 0
    return float(np.corrcoef(predicted, observed)[0, 1]) if varies else 0.0


def world_figures(
    regime: Any, seed: int, architecture: str, epochs: int, shuffles: int
) -> Row:
    """Simulate a world, fit twins, and return its metrics."""
    people = simulate_twin_people(PEOPLE, regime, seed=seed)
    sequences = [trial_sequence(name) for name in RUNS]
    runs = people.runs(sequences, seed=seed)
    segments = stack_people(runs)
    training, unseen = (
        Cohort(
            people.select(rows).labels,
            segments.people(rows),
            people.connectomes[rows],
        )
        for rows in (np.arange(FITTED), np.arange(FITTED, PEOPLE))
    )
    start = time.process_time()
    fitted = fit(
        training.connectomes,
        training.segments,
        people=training.labels,
        architecture=architecture,
        recipe=replace(find_recipe(architecture), group_epochs=epochs),
    )
    figures = {"CPU of the fit, s": time.process_time() - start}
    unseen_people = people.select(np.arange(FITTED, PEOPLE))
    true = true_functions(unseen_people)
    figures |= behaviour_figures(fitted, training, unseen, true)
    for kind in ("known", "unknown", "noise"):
        bold = simulate_bold(people, runs, seed=seed, kind=kind)
        true = true_responses(unseen_people, kind)
        figures |= bold_figures(fitted, training, unseen, bold, true, kind)
    figures |= move_figures(fitted, unseen, unseen_people)
    bold = simulate_bold(people, runs, seed=seed)[:FITTED]
    return figures | shuffled_gates(training, bold, shuffles)


def shuffled_gates(training: Cohort, bold: Any, shuffles: int) -> Row:
    """Return how often a gate of behaviour, and that of any region, opens for no information."""
    if not shuffles:
        return {}
    measures, rng = observed_measures(training.segments), np.random.default_rng(0)
    columns = responses(bold, training.segments).reshape(len(measures), -1)
    opened = []
    for _ in range(shuffles):
        shuffled = rng.permutation(training.connectomes)
        behaviour = find_gate(shuffled, measures).open.any()
        regions = find_gate(shuffled, columns, groups=len(REGIONS)).open
        opened.append([behaviour, regions.any()])
    share, share_of_bold = np.mean(opened, axis=0)
    return {
        "gate open, behaviour, share of shuffled": share,
        "gate open, BOLD of any region, share of shuffled": share_of_bold,
    }


def behaviour_figures(
    fitted: Fitted, training: Cohort, unseen: Cohort, true: Float64
) -> Row:
    """Return metrics of unseen people's behaviour, predicted by twins and by the ridge."""
    judged = predict_people(fitted, unseen, training)
    figures: Row = {}
    observed = observed_times(unseen.segments)
    twin, ridge = (judged.models[name].times for name in (TWIN, RIDGE))
    assert twin is not None
    assert ridge is not None
    for column, name in enumerate(NAMES):
        is_mean = name.endswith("rt")
        target = observed[:, column] if is_mean else true[:, column]
        words = f"r of {name}" if is_mean else f"r of true {name}"
        r_twin, r_ridge = (r_of(times[:, column], target) for times in (twin, ridge))
        figures |= {words: r_twin, f"{words}, twin less ridge": r_twin - r_ridge}
        if is_mean:  # the ridge may predict no effect at all
            spread = float(twin[:, column].std() / ridge[:, column].std())
            figures[f"SD of {name}, twin / ridge"] = spread
    figures |= measure_figures(fitted, training, unseen)
    scored = unseen.segments.trials.scored
    for model in (TWIN, GROUP):
        predicted = judged.models[model]
        assert predicted.losses is not None
        assert predicted.shares is not None
        brier = outcome_brier(predicted.shares, unseen.segments)
        figures[f"cross-entropy of buttons, {model}"] = float(predicted.losses.mean())
        figures[f"Brier, {model}"] = float(brier[scored].mean())
    for model in (TWIN, GROUP, STRETCHED):
        predicted = judged.models[model]
        assert predicted.answered is not None
        assert predicted.seconds is not None
        rt_seconds = unseen.segments.trials.rt_seconds
        scores = rt_crps(predicted.answered, predicted.seconds, rt_seconds)
        for task, condition, used in scored_trials(unseen.segments):
            score = 1e3 * float(np.nanmean(means(scores, used)))
            figures[f"CRPS of {task} {condition}, {model}, ms"] = score
    return figures


def measure_figures(fitted: Fitted, training: Cohort, unseen: Cohort) -> Row:
    """Return r over people of accuracies and SDs of times, by twins and by ridges."""
    outputs = torch.from_numpy(fitted.perform(unseen.connectomes, unseen.segments))
    performed = performed_measures(outputs, unseen.segments).double().numpy()
    ridges = fit_ridges(training.connectomes, observed_measures(training.segments))
    predicted = ridges.predict(unseen.connectomes)
    observed = observed_measures(unseen.segments)
    figures = {}
    for column, measure in enumerate(measures_of(fitted.tasks)):
        if measure.what in (ACCURACY, SPREAD):
            for words, values in (("twin", performed), ("ridge", predicted)):
                name = f"r of {measure.name}, {words}"
                figures[name] = r_of(values[:, column], observed[:, column])
    return figures


def bold_figures(
    fitted: Fitted,
    training: Cohort,
    unseen: Cohort,
    bold: Any,
    true: Float64,
    kind: str,
) -> Row:
    """Return metrics of unseen people's BOLD, predicted by twins, training mean and ridge."""
    measured, edges = bold[:FITTED], training.connectomes
    bold_ridges = fit_bold(measured, edges, training.segments, regions=REGIONS)
    with_bold = replace(unseen, bold=bold[FITTED:])
    predicted = predict_people(replace(fitted, bold=bold_ridges), with_bold).bold
    assert predicted is not None
    scores, name = score_bold(predicted, fitted.tasks), f"BOLD {kind}"
    large = float((np.abs(scores["observed_t"]) > 3).mean())
    figures = {
        f"{name}: group r of t, twins": group_r(scores, "twin"),
        f"{name}: group r of t, training mean": group_r(scores, "training_mean"),
        f"{name}: regions with open gate": float(bold_ridges.open.sum()),
        f"{name}: share of t beyond 3": large,
    }
    if kind == "known":
        amplitudes = responses(bold_ridges.scaled(measured), training.segments)
        ridges = fit_ridges(edges, task_means(amplitudes))
        models = {
            "twins": task_means(predicted["twin"]),
            "ridge": ridges.predict(unseen.connectomes),
            "true amplitude": task_means(true),
        }
        observed = task_means(predicted["observed"])
        places = [2 * region + task for region in VARYING for task in (0, 1)]
        for words, values in models.items():
            r = [r_of(values[:, place], observed[:, place]) for place in places]
            figures[f"{name}: r over people where amplitudes differ, {words}"] = float(
                np.mean(r)
            )
        spreads = [models[words][:, places].std(axis=0) for words in ("twins", "ridge")]
        figures[f"{name}: SD of amplitudes, twins / ridge"] = float(
            np.mean(spreads[0] / spreads[1])
        )
    return figures


def task_means(values: Float64) -> Float64:
    """Return means over the two conditions of each task, (people, regions * tasks)."""
    means = values.reshape(*values.shape[:2], 2, 2).mean(axis=-1)
    return np.asarray(means.reshape(len(values), -1))


def move_figures(fitted: Fitted, unseen: Cohort, people: TwinPeople) -> Row:
    """Return ratios of predicted to true changes by interventions; half of the people calibrate."""
    functions = functions_of(fitted.tasks)
    rows = [
        number for number, function in enumerate(functions) if function.name in NAMES
    ]
    numbers = np.arange(len(unseen.labels))
    calibrating, moved = numbers[::2], numbers[1::2]
    edges, segments = unseen.connectomes, unseen.segments
    before = predicted_functions(fitted, edges, segments)
    observed = observed_functions(segments)
    moved_people, moved_segments = people.select(moved), segments.people(moved)
    gradients, _ = gradients_of(
        fitted, edges[calibrating], segments.people(calibrating)
    )
    true_before = true_functions(moved_people)
    figures: Row = {}

    def changes(delta: Float64) -> tuple[Float64, Float64]:
        after = predicted_functions(fitted, edges[moved] + delta, moved_segments)
        true_after = true_functions(moved_people.after(delta))
        return (after - before[moved])[:, rows], true_after - true_before

    for column, row in enumerate(rows):
        name = f"move of {NAMES[column]}"
        slope = slope_of(before[calibrating, row], observed[calibrating, row])
        try:
            delta = -STEP * along(gradients[row], edges[calibrating])
        except ValueError:
            continue
        predicted, true = (values[:, column] for values in changes(delta))
        ratio = float(predicted.mean() / true.mean())
        calibrated = "refused" if slope.why_not else "calibrated / true"
        levels = {"own": observed[moved, row], "predicted": before[moved, row]}
        figures |= {
            f"{name}: raw / true": ratio,
            f"{name}: {calibrated}": slope.value * ratio,
            f"{name}: r of people's changes with the true ones": r_of(predicted, true),
        }
        for level, values in levels.items():
            words = f"{name}: r of the {level} level with the true changes"
            figures[words] = -r_of(values, true)
        norm = np.linalg.norm(gradients[row])
        length = float((edges[calibrating] @ gradients[row] / norm).std(ddof=1))
        raw, true_raw = changes(-STEP * length * gradients[row] / norm)
        ratio = float(raw[:, column].mean() / true_raw[:, column].mean())
        figures[f"{name}: along the raw gradient, predicted / true"] = ratio
        held = [
            number
            for number, function in zip(rows, NAMES, strict=True)
            if function.endswith("rt") and number != row
        ]
        _, true = changes(-STEP * selective(gradients, row, held, edges[calibrating]))
        target = true[:, column].mean()
        of_held = true[:, [rows.index(number) for number in held]].mean(axis=0)
        largest = np.abs(of_held).max()
        name = f"selective {name}"
        figures[f"{name}: true target, ms"] = float(1e3 * target)
        figures[f"{name}: true target / largest other"] = float(-target / largest)
    return figures


def stored(path: Path, make: Any) -> Row:
    """Return the results of an earlier run, or make and store them."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=1))
        print(f"{path.stem}: done", flush=True)
    figures: Row = json.loads(path.read_text())
    return figures


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
    tasks = TaskSet((find_task("faces"), find_task("stroop")))
    runs: dict[str, list[Trials]] = {}
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
        rest = np.setdiff1d(np.arange(len(labels)), out)
        fitted = fit(np.zeros((len(rest), 0)), segments.people(rest), recipe=recipe)
        group = fitted.perform_group(segments)
        assert group is not None
        predicted[out] = np.broadcast_to(
            decode(group, segments).given_seconds, rt.shape
        )[out]
    yield f"\n| TCP, {len(labels)} people | people, ms | left-out group network, ms | less |"
    yield "|---|---|---|---|"
    for task, condition, used in scored_trials(segments):
        timed = used & np.isfinite(rt)
        observed, network = (
            1e3 * np.nanmean(means(times, timed)) for times in (rt, predicted)
        )
        less = network - observed
        yield f"| {task} {condition} | {observed:.0f} | {network:.0f} | {less:+.0f} |"


def main() -> None:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[41, 42, 43, 44, 45])
    parser.add_argument("--regimes", nargs="+", default=["hard", "easy"])
    parser.add_argument(
        "--architectures", nargs="+", default=["lowrank", "hypernetwork"]
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--shuffles", type=int, default=64)
    parser.add_argument("--tcp", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for architecture in options.architectures:
        shuffles = options.shuffles if architecture == "lowrank" else 0
        settings = architecture, options.epochs, shuffles
        worlds = {
            regime: [
                stored(
                    options.folder / f"{architecture}-{regime}-{seed}.json",
                    partial(world_figures, regime, seed, *settings),
                )
                for seed in options.seeds
            ]
            for regime in options.regimes
        }
        print("\n".join(table(architecture, worlds)))
    if options.tcp:
        print("\n".join(tcp_rows(options.tcp)))


if __name__ == "__main__":
    main()
