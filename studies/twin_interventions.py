"""Are interventions in twins true? Predicted and true changes of simulated people.

    python studies/twin_interventions.py WORK [--regimes hard easy] [--seeds 1 2 3]
    python studies/twin_interventions.py WORK --regimes measured unmeasured --seeds 1 2 3 4 5 \
        --architectures lowrank --parts between [--covariates]

Twins are those of `twin_simulator.py` in the same folder WORK, which are fitted where absent: of
each world, on 200 people. Connectomes of 60 others are perturbed. Ridge weights and the covariance
of each edge with behaviour are judged in the same way; `--architectures` without a name judges
these alone. Figures of a world and an architecture are kept in WORK, so that a stopped call
resumes; all figures are in WORK/interventions.tsv. With `--covariates`, age and motion of the
regime `measured` are taken out of connectomes and mean times. Means over worlds are printed, with
95 % intervals over them (t).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from twin_simulator import Cohorts, fitted_twin

from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.interventions.attribution import FittedPeople, null_gradients, p_of
from bids_dtg.twin.interventions.calibration import Calibration
from bids_dtg.twin.interventions.gradients import NOISE, Gradients, smooth_gradients
from bids_dtg.twin.interventions.linear import LinearMap
from bids_dtg.twin.interventions.moves import differ
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.perturbations import (
    Direction,
    Perturbation,
    performed_outcomes,
    random_directions,
)
from bids_dtg.twin.interventions.weights import (
    WeightDirection,
    flat_weights,
    permuted_directions,
    perturb_along,
    perturb_weights,
    weight_correlations,
)
from bids_dtg.twin.judging.cohort import Cohort, targets_of, targets_of_people
from bids_dtg.twin.network.hypernetwork import HyperNetwork
from bids_dtg.twin.phantom.people import TwinPeople
from bids_dtg.twin.phantom.world import Regime
from bids_dtg.twin.recipe import find_architecture

Array = NDArray[np.float64]
Row = tuple[str, str, str, float]  # table, target, figure, value
ARCHITECTURES = ("lowrank", "published")
NO_NETWORK = "no network"
PERTURBED = 60
COPIES = 2
STEP_SIZE = 2.0
COMPONENTS = 14  # of training people's connectomes
RANDOM = 5  # directions
WEIGHT_TARGETS = ("stroop_rt", "faces_rt")
NULL_TARGETS = ("stroop_rt",)  # perturbations with a null, which runs everybody's network
NULL_PERTURBATIONS = 20
ATTRIBUTED = 5  # people in the mean gradients of the null
NULL_MAPS = 100
TOP = 0.05  # share of the edges
_TRIALS = {"faces": (54, 54), "stroop": (54, 24)}  # of each condition of the runs
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class Bench:
    """A twin, the people of its world, and those with perturbed connectomes."""

    cohorts: Cohorts
    fitted: Fitted

    @cached_property
    def unseen(self) -> Cohort:
        return self.cohorts.of_unseen()

    @cached_property
    def perturbed(self) -> Cohort:
        return self.unseen.of(np.arange(PERTURBED))

    @cached_property
    def people(self) -> TwinPeople:
        return self.cohorts.unseen.select(range(PERTURBED))

    @cached_property
    def loadings(self) -> Array:
        """Orthonormal rows that span the loadings of traits."""
        return np.linalg.qr(self.people.world.loadings.T)[0].T

    @cached_property
    def components(self) -> Array:
        """Leading principal components of training people's connectomes, a row each."""
        edges = self.cohorts.fitted.connectomes.astype(np.float64)
        return np.linalg.svd(edges - edges.mean(axis=0), full_matrices=False)[2][:COMPONENTS]

    @cached_property
    def gradients(self) -> Gradients:
        return smooth_gradients(
            self.fitted.twin.weights, self.edges, self.perturbed.segments, copies=COPIES
        )

    @property
    def edges(self) -> NDArray[np.floating]:
        return self.people.connectomes

    def direction(self, edges: Array) -> Direction:
        """Return a direction with step sizes in standard deviations of all unseen people."""
        return Direction.along(edges, self.cohorts.unseen.connectomes)

    @cached_property
    def before(self) -> Outcomes:
        return performed_outcomes(self.fitted, self.edges, self.perturbed.segments)

    def perturbation(self, delta: Array) -> Perturbation:
        """Perturb connectomes by one step; outcomes before it are computed once."""
        edges = self.edges + delta
        return Perturbation(
            STEP_SIZE, self.before, performed_outcomes(self.fitted, edges, self.perturbed.segments)
        )

    def true_change(self, delta: Array, target: str, *, mean: bool = False) -> Array:
        """Return the true change of each person's figure (`true_change`)."""
        return true_change(self.people, delta, target, mean=mean)


