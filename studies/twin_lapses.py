"""Are errors and misses predicted as well as by shares of their condition? Brier with lapses.

    python studies/twin_lapses.py [--simulated WORK] [--tcp DATA --work FOLDER]

WORK has fits of `twin_simulator.py` (hard regime) and FOLDER those of `twin_tcp.py`, which leave
out each fold of people; both are made where absent. People who were left out are judged by the twin
(of TCP: by the network of the group), alone and with lapses, and by the shares of correct, wrong
and missed trials of training people in the same condition. Lapses and shares know training people
alone. Means over people are printed, and differences to condition shares with 95 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from twin_simulator import Cohorts, fitted_twin
from twin_tcp import FITTED, fold_fit, read_cohort, runs_of_files

from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.judging.cohort import answers_of
from bids_dtg.twin.judging.scores import by_condition, outcome_brier, outcome_shares
from bids_dtg.twin.lapses import Lapses
from bids_dtg.twin.trial_series import Segments

Values = NDArray[np.float64]
ALONE, LAPSES, SHARES = "network alone", "with lapses", "condition shares"
FOLDS, EPOCHS = 5, 40  # those of `twin_tcp.py`


def scores(
    fitted: Fitted, training: Segments, unseen: Segments, buttons: NDArray[np.float32]
) -> Iterator[tuple[str, str, Values]]:
    """Yield the Brier score of each unseen person, (people,), by condition and prediction."""
    # Fits of earlier versions have none.
    lapses = fitted.lapses or Lapses.of(fitted.perform_group(training).buttons, training)
    everything = Lapses(np.ones_like(lapses.weight), lapses.shares)
    decoded = decode(buttons, unseen)
    for number, task in enumerate(unseen.tasks.tasks):
        own = answers_of(unseen, number)
        alone = outcome_shares(own.part(decoded.ends), own.answers.correct_button)
        condition = own.answers.condition
        for name, outcomes in (
            (ALONE, alone),
            (LAPSES, lapses.mixed(alone, number, condition)),
            (SHARES, everything.mixed(alone, number, condition)),
        ):
            brier = outcome_brier(outcomes, own.answers)
            table = by_condition(brier, own.answers, len(task.conditions))
            for place, words in enumerate(task.conditions):
                yield f"{task.name} {words}", name, table[:, place]


def of_simulator(work: Path, seeds: list[int]) -> pd.DataFrame:
    """Judge twins of unseen people of simulated worlds."""
    rows = []
    for seed in seeds:
        folder = work / f"hard-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        cohorts = Cohorts.simulate("hard", seed)
        fitted = fitted_twin(folder, cohorts, "lowrank", seed, None)
        training, unseen = cohorts.of_fitted().segments, cohorts.of_unseen()
        buttons = fitted.perform(unseen.connectomes, unseen.segments).buttons
        rows += _rows(seed, scores(fitted, training, unseen.segments, buttons))
    return pd.concat(rows)


def of_tcp(data: Path, work: Path) -> pd.DataFrame:
    """Judge the group's network, fitted to the others, by each fold of people."""
    cohort, rows = read_cohort(runs_of_files(data)), []
    segments, everybody = cohort.segments(FITTED), np.arange(len(cohort.labels))
    for number, fold in enumerate(fold_people(cohort.labels, FOLDS, seed=0)):
        own = np.flatnonzero(np.isin(cohort.labels, fold))
        others = np.setdiff1d(everybody, own)
        fitted = fold_fit(cohort, others, work / f"fold{number}", 0, EPOCHS)
        training, unseen = segments.people(others), segments.people(own)
        buttons = fitted.perform_group(unseen).buttons
        rows += _rows(number, scores(fitted, training, unseen, buttons))
    return pd.concat(rows)


def _rows(number: int, found: Iterator[tuple[str, str, Values]]) -> list[pd.DataFrame]:
    return [
        pd.DataFrame(
            {"person": [f"{number}-{n}" for n in range(len(values))], "condition": condition}
            | {"prediction": name, "brier": values}
        )
        for condition, name, values in found
    ]


def show(words: str, found: pd.DataFrame) -> None:
    """Print means over people, and differences to condition shares with their intervals."""
    print(f"\n{words}")
    table = found.pivot_table(index="person", columns=["condition", "prediction"], values="brier")
    conditions = list(dict.fromkeys(found.condition))
    for condition in [*conditions, "mean of all"]:
        some = [condition] if condition in conditions else conditions
        of = {
            name: (sum(table[each][name] for each in some) / len(some)).dropna()
            for name in (ALONE, LAPSES, SHARES)
        }
        cells = []
        for name, values in of.items():
            away = bootstrap_interval((values - of[SHARES]).to_numpy())
            words = f"{away.mean:+.4f}, {away.low:+.4f} to {away.high:+.4f}"
            cells.append(f"{name} {values.mean():.4f} ({words})")
        print(f"{condition} ({len(of[ALONE])} people): {'; '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulated", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--tcp", type=Path)
    parser.add_argument("--work", type=Path, help="folder of fits to TCP")
    options = parser.parse_args()
    if options.tcp and not options.work:
        parser.error("--tcp needs --work, a folder for fits")
    torch.set_num_threads(1)
    if options.simulated:
        show("simulated people, regime hard", of_simulator(options.simulated, options.seeds))
    if options.tcp:
        show("TCP, left out of the fit", of_tcp(options.tcp, options.work))


if __name__ == "__main__":
    main()
