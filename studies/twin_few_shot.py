"""Does a network's code, known from a person's first trials, predict the rest better?

    python studies/twin_few_shot.py DATA --work FOLDER [--folds 5] [--epochs 40] [--own 10 20 40]

DATA is the folder with bids/ (event files) of 182 people of the Transdiagnostic Connectome Project
(CC0), read and judged as by `twin_first_trials`. For each fold of people a network is fitted to the
faces run and the first Stroop run of all others (fits stay in FOLDER); no fit uses the second
Stroop run. There are no connectomes: the group's code is the prior. The row `twin` predicts log
times by level, practice, condition and four directions of codes; `group_network` gives everybody
the times of the group's network, and knows own misses and errors alone, as all rows do. The first
tables know trials of the same run alone. Another one has Brier scores of correct, wrong and missed
trials in the conditions of the fitted runs: by own misses and errors, as all rows have them, and by
the shares of training people in the same condition. The last one also knows trials of another run,
and gives them to the closed form as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import twin_tcp
from numpy.typing import NDArray
from twin_first_trials import (
    FIRST,
    PRIMARY,
    PRIMARY_OWN,
    RUNS,
    SCORES,
    WINDOW_SECONDS,
    Cells,
    Run,
    judged,
    mean_difference,
    person_means,
    read_runs,
    text,
)

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.stats.splits import fold_people
from bids_dtg.stats.verdict import judge_differences
from bids_dtg.twin.few_shot.basis import CodeDirections
from bids_dtg.twin.few_shot.code_times import CodeTimes
from bids_dtg.twin.few_shot.group_network import GroupNetwork
from bids_dtg.twin.few_shot.judging import NETWORK
from bids_dtg.twin.few_shot.other_task import BOTH, OTHER, OWN, TWIN, Side, predict_by_other
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.scores import by_condition, outcome_brier, response_crps
from bids_dtg.twin.own_trials.curves import grid
from bids_dtg.twin.own_trials.first_trials import FirstTrials, all_known
from bids_dtg.twin.own_trials.rows import BEST, RIVAL, ROWS, Row
from bids_dtg.twin.phantom.sequences import trial_sequence
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trials import read_trials

Values = NDArray[np.float64]
RIVALS = (RIVAL, BEST)
OTHERS = (NETWORK, *RIVALS)
KNOWN, SHARES = "own misses and errors", "condition shares"
BRIER_OWN = 20  # own trials
FITTED_AS = {"stroopPA": "stroopAP"}  # whose directions of codes a run has that is never fitted
# Run to predict, the run whose trials are all known, and how many own trials are known, too.
KNOWN_BY = [
    (run, other, own)
    for run, other in (("stroopPA", "stroopAP"), ("stroopAP", "hammerAP"))
    for own in (0, 10, 20)
]


def read_networks(data: Path, runs: Mapping[str, Run]) -> twin_tcp.Cohort:
    """Return the runs that count, on the clock of the shipped sequences, for networks."""
    found: dict[str, dict] = {}
    for file in find_events(data / "bids", list(RUNS)):
        if file.participant in runs[file.task].labels:
            run = read_trials(find_task(RUNS[file.task]), read_events(file.path))
            shown = trial_sequence(file.task).trials
            found.setdefault(file.participant, {})[file.task] = twin_tcp.on_the_clock_of(shown, run)
    labels = sorted(found)
    return twin_tcp.Cohort(tuple(labels), tuple(found[label] for label in labels), {}, {})


@dataclass(frozen=True, eq=False)
class Fold:
    """People who are left out together, and what codes of the others' network change."""

    labels: tuple[str, ...]
    codes: Mapping[str, Values]  # of each run, (1, trials, directions)
    network: Mapping[str, GroupNetwork]  # of each run


def make_fold(
    cohort: twin_tcp.Cohort, labels: Sequence[str], place: Path, args: argparse.Namespace
) -> Fold:
    """Fit a network to all others, or read it, and find what its codes change."""
    file = place.with_suffix(".npz")
    if not file.is_file():
        training = np.flatnonzero(~np.isin(cohort.labels, labels))
        fitted = twin_tcp.fold_fit(
            cohort, training, place, args.seed, args.epochs, lambda line: None
        )
        tables = {name: cohort.segments(names) for names in _TABLES for name in names}
        kept = {}
        for name, segments in tables.items():
            source = FITTED_AS.get(name, name)
            task = cohort_task(source)
            found = CodeDirections.learn(fitted, tables[source], task)
            here = segments.trials.task[0] == task
            kept[f"codes/{name}"] = found.basis(fitted, segments)[:, here]
            kept[f"network/{name}"] = in_window(GroupNetwork.of(fitted, segments, task), task)
        np.savez(file, **kept)
    kept = dict(np.load(file))
    codes = {name: kept[f"codes/{name}"] for name in RUNS}
    network = {name: GroupNetwork(kept[f"network/{name}"]) for name in RUNS}
    return Fold(tuple(labels), codes, network)


