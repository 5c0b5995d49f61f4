"""Recovery of the simulators of Sip et al. (2023) by the network: parameters and simulations.

    OMP_NUM_THREADS=1 python studies/dynamics_recovery.py WORK --simulator hopf|pmfm \
        [--weights sc.npz] [--people 8] [--epochs 3001] [--samples 8] [--epsilon 0 0.01 0.1 1]

Sizes and training are the published ones (`RECIPE`). With fewer epochs, terms rise
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
from wong_wang import INITIAL_GATING, WongWang, WongWangTime, simulate_wong_wang

from bids_dtg.connectome.parcels import fc_strength
from bids_dtg.dynamics.fitting import Fitted, fit
from bids_dtg.dynamics.measures import connectivity, fc_fit
from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.phantom.people import (
    SimulatedPeople,
    simulate_hopf_people,
    simulate_weights,
    streams_of_runs,
)
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.recovery import Recovered, recover, spearman
from bids_dtg.dynamics.simulators import unit_noise
from bids_dtg.phantom.regions import region_names
from bids_dtg.phantom.streams import Purpose, stream
from bids_dtg.training.loop import Workplace

Array = NDArray[np.float64]

RECIPE = Recipe(
    states=2,
    region_parameters=2,
    person_parameters=1,
    external_inputs=0,
    samples=8,
    epochs=3001,
    ramp_share=1 / 6,
    late_share=2 / 3,
    held_out=0.0,
)
DRAWS = 100  # samples of the posteriors, as published
# Noise of mean-field models per 10-ms step.
SIGMA_MEAN = 0.04
SIGMA_SD = 0.01
SIGMA_LEAST = 0.001
# Values of G; the one with the largest mean FC is chosen.
COUPLINGS = np.linspace(0.16, 0.22, 31)
# Simulation with each value of G.
SWEEP = WongWangTime(seconds=240.0, dropped_seconds=120.0)
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
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--samples", type=int, default=RECIPE.samples)
    parser.add_argument("--simulations", type=int, default=10, help="of each person")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.0])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    people = simulate(args)
    original_fc = connectivity(people.networks.series)[:, None]
    rows = []
    for epsilon in args.epsilon:
        weights = perturbed(people.networks.weights, epsilon)
        networks = replace(people.networks, weights=weights)
        fitted = train(networks, args, epsilon)
        parameters = recovered(people, networks, fitted)
        simulated = fitted.simulate(networks, simulations=args.simulations)
        if epsilon == args.epsilon[0]:
            print_first(args, people, parameters, simulated)
        fits = fc_fit(original_fc, connectivity(simulated))
        rhos = [f"{parameter.rho:.2f}" for parameter in parameters.values()]
        rows.append([f"{epsilon:g}", *rhos, f"{mean(fits):.2f}"])
    print_table("networks that were given W + εA", ["ε", *parameters, "FC fit"], rows)


def simulate(args: argparse.Namespace) -> SimulatedPeople:
    if args.weights is None:
        rng = np.random.default_rng(0)
        weights, *_ = simulate_weights(args.people, args.regions, rng)
    else:
        with np.load(args.weights) as file:
            weights = file["weights"][: args.people]
    if args.simulator == "hopf":
        return simulate_hopf_people(weights)
    return simulate_pmfm(weights)


def simulate_pmfm(weights: NDArray[np.number], seed: int = 42) -> SimulatedPeople:
    """Simulate people whose regions are mean-field models with known sigma and G."""
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    sigma = np.stack([rng.normal(SIGMA_MEAN, SIGMA_SD, count) for rng in rngs])
    sigma = np.maximum(sigma, SIGMA_LEAST)
    scaled = normalised(weights)
    network = partial(WongWang, scaled.astype(np.float64), sigma=sigma)
    swept = network(coupling=np.tile(COUPLINGS, (people, 1)), time=SWEEP)
    strength = fc_strength(connectivity(run_pmfm(swept, seed, [SWEEP_RUN])))
    coupling = COUPLINGS[strength.argmax(axis=1)]
    return SimulatedPeople.of(
        scaled,
        region_names(count),
        partial(run_pmfm, network(coupling=coupling[:, None]), seed),
        frame_seconds=WongWangTime().frame_seconds,
        regional={"sigma": sigma},
        personal={"G": coupling},
    )


def run_pmfm(network: WongWang, seed: int, runs: Sequence[int]) -> Array:
    people, regions = network.sigma.shape
    initial = [
        [rng.uniform(*INITIAL_GATING, regions) for rng in row]
        for row in streams_of_runs(seed, Purpose.INITIAL_STATE, people, runs)
    ]
    noise = unit_noise(
        streams_of_runs(seed, Purpose.SYSTEM_NOISE, people, runs), (regions,)
    )
    return simulate_wong_wang(network, np.array(initial), noise)


def perturbed(weights: NDArray[np.float32], epsilon: float) -> NDArray[np.float32]:
    if not epsilon:
        return weights
    noise = np.random.default_rng(0).standard_normal(weights.shape)
    return normalised(np.maximum(weights + epsilon * noise, 0.0))


def train(networks: Networks, args: argparse.Namespace, epsilon: float) -> Fitted:
    recipe = replace(RECIPE, epochs=args.epochs, samples=args.samples)
    name = f"{args.simulator}-{args.people}-{args.epochs}-{args.samples}-{epsilon:g}"
    place = Workplace(args.work / name, device=args.device)
    return fit(networks, recipe, workplace=place, report=partial(print, flush=True))


def recovered(
    people: SimulatedPeople, networks: Networks, fitted: Fitted
) -> dict[str, Recovered]:
    """Recover each known parameter by a regression over the other people."""
    inferred = fitted.infer(networks)
    persons = np.arange(len(networks.people))
    person_of = np.repeat(persons, len(networks.regions))
    mean = inferred.region_mean.reshape(len(person_of), -1)
    sd = inferred.region_sd.reshape(len(person_of), -1)
    parameters = {
        name: recover(values.ravel(), mean, sd, person_of)
        for name, values in people.regional.items()
    }
    if "f" in people.regional:
        rows = people.regional["a"].ravel() > 0
        f = people.regional["f"].ravel()
        parameters["f, a > 0"] = recover(f[rows], mean[rows], sd[rows], person_of[rows])
    for name, values in people.personal.items():
        parameters[name] = recover(
            values, inferred.person_mean, inferred.person_sd, persons
        )
    return parameters


def print_first(
    args: argparse.Namespace,
    people: SimulatedPeople,
    parameters: Mapping[str, Recovered],
    simulated: NDArray[np.float32],
) -> None:
    print(
        f"\n{args.simulator}, {args.people} people, {args.epochs} epochs, S = {args.samples}"
    )
    columns = ["parameter", "points", "rho", "sd over samples", "in 90 %"]
    rng = np.random.default_rng(0)
    rows = []
    for name, parameter in parameters.items():
        points = len(parameter.truth)
        draws = parameter.value + parameter.sd * rng.standard_normal((DRAWS, points))
        rho_sd = np.std([spearman(parameter.truth, sample) for sample in draws])
        rho, coverage = f"{parameter.rho:.2f}", f"{parameter.coverage:.2f}"
        rows.append([name, f"{points}", rho, f"{rho_sd:.3f}", coverage])
    print_table(
        "known parameters, each person by a regression over the others", columns, rows
    )
    series = people.networks.series
    again = people.again(range(1, args.simulations + 1))
    compared = {"model": simulated, "new noise": again, **surrogates(series)}
    scores = {
        name: likeness(args.simulator, series, simulations)
        for name, simulations in compared.items()
    }
    rows = [
        [name, *(f"{mean(values):.3g}" for values in scores_by_name.values())]
        for name, scores_by_name in scores.items()
    ]
    model_scores = scores["model"]
    print_table("series compared with the original ones", ["", *model_scores], rows)
    first, truth = next(iter(people.regional.items()))
    regional = parameters[first].value.reshape(truth.shape)
    coupling = people.personal["G"]
    rows = [
        [
            f"{coupling[person]:.3f}",
            f"{spearman(truth[person], regional[person]):.2f}",
            *(f"{mean(values[person]):.3g}" for values in model_scores.values()),
        ]
        for person in np.argsort(coupling, kind="stable")
    ]
    print_table("by person", ["G", f"rho of {first}", *model_scores], rows)


def surrogates(series: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return controls: the series with regions shifted by one, and white noise."""
    rng = np.random.default_rng(0)
    moved = np.stack([np.roll(person, 1, axis=0) for person in series])
    noise = rng.normal(series.mean(), series.std(), series.shape).astype(np.float32)
    return {"other regions": moved[:, None], "white noise": noise[:, None]}


