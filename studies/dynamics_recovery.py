"""Recovery of the test models of Sip et al. (2023) by the network: parameters and simulations.

    OMP_NUM_THREADS=1 python studies/dynamics_recovery.py WORK --simulator hopf|pmfm \
        [--weights sc.npz] [--people 8] [--epochs 3001] [--samples 8] [--epsilon 0 0.01 0.1 1]

Sizes and training are the published ones (`recipe.OF_TEST_MODELS`). With fewer epochs, terms rise
and the learning rate falls after the same share of the epochs. Structural connectomes are those of
the first people of `weights` in an .npz file, or synthetic ones. With synthetic ones, mean-field
models stay in their low state, because G is chosen for measured ones. The tables show Spearman's
rho and 90 % intervals of the parameters; simulations compared with the original series, with
controls; both for each person, as people differ in G; and both for networks trained with W + εA
instead of W, where A is standard normal (negative entries are set to 0). WORK keeps the trainings,
so the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import find_peaks, periodogram

from bids_dtg.connectome.parcels import fc_strength
from bids_dtg.dynamics.fitting import Fitted, fit
from bids_dtg.dynamics.measures import connectivity, fc_fit
from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.phantom.people import (
    SimulatedPeople,
    simulate_hopf_people,
    simulate_weights,
)
from bids_dtg.dynamics.recipe import OF_TEST_MODELS
from bids_dtg.dynamics.recovery import Recovered, recover, spearman
from bids_dtg.dynamics.test_models import (
    INITIAL_GATING,
    WongWang,
    WongWangRecipe,
    simulate_wong_wang,
    unit_noise,
)
from bids_dtg.phantom.regions import region_names
from bids_dtg.phantom.streams import Purpose, stream
from bids_dtg.training.loop import Workplace

Array = NDArray[np.float64]

DRAWS = 100  # samples of the posteriors, as published
SIGMA_MEAN, SIGMA_SD, SIGMA_LEAST = (
    0.04,
    0.01,
    0.001,
)  # noise of mean-field models per 10-ms step
COUPLINGS = np.linspace(
    0.16, 0.22, 31
)  # values of G; the one with the largest mean FC is chosen
SWEEP = WongWangRecipe(
    seconds=240.0, dropped_seconds=120.0
)  # simulation with each value of G
SWEEP_RUN = 2**32 - 1  # number of the run in which each person's G is chosen
SEPARATING_MASS = 0.1  # share of values that are taken to lie between two modes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--simulator", choices=("hopf", "pmfm"), default="hopf")
    parser.add_argument("--weights", type=Path, help=".npz with `weights`")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument(
        "--regions", type=int, default=68, help="of synthetic connectomes"
    )
    parser.add_argument("--epochs", type=int, default=OF_TEST_MODELS.epochs)
    parser.add_argument("--samples", type=int, default=OF_TEST_MODELS.samples)
    parser.add_argument("--simulations", type=int, default=10, help="of each person")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.0])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    people = simulate(args)
    rows = []
    for epsilon in args.epsilon:
        networks = replace(
            people.networks, weights=perturbed(people.networks.weights, epsilon)
        )
        fitted = train(networks, args, epsilon)
        found = recovered(people, networks, fitted)
        simulated = fitted.simulate(networks, simulations=args.simulations)
        if epsilon == args.epsilon[0]:
            print_first(args, people, found, simulated)
        fits = fc_fit(
            connectivity(people.networks.series)[:, None], connectivity(simulated)
        )
        rows.append(
            [
                f"{epsilon:g}",
                *(f"{own.rho:.2f}" for own in found.values()),
                f"{mean(fits):.2f}",
            ]
        )
    print_table("networks that were given W + εA", ["ε", *found, "FC fit"], rows)


def simulate(args: argparse.Namespace) -> SimulatedPeople:
    if args.weights is None:
        weights = simulate_weights(args.people, args.regions, np.random.default_rng(0))[
            0
        ]
    else:
        with np.load(args.weights) as file:
            weights = file["weights"][: args.people]
    return (
        simulate_hopf_people(weights)
        if args.simulator == "hopf"
        else simulate_pmfm(weights)
    )


def simulate_pmfm(weights: NDArray[np.number], seed: int = 42) -> SimulatedPeople:
    """Simulate people whose regions are mean-field models with known sigma and G."""
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    sigma = np.stack([rng.normal(SIGMA_MEAN, SIGMA_SD, count) for rng in rngs])
    sigma = np.maximum(sigma, SIGMA_LEAST)
    scaled = normalised(weights)
    network = partial(WongWang, scaled.astype(np.float64), sigma=sigma)
    swept = network(coupling=np.tile(COUPLINGS, (people, 1)), recipe=SWEEP)
    strength = fc_strength(connectivity(run_pmfm(swept, seed, [SWEEP_RUN])))
    coupling = COUPLINGS[strength.argmax(axis=1)]
    runs = partial(run_pmfm, network(coupling=coupling[:, None]), seed)
    series = runs([0])[:, 0]
    centre, sd = float(series.mean()), float(series.std())
    networks = Networks(
        tuple(f"sim{number:02d}" for number in range(1, people + 1)),
        region_names(count),
        np.asarray((series - centre) / sd, np.float32),
        WongWangRecipe().frame_seconds,
        weights=scaled,
    )
    return SimulatedPeople(
        networks, {"sigma": sigma}, {"G": coupling}, centre, sd, runs
    )


def run_pmfm(network: WongWang, seed: int, runs: Sequence[int]) -> Array:
    people, regions = network.sigma.shape

    def streams(purpose: Purpose) -> list[list[np.random.Generator]]:
        return [
            [stream(seed, purpose, person=p, session=run) for run in runs]
            for p in range(people)
        ]

    initial = [
        [rng.uniform(*INITIAL_GATING, regions) for rng in row]
        for row in streams(Purpose.INITIAL_STATE)
    ]
    noise = unit_noise(streams(Purpose.SYSTEM_NOISE), (regions,))
    return simulate_wong_wang(network, np.array(initial), noise)


def perturbed(weights: NDArray[np.float32], epsilon: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).standard_normal(weights.shape)
    return (
        normalised(np.maximum(weights + epsilon * noise, 0.0)) if epsilon else weights
    )


def train(networks: Networks, args: argparse.Namespace, epsilon: float) -> Fitted:
    recipe = replace(OF_TEST_MODELS, epochs=args.epochs, samples=args.samples)
    name = f"{args.simulator}-{args.people}-{args.epochs}-{args.samples}-{epsilon:g}"
    place = Workplace(args.work / name, device=args.device)
    return fit(networks, recipe, workplace=place, report=partial(print, flush=True))


def recovered(
    people: SimulatedPeople, networks: Networks, fitted: Fitted
) -> dict[str, Recovered]:
    """Recover each known parameter by a regression over the other people."""
    inferred, labels = fitted.infer(networks), np.arange(len(networks.people))
    whose = np.repeat(labels, len(networks.regions))
    mean, sd = (
        values.reshape(len(whose), -1)
        for values in (inferred.region_mean, inferred.region_sd)
    )
    found = {
        name: recover(values.ravel(), mean, sd, whose)
        for name, values in people.regional.items()
    }
    if "f" in people.regional:
        rows = people.regional["a"].ravel() > 0
        f = people.regional["f"].ravel()
        found["f, a > 0"] = recover(f[rows], mean[rows], sd[rows], whose[rows])
    for name, values in people.personal.items():
        found[name] = recover(values, inferred.person_mean, inferred.person_sd, labels)
    return found


def print_first(
    args: argparse.Namespace,
    people: SimulatedPeople,
    found: Mapping[str, Recovered],
    simulated: NDArray[np.float32],
) -> None:
    print(
        f"\n{args.simulator}, {args.people} people, {args.epochs} epochs, S = {args.samples}"
    )
    columns = ["parameter", "points", "rho", "sd over samples", "in 90 %"]
    rng = np.random.default_rng(0)
    rows = []
    for name, own in found.items():
        draws = own.value + own.sd * rng.standard_normal((DRAWS, len(own.value)))
        rhos = np.array([spearman(own.truth, each) for each in draws])
        rows.append(
            [
                *(name, f"{len(own.truth)}", f"{own.rho:.2f}", f"{rhos.std():.3f}"),
                f"{own.coverage:.2f}",
            ]
        )
    print_table(
        "known parameters, each person by a regression over the others", columns, rows
    )
    series = people.networks.series
    again = people.again(range(1, args.simulations + 1))
    compared = {"model": simulated, "new noise": again, **surrogates(series)}
    scores = {
        name: likeness(args.simulator, series, own) for name, own in compared.items()
    }
    rows = [
        [name, *(f"{mean(own):.3g}" for own in row.values())]
        for name, row in scores.items()
    ]
    print_table("series compared with the original ones", ["", *scores["model"]], rows)
    (first, truth), number = next(iter(people.regional.items())), len(series)
    regional = found[first].value.reshape(truth.shape)
    rows = [
        [
            f"{people.personal['G'][person]:.3f}",
            f"{spearman(truth[person], regional[person]):.2f}",
            *(f"{mean(own[person]):.3g}" for own in scores["model"].values()),
        ]
        for person in np.argsort(people.personal["G"], kind="stable")[:number]
    ]
    print_table("by person", ["G", f"rho of {first}", *scores["model"]], rows)


def surrogates(series: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return controls: the series with regions shifted by one, and white noise."""
    rng = np.random.default_rng(0)
    moved = np.stack([np.roll(person, 1, axis=0) for person in series])
    noise = rng.normal(series.mean(), series.std(), series.shape).astype(np.float32)
    return {"other regions": moved[:, None], "white noise": noise[:, None]}


