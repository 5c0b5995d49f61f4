"""What is recovered of effective connectivity (MOU) in its own simulations.

    python studies/mou_recovery.py ../shared/sip/data [--sessions 4] [--people 50]
    PYTHON_WITH_SBI studies/mou_recovery.py ../shared/sip/data --sessions 8 --npe

The J that is fitted to each person's first day is the truth. Sessions of the same length are
simulated by it, and J is fitted to each of them as to a measured one: with the same group mean,
connections and strength. Prints Spearman's rho of true and fitted connections, and of their
differences from the group's, mean over people with 95 % intervals (bootstrap over people). J is an
estimate without a posterior, so it has neither ranks nor coverage.

With `--npe`, sbi's NPE learns posteriors of both connections of a pair of regions, from the pair's
fitted differences, the group's J, and covariances: from 20,000 pairs of the sessions of the first
half of the people. It is judged, as `calibration.py` does it, by one pair of each other session.
The prior is that of J over people and pairs. sbi needs an environment of its own.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from bids_dtg.dynamics.effective_connectivity import Connections, EffectiveModel
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import FIXED
from bids_dtg.inputs.regions.sides import homotopic_pairs
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import bootstrap_interval

TR_SECONDS, SEED = 0.72, 0
TRAINING_PAIRS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sc_50.npz and bold_REST1_LR_50.npz")
    parser.add_argument("--sessions", type=int, default=4, help="simulated of each person")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--npe", action="store_true", help="add posteriors of connections by sbi")
    args = parser.parse_args()
    with np.load(args.data / "bold_REST1_LR_50.npz") as file:
        series, regions = file["bold"].astype(np.float64), [*map(str, file["region"])]
    with np.load(args.data / "sc_50.npz") as file:
        connections = Connections.of(file["weights"].astype(float), homotopic_pairs(regions))
    start = time.process_time()
    covariances = [LagCovariances.of(own) for own in series]
    group = np.mean([own.values for own in covariances], axis=0)
    model = EffectiveModel(group, FIXED[1], connections.allowed, TR_SECONDS)
    whole, own_part = [], []
    i, j = np.nonzero(np.triu(connections.allowed, 1))
    truths, statistics = [], []  # of pairs of regions, of each session
    group_j, people = model.start.coupling, covariances[: args.people]
    for person, own in enumerate(people):
        true = model.infer(own)
        process, rng = true.in_frames(TR_SECONDS), np.random.default_rng([SEED, person])
        seen = [*map(LagCovariances.of, process.simulate(args.sessions, series.shape[2], rng))]
        found = [model.infer(session).coupling for session in seen]
        at, mean = connections.allowed, group_j[connections.allowed]
        whole.append([alike(true.coupling[at], one[at]) for one in found])
        own_part.append([alike(true.coupling[at] - mean, one[at] - mean) for one in found])
        apart = true.coupling - group_j
        for one, session in zip(found, seen, strict=True):
            truths.append(np.column_stack([apart[i, j], apart[j, i]]))
            fitted, (zero, later) = one - group_j, session.values[:2] - group[:2]
            read = [fitted[i, j], fitted[j, i], group_j[i, j], group_j[j, i]]
            statistics.append(np.column_stack([*read, zero[i, j], later[i, j], later[j, i]]))
    print(
        f"{int(connections.allowed.sum())} connections, {len(people)} people, {args.sessions} "
        f"sessions each, {time.process_time() - start:.0f} CPU s"
    )
    for name, values in (("connections", whole), ("differences from the group's", own_part)):
        interval = bootstrap_interval(np.mean(values, axis=1))
        print(f"rho of {name}: {interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})")
    if args.npe:
        half = len(people) // 2 * args.sessions
        judge_npe(np.stack(truths), np.stack(statistics), half)


def judge_npe(truths: np.ndarray, statistics: np.ndarray, half: int) -> None:
    """Train on the first sessions, and judge by one pair of each other one."""
    import torch
    from calibration import print_rows, trained_npe

    started = time.process_time()
    known, read = (values[:half].reshape(-1, values.shape[-1]) for values in (truths, statistics))
    rng = np.random.default_rng(SEED)
    drawn = rng.permutation(len(known))[:TRAINING_PAIRS]
    scale = known.std(axis=0)
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))  # its support
    posterior = trained_npe(known[drawn] / scale, read[drawn], prior)
    others = np.arange(half, len(truths))
    pairs = rng.integers(0, truths.shape[1], len(others))
    truth, draws = truths[others, pairs], posterior(statistics[others, pairs]) * scale
    names = ["J from a region to another", "J back"]
    print_rows("MOU", "NPE", names, truth, draws, time.process_time() - started)
    estimate = statistics[others, pairs, :2]
    for number, name in enumerate(names):
        rho = alike(truth[:, number], estimate[:, number])
        print(f"rho of {name} with the estimate itself, of these pairs: {rho:.2f}")


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rho of values that differ."""
    places = [np.argsort(np.argsort(values)).astype(float) for values in (one, other)]
    return float(correlation(*places))


if __name__ == "__main__":
    main()