_TABLES = (twin_tcp.FITTED, twin_tcp.UNSEEN)


def in_window(network: GroupNetwork, task: int) -> Values:
    """Return the network's curves over the window of this study, which is longer than its own."""
    own, steps = grid(twin_tcp.TASKS.tasks[task].window_seconds), grid(WINDOW_SECONDS)
    return np.apply_along_axis(lambda curve: np.interp(steps, own, curve), -1, network.curves)


def cohort_task(run: str) -> int:
    """Return the number of a run's task."""
    return twin_tcp.TASKS.names.index(RUNS[run])


def rows_of(fold: Fold, run: str) -> tuple[Row, ...]:
    """Return the rivals, the group's network, and the twin whose codes know the run."""

    def learn(training: FirstTrials, task) -> CodeTimes:
        return CodeTimes.learn(training, task, fold.codes[run])

    return (
        *(row for row in ROWS if row.name in RIVALS),
        Row(NETWORK, "the group's network", lambda training, task: fold.network[run]),
        Row(TWIN, "the network's codes", learn),
    )


def scores_of(name: str, run: Run, own: int, folds: Sequence[Fold]) -> dict[str, Values]:
    """Return each person's mean scores, by row and score, from fits to the other folds."""
    people, labels, found = run.first_trials(own), np.array(run.labels), {}
    for fold in folds:
        unseen = np.isin(labels, fold.labels)
        for row in rows_of(fold, name):
            fitted = row.fit(people.of(~unseen), run.task)
            for score, values in judged(fitted, people.of(unseen)).items():
                key = f"{row.name}:{score}"
                found.setdefault(key, np.full(people.people, np.nan))[unseen] = values
    return found


def brier(run: Run, own: int, folds: Sequence[Fold]) -> dict[str, Values]:
    """Return each person's Brier scores, (people, conditions), from fits to the other folds."""
    people, labels, conditions = run.first_trials(own), np.array(run.labels), run.task.conditions
    found = {name: np.full((people.people, len(conditions)), np.nan) for name in (KNOWN, SHARES)}
    for fold in folds:
        unseen = np.isin(labels, fold.labels)
        training, some = people.of(~unseen), people.of(unseen)
        shares = np.array([outcomes_in(training.rest, each) for each in range(len(conditions))])
        fitted = ROWS[0].fit(training, run.task)  # all rows have the same misses and errors
        for name, predicted in (
            (KNOWN, fitted.predict(some).shares),
            (SHARES, shares[some.answers.condition]),
        ):
            scores = outcome_brier(predicted, some.rest)
            found[name][unseen] = by_condition(scores, some.rest, len(conditions))
    return found


def outcomes_in(people: Answers, condition: int) -> Values:
    """Return shares of correct, wrong and missed trials of a condition, (3,)."""
    used = people.scored & (people.condition == condition)
    right, answered = people.correct[used], np.isfinite(people.rt_seconds[used])
    counts = [right.sum(), (answered & ~right).sum(), (~answered & ~right).sum()]
    return np.array(counts) / used.sum()


def brier_table(runs: Mapping[str, Run], own: int, folds: Sequence[Fold]) -> None:
    """Print Brier scores in each condition of the fitted runs, and their mean."""
    found = {name: brier(runs[name], own, folds) for name in twin_tcp.FITTED}
    everybody = sorted({label for name in found for label in runs[name].labels})
    lines: dict[str, dict[str, Values]] = {}
    for name, scores in found.items():
        rows = np.searchsorted(everybody, runs[name].labels)
        for number, condition in enumerate(runs[name].task.conditions):
            line = lines.setdefault(f"{name} {condition}", {})
            for of, values in scores.items():
                line[of] = np.full(len(everybody), np.nan)
                line[of][rows] = values[:, number]
    conditions = list(lines.values())
    lines["mean of all"] = {
        of: np.mean([line[of] for line in conditions], axis=0) for of in (KNOWN, SHARES)
    }
    print(f"\nBrier score of correct, wrong and miss, {own} own trials known")
    print(f"| condition | people | {KNOWN} | {SHARES} | {KNOWN} less {SHARES} |")
    print("|---" * 5 + "|")
    for words, line in lines.items():
        mine, rival = line[KNOWN], line[SHARES]
        both = np.isfinite(mine) & np.isfinite(rival)
        means = f"{mine[both].mean():.4f} | {rival[both].mean():.4f}"
        print(f"| {words} | {both.sum()} | {means} | {text(mine - rival, 4)} |")