def true_change(people: TwinPeople, delta: Array, target: str, *, mean: bool = False) -> Array:
    """Return the true change of each person's figure (`true_figure`)."""
    after = people.after(delta)
    return true_figure(after, target, mean=mean) - true_figure(people, target, mean=mean)


def true_figure(people: TwinPeople, target: str, *, mean: bool = False) -> Array:
    """Return a figure of each person: over the task's trials, or second less first condition.

    Medians, as twins' figures are made of; or analytic means.
    """
    task, what = target.split("_")
    seconds = people.mean_rt_seconds(task) if mean else people.median_rt_seconds(task)
    if what == "effect":
        return np.asarray(seconds[:, 1] - seconds[:, 0])
    return np.average(seconds, axis=1, weights=_TRIALS[task])


def share(direction: Array, span: Array) -> float:
    """Return the share of a direction's squared length inside the span of orthonormal rows."""
    return float(((span @ direction) ** 2).sum() / (direction**2).sum())


def connectome_perturbations(bench: Bench) -> Iterator[Row]:
    """Perturb connectomes along the negative gradient: predicted and true changes."""
    for target in bench.gradients.targets:
        gradient = bench.gradients.of(target)
        yield from _perturbed(bench, "connectome", target, bench.direction(-gradient))
        projected = -gradient @ bench.components.T @ bench.components
        yield from _perturbed(bench, "components", target, bench.direction(projected))
        halves = bench.gradients.halves[:, bench.gradients.targets.index(target)]
        yield "connectome", target, "halves_r", float(np.corrcoef(halves)[0, 1])
    directions = random_directions(bench.cohorts.unseen.connectomes, RANDOM, seed=0)
    deltas = [direction.delta(STEP_SIZE) for direction in directions]
    perturbations = [bench.perturbation(delta) for delta in deltas]
    for target in bench.gradients.targets:
        predicted = [np.nanmean(perturbation.change(target)) for perturbation in perturbations]
        true = [bench.true_change(delta, target).mean() for delta in deltas]
        shares = [share(direction.unit, bench.loadings) for direction in directions]
        yield "random", target, "predicted_abs_ms", _MS * float(np.abs(predicted).mean())
        yield "random", target, "true_abs_ms", _MS * float(np.abs(true).mean())
        yield "random", target, "in_loadings", float(np.mean(shares))


def between_perturbations(bench: Bench) -> Iterator[Row]:
    """Perturb connectomes along the difference between people, as the program does.

    The direction and the calibration slope are those of other unseen people. Where connectomes are
    not shown to predict anybody, all twins are the group's network, and there is no direction.
    """
    others = bench.unseen.of(np.arange(PERTURBED, bench.unseen.people))
    own = performed_outcomes(bench.fitted, others.connectomes, others.segments)
    observed = targets_of_people(others.segments)
    for number, target in enumerate(own.targets):
        if not differ(own.of(target)):
            continue
        direction = Direction.between(others.connectomes, own.of(target))
        rows = list(_perturbed(bench, "between", target, direction, -STEP_SIZE))
        yield from rows
        found = {figure: value for _, _, figure, value in rows}
        calibration = Calibration.of(own.of(target), observed[:, number])
        assert calibration is not None
        change, low, high = calibration.interval(found["predicted_ms"])
        yield "between", target, "slope", calibration.slope
        yield "between", target, "calibrated_ms", change
        yield "between", target, "calibrated_low_ms", min(low, high)
        yield "between", target, "calibrated_high_ms", max(low, high)
        yield "between", target, "calibrated_ratio", change / found["true_ms"]


