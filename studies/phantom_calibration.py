"""Does the phantom look like real people? The paper's figures and the phantom's.

    python studies/phantom_calibration.py [--train 120] [--test 40] [--seed 0] [--block 4]

Intervals are 95 %, bootstrap over the test people. The paper is Serin et al. 2025 (HCP-YA, 39
people with a retest); the prototype is the study that set the equations.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.linear import LinearBaseline, ParcelLinearBaseline, roi_parcels
from bids_dtg.stats.metrics import (
    correlation_matrix,
    identification_accuracy,
    residual_correlation,
)

Array = NDArray[np.float32]

PAPER = {
    ("group average", "r"): "0.524 (0.165)",
    ("retest", "r"): "0.470 (0.206)",
    ("retest", "product"): "0.097 (0.071)",
    ("linear (Tavor)", "r"): "0.367 (0.127)",
    ("linear (Tavor)", "product"): "0.004 (0.006)",
}
PROTOTYPE = {
    ("group average", "r"): "0.523 (0.154)",
    ("retest", "r"): "0.460 (0.189)",
    ("retest", "product"): "0.088 (0.047)",
    ("retest", "ratio"): "0.385",
    ("retest", "res r"): "0.261",
    ("linear, whole brain", "r"): "0.378 (0.110)",
    ("linear, whole brain", "product"): "0.010 (0.004)",
    ("linear, whole brain", "ratio"): "0.048",
    ("local ridge", "r"): "0.534",
    ("local ridge", "product"): "0.011",
    ("local ridge", "id"): "0.62",
    ("local ridge", "res r"): "0.139",
    ("truth", "r"): "0.657",
    ("truth", "product"): "0.157",
    ("truth", "res r"): "0.489",
    ("rest ceiling", "r"): "0.565",
    ("rest ceiling", "product"): "0.046",
    ("rest ceiling", "id"): "0.94",
    ("rest ceiling", "res r"): "0.261",
}


@dataclasses.dataclass
class People:
    connectomes: Array  # (people, networks, voxels), mean over segments
    # (people, segments, networks, voxels): all of a test person, one drawn of a training person.
    segments: NDArray[np.float16]
    measured: Array  # (people, contrasts, voxels)
    retest: Array  # (people, contrasts, voxels)
    true: Array  # (people, contrasts, voxels)
    knowable: Array  # (people, contrasts, voxels)
    reliability: NDArray[np.float64]  # (people, 4): connectomes of 2 segments, 2 halves


def simulate(phantom: Phantom, cohort: Cohort, n: int, *, test: bool) -> People:
    """Simulate people; retest, truth and ceilings for test people only."""

    def arrays(index: int) -> tuple[Array, ...]:
        person = phantom.person(cohort, index)
        segments = person.segments()
        whole = segments.mean(axis=0), segments.astype(np.float16)
        if not test:
            drawn = np.random.default_rng([phantom.seed, index]).integers(len(segments))
            return whole[0], whole[1][drawn : drawn + 1].copy(), person.measured_maps(0)
        parts = np.stack([segments[0], segments[1], segments[::2].mean(0), segments[1::2].mean(0)])
        maps = person.measured_maps(0), person.measured_maps(1), person.true_maps()
        return *whole, *maps, person.knowable_maps(), parts

    with ThreadPoolExecutor(2) as pool:
        columns = list(zip(*pool.map(arrays, range(n)), strict=True))
    stacked = [np.stack(column) for column in columns]
    empty = np.zeros(0, np.float32)
    return People(*stacked, *[empty] * (7 - len(stacked)))


def scores(predicted: Array, measured: Array, mean: Array) -> dict[str, NDArray[np.float64]]:
    """Score predictions; (contrasts, people) for r, product and res r, (contrasts,) for id."""
    out: dict[str, list[NDArray[np.float64]]] = {"r": [], "product": [], "index": [], "res r": []}
    identified = []
    for q in range(measured.shape[1]):
        # Rows are measured maps, as in the paper.
        matrix = correlation_matrix(predicted[:, q], measured[:, q]).T
        own = np.diagonal(matrix)
        index = own - (matrix.sum(axis=1) - own) / (len(own) - 1)
        out["r"].append(own)
        out["index"].append(index)
        out["product"].append(index * own)
        out["res r"].append(residual_correlation(predicted[:, q], measured[:, q], mean[q]))
        identified.append(identification_accuracy(matrix))
    result = {name: np.array(values) for name, values in out.items()}
    return {**result, "id": np.array(identified)}


def local_ridge(phantom: Phantom, train: People, test: Array, penalty: float = 1.0) -> Array:
    sums = LocalRidgeSums(phantom.anatomy.places.lattice(1))
    for connectome, maps in zip(train.connectomes, train.measured, strict=True):
        sums.fit_person(connectome, maps)
    model = sums.solve(penalty)
    return np.stack([model.predict(connectome) for connectome in test])


def linear_in_parcels(phantom: Phantom, train: People, test: People) -> Array:
    """Fit the published model, and average its predictions over segments."""
    model = ParcelLinearBaseline(roi_parcels(phantom.roi_maps))
    model.fit(train.segments[:, 0].astype(np.float32), train.measured)
    return np.stack(
        [model.predict(person.astype(np.float32)).mean(axis=0) for person in test.segments]
    )


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> str:
    """Bootstrap the mean over people of values (contrasts, people)."""
    person = values.mean(axis=0)
    draws = person[rng.integers(len(person), size=(2000, len(person)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"[{low:.3f}, {high:.3f}]"


def print_table(models: dict[str, Array], test: People, mean: Array) -> None:
    rng = np.random.default_rng(0)
    print(
        "| model | score | paper | prototype | phantom | 95 % interval |\n|---|---|---|---|---|---|"
    )
    for model, predicted in models.items():
        result = scores(predicted, test.measured, mean)
        group = model == "group average"
        for score in ("r", "product", "ratio", "id", "res r"):
            key = (model, score)
            if score == "ratio":
                shown, bounds = f"{result['index'].mean() / result['r'].mean():.3f}", ""
            elif score == "id":
                shown, bounds = f"{result['id'].mean():.2f}", ""
            elif group and score != "r":
                continue
            else:
                values = result[score]
                shown = f"{values.mean():.3f} ({values.mean(axis=1).std():.3f})"
                bounds = interval(values, rng)
            print(
                f"| {model} | {score} | {PAPER.get(key, '')} | {PROTOTYPE.get(key, '')} "
                f"| {shown} | {bounds} |"
            )


def print_variances(test: People, mean_true: Array) -> None:
    """Print variances over voxels, mean over contrasts, in z squared."""

    def power(maps: Array) -> float:
        return float((maps**2).mean())

    people = len(test.true)
    group = power(test.true.mean(axis=0)) - power(test.true - test.true.mean(0)) / (people - 1)
    stable = power(test.true - test.true.mean(axis=0)) * people / (people - 1)
    knowable = power(test.knowable - test.knowable.mean(axis=0)) * people / (people - 1)
    noise = power(test.measured - test.true)
    print(
        f"z²: total {power(test.measured):.2f} (2.31), group {group:.2f} (0.80), stable "
        f"{stable:.2f} (0.39), knowable {knowable:.2f} (0.12-0.13), noise {noise:.2f} (1.13)"
    )


def print_reliability(train_mean: Array, parts: Array) -> None:
    deviations = parts - parts.mean(axis=0)
    flat = deviations.reshape(*parts.shape[:2], -1)
    r = [[np.corrcoef(p[a], p[b])[0, 1] for p in flat] for a, b in ((0, 1), (2, 3))]
    print(
        f"connectome deviations: segments r {np.mean(r[0]):.2f} (0.31), "
        f"halves r {np.mean(r[1]):.2f} (0.63)"
    )


def print_contrasts(result: NDArray[np.float64]) -> None:
    paper = {
        "GAMBLING PUNISH-REWARD": "0.19",
        "RELATIONAL MATCH-REL": "0.24",
        "RELATIONAL REL": "0.66",
        "WM 2BK_PLACE": "0.62",
        "SOCIAL TOM": "0.68",
    }
    for contrast, r in zip(CONTRASTS, result.mean(axis=1), strict=True):
        name = f"{contrast.task} {contrast.name}"
        if name in paper:
            print(f"group r, {name}: {r:.2f} (prototype {paper[name]})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--truth", choices=("networks", "linear"), default="networks")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    changes = {name: float(value) for name, value in (item.split("=") for item in args.set)}
    parameters = dataclasses.replace(PhantomParameters(), truth=args.truth, **changes)
    start = time.perf_counter()
    phantom = Phantom(parameters, seed=args.seed, block=args.block)
    _ = phantom.series_weights, phantom.fixed_maps  # computed before threads need them
    train = simulate(phantom, Cohort.TRAINING, args.train, test=False)
    test = simulate(phantom, Cohort.TEST, args.test, test=True)
    mean = train.measured.mean(axis=0)
    print(
        f"{args.train} + {args.test} people, seed {args.seed}, "
        f"{2 * args.block} mm: {time.perf_counter() - start:.0f} s"
    )
    models = {
        "group average": np.broadcast_to(mean, test.measured.shape),
        "linear (Tavor)": linear_in_parcels(phantom, train, test),
        "linear, whole brain": LinearBaseline()
        .fit(train.connectomes, train.measured)
        .predict(test.connectomes),
        "local ridge": local_ridge(phantom, train, test.connectomes),
        "retest": test.retest,
        "rest ceiling": test.knowable,
        "truth": test.true,
    }
    print_table(models, test, mean)
    print_variances(test, mean)
    print_reliability(train.connectomes.mean(axis=0), test.reliability)
    print_contrasts(scores(models["group average"], test.measured, 0 * mean)["r"])
    print(f"parameters {parameters.hash}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
