"""A connectome and a person's first trials together: better than either? Simulated people.

    python studies/twin_both.py WORK [--regimes hard easy] [--seeds 61 ...] [--own 10 20 40]

Of each world (a seed), a twin is fitted to 200 people and 200 others are predicted, in the faces
run and the first Stroop run (`twin_simulator`). Known are the connectome, the first N trials of
a run, or both; trials 41 and on are judged. Rivals know the same: a ridge from connectomes, the
closed form of first trials, the mean of ridge and own mean weighted by how precise each is, and the
closed form about the ridge. Everything that rows learn comes from the 200 people, whose ridges and
twins are those of fits without them. Fits and figures of a world stay in WORK: a stopped call goes
on. Figures are means over both tasks; intervals are 95 %, over worlds (Student's t).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from twin_simulator import Cohorts, fitted_twin

from bids_dtg.stats.paired import t_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.stats.verdict import judge_differences
from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.few_shot.code_times import CodeTimes
from bids_dtg.twin.few_shot.prior import TaskPrior, codes_of, nothing_known
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict
from bids_dtg.twin.judging.behaviour import means
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.scores import log_score, response_crps
from bids_dtg.twin.own_trials.curves import curves, grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials, first_trials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.rows import BEST, ROWS
from bids_dtg.twin.own_trials.rows import Fitted as FittedRow
from bids_dtg.twin.own_trials.shares import trial_groups
from bids_dtg.twin.own_trials.spread import Spread
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
FIRST = 40  # all trials after them are judged
FOLDS = 10  # of training people, whose ridges are fitted to the others
EPOCHS = 40  # of the group network, at most
GROUP = "group"
CONNECTOME, RIDGE = "twin: connectome", "ridge: connectome"
TRIALS, CLOSED = "twin: trials", "closed form: trials"
BOTH, WEIGHTED = "twin: both", "ridge + own mean"
CLOSED_BOTH = "closed form about ridge: both"
ROW_NAMES = (CONNECTOME, RIDGE, TRIALS, CLOSED, BOTH, WEIGHTED, CLOSED_BOTH)
FIGURES = {  # words, digits, whether more is better
    "rt_r": ("r of response times", 3, True),
    "effect_r": ("r with true effects", 3, True),
    "crps": ("CRPS (ms)", 2, False),
    "log": ("log score x 1000", 1, True),
}


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a row predicts of each person's later trials."""

    rt: Values  # (people,): mean response time
    effect: Values  # (people,): second condition less the first
    curves: Distribution


