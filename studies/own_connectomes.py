"""Named models by people's own structural connectomes, the group's mean, and another person's.

    python studies/own_connectomes.py ../shared/sip/data --work FOLDER [--models hopf] [--people 50]

Five folds of people, as `evaluate --folds 5` has: the mean connectome and frequencies are those of
the other folds. Each connectome is simulated 200 times, the mean also; parameters of a person are
inferred from REST1 by each of three banks of simulations (the person's own connectome, the mean,
that of the next person of the fold), and five sessions by them are compared with REST2. Printed are
means over people with 95 % intervals (bootstrap), and own less mean and own less another's,
person by person. The linear core's figures of the same people are those of `evaluate`.

The work folder keeps the simulations of each connectome: a stopped call goes on where it was.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibration import TR_SECONDS, keep
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.bank import (
    OWN_SIMULATIONS,
    Bank,
    shared_substrate,
    simulated_sessions,
)
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.named import NAMED, Substrate
from bids_dtg.dynamics.networks import PeopleSeries, normalised, standardised
from bids_dtg.dynamics.posterior import SimulatedStatistics
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import identification_accuracy
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.verdict import judge_differences

Array = NDArray[np.float64]

FOLDS, SESSIONS, SEED = 5, 5, 0
OWN, MEAN, OTHER = "own", "mean", "another's"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sc_50.npz and bold_REST*_LR_50.npz")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=NAMED, default=[*NAMED])
    parser.add_argument("--people", type=int, default=50, help="the first so many of the file")
    args = parser.parse_args()
    work = args.work / f"{args.people}"  # frequencies are of the other folds' people
    work.mkdir(parents=True, exist_ok=True)
    first, again = (people_of(args.data, name, args.people) for name in ("REST1", "REST2"))
    with np.load(args.data / "sc_50.npz") as file:
        weights = file["weights"][: args.people].astype(float)
    columns = ("model", "connectome", "FC r (95 %)", "residual r", "identified", "unlike")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in args.models:
        print_model(name, judged(name, first, again, weights, work))


def people_of(data: Path, session: str, count: int) -> PeopleSeries:
    with np.load(data / f"bold_{session}_LR_50.npz") as file:
        return PeopleSeries(
            tuple(map(str, file["subject"][:count])),
            tuple(map(str, file["region"])),
            standardised(file["bold"][:count].astype(np.float32)),
            TR_SECONDS,
        )


def judged(
    name: str, first: PeopleSeries, again: PeopleSeries, weights: Array, work: Path
) -> dict[str, Array]:
    """Return figures by connectome: (people, FC r, residual r, unlike), and what is identified."""
    folds = np.array_split(np.random.default_rng(SEED).permutation(len(first.people)), FOLDS)
    edges: dict[str, list[tuple[int, Array]]] = {way: [] for way in (OWN, MEAN, OTHER)}
    rows = {way: np.empty((len(first.people), 3)) for way in edges}
    measured = np.stack([edges_of(series) for series in again.series])
    known = np.stack([edges_of(series) for series in first.series])
    for number, fold in enumerate(folds):
        others = np.setdiff1d(np.arange(len(first.people)), fold)
        training = first.of([first.people[row] for row in others])
        substrate = shared_substrate(weights[others], [training], TR_SECONDS)
        mean = bank_of(name, substrate, first.frames, work / f"{name}_mean{number}.npz")
        for place, row in enumerate(fold):
            label, other = first.people[row], fold[(place + 1) % len(fold)]
            banks = {
                OWN: own_bank(mean, weights[row], label, work),
                MEAN: mean,
                OTHER: own_bank(mean, weights[other], first.people[other], work),
            }
            group = known[others].mean(axis=0)
            for way, bank in banks.items():
                rng = np.random.default_rng([SEED, *label.encode()])
                posterior = bank.infer(first.series[row], rng)
                sessions = bank.simulate(posterior, SESSIONS, first.frames, rng)
                own = np.mean([edges_of(session) for session in sessions], axis=0)
                rows[way][row] = (
                    correlation(own, measured[row]),
                    correlation(own - group, measured[row] - group),
                    posterior.beyond,
                )
                edges[way].append((int(row), own))
    for way, found in edges.items():
        said = np.stack([own for _, own in sorted(found, key=lambda pair: pair[0])])
        hit = identification_accuracy(correlation(measured[:, None], said[None]))
        rows[way] = np.column_stack([rows[way], np.full(len(rows[way]), hit)])
    return rows


def bank_of(name: str, substrate: Substrate, frames: int, kept: Path) -> Bank:
    """Return 200 simulations by a connectome; those kept, where there are any."""
    if not kept.exists():
        found = simulated_sessions(NAMED[name], substrate, OWN_SIMULATIONS, frames, SEED)
        keep(kept, unit=found.unit, statistics=found.statistics)
    with np.load(kept) as file:
        simulated = SimulatedStatistics(file["unit"], file["statistics"])
    return Bank(name, substrate, frames, simulated)


def own_bank(mean: Bank, weights: Array, label: str, work: Path) -> Bank:
    own = np.asarray(normalised(weights[None])[0], np.float64)
    kept = work / f"{mean.name}_{label}.npz"
    return bank_of(mean.name, replace(mean.substrate, weights=own), mean.frames, kept)


def edges_of(series: NDArray[np.float32]) -> Array:
    return np.asarray(upper_edges(LagCovariances.of(series).values[0]), np.float64)


def print_model(name: str, rows: dict[str, Array]) -> None:
    for way, found in rows.items():
        fit, residual = (bootstrap_interval(found[:, column]) for column in (0, 1))
        print(
            f"| {name} | {way} | {fit.mean:.3f} ({fit.low:.3f} to {fit.high:.3f}) "
            f"| {residual.mean:.3f} ({residual.low:.3f} to {residual.high:.3f}) "
            f"| {found[0, 3]:.2f} | {int(found[:, 2].sum())} of {len(found)} |"
        )
    for column, what in enumerate(("FC r", "residual r")):
        for way in (MEAN, OTHER):
            verdict = judge_differences(rows[OWN][:, column] - rows[way][:, column])
            gap = verdict.difference
            print(
                f"- {name}, {what}, own less {way}: {gap.mean:.4f} ({gap.low:.4f} to "
                f"{gap.high:.4f}), {verdict.word}",
                flush=True,
            )


if __name__ == "__main__":
    main()
