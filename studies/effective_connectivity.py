"""Effective connectivity and lesions in two sessions: how reliable they are, by folds of people.

    OMP_NUM_THREADS=1 python studies/effective_connectivity.py ../shared/sip/data \
        [--mask group|all] [--choose] [--people 50] [--time REGIONS]

Each fold's group mean and mask are of the others' first session (and connectomes); the core's
strength is chosen as `--analysis train` does. Every person's J is fitted to each session. Lesions
are of each region in turn. With `--choose`, numbers and sizes of steps are compared on each fold's
training people (five of them): the misfit of REST1's J to covariances of REST2, less is better.
`--time` takes the time of one step of as many regions, and nothing else.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.effective_connectivity import (
    PERSON_SIZE,
    PERSON_STEPS,
    Connections,
    EffectiveConnectivity,
    EffectiveModel,
    descent,
    everywhere,
    misfit,
)
from bids_dtg.dynamics.interventions import Intervention, Retest
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import TrainingPerson, fit_linear, shrunken
from bids_dtg.inputs.regions.sides import homotopic_pairs
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.splits import fold_people

FOLDS, CHOOSERS = 5, 5
STEPS, SIZES = (20, 40, 60, 80, 120, 160), (0.0005, 0.001, 0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--mask", choices=("group", "all"), default="group")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--time", type=int, metavar="REGIONS")
    options = parser.parse_args()
    if options.time:
        print(f"a step of {options.time} regions: {step_seconds(options.time):.2f} CPU s")
        return
    held = [np.load(options.data / f"bold_REST{day}_LR_50.npz") for day in (1, 2)]
    days = [own["bold"][: options.people].astype(np.float64) for own in held]
    regions, tr = [str(name) for name in held[0]["region"]], float(held[0]["tr"])
    weights = np.load(options.data / "sc_50.npz")["weights"]
    labels = [str(number) for number in range(options.people)]
    own = [[LagCovariances.of(series) for series in day] for day in days]
    folds = fold_people(labels, FOLDS, seed=0)
    couplings = np.empty((2, len(labels), len(regions), len(regions)))
    lesions = [Intervention.lesion(name, regions) for name in regions]
    effects = np.empty((len(lesions), 2, len(labels), len(regions) * (len(regions) - 1) // 2))
    fits, started = np.empty(len(labels)), time.process_time()
    fitted = 0.0
    for number, fold in enumerate(folds, 1):
        training = [int(label) for label in labels if label not in fold]
        people = [TrainingPerson(own[0][row], own[1][row]) for row in training]
        linear, _ = fit_linear(people, tr)
        allowed = everywhere(len(regions))
        if options.mask == "group":
            allowed = Connections.of(weights[training], homotopic_pairs(regions)).allowed
        strength = linear.strengths.covariance
        model = EffectiveModel(linear.group, strength, allowed, tr)
        print(
            f"fold {number}: {strength:g} frames, {allowed.mean():.3f} of pairs may be connected",
            flush=True,
        )
        if options.choose:
            choose(model, [own[0][row] for row in training], [own[1][row] for row in training])
            continue
        for row in map(int, fold):
            for day in range(2):
                begun = time.process_time()
                found = model.infer(own[day][row])
                fitted += time.process_time() - begun
                couplings[day, row] = found.coupling
                for which, lesion in enumerate(lesions):
                    effects[which, day, row] = lesion.effect(found)
                if day == 0:
                    again = upper_edges(own[1][row].values[0])
                    fits[row] = float(correlation(upper_edges(found.connectivity), again))
    if options.choose:
        return
    report(couplings, effects, fits, folds)
    print(f"{fitted / 2 / len(labels):.2f} CPU s a fit; {time.process_time() - started:.0f} in all")


def step_seconds(regions: int) -> float:
    """Return the CPU time of a step, by chance."""
    rng = np.random.default_rng(0)
    coupling = 0.4 / np.sqrt(regions) * rng.standard_normal((regions, regions))
    own = EffectiveConnectivity(coupling - 1.2 * np.eye(regions), np.ones(regions))
    covariances = np.stack([np.eye(regions), 0.5 * np.eye(regions)])
    started = time.process_time()
    misfit(own, covariances, 0.72)
    return time.process_time() - started


def choose(
    model: EffectiveModel, first: list[LagCovariances], second: list[LagCovariances]
) -> None:
    """Print the misfit to another session of numbers and sizes of steps."""
    for size in SIZES:
        found = np.empty((CHOOSERS, len(STEPS)))
        for row, (one, other) in enumerate(zip(first[:CHOOSERS], second, strict=False)):
            mixed = shrunken(one, model.group, model.strength)
            way = descent(model.start, mixed, model.tr_seconds, model.allowed, size=size)
            for number, own in enumerate(islice(way, STEPS[-1]), 1):
                if number in STEPS:
                    value = misfit(own, other.values, model.tr_seconds).value
                    found[row, STEPS.index(number)] = value
        cells = zip(STEPS, found.mean(axis=0), strict=True)
        words = ", ".join(f"{steps}: {value:.4f}" for steps, value in cells)
        print(f"  size {size:g} 1/s; {words}", flush=True)


def report(couplings: np.ndarray, effects: np.ndarray, fits: np.ndarray, folds: list) -> None:
    print(f"{PERSON_STEPS} steps of {PERSON_SIZE:g} 1/s")
    print(f"FC r with REST2: {words(fits)}")
    away = ~np.eye(couplings.shape[-1], dtype=bool)
    # Folds have other groups' J: differences are from the fold's people.
    values = couplings[:, :, away]
    centred = values.copy()
    for fold in folds:
        rows = list(map(int, fold))
        centred[:, rows] -= values[:, rows].mean(axis=1, keepdims=True)
    used = centred.any(axis=(0, 1))
    found = Retest.of(centred[0][:, used], centred[1][:, used])
    print(f"differences of J, r: {words(found.individual)}")
    print(f"identified by them: {found.identified} of {len(fits)}")
    own, individual, others = [], [], []
    for effect in effects:
        apart = effect.copy()
        for fold in folds:
            rows = list(map(int, fold))
            apart[:, rows] -= effect[:, rows].mean(axis=1, keepdims=True)
        plain = Retest.of(*effect)
        own.append(plain.own)
        others.append(plain.others)
        individual.append(Retest.of(*apart).own)
    for name, rows in (
        ("own", own),
        ("others' (the null)", others),
        ("individual part", individual),
    ):
        print(f"lesions, r of REST1 and REST2, {name}: {words(np.mean(rows, axis=0))}")
    print(f"mean size of a change of FC: {np.nanmean(np.abs(effects)):.4f}")


def words(values: np.ndarray) -> str:
    found = bootstrap_interval(values)
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}), sd {np.nanstd(values):.3f}"


if __name__ == "__main__":
    main()
