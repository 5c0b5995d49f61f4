"""What is recovered of effective connectivity (MOU) in its own simulations.

    python studies/mou_recovery.py ../shared/sip/data [--sessions 4] [--people 50]

The J that is fitted to each person's first day is the truth. Sessions of the same length are
simulated by it, and J is fitted to each of them as to a measured one: with the same group mean,
connections and strength. Prints Spearman's rho of true and fitted connections, and of their
differences from the group's, mean over people with 95 % intervals (bootstrap over people). J is an
estimate without a posterior, so it has neither ranks nor coverage.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sc_50.npz and bold_REST1_LR_50.npz")
    parser.add_argument("--sessions", type=int, default=4, help="simulated of each person")
    parser.add_argument("--people", type=int, default=50)
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
    for person, own in enumerate(covariances[: args.people]):
        true = model.infer(own)
        process, rng = true.in_frames(TR_SECONDS), np.random.default_rng([SEED, person])
        simulated = process.simulate(args.sessions, series.shape[2], rng)
        found = [model.infer(LagCovariances.of(session)).coupling for session in simulated]
        at, mean = connections.allowed, model.start.coupling[connections.allowed]
        whole.append([alike(true.coupling[at], one[at]) for one in found])
        own_part.append([alike(true.coupling[at] - mean, one[at] - mean) for one in found])
    print(
        f"{int(connections.allowed.sum())} connections, {args.people} people, {args.sessions} "
        f"sessions each, {time.process_time() - start:.0f} CPU s"
    )
    for name, values in (("connections", whole), ("differences from the group's", own_part)):
        interval = bootstrap_interval(np.mean(values, axis=1))
        print(f"rho of {name}: {interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})")


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rho of values that differ."""
    places = [np.argsort(np.argsort(values)).astype(float) for values in (one, other)]
    return float(correlation(*places))


if __name__ == "__main__":
    main()
