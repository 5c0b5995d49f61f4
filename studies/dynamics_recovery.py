"""What the network model recovers of simulated people's known parameters, and how alike it is.

    OMP_NUM_THREADS=1 python studies/dynamics_recovery.py --work FOLDER \
        [--simulator hopf|pmfm] [--weights sc.npz] [--people 8] [--epochs 300] [--samples 2] \
        [--learning-rate 0.003] [--simulations 10] [--device cpu]

The simulators and the model's size are those of Sip et al. (2023, doi 10.1126/sciadv.abq7547): 2
states, 2 parameters a region, 1 a person, no external input, batches of 16, all series trained on.
The published training has 3000 epochs, 500 of them with rising weights, and 8 samples. Structural
connectomes are the first people of `weights` in an .npz file, or synthetic ones of 68 regions (with
these, mean-field models stay in their low state: G is chosen for measured ones).

The first table compares the truth with posteriors: Spearman's rho of the projected posterior
samples, also with each person projected by the regression of the others, and the share of true
values in 90 % intervals. The second one compares simulations with the original series, beside
controls. The work folder keeps the training: the same command goes on with a stopped one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from likeness import (
    controls,
    histogram_distance,
    mode_limits,
    periodogram_similarity,
    switch_difference,
    variance_difference,
)
from numpy.typing import NDArray
from pmfm import simulate_pmfm_people
from scipy.stats import rankdata

from bids_dtg.connectome.edges import fc_strength
from bids_dtg.dynamics.fitting import Fitted, fit
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.judging.recovery import left_out
from bids_dtg.dynamics.measures import connectivity, fc_fit
from bids_dtg.dynamics.phantom.people import SimulatedPeople, simulate_hopf_people, simulate_weights
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.stats.correlation import correlation
from bids_dtg.training.loop import Workplace

Array = NDArray[np.float64]
Series = NDArray[np.float32]

REGIONS = 68
DRAWS = 100  # samples of the posteriors, as published
HALF_WIDTH = 1.645  # of a 90 % interval, in sd
SIMULATORS = {"hopf": simulate_hopf_people, "pmfm": simulate_pmfm_people}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--simulator", choices=SIMULATORS, default="hopf")
    parser.add_argument("--weights", type=Path, help=".npz with `weights`")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--samples", type=int, default=2, help="of the posterior of each series")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="while weights rise")
    parser.add_argument("--simulations", type=int, default=10, help="of each person")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    people = SIMULATORS[args.simulator](read_weights(args))
    fitted = train(people, args)
    inferred = infer(fitted.model, people.networks, fitted.people)
    print(f"\n{args.simulator}, {args.people} people, {args.epochs} epochs, S = {args.samples}\n")
    print_recovery(people, inferred)
    print_likeness(args, people, fitted, inferred)


def read_weights(args: argparse.Namespace) -> NDArray[np.number]:
    if args.weights is None:
        return simulate_weights(args.people, REGIONS, np.random.default_rng(0))[0]
    with np.load(args.weights) as file:
        return file["weights"][: args.people]


def train(people: SimulatedPeople, args: argparse.Namespace) -> Fitted:
    recipe = Recipe(
        states=2,
        region_parameters=2,
        person_parameters=1,
        external_inputs=0,
        samples=args.samples,
        epochs=args.epochs,
        batch_size=16,
        learning_rate=args.learning_rate,
        held_out=0.0,
    )
    name = f"{args.simulator}-{args.people}-{args.epochs}-{args.samples}-{args.learning_rate:g}"
    start = time.process_time()
    fitted = fit(
        people.networks,
        recipe,
        workplace=Workplace(args.work / name, device=args.device),
        report=lambda line: print(line, flush=True),
    )
    print(f"this call trained for {time.process_time() - start:.0f} CPU seconds")
    return fitted


def points(people: SimulatedPeople, inferred: Inferred) -> Iterator[tuple[str, tuple]]:
    """Yield each parameter's name, true values, posterior means and sds, and whose they are."""
    whose = np.repeat(np.arange(len(people.networks.people)), len(people.networks.regions))
    mean, sd = (
        values.reshape(len(whose), -1) for values in (inferred.region.mean, inferred.region.sd)
    )
    for name, values in people.regional.items():
        yield name, (values.ravel(), mean, sd, whose)
    if "f" in people.regional:
        rows = people.regional["a"].ravel() > 0
        true = people.regional["f"].ravel()[rows]
        yield "f, a > 0", (true, mean[rows], sd[rows], whose[rows])
    whose = np.arange(len(people.networks.people))
    for name, values in people.personal.items():
        yield name, (values, inferred.person.mean, inferred.person.sd, whose)