def _perturbed(
    bench: Bench, table: str, target: str, direction: Direction, step_size: float = STEP_SIZE
) -> Iterator[Row]:
    delta = direction.delta(step_size)
    perturbation = bench.perturbation(delta)
    predicted, true = perturbation.change(target), bench.true_change(delta, target)
    known = np.isfinite(predicted)
    average, truth = float(np.nanmean(predicted)), float(true.mean())
    figures = {
        "predicted_ms": _MS * average,
        "true_ms": _MS * truth,
        "true_mean_ms": _MS * float(bench.true_change(delta, target, mean=True).mean()),
        "ratio": average / truth,
        "r_people": float(np.corrcoef(predicted[known], true[known])[0, 1]),
        "in_loadings": share(direction.unit, bench.loadings),
        "in_components": share(direction.unit, bench.components),
        "length": direction.length,
        "correct_change": float((perturbation.after.correct - perturbation.before.correct).mean()),
    }
    for name, value in figures.items():
        yield table, target, name, value


def first_layer(bench: Bench) -> Iterator[Row]:
    """Compare the first layer of a hypernetwork with what it began at."""
    network = bench.fitted.twin.network
    if not isinstance(network, HyperNetwork):
        return
    trained = network.first.weight.detach().double().numpy()
    began = _began(bench.fitted, trained.shape[1]).first.weight.detach().double().numpy()
    learned = trained - began
    cosine = (trained * began).sum() / np.linalg.norm(trained) / np.linalg.norm(began)
    scale = network.edge_sd.double().numpy()
    figures = {
        "cosine": float(cosine),
        "learned_length": float(np.linalg.norm(learned) / np.linalg.norm(began)),
        "trained_in_loadings": share_of_rows(trained / scale, bench.loadings),
        "began_in_loadings": share_of_rows(began / scale, bench.loadings),
        "learned_in_loadings": share_of_rows(learned / scale, bench.loadings),
        "learned_in_components": share_of_rows(learned / scale, bench.components),
    }
    for name, value in figures.items():
        yield "first layer", "", name, value


def share_of_rows(rows: Array, span: Array) -> float:
    return float(((rows @ span.T) ** 2).sum() / (rows**2).sum())


def _began(fitted: Fitted, edges: int) -> HyperNetwork:
    """Return the hypernetwork before its first update, as `bids_dtg.twin.fitting` draws it."""
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence((fitted.seed, 0)).generate_state(1)[0]))
        architecture = find_architecture(fitted.architecture, fitted.recipe)
        twin = Twin(architecture, fitted.recipe, edges, fitted.twin.network.sizes)
    assert isinstance(twin.network, HyperNetwork)
    return twin.network


def perturbations_of_weights(bench: Bench) -> Iterator[Row]:
    """Perturb weights along the published direction, fitted to all unseen people."""
    fitted, segments = bench.fitted, bench.perturbed.segments
    everybody = bench.cohorts.unseen.connectomes
    flat = flat_weights(fitted.twin, everybody)
    own = performed_outcomes(fitted, everybody, bench.unseen.segments)
    for target in WEIGHT_TARGETS:
        found = weight_correlations(flat, own.of(target))
        for name, each in (("in", found.in_sample), ("cv", found.cross_validated)):
            yield "weights", target, f"r_{name}", each.observed
            yield "weights", target, f"r_{name}_null_mean", float(np.mean(each.null))
            yield "weights", target, f"r_{name}_null_5", float(np.quantile(each.null, 0.05))
            yield "weights", target, f"r_{name}_p", each.p
        direction = WeightDirection.lowering(flat, own.of(target))
        (perturbation,) = perturb_weights(fitted, bench.edges, segments, direction, (STEP_SIZE,))
        change = float(np.nanmean(perturbation.change(target)))
        yield "weights", target, "predicted_ms", _MS * change
        if target in NULL_TARGETS:
            directions = permuted_directions(flat, own.of(target), permutations=NULL_PERTURBATIONS)
            perturbations = perturb_along(fitted, bench.edges, segments, directions, STEP_SIZE)
            null = np.abs([np.nanmean(each.change(target)) for each in perturbations])
            yield "weights", target, "null_abs_ms", _MS * float(null.mean())
            yield "weights", target, "null_max_ms", _MS * float(null.max())
            yield "weights", target, "p", p_of(abs(change), null)
        yield "weights", target, "correct_before", float(perturbation.before.correct.mean())
        yield "weights", target, "correct_after", float(perturbation.after.correct.mean())
        yield "weights", target, "missed_after", float(perturbation.after.unanswered.mean())
        for other in perturbation.after.targets:
            value = _MS * float(np.nanmean(perturbation.change(other)))
            yield "weights", target, f"changes_{other}_ms", value
        back = pulled_back(fitted.twin, direction, everybody)
        yield from _perturbed(bench, "pulled back", target, back)