@dataclass(frozen=True, eq=False)
class TaskWorld:
    """One task of the people who are learned from and of those who are predicted."""

    task: Task
    training: FirstTrials  # no trial is own; those to be judged are `later`
    unseen: FirstTrials
    prior: TaskPrior
    twin: Mapping[str, CodeTimes]  # of unseen people: about the group, about connectomes
    seconds: Ridges  # of response times
    logs: Ridges  # of their logarithms
    effects: Values  # (people,): true effects of unseen people

    def known(self, own: int) -> TaskData:
        """Return the same with the first trials as known."""
        people = [
            replace(each, own=(each.place >= 0) & (each.place < own))
            for each in (self.training, self.unseen)
        ]
        return TaskData(self, own, *people)


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task whose first trials are known of everybody."""

    of: TaskWorld
    own: int
    training: FirstTrials
    unseen: FirstTrials

    @property
    def everybody(self) -> tuple[FirstTrials, FirstTrials]:
        return self.training, self.unseen


@dataclass(frozen=True, eq=False)
class Ridges:
    """Levels and effects of later trials, as ridges predict them from connectomes."""

    means: TrialMeans
    away: tuple[Values, Values]  # (people, trials): times less their trial's mean
    later: Values  # (training people, 2): what is predicted
    predicted: tuple[Values, Values]  # of training people by fits without them; of unseen people

    @classmethod
    def learn(
        cls,
        people: tuple[FirstTrials, FirstTrials],
        values: tuple[Values, Values],
        edges: tuple[NDArray, NDArray],
        sizes: tuple[int, int],
    ) -> Ridges:
        training = people[0]
        trials = TrialMeans.learn(training, values[0], sizes)
        one, two = (each - trials.of(own) for each, own in zip(values, people, strict=True))
        later = level_and_effect(training, np.where(training.later, one, np.nan))
        crossed = np.full(later.shape, np.nan)
        labels = [str(row) for row in range(len(later))]
        for fold in fold_people(labels, FOLDS, seed=0):
            out = np.isin(labels, fold)
            crossed[out] = _ridge(edges[0][~out], later[~out], edges[0][out])
        return cls(trials, (one, two), later, (crossed, _ridge(edges[0], later, edges[1])))


def _ridge(edges: NDArray, targets: Values, others: NDArray) -> Values:
    row = next(row for row in BASELINES if row.name == "connectome_ridge")
    training = Training(Known(len(edges), connectome=edges), targets, ("",) * targets.shape[1])
    return predict(row, training, Known(len(others), connectome=others))


def task_worlds(cohorts: Cohorts, fitted: Fitted) -> list[TaskWorld]:
    """Learn what does not depend on how many trials are known."""
    training, unseen = cohorts.of_fitted(), cohorts.of_unseen()
    assert training.connectomes is not None
    assert unseen.connectomes is not None
    codes = codes_of(fitted, unseen.connectomes)
    left_out = None if codes is None else fitted.left_out_factors
    found = []
    for number, task in enumerate(training.segments.tasks.tasks):
        prior = TaskPrior.learn(fitted, training.segments, number, left_out)
        assert prior is not None
        people = (judged(training, number), judged(unseen, number))
        rt = (people[0].answers.rt_seconds, people[1].answers.rt_seconds)
        edges = (np.asarray(training.connectomes), np.asarray(unseen.connectomes))
        sizes = (len(task.conditions), len(task.buttons))
        found.append(
            TaskWorld(
                task,
                *people,
                prior,
                twins_of(prior, fitted, unseen, codes),
                Ridges.learn(people, rt, edges, sizes),
                Ridges.learn(people, (log_seconds(rt[0]), log_seconds(rt[1])), edges, sizes),
                cohorts.unseen.effects(task.name),
            )
        )
    return found


def judged(people: Cohort, number: int) -> FirstTrials:
    """Return people's trials of a task; the later ones are to be predicted."""
    found = first_trials(people.segments, number, 0)
    used = found.answers.scored & (found.answers.condition >= 0)
    rt = np.where(used, found.answers.rt_seconds, np.nan)
    answers = replace(found.answers, rt_seconds=rt, scored=used)
    return replace(found, answers=answers, later=found.place >= FIRST)


def level_and_effect(people: FirstTrials, values: Values) -> Values:
    """Return means of values (people, trials) and differences of conditions, (people, 2)."""
    known = np.isfinite(values)
    first, second = (
        means(values, known & (people.answers.condition == number)) for number in (0, 1)
    )
    return np.stack([means(values, known), second - first], axis=1)


def twins_of(
    prior: TaskPrior, fitted: Fitted, unseen: Cohort, codes: Values | None
) -> dict[str, CodeTimes]:
    """Return twins of unseen people about the group's network, and about their connectomes'."""
    return {
        GROUP: prior.times(fitted, unseen.segments, None),
        CONNECTOME: prior.times(fitted, unseen.segments, codes),
    }


def predictions(data: TaskData) -> dict[str, Predicted]:
    """Predict the later trials of unseen people by each row."""
    of, people = data.of, data.unseen
    twin = {
        CONNECTOME: (nothing_known(people), CONNECTOME),
        TRIALS: (people, GROUP),
        BOTH: (people, CONNECTOME),
    }
    found = {
        name: of_curves(data, FittedRow(of.task, of.twin[prior], of.prior.outcomes).predict(known))
        for name, (known, prior) in twin.items()
    }
    row = next(row for row in ROWS if row.name == BEST)
    found[CLOSED] = of_curves(data, row.fit(data.training, of.task).predict(people))
    return found | without_network(data)


