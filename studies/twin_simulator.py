"""Do twins predict simulated people outside the training set? Architectures and baselines.

    python studies/twin_simulator.py WORK [--regimes hard easy] [--seeds 1 2 3]

Of each world (a seed), 200 people are fitted on and 200 others are judged, in the faces run and the
first Stroop run (whole runs, real sequences). What is fitted is kept in the folder WORK, so that a
stopped call goes on. Figures are means over worlds, with the standard deviation; one world's
figures have intervals over people in WORK/figures.tsv.

The number of latent factors, the prior and the rates of `lowrank` were chosen on worlds 1001 to
1003 and 2001 to 2003 (mostly of the hard regime), which are not evaluated here.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bids_dtg.phantom.streams import Cohort as CohortNumber
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.evaluation import TWIN, Evaluation, Samples, evaluate
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.world import TrialSequence
from bids_dtg.twin.phantom.world import trial_sequence
from bids_dtg.twin.phantom.world import Regime
from bids_dtg.twin.recipe import ARCHITECTURES, Recipe, find_architecture
from bids_dtg.twin.trial_series import TaskSet, stack_people
from bids_dtg.twin.trials import Trials

SEQUENCES = ("hammerAP", "stroopAP")
PEOPLE = 200
Runs = list[list[Trials]]


@dataclass(frozen=True, eq=False)
class Cohorts:
    """People of one world: those to fit on, and those to judge by."""

    fitted: TwinPeople
    fitted_runs: Runs
    unseen: TwinPeople
    unseen_runs: Runs
    sequences: tuple[TrialSequence, ...]
    seed: int
    covariates: NDArray[np.float64] | None = None  # of those to fit on, taken out of connectomes

    @classmethod
    def simulate(cls, regime: Regime, seed: int, people: int = PEOPLE) -> Cohorts:
        sequences = tuple(map(trial_sequence, SEQUENCES))
        found = []
        for cohort in (CohortNumber.TRAINING, CohortNumber.TEST):
            own = simulate_twin_people(people, regime, seed=seed, cohort=cohort)
            found += [own, own.runs(sequences, seed=seed)]
        return cls(*found, sequences, seed)

    def adjusted(self) -> Cohorts:
        """Return the same people with connectomes at the mean covariates, and these."""
        known = {own: _covariates(own) for own in (self.fitted, self.unseen)}
        model = Adjustment.fit(self.fitted.connectomes, known[self.fitted])
        fitted, unseen = (
            replace(own, connectomes=model.apply(own.connectomes, covariates))
            for own, covariates in known.items()
        )
        columns = model.columns(known[self.fitted])
        return replace(self, fitted=fitted, unseen=unseen, covariates=columns)

    @property
    def tasks(self) -> TaskSet:
        return TaskSet(tuple(each.trials.task for each in self.sequences))

    def of_fitted(self) -> Cohort:
        """Return the training set of twins."""
        return self._cohort(self.fitted, self.fitted_runs)

    def of_unseen(self) -> Cohort:
        """Return the people of the evaluation."""
        return self._cohort(self.unseen, self.unseen_runs)

    def _cohort(self, people: TwinPeople, runs: Runs) -> Cohort:
        segments = stack_people(runs, tasks=self.tasks)
        return Cohort(people.labels, segments, people.connectomes)


def _covariates(people: TwinPeople) -> Covariates:
    known = people.covariates
    return Covariates(tuple(known), np.stack(list(known.values()), axis=1))


def fitted_twin(
    work: Path,
    cohorts: Cohorts,
    architecture: str,
    seed: int,
    recipe: Recipe | None = None,
) -> Fitted:
    """Fit, or load what an earlier call has fitted; a line says what it took."""
    kept = work / f"{architecture}.pt"
    if kept.exists():
        return torch.load(kept, weights_only=False)  # our own file, made a moment ago
    people = cohorts.of_fitted()
    start = time.perf_counter(), time.process_time()
    fitted = fit(
        people.connectomes,
        people.segments,
        people=people.labels,
        covariates=cohorts.covariates,
        architecture=find_architecture(architecture, recipe),
        seed=seed,
        workplace=Workplace(kept.with_suffix("")),
    )
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{kept}: {wall:.0f} s, {cpu:.0f} s of processor time, peak {peak:.1f} GiB", flush=True)
    torch.save(fitted, kept)
    return fitted


def evaluated(cohorts: Cohorts, fitted: Fitted, seed: int) -> Evaluation:
    """Judge by unseen people."""
    trained = cohorts.of_fitted()
    truth = {f"{task}_effect": cohorts.unseen.effects(task) for task in cohorts.tasks.names}
    unseen = cohorts.of_unseen()
    return evaluate(fitted, unseen, trained, truth=truth, samples=Samples(seed))


def rows_of(found: Evaluation) -> list[dict[str, object]]:
    """Return the figures of one world, a row each."""
    rows: list[dict[str, object]] = [
        {
            "figure": score.figure,
            "task": score.task,
            "condition": score.condition,
            "model": score.name,
            "value": score.value.mean,
            "low": score.value.low,
            "high": score.value.high,
        }
        for score in found.scores
    ]
    rows += [
        {
            "figure": f"ceiling_{target.rpartition('_')[2]}",
            "task": target.rpartition("_")[0],
            "model": "halves of trials",
            "value": ceiling.r.mean,
            "low": ceiling.r.low,
            "high": ceiling.r.high,
        }
        for target, ceiling in found.ceilings.items()
    ]
    if found.comparison is not None:
        matching = found.comparison.matching
        figures = {
            "matched_p": matching.p,
            "matched_loss": matching.matched,
            "mismatched_loss": matching.mismatched,
            "better_than_average_mismatch": matching.better_than_average.mean,
        }
        rows += [{"figure": name, "model": TWIN, "value": value} for name, value in figures.items()]
    return rows


def print_table(figures: pd.DataFrame) -> None:
    """Print means over worlds, with the standard deviation, a row a figure and model."""
    keys = ["regime", "fit", "figure", "task", "condition", "model"]
    table = figures.fillna({"task": "", "condition": ""}).groupby(keys, sort=False).value
    found = table.agg(["mean", "std", "min", "max", "count"]).round(4)
    print(found.to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--regimes", nargs="+", default=["hard", "easy"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    worlds = [(regime, seed) for regime in options.regimes for seed in options.seeds]
    rows: list[dict[str, object]] = []
    for architecture in options.architectures:
        for regime, seed in worlds:
            work = options.work / f"{regime}-{seed}"
            work.mkdir(parents=True, exist_ok=True)
            cohorts = Cohorts.simulate(regime, seed)
            fitted = fitted_twin(work, cohorts, architecture, seed)
            for row in rows_of(evaluated(cohorts, fitted, seed)):
                rows.append({"regime": regime, "seed": seed, "fit": architecture, **row})
    figures = pd.DataFrame(rows)
    figures.to_csv(options.work / "figures.tsv", sep="\t", index=False)
    print_table(figures)


if __name__ == "__main__":
    main()