def pulled_back(twin: Twin, direction: WeightDirection, connectomes: np.ndarray) -> Direction:
    """Return the direction of connectomes in which scores on a direction of weights rise fastest.

    The gradient of the scores with respect to the connectome, averaged over ten noisy copies and
    over people (SmoothGrad: Smilkov et al., 2017, arXiv:1706.03825).
    """
    values = torch.as_tensor(connectomes, dtype=torch.float32)
    slope = torch.as_tensor(direction.slope, dtype=torch.float32)
    spread = NOISE * float(values.std(correction=0))
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(values.shape[1], dtype=torch.float64)
    for _ in range(10):
        copy = values + spread * torch.randn(values.shape, generator=generator)
        for some in torch.split(copy, 20):
            edges = some.clone().requires_grad_()
            with torch.enable_grad():
                scores = twin.weights(edges).flat() @ slope
                (found,) = torch.autograd.grad(scores.sum(), edges)
            total += found.sum(dim=0)
    return Direction.along(total.numpy(), connectomes)


def attribution(bench: Bench) -> Iterator[Row]:
    """Compare maps of edges with the truth, and with maps of twins of permuted behaviour."""
    people = bench.people.select(range(ATTRIBUTED))
    segments = bench.perturbed.segments.people(np.arange(ATTRIBUTED))
    make = bench.fitted.twin.weights
    same = smooth_gradients(make, people.connectomes, segments, copies=1, noise=0.0)
    truths = [bench.people.gradient(*target.split("_")) for target in same.targets]
    null: list[Gradients] = []
    if bench.fitted.own_factors is not None:
        own = bench.cohorts.of_fitted()
        fitted = FittedPeople.of(
            bench.fitted,
            bench.cohorts.fitted.connectomes,
            own.segments,
            covariates=bench.cohorts.covariates,
        )
        maps = null_gradients(
            bench.fitted, fitted, people.connectomes, segments, permutations=NULL_MAPS
        )
        null = list(maps)
    for number, (target, truth) in enumerate(zip(same.targets, truths, strict=True)):
        yield "attribution", target, "r_all", agreement(bench.gradients.of(target), truth)[0]
        for place, name in enumerate(("r", "overlap")):
            value = agreement(same.edges[number], truth)[place]
            yield "attribution", target, name, value
            if null:
                others = np.array([agreement(each.edges[number], truth)[place] for each in null])
                yield "attribution", target, f"{name}_null_mean", float(np.nanmean(others))
                yield "attribution", target, f"{name}_null_95", float(np.nanquantile(others, 0.95))
                yield "attribution", target, f"{name}_p", p_of(value, others)


def agreement(edges: Array, truth: Array) -> tuple[float, float]:
    """Return r of a map with the truth, and the share of its strongest edges that are the truth's.

    The strongest are the 5 % whose absolute values are largest; by chance 5 % of them agree. Twins
    that are all the group's have maps of zeros, which agree as chance does.
    """
    if not np.ptp(edges):
        return 0.0, TOP
    count = round(TOP * len(edges))
    strongest = [set(np.argsort(-np.abs(values))[:count]) for values in (edges, truth)]
    overlap = len(strongest[0] & strongest[1]) / count
    return float(np.corrcoef(edges, truth)[0, 1]), overlap