def likeness(
    simulator: str, series: NDArray[np.float32], others: NDArray[np.float32]
) -> dict[str, Array]:
    """Compare series (people, regions, frames) with others (people, runs, regions, frames)."""
    one, fc = series[:, None], connectivity(others)
    found = {"FC fit": fc_fit(connectivity(one), fc), "FC strength": fc_strength(fc)}
    if simulator == "hopf":
        found["spectrum cosine"] = spectrum_cosine(one, others)
        variances = (np.var(each, axis=-1, dtype=np.float64) for each in (one, others))
        found["variance difference"] = np.abs(np.subtract(*variances))
    else:
        found["histogram distance"] = histogram_distance(one, others)
        found["switch difference"] = switch_difference(one, others)
    return found


def spectrum_cosine(series: Array, others: Array) -> Array:
    """Return the cosine between smoothed periodograms, (people, runs, regions)."""
    first, second = (
        uniform_filter1d(periodogram(each, axis=-1)[1], 3, axis=-1)
        for each in (series, others)
    )
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return (first * second).sum(axis=-1) / norms


def histogram_distance(series: Array, others: Array) -> Array:
    """Return the Wasserstein distance of histograms of 20 bins from -2 to 2."""

    def shares(values: Array) -> Array:
        rows = values.reshape(-1, values.shape[-1])
        counts = np.array(
            [np.histogram(row, 20, (-2.0, 2.0))[0] for row in rows], float
        )
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return shares.cumsum(axis=-1).reshape(*values.shape[:-1], -1)

    return np.abs(shares(series) - shares(others)).sum(axis=-1) * 4.0 / 20