def likeness(
    simulator: str, series: NDArray[np.float32], simulations: NDArray[np.float32]
) -> dict[str, Array]:
    """Compare series (people, regions, frames) with (people, runs, regions, frames)."""
    original = series[:, None]
    fc = connectivity(simulations)
    scores = {
        "FC fit": fc_fit(connectivity(original), fc),
        "FC strength": fc_strength(fc),
    }
    if simulator == "hopf":
        scores["spectrum cosine"] = spectrum_cosine(original, simulations)
        variance = np.var(original, axis=-1, dtype=np.float64)
        simulated_variance = np.var(simulations, axis=-1, dtype=np.float64)
        scores["variance difference"] = np.abs(variance - simulated_variance)
    else:
        scores["histogram distance"] = histogram_distance(original, simulations)
        scores["switch difference"] = switch_difference(original, simulations)
    return scores


def spectrum_cosine(series: Array, simulations: Array) -> Array:
    """Return the cosine between smoothed periodograms, (people, runs, regions)."""

    def smoothed(values: Array) -> Array:
        _, power = periodogram(values, axis=-1)
        return uniform_filter1d(power, 3, axis=-1)

    first, second = smoothed(series), smoothed(simulations)
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return (first * second).sum(axis=-1) / norms


def histogram_distance(series: Array, simulations: Array) -> Array:
    """Return the Wasserstein distance of histograms of 20 bins from -2 to 2."""

    def shares(values: Array) -> Array:
        rows = values.reshape(-1, values.shape[-1])
        histograms = [np.histogram(row, 20, (-2.0, 2.0))[0] for row in rows]
        counts = np.array(histograms, float)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return shares.cumsum(axis=-1).reshape(*values.shape[:-1], -1)

    return np.abs(shares(series) - shares(simulations)).sum(axis=-1) * 4.0 / 20