def without_network(data: TaskData) -> dict[str, Predicted]:
    """Predict by a ridge from connectomes: alone, beside the own mean, about the closed form."""
    of, everybody = data.of, data.everybody
    training, people = everybody
    shown = np.where(people.later, of.seconds.means.of(people), np.nan)
    base = level_and_effect(people, shown)
    joined, log_joined = (weighted(everybody, ridges) for ridges in (of.seconds, of.logs))
    nothing = (nothing_known(training), nothing_known(people))
    start = [added(each, values) for each, values in zip(everybody, of.logs.predicted, strict=True)]
    no_codes = np.zeros((1, people.place.shape[1], 0))
    times = CodeTimes.learn(training, of.task, no_codes, start[0], numbers=(data.own,))
    closed = FittedRow(of.task, times.for_people(no_codes, start[1]), of.prior.outcomes)
    return {
        RIDGE: Predicted(
            *(base + of.seconds.predicted[1]).T, level_curves(data, nothing, of.logs.predicted)
        ),
        WEIGHTED: Predicted(*(base + joined[1]).T, level_curves(data, everybody, log_joined)),
        CLOSED_BOTH: of_curves(data, closed.predict(people)),
    }


def weighted(people: Sequence[FirstTrials], ridges: Ridges) -> list[Values]:
    """Return ridge and own figures, weighted so that training people's later ones are nearest."""
    own = [
        level_and_effect(each, np.where(each.own, values, np.nan))
        for each, values in zip(people, ridges.away, strict=True)
    ]
    found = [values.copy() for values in ridges.predicted]
    for column in range(ridges.later.shape[1]):
        more = own[0][:, column] - ridges.predicted[0][:, column]
        wanted = (ridges.later - ridges.predicted[0])[:, column]
        used = np.isfinite(more) & np.isfinite(wanted)
        share = float(np.clip(more[used] @ wanted[used] / (more[used] @ more[used]), 0, 1))
        for values, mine in zip(found, own, strict=True):
            values[:, column] += share * np.nan_to_num(mine[:, column] - values[:, column])
    return found


def added(people: FirstTrials, figures: Values) -> Values:
    """Return what level and effect (people, 2) add to each trial."""
    condition = people.answers.condition[:1].astype(np.float64)
    return figures[:, :1] + figures[:, 1:] * (condition - condition.mean())


def level_curves(
    data: TaskData, people: Sequence[FirstTrials], figures: Sequence[Values]
) -> Distribution:
    """Return distributions about the trials' means and a level of each person."""
    of, (training, unseen) = data.of, people
    location = [
        of.logs.means.of(each) + values[:, :1] for each, values in zip(people, figures, strict=True)
    ]
    residual = [
        log_seconds(each.answers.rt_seconds) - mine
        for each, mine in zip((training, unseen.known()), location, strict=True)
    ]
    spread = Spread.learn(training, residual[0], location[0], len(of.task.conditions))
    scale = spread.of(unseen.known(), residual[1], location[1])
    seconds = grid(of.task.window_seconds)
    group = trial_groups(unseen, by_trial=False)
    given = curves(log_seconds(seconds), location[1], scale, group, spread.shapes)
    shares = of.prior.outcomes.shares(data.unseen.known())
    return Distribution(seconds, given * (shares[..., 0] + shares[..., 1])[..., None], shares)


def of_curves(data: TaskData, found: Distribution) -> Predicted:
    """Return means and effects of distributions."""
    later = np.where(data.unseen.later, found.mean_seconds, np.nan)
    return Predicted(*level_and_effect(data.unseen, later).T, found)


def figures_of(data: TaskData, row: Predicted) -> dict[str, float]:
    """Return the figures of a row."""
    rest, later = data.unseen.rest, data.unseen.later
    observed = np.nanmean(np.where(later, rest.rt_seconds, np.nan), axis=1)
    # Misses are one model, the same in all rows: that of the person's own trials.
    shares = data.of.prior.outcomes.shares(data.unseen.known())
    answered = row.curves.answered / row.curves.answered[..., -1:]
    answered = answered * (1 - shares[..., 2:])
    crps = response_crps(answered, row.curves.seconds, rest)
    log = log_score(answered, row.curves.seconds, rest)
    used = rest.scored & later
    return {
        "rt_r": _r(row.rt, observed),
        "effect_r": _r(row.effect, data.of.effects),
        "crps": 1000 * float(np.nanmean(means(crps, used & np.isfinite(crps)))),
        "log": 1000 * float(np.nanmean(means(log, used & np.isfinite(log)))),
    }


