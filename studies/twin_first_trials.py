"""How well do a person's first trials predict the rest? Closed forms on real people.

    python studies/twin_first_trials.py DATA --work FOLDER [--folds 5] [--own 10 20 40]

DATA is the folder with bids/ (event files) of 182 people of the Transdiagnostic Connectome Project
(CC0). Each row learns from four fifths of the people and predicts trials 41 and on of the others,
of whom it knows the first 10, 20 or 40 trials. Runs whose first 40 trials are below chance (misses
are errors) are left out, as are those of another sequence. A response later than 2.25 s is a miss;
one faster than 0.15 s is not scored. The primary comparison is with the row `shifted_scale`: the
mean of the faces run and the first Stroop run, with 10 and 20 own trials. It alone has a verdict,
whose interval is wider, as rows learn from people who are predicted in turn. Scores of a run that
are in FOLDER are not computed again. Intervals are 95 %, over people.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.stats.paired import t_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.stats.verdict import judge_differences
from bids_dtg.twin.judging.behaviour import Answers, means
from bids_dtg.twin.judging.scores import log_score, outcome_brier, response_crps, rt_crps
from bids_dtg.twin.own_trials import RIVAL, ROWS, FirstTrials
from bids_dtg.twin.own_trials.rows import Fitted
from bids_dtg.twin.phantom.sequences import trial_sequence
from bids_dtg.twin.tasks import Task, find_task
from bids_dtg.twin.trials import Trials, read_trials

Values = NDArray[np.float64]
RUNS = {"hammerAP": "faces", "stroopAP": "stroop", "stroopPA": "stroop"}
PRIMARY, PRIMARY_OWN = ("hammerAP", "stroopAP"), (10, 20)
WINDOW_SECONDS = 2.25
FIRST = 40  # trials by which a run is included; all after them are judged
LITERAL = "shifted"  # whose distribution holds how people differ
SCORES = {  # of rows: words, digits
    "crps": ("CRPS of responses, a miss is never (ms)", 1),
    "answered_crps": ("CRPS of answered trials alone (ms)", 1),
    "log": ("log score x 1000", 0),
    "early": ("responses before the predicted tenth percentile (%)", 1),
}
OUTCOMES = {  # the same in all rows
    "brier": "Brier score of correct, wrong, miss x 10,000",
    "miss_brier": "Brier score of misses alone x 10,000",
}
Cells = Mapping[tuple[str, int], Mapping[str, NDArray[np.float64]]]  # by run and own trials


@dataclass(frozen=True, eq=False)
class Run:
    """One run of everybody: who has none has no place in it."""

    task: Task
    labels: tuple[str, ...]
    answers: Answers
    left_out: tuple[int, int]  # below chance, of another sequence

    def first_trials(self, own: int) -> FirstTrials:
        """Return the run with the first trials as known and those after the 40th to be judged."""
        place = np.broadcast_to(
            np.arange(self.answers.condition.shape[1]), self.answers.scored.shape
        )
        return FirstTrials(self.answers, place, place < own, place >= FIRST, one_sequence=True)


def read_runs(data: Path) -> dict[str, Run]:
    """Read the event files."""
    found: dict[str, list[tuple[str, Trials]]] = {name: [] for name in RUNS}
    left_out = {name: [0, 0] for name in RUNS}
    for file in find_events(data / "bids", list(RUNS)):
        task = replace(find_task(RUNS[file.task]), window_seconds=WINDOW_SECONDS)
        run = read_trials(task, read_events(file.path), str(file.path))
        if in_time(run)[1][:FIRST].mean() < 1 / len(task.buttons):
            left_out[file.task][0] += 1
        elif not same_stimuli(run, trial_sequence(file.task).trials):
            left_out[file.task][1] += 1
        else:
            found[file.task].append((file.participant, run))
    return {
        name: Run(
            runs[0][1].task,
            tuple(label for label, _ in runs),
            observed([run for _, run in runs]),
            (left_out[name][0], left_out[name][1]),
        )
        for name, runs in found.items()
    }


def in_time(run: Trials) -> tuple[Values, NDArray[np.bool_]]:
    """Return response times and correctness, where a late response is a miss."""
    late = run.rt_seconds > WINDOW_SECONDS
    return np.where(late, np.nan, run.rt_seconds), run.correct & ~late


def same_stimuli(run: Trials, shown: Trials) -> bool:
    """Return whether a person was shown the shipped sequence, at whatever times."""
    names = ("stimulus", "condition", "correct_button")
    return all(
        (mine := getattr(run, name)).shape == (other := getattr(shown, name)).shape
        and np.allclose(mine, other, atol=1e-6)
        for name in names
    )


def observed(runs: Sequence[Trials]) -> Answers:
    """Return people's answers in runs of one sequence."""
    timed = [in_time(run) for run in runs]
    rt = np.stack([times for times, _ in timed])
    return Answers(
        condition=np.stack([run.condition for run in runs]),
        correct_button=np.stack([run.correct_button for run in runs]),
        button=np.where(np.isfinite(rt), np.stack([run.button for run in runs]), -1),
        rt_seconds=rt,
        correct=np.stack([right for _, right in timed]),
        scored=np.stack([run.scored for run in runs]),
    )