def without_network(cohorts: Cohorts) -> Iterator[Row]:
    """Judge ridge weights and the covariance of edges by the truth, as twins are judged.

    Both are of the people that twins are fitted to. The ridge's direction is a difference between
    the unseen people who are not perturbed, who also calibrate it; that of the covariance, between
    the people of the fit.
    """
    trained, unseen = cohorts.of_fitted(), cohorts.of_unseen()
    people, few = cohorts.unseen.select(range(PERTURBED)), cohorts.unseen.select(range(ATTRIBUTED))
    others = unseen.of(np.arange(PERTURBED, unseen.people))
    wanted, observed = (targets_of_people(of.segments) for of in (trained, others))
    for number, target in enumerate(targets_of(cohorts.tasks)):
        name = target.name
        found = LinearMap.of(trained.connectomes, wanted[:, number], cohorts.covariates)
        assert found is not None
        truth = few.gradient(target.task, target.what)
        calibration = Calibration.of(found.predict(others.connectomes), observed[:, number])
        assert calibration is not None
        for table, edges, direction in (
            ("ridge", found.ridge, found.ridge_direction(others.connectomes)),
            ("covariance", found.difference.unit, found.difference.reversed),
        ):
            assert direction is not None
            delta = direction.delta(STEP_SIZE)
            predicted = _MS * float(found.ridge @ delta)
            true = _MS * float(true_change(people, delta, name).mean())
            r, overlap = agreement(edges, truth)
            calibrated = calibration.interval(predicted)[0]
            figures = {"r": r, "overlap": overlap, "predicted_ms": predicted, "true_ms": true}
            figures |= {"calibrated_ms": calibrated, "calibrated_ratio": calibrated / true}
            for figure, value in figures.items():
                yield table, name, figure, value


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "between": between_perturbations,
    "gradients": connectome_perturbations,
    "layer": first_layer,
    "weights": perturbations_of_weights,
    "attribution": attribution,
}


def measure(
    folder: Path, regime: Regime, seed: int, architecture: str, parts: Sequence[str], adjusted: bool
) -> pd.DataFrame:
    """Return the figures of a world and an architecture; parts are kept as they are found."""
    cohorts = Cohorts.simulate(regime, seed)
    if adjusted:
        cohorts = cohorts.adjusted()
    bench = Bench(cohorts, fitted_twin(folder, cohorts, architecture, seed, None))
    found = []
    for name in parts:
        kept = folder / f"interventions-{architecture}-{name}.tsv"
        if not kept.exists():
            rows = pd.DataFrame(PARTS[name](bench), columns=["table", "target", "figure", "value"])
            rows.to_csv(kept, sep="\t", index=False, na_rep="n/a")
            print(f"{kept} is done", flush=True)
        table = pd.read_csv(kept, sep="\t", keep_default_na=False, na_values=["n/a"])
        found.append(table.astype({"value": float}))
    name = f"{regime}, covariates" if adjusted else regime
    keys = {"regime": name, "seed": seed, "architecture": architecture}
    return pd.concat(found).assign(**keys)[[*keys, *found[0].columns]]


def measure_without_network(regime: Regime, seed: int, adjusted: bool) -> pd.DataFrame:
    """Return the figures of ridge and covariance in a world."""
    cohorts = Cohorts.simulate(regime, seed)
    rows = without_network(cohorts.adjusted() if adjusted else cohorts)
    found = pd.DataFrame(rows, columns=["table", "target", "figure", "value"])
    name = f"{regime}, covariates" if adjusted else regime
    keys = {"regime": name, "seed": seed, "architecture": NO_NETWORK}
    return found.assign(**keys)[[*keys, *found.columns]]


def print_tables(figures: pd.DataFrame) -> None:
    """Print means over worlds with intervals over them, and each world's value."""
    keys = ["table", "regime", "architecture", "target", "figure"]
    with pd.option_context("display.max_rows", None, "display.width", 200):
        for table, rows in figures.groupby("table", sort=False):
            found = rows.groupby(keys[1:], sort=False).value.apply(_summary)
            print(f"\n{table}\n{found.to_string()}")


def _summary(values: pd.Series) -> str:
    values = values.dropna()
    own = " ".join(f"{value:.3f}" for value in values)
    if len(values) < 2:
        return own
    half = student.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    mean = values.mean()
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f}); {own}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--regimes", nargs="+", default=["hard", "easy"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--architectures", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--covariates", action="store_true", help="take measured ones out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in options.seeds:
        for regime in options.regimes:
            found.append(measure_without_network(regime, seed, options.covariates))
            print(f"{regime} {seed}: {NO_NETWORK} is done", flush=True)
            for architecture in options.architectures:
                name = f"{regime}-covariates" if options.covariates else regime
                folder = options.work / f"{name}-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                found.append(
                    measure(folder, regime, seed, architecture, options.parts, options.covariates)
                )
    figures = pd.concat(found)
    figures.to_csv(options.work / "interventions.tsv", sep="\t", index=False, na_rep="n/a")
    print_tables(figures)


if __name__ == "__main__":
    main()
