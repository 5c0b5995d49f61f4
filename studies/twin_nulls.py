"""Does a twin make people differ where connectomes say nothing? Codes, times and interventions.

    python studies/twin_nulls.py WORK [--seeds 11 12 13 14 15] [--shuffles 4] [--moves]

Of each world (a seed of the hard regime), the group's network and people's latent factors are
fitted to 200 people, and 200 others are predicted. The regression of factors on connectomes is then
fitted with the people's own connectomes, with those of other people (`--shuffles`, two by default),
and with as many draws of white noise; the ridge regression of response times gets the same. Printed
are, as means over worlds, z by which a regression is judged, the spread of predicted times over
unseen people, and r with their observed times; and in how many draws the spread is at most 2 ms.
`--moves` judges interventions, too, as `--analysis intervene` does, on 60 of the unseen people: 99
permutations, 5 splits into halves; each shuffle is a null world.

What was done is kept in WORK: a stopped call goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from twin_simulator import Cohorts

from bids_dtg.training.loop import Workplace
from bids_dtg.twin.factors import map_factors
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.interventions.attribution import (
    FittedPeople,
    permuted_twins,
    with_factor_map,
)
from bids_dtg.twin.interventions.moves import (
    Movers,
    judge_moves,
    judged_changes,
    lowering_directions,
    refitted_twins,
    with_twin,
)
from bids_dtg.twin.interventions.perturbations import performed_outcomes
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict
from bids_dtg.twin.judging.cohort import Cohort, targets_of, targets_of_people
from bids_dtg.twin.recipe import find_architecture

REGIME = "hard"
DIRECTIONS = ("lower", "higher")  # verdicts on a direction that lowers a figure
PERMUTATIONS, SPLITS, MOVED, OVER = 99, 5, 60, 10
LARGEST_MS = 2.0  # spread of predicted times where connectomes say nothing
TRUE, SHUFFLED, NOISE = "own", "other people's", "white noise"
RIDGE = next(row for row in BASELINES if row.name == "connectome_ridge")
Array = NDArray[np.float64]
Row = dict[str, Any]


def pairs(
    training: Cohort, unseen: Cohort, seed: int, shuffles: int
) -> Iterator[tuple[str, int, Array, Array]]:
    """Yield connectomes to fit on and to predict from, under a name and the number of a draw."""
    assert training.connectomes is not None
    assert unseen.connectomes is not None
    own, others = training.connectomes, unseen.connectomes
    yield TRUE, 0, own, others
    for draw in range(shuffles):
        rng = np.random.default_rng((seed, draw))
        yield SHUFFLED, draw, own[rng.permutation(len(own))], others
        yield NOISE, draw, rng.standard_normal(own.shape), rng.standard_normal(others.shape)


def judged_codes(
    fitted: Fitted, training: Cohort, unseen: Cohort, seed: int, shuffles: int
) -> list[Row]:
    """Return spread and r of predicted times by twins and ridge, a row a task and connectome."""
    names = [target.name for target in targets_of(fitted.tasks)]
    wanted, observed = (targets_of_people(of.segments) for of in (training, unseen))
    found = []
    for name, draw, own, others in pairs(training, unseen, seed, shuffles):
        people = FittedPeople.of(fitted, own, training.segments)
        z = map_factors(own, people.factors).z
        twin = with_twin(fitted, with_factor_map(fitted.twin, people))
        outcomes = performed_outcomes(twin, others, unseen.segments)
        known = Training(Known(len(own), connectome=own), wanted)
        ridge = predict(RIDGE, known, Known(len(others), connectome=others))
        for column, target in enumerate(names):
            figures = {"twin": outcomes.of(target), "ridge": ridge[:, column]}
            row = {"connectomes": name, "draw": draw, "figure": target, "z": z}
            for model, values in figures.items():
                row[f"{model}_sd_ms"] = 1000 * float(np.nanstd(values))
                constant = np.nanstd(values) < 1e-9
                both = np.isfinite(values) & np.isfinite(observed[:, column])
                r = np.corrcoef(values[both], observed[both, column])[0, 1] if not constant else 0.0
                row[f"{model}_r"] = float(r)
            found.append(row)
    return found


def judged_moves(
    fitted: Fitted,
    training: Cohort,
    unseen: Cohort,
    *,
    seed: int,
    shuffles: int,
) -> list[Row]:
    """Return verdicts with people's own connectomes and with those of other people."""
    names = tuple(target.name for target in targets_of(fitted.tasks))
    assert training.connectomes is not None
    assert unseen.connectomes is not None
    performers, rows = np.arange(MOVED), np.arange(0, MOVED, MOVED // OVER)
    edges, segments = unseen.connectomes[performers], unseen.segments.people(performers)
    observed = targets_of_people(unseen.segments)
    own = FittedPeople.of(fitted, training.connectomes, training.segments)
    drawn = [
        (name, draw, replace(own, connectomes=edges_of_people))
        for name, draw, edges_of_people, _ in pairs(training, unseen, seed, shuffles)
        if name != NOISE
    ]
    movers, found = Movers(edges, segments, rows, observed[performers]), []
    for name, draw, people in drawn:
        tested = with_twin(fitted, with_factor_map(fitted.twin, people))
        directions = lowering_directions(performed_outcomes(tested, edges, segments), edges)
        permuted = [
            judged_changes(with_twin(fitted, twin), movers)
            for twin in permuted_twins(fitted, people, permutations=PERMUTATIONS, seed=seed)
        ]
        refitted = [
            judged_changes(with_twin(fitted, twin), movers, directions)
            for pair in refitted_twins(fitted, people, splits=SPLITS, seed=seed)
            for twin in pair
        ]
        change = judged_changes(tested, movers, directions)
        verdicts = judge_moves(change, permuted, refitted, len(people.connectomes))
        for number, (figure, verdict) in enumerate(zip(names, verdicts, strict=True)):
            found.append(
                {
                    "connectomes": name,
                    "draw": draw,
                    "figure": figure,
                    "verdict": verdict.named(*DIRECTIONS),
                    "p": verdict.p,
                    "change_ms": 1000 * float(change.predicted[number]),
                    "calibrated_ms": 1000 * float(change.calibrated[number]),
                    "low_ms": -1000 * verdict.difference.high,
                    "high_ms": -1000 * verdict.difference.low,
                }
            )
    return found


def kept(path: Path, make: Callable[[], list[Row]]) -> list[Row]:
    """Return rows that an earlier call has kept, or make and keep them."""
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def fitted_group(work: Path, cohorts: Cohorts, seed: int, epochs: int) -> Fitted:
    """Fit the group's network and people's factors, or load those of an earlier call."""
    path = work / "fitted.pt"
    if not path.exists():
        row = find_architecture("lowrank")
        people = cohorts.of_fitted()
        fitted = fit(
            people.connectomes,
            people.segments,
            people=people.labels,
            architecture=replace(row, recipe=replace(row.recipe, group_epochs=epochs)),
            seed=seed,
            workplace=Workplace(work / "group"),
        )
        torch.save(fitted, path)
    return torch.load(path, weights_only=False)  # our own file


def print_codes(rows: pd.DataFrame) -> None:
    """Print means over worlds, and differences of r between twins and ridge."""
    columns = ["z", "twin_sd_ms", "ridge_sd_ms", "twin_r", "ridge_r"]
    by = rows.groupby(["connectomes", "figure"], sort=False)[columns]
    print(by.mean().round(3).to_string())
    print("largest over worlds and draws")
    print(by.max().round(3).to_string())
    spread = rows.groupby(["connectomes", "seed", "draw"], sort=False)["twin_sd_ms"].max()
    for name, values in spread.groupby("connectomes", sort=False):
        few = int((values <= LARGEST_MS).sum())
        print(f"{name}: predicted times within {LARGEST_MS:g} ms in {few} of {len(values)} draws")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[11, 12, 13, 14, 15])
    parser.add_argument("--epochs", type=int, default=100, help="of the group's network")
    parser.add_argument("--shuffles", type=int, default=2, help="of connectomes over people")
    parser.add_argument("--moves", action="store_true", help="judge interventions, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    codes, moves = [], []
    for seed in options.seeds:
        work = options.work / f"{REGIME}-{seed}"
        work.mkdir(parents=True, exist_ok=True)
        cohorts = Cohorts.simulate(REGIME, seed)
        fitted = fitted_group(work, cohorts, seed, options.epochs)
        training, unseen = cohorts.of_fitted(), cohorts.of_unseen()
        drawn = {"seed": seed, "shuffles": options.shuffles}
        make = partial(judged_codes, fitted, training, unseen, **drawn)
        file = work / f"codes-{options.shuffles}.json"
        codes += [{"seed": seed, **row} for row in kept(file, make)]
        if options.moves:
            make = partial(judged_moves, fitted, training, unseen, **drawn)
            file = work / f"moves-{options.shuffles}.json"
            moves += [{"seed": seed, **row} for row in kept(file, make)]
        print(f"world {seed} done", flush=True)
    print_codes(pd.DataFrame(codes))
    if moves:
        table = pd.DataFrame(moves)
        print(table.round(3).to_string())
        print(table.groupby(["connectomes", "verdict"]).size().to_string())
        null = table[table.connectomes == SHUFFLED]
        shown = null[null.verdict.isin(DIRECTIONS)].groupby(["seed", "draw"]).ngroups
        worlds = null.groupby(["seed", "draw"]).ngroups
        print(f"null worlds with a verdict of {' or '.join(DIRECTIONS)}: {shown} of {worlds}")


if __name__ == "__main__":
    main()