def _r(one: Values, other: Values) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 1e-9 else 0.0


def world_figures(work: Path, regime: str, seed: int, own: Sequence[int]) -> pd.DataFrame:
    """Return the figures of a world, or read those of an earlier call."""
    file = work / f"{regime}-{seed}" / "both.tsv"
    if file.is_file():
        return pd.read_csv(file, sep="\t")
    file.parent.mkdir(parents=True, exist_ok=True)
    cohorts = Cohorts.simulate(regime, seed)
    fitted = fitted_twin(file.parent, cohorts, "lowrank", seed, None, Recipe(group_epochs=EPOCHS))
    rows = [
        {"task": of.task.name, "own": count, "row": name, **figures_of(data, row)}
        for of in task_worlds(cohorts, fitted)
        for count in own
        for data in [of.known(count)]
        for name, row in predictions(data).items()
    ]
    table = pd.DataFrame(rows)
    table.insert(0, "seed", seed)
    table.insert(0, "regime", regime)
    part = file.with_name("part-both.tsv")
    table.to_csv(part, sep="\t", index=False)
    part.replace(file)  # a stopped call leaves no half of a file
    return table


def print_tables(found: pd.DataFrame) -> None:
    """Print means over worlds, and what the twin that knows both is better by, with intervals."""
    keys = ["regime", "own", "row", "seed"]
    by_world = found.groupby(keys, sort=False)[list(FIGURES)].mean()
    for regime in found.regime.unique():
        worlds = found[found.regime == regime].seed.nunique()
        print(f"\n{regime}, {worlds} worlds; advantage of '{BOTH}' (above 0: it is better)")
        print(f"| N | row | {' | '.join(words for words, *_ in FIGURES.values())} |")
        print("|---" * (2 + len(FIGURES)) + "|")
        for own in sorted(found.own.unique()):
            both = by_world.loc[regime, own, BOTH]
            for name in ROW_NAMES:
                row = by_world.loc[regime, own, name]
                print(f"| {own} | {name} | {' | '.join(_cells(both, row, name))} |")
            twin, ridge = (by_world.loc[regime, own, name] for name in (CONNECTOME, RIDGE))
            cells = [_gain(figure, twin, ridge) for figure in FIGURES]
            print(f"| {own} | {CONNECTOME}, advantage over {RIDGE} | {' | '.join(cells)} |")


def _cells(both: pd.DataFrame, row: pd.DataFrame, name: str) -> list[str]:
    found = []
    for figure, (_, digits, _) in FIGURES.items():
        mean = f"{row[figure].mean():.{digits}f}"
        found.append(mean if name == BOTH else f"{mean}; {_gain(figure, both, row)}")
    return found


def _gain(figure: str, one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Describe by how much one row is better than another, over worlds."""
    _, digits, more = FIGURES[figure]
    gain = ((one[figure] - other[figure]) * (1 if more else -1)).to_numpy(np.float64)
    interval = t_interval(gain)
    return (
        f"{interval.mean:+.{digits}f} ({interval.low:+.{digits}f} to "
        f"{interval.high:+.{digits}f}) {judge_differences(gain).word}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="of fits and figures: a stopped call goes on")
    parser.add_argument("--regimes", nargs="+", default=["hard", "easy"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[61, 62, 63, 64, 65])
    parser.add_argument("--own", type=int, nargs="+", default=[10, 20, 40])
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    tables = [
        world_figures(args.work, regime, seed, args.own)
        for seed in args.seeds
        for regime in args.regimes
    ]
    print_tables(pd.concat(tables))
    print(f"\n{time.process_time() - start:.0f} s of the processor")


if __name__ == "__main__":
    main()