def scores_of(run: Run, own: int, folds: Sequence[tuple[str, ...]]) -> dict[str, Values]:
    """Return each person's mean scores, by row and score, from fits to the other folds."""
    people, labels = run.first_trials(own), np.array(run.labels)
    found: dict[str, Values] = {}
    for fold in folds:
        unseen = np.flatnonzero(np.isin(labels, fold))
        training = people.of(np.setdiff1d(np.arange(len(labels)), unseen))
        some = people.of(unseen)
        for row in ROWS:
            fitted = row.fit(training, run.task)
            parts = {f"{row.name}:{name}": of for name, of in judged(fitted, some).items()}
            if row.name == LITERAL:
                parts |= judged_outcomes(fitted, some)
            for name, values in parts.items():
                found.setdefault(name, np.full(people.people, np.nan))[unseen] = values
    return found


def judged(fitted: Fitted, people: FirstTrials) -> dict[str, Values]:
    """Return mean scores of each person."""
    predicted, rest = fitted.predict(people), people.rest
    curves, seconds = predicted.answered, predicted.seconds
    of_trials = {
        "crps": 1000 * response_crps(curves, seconds, rest),
        "answered_crps": 1000 * rt_crps(curves, seconds, rest.rt_seconds),
        "log": 1000 * log_score(curves, seconds, rest),
        "early": 100 * early(curves, seconds, rest.rt_seconds),
    }
    return {name: person_means(values, rest) for name, values in of_trials.items()}


def early(curves: Values, seconds: Values, rt: Values) -> Values:
    """Return whether responses came before the predicted tenth percentile; NaN: no response."""
    given = np.concatenate([np.zeros((*rt.shape, 1)), curves / curves[..., -1:]], axis=-1)
    times = np.append(0.0, seconds)
    after = np.maximum((given < 0.1).sum(axis=-1, keepdims=True), 1)
    after = np.minimum(after, len(seconds))
    low, high = (np.take_along_axis(given, after - back, axis=-1)[..., 0] for back in (1, 0))
    step = after[..., 0]
    tenth = times[step - 1] + (0.1 - low) / (high - low) * (times[step] - times[step - 1])
    return np.where(np.isfinite(rt) & np.isfinite(tenth), rt < tenth, np.nan)


def judged_outcomes(fitted: Fitted, people: FirstTrials) -> dict[str, Values]:
    """Return mean Brier scores of each person, by own trials and by the group's rates alone."""
    rest, found = people.rest, {}
    missed = ~rest.correct & ~np.isfinite(rest.rt_seconds)
    nothing = replace(people, own=np.zeros_like(people.own))
    for words, known in (("own", people), ("group", nothing)):
        shares = fitted.outcomes.shares(known.known())
        found[f"{words}:brier"] = person_means(1e4 * outcome_brier(shares, rest), rest)
        misses = 1e4 * (shares[..., 2] - missed) ** 2
        found[f"{words}:miss_brier"] = person_means(misses, rest)
    return found


def person_means(values: Values, rest: Answers) -> Values:
    """Return each person's mean over scored trials."""
    return means(values, rest.scored & np.isfinite(values))