def switch_difference(series: Array, simulations: Array) -> Array:
    """Return differences in log(1 + switches between two modes); NaN if there is only one mode."""
    values = np.sort(series, axis=None)
    counts, edges = np.histogram(values, 100)
    density = gaussian_filter1d(counts.astype(float), 2.0, mode="constant")
    peaks, facts = find_peaks(np.pad(density, 1), prominence=0.02 * density.max())
    if len(peaks) < 2:
        return np.full(simulations.shape[:-1], np.nan)
    first, last = np.sort(peaks[np.argsort(facts["prominences"])[-2:]]) - 1
    lowest = first + int(density[first : last + 1].argmin())
    trough = np.searchsorted(values, edges[lowest])
    limits = trough / values.size + np.array([-0.5, 0.5]) * SEPARATING_MASS
    low, high = np.quantile(values, np.clip(limits, 0, 1))

    def switches(gating: Array) -> Array:
        mode = (gating > high).astype(np.int8) - (gating < low).astype(np.int8)
        # A value between the limits counts as the mode before it.
        frame = np.where(mode != 0, np.arange(gating.shape[-1]), 0)
        latest = np.maximum.accumulate(frame, axis=-1)
        mode = np.take_along_axis(mode, latest, axis=-1)
        return np.count_nonzero(mode[..., 1:] * mode[..., :-1] == -1, axis=-1)

    return np.abs(np.log1p(switches(series)) - np.log1p(switches(simulations)))


def mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