def known_by(
    runs: Mapping[str, Run], cell: tuple[str, str, int], folds: Sequence[Fold]
) -> dict[str, Values]:
    """Return each person's CRPS in a run, where all trials of another run are known, too."""
    name, other, own = cell
    run, beside = runs[name], runs[other]
    both = np.array(sorted({*run.labels} & {*beside.labels}))
    one = run.first_trials(own).of(np.searchsorted(run.labels, both))
    two = all_known(beside.first_trials(0)).of(np.searchsorted(beside.labels, both))
    found: dict[str, Values] = {}
    for fold in folds:
        unseen = np.isin(both, fold.labels)
        sides = [
            Side(task, trials.of(~unseen), trials.of(unseen), (codes, codes))
            for task, trials, codes in (
                (run.task, one, fold.codes[name]),
                (beside.task, two, fold.codes[other]),
            )
        ]
        for row in (TWIN, BEST):
            for known in (OWN, OTHER, BOTH) if own else (OTHER,):
                predicted = predict_by_other(row, *sides, known)
                rest = sides[0].unseen.rest
                crps = 1000 * response_crps(predicted.answered, predicted.seconds, rest)
                values = found.setdefault(f"{row}:{known}", np.full(len(both), np.nan))
                values[unseen] = person_means(crps, rest)
    return found


def table(words: str, cells: Cells, score: str, digits: int) -> None:
    """Print each row's mean score, and the twin's difference to the rivals, of all cells."""
    print(f"\n{words}; ± of the twin less each row")
    print(f"| row | {' | '.join(f'{run} {own}' for run, own in cells)} |")
    print("|---" * (1 + len(cells)) + "|")
    for row in (TWIN, *OTHERS):
        line = []
        for scores in cells.values():
            mine, values = scores[f"{TWIN}:{score}"], scores[f"{row}:{score}"]
            mean = f"{np.nanmean(values):.{digits}f}"
            line.append(mean if row == TWIN else f"{mean} {text(mine - values, digits)}")
        print(f"| {row} | {' | '.join(line)} |")


def primary(runs: Mapping[str, Run], cells: Cells, own: Sequence[int]) -> None:
    """Print the mean difference of the twin to the rivals, with the rule's verdict."""
    labels = sorted({label for name in PRIMARY for label in runs[name].labels})
    print(f"\nmean of {' and '.join(PRIMARY)}, {own} own trials, {len(labels)} people")
    print("| twin less | CRPS (ms) | verdict | answered CRPS (ms) | log x 1000 |")
    print("|---" * 5 + "|")
    for rival in OTHERS:
        found = {
            score: mean_difference(runs, cells, own, (TWIN, rival), score, labels)
            for score in SCORES
        }
        verdict = judge_differences(-found["crps"], cross_validated=True)
        word = verdict.word if (tuple(own), rival) == (PRIMARY_OWN, RIVAL) else "-"
        line = [text(found["crps"]), word, text(found["answered_crps"]), text(found["log"])]
        print(f"| {rival} | {' | '.join(line)} |")


def known_by_table(found: Mapping[tuple[str, str, int], Mapping[str, Values]]) -> None:
    """Print what trials of another run add, for the twin and for the closed form."""
    print("\nCRPS (ms) with all trials of another run known")
    print("| run | other run | own trials | row | own | other | both | both less own |")
    print("|---" * 8 + "|")
    for (name, other, own), scores in found.items():
        for row in (TWIN, BEST):
            cells = [scores.get(f"{row}:{known}") for known in (OWN, OTHER, BOTH)]
            line = ["-" if each is None else f"{np.nanmean(each):.1f}" for each in cells]
            gain = "-" if cells[0] is None else text(cells[2] - cells[0])
            print(f"| {name} | {other} | {own} | {row} | {' | '.join(line)} | {gain} |")
        known = BOTH if own else OTHER
        print(f"| | | | twin less {BEST} ({known}) | | | | {twin_gain(scores, known)} |")


def twin_gain(scores: Mapping[str, Values], known: str) -> str:
    return text(scores[f"{TWIN}:{known}"] - scores[f"{BEST}:{known}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="of fits: a stopped call goes on")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40, help="of the group network, at most")
    parser.add_argument("--own", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    runs = read_runs(args.data)
    cohort = read_networks(args.data, runs)
    folds = [
        make_fold(cohort, labels, args.work / f"fold{number}", args)
        for number, labels in enumerate(fold_people(cohort.labels, args.folds, seed=args.seed))
    ]
    cells = {
        (name, own): scores_of(name, run, own, folds)
        for name, run in runs.items()
        for own in args.own
    }
    print(f"judged: trials {FIRST + 1} and on")
    for score, (words, digits) in SCORES.items():
        table(words, cells, score, digits)
    for own in (PRIMARY_OWN, *((number,) for number in args.own)):
        if set(own) <= set(args.own):
            primary(runs, cells, own)
    if BRIER_OWN in args.own:
        brier_table(runs, BRIER_OWN, folds)
    known_by_table({cell: known_by(runs, cell, folds) for cell in KNOWN_BY})
    print(f"\n{time.process_time() - start:.0f} s of the processor")


if __name__ == "__main__":
    main()