def switch_difference(series: Array, others: Array) -> Array:
    """Return differences in log(1 + switches between two modes); NaN if there is only one mode."""
    values = np.sort(series, axis=None)
    counts, edges = np.histogram(values, 100)
    density = gaussian_filter1d(counts.astype(float), 2.0, mode="constant")
    peaks, facts = find_peaks(np.pad(density, 1), prominence=0.02 * density.max())
    if len(peaks) < 2:
        return np.full(others.shape[:-1], np.nan)
    first, last = np.sort(peaks[np.argsort(facts["prominences"])[-2:]]) - 1
    trough = np.searchsorted(
        values, edges[first + int(density[first : last + 1].argmin())]
    )
    limits = trough / values.size + np.array([-0.5, 0.5]) * SEPARATING_MASS
    low, high = np.quantile(values, np.clip(limits, 0, 1))

    def switches(each: Array) -> Array:
        mode = (each > high).astype(np.int8) - (each < low).astype(np.int8)
        # A value between the limits counts as the mode before it.
        frame = np.where(mode != 0, np.arange(each.shape[-1]), 0)
        kept = np.take_along_axis(mode, np.maximum.accumulate(frame, axis=-1), axis=-1)
        return np.count_nonzero(kept[..., 1:] * kept[..., :-1] == -1, axis=-1)

    return np.abs(np.log1p(switches(series)) - np.log1p(switches(others)))


def mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