def print_recovery(people: SimulatedPeople, inferred: Inferred) -> None:
    columns = ("parameter", "points", "rho", "sd over samples", "rho, left out")
    columns += ("90 %: posterior", "with residual")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, (true, mean, sd, whose) in points(people, inferred):
        found = recover(true, mean, sd, whose)
        print(
            f"| {name} | {len(true)} | {found.rho:.2f} | {found.rho_sd:.3f} "
            f"| {found.rho_left_out:.2f} | {found.coverage:.2f} "
            f"| {found.coverage_with_residual:.2f} |"
        )


@dataclass(frozen=True)
class Recovery:
    """How well a parameter is recovered, over regions of all people or over people."""

    rho: float  # Spearman's, truth against projected posterior samples; mean over samples
    rho_sd: float  # over samples
    rho_left_out: float  # as rho, each person projected by the slopes of the others' regression
    # Share of true values in the 90 % interval of the projected posterior alone, mean ± 1.645 sd.
    # What the regression leaves unexplained is not in it: it holds 90 % only where posterior means
    # explain the truth fully, up to the posteriors' own width.
    coverage: float
    # As coverage, each person projected by the regression of the others, and the variance enlarged
    # by what their squared residuals exceed the variance of their projected posteriors by.
    coverage_with_residual: float


def recover(true: Array, mean: Array, sd: Array, whose: NDArray[np.integer]) -> Recovery:
    """Compare known values (points,) with posteriors (points, parameters) of the model's."""
    rng = np.random.default_rng(0)
    samples = mean + sd * rng.standard_normal((DRAWS, *mean.shape))
    design = np.column_stack([np.ones(len(mean)), mean])
    intercept, *slopes = np.linalg.lstsq(design, true, rcond=None)[0]
    left = left_out(true, mean, sd, people=whose)
    rhos = spearman(true, samples @ np.array(slopes))
    # Without the intercept: it falls where the person left out has large values.
    rhos_left_out = spearman(true, np.einsum("spk,pk->sp", samples, left.slopes))
    error = np.abs(true - intercept - mean @ np.array(slopes))
    own_sd = np.sqrt(sd**2 @ np.array(slopes) ** 2)
    return Recovery(
        rho=rhos.mean(),
        rho_sd=rhos.std(),
        rho_left_out=rhos_left_out.mean(),
        coverage=(error <= HALF_WIDTH * own_sd).mean(),
        coverage_with_residual=(np.abs(true - left.value) <= HALF_WIDTH * left.wide_sd).mean(),
    )


def spearman(true: Array, samples: Array) -> Array:
    """Correlate the truth's ranks with each sample's, (samples, points); constant ones have 0."""
    return np.nan_to_num(correlation(rankdata(true), rankdata(samples, axis=1)))


def print_likeness(
    args: argparse.Namespace, people: SimulatedPeople, fitted: Fitted, inferred: Inferred
) -> None:
    series = people.networks.series
    again = people.again(range(1, args.simulations + 1))
    simulated = np.stack(
        list(simulate(fitted.model, people.networks, inferred, simulations=args.simulations))
    )
    rows = {"model": figures(args.simulator, series[:, None], simulated)}
    rng = np.random.default_rng(0)
    for name, values in controls(series, again[:, 0], rng).items():
        compared = again if name == "new noise" else values[:, None]
        rows[name] = figures(args.simulator, series[:, None], compared)
    print(f"\n| | {' | '.join(rows['model'])} |\n|---|{'---|' * len(rows['model'])}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in row.values())} |")
    print(f"FC strength of the original series: {fc_strength(connectivity(series)).mean():.3f}")


def figures(simulator: str, series: Series, others: Series) -> Mapping[str, float]:
    """Compare series (people, 1, regions, frames) with others (people, runs, regions, frames)."""
    fc = connectivity(others)
    found = {"FC fit": fc_fit(connectivity(series), fc), "FC strength": fc_strength(fc)}
    if simulator == "hopf":
        found["periodogram cosine"] = periodogram_similarity(series, others)
        found["variance difference"] = variance_difference(series, others)
    else:
        found["histogram distance"] = histogram_distance(series, others)
        found["switch difference"] = switching(series, others)
    finite = {name: values[np.isfinite(values)] for name, values in found.items()}
    return {name: values.mean() if values.size else np.nan for name, values in finite.items()}


def switching(series: Series, others: Series) -> NDArray[np.float64]:
    """Return differences of switches; NaN where the original regions never switch."""
    try:
        return switch_difference(series, others, mode_limits(series))
    except ValueError:
        return np.array([np.nan])


if __name__ == "__main__":
    main()