def outcomes_table(cells: Cells) -> None:
    """Print Brier scores, which are the same in all rows, beside those of the group's rates."""
    print(f"\n| Brier | {' | '.join(f'{run} {own}' for run, own in cells)} |")
    print("|---" * (1 + len(cells)) + "|")
    for name, words in OUTCOMES.items():
        line = []
        for scores in cells.values():
            own, group = (scores[f"{of}:{name}"] for of in ("own", "group"))
            line.append(f"{np.nanmean(own):.0f} {text(own - group, 0)}")
        print(f"| {words}; to the group's rates | {' | '.join(line)} |")


def table(name: str, cells: Cells, score: str, digits: int) -> None:
    """Print each row's mean score, and its difference to the literal form, of all cells."""
    print(f"\n{name}; ± to {LITERAL}")
    print(f"| row | {' | '.join(f'{run} {own}' for run, own in cells)} |")
    print("|---" * (1 + len(cells)) + "|")
    for row in ROWS:
        line = []
        for scores in cells.values():
            values, rival = (scores[f"{of}:{score}"] for of in (row.name, LITERAL))
            mean = f"{np.nanmean(values):.{digits}f}"
            line.append(mean if row.name == LITERAL else f"{mean} {text(values - rival, digits)}")
        print(f"| {row.name} | {' | '.join(line)} |")


def text(difference: Values, digits: int = 2) -> str:
    found = t_interval(difference)
    return f"{found.mean:+.{digits}f} ± {(found.high - found.low) / 2:.{digits}f}"


def primary(runs: Mapping[str, Run], cells: Cells, own: Sequence[int]) -> None:
    """Print the mean difference of the primary runs to the rivals, with the rule's verdict."""
    labels = sorted({label for name in PRIMARY for label in runs[name].labels})
    print(f"\nmean of {' and '.join(PRIMARY)}, {own} own trials, {len(labels)} people")
    print(f"| row | to {RIVAL}: CRPS (ms) | verdict | log x 1000 | to {LITERAL}: CRPS (ms) | log |")
    print("|---" * 6 + "|")
    for row in ROWS:
        found = {
            (rival, score): mean_difference(runs, cells, own, (row.name, rival), score, labels)
            for rival in (RIVAL, LITERAL)
            for score in ("crps", "log")
        }
        verdict = judge_differences(-found[RIVAL, "crps"], cross_validated=True)
        primary = own == PRIMARY_OWN and row.name != RIVAL
        line = [text(values) for values in found.values()]
        line.insert(1, verdict.word if primary else "-")
        print(f"| {row.name} | {' | '.join(line)} |")


def mean_difference(
    runs: Mapping[str, Run],
    cells: Cells,
    own: Sequence[int],
    rows: tuple[str, str],
    score: str,
    labels: Sequence[str],
) -> Values:
    """Return each person's mean difference of two rows over the primary runs that count."""
    each = np.full((len(PRIMARY) * len(own), len(labels)), np.nan)
    for line, (name, number) in enumerate((name, number) for name in PRIMARY for number in own):
        mine, other = (cells[name, number][f"{row}:{score}"] for row in rows)
        each[line, np.searchsorted(labels, runs[name].labels)] = mine - other
    return np.asarray(np.nanmean(each, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--work", type=Path, required=True, help="of scores: a stopped call goes on"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--own", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.process_time()
    runs, cells = read_runs(args.data), {}
    args.work.mkdir(parents=True, exist_ok=True)
    everybody = sorted({label for run in runs.values() for label in run.labels})
    folds = fold_people(everybody, args.folds, seed=args.seed)
    for name, run in runs.items():
        below, other = run.left_out
        print(
            f"{name}: {len(run.labels)} people; {below} below chance, {other} of another sequence"
        )
        for own in args.own:
            file = args.work / f"{name}-{own}-{args.folds}-{args.seed}.npz"
            if not file.is_file():
                part = file.with_name(f"part-{file.name}")
                np.savez(part, **scores_of(run, own, folds))
                part.replace(file)  # a stopped call leaves no half of a file
            cells[name, own] = dict(np.load(file))
    for score, (words, digits) in SCORES.items():
        table(words, cells, score, digits)
    outcomes_table(cells)
    for own in (PRIMARY_OWN, *((number,) for number in args.own)):
        if set(own) <= set(args.own):
            primary(runs, cells, own)
    print(f"\n{time.process_time() - start:.0f} s of the processor")


if __name__ == "__main__":
    main()
