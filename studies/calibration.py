"""Whether posteriors of named and amortised models can be trusted, beside sbi's neural posteriors.

    python studies/calibration.py ../shared/sip/data --work FOLDER [--models hopf wong-wang]
    PYTHON_WITH_SBI studies/calibration.py ../shared/sip/data --work FOLDER --npe
    python studies/calibration.py ../shared/sip/data --work FOLDER --models --bundle BUNDLE

The first call simulates each named model as `train` does (600 sessions to infer from, 200 to judge
by), with the mean connectome of the fifty people, and prints simulation-based calibration: counts
of ranks in ten bins, the p of their being uniform, coverage of 90 % intervals, and Spearman's rho
of true values and posterior means. The second call adds sbi's NPE (a neural spline flow, defaults)
from the same 600 simulations and the same statistics; sbi needs an environment of its own.

The third call judges an amortised model (the bundle of `train --recipe amortised`) by 200 sessions
of the people whom it was not trained on: by parameters from its prior with their structural
connectomes, and by parameters from their posteriors. With `--npe`, sbi's NPE learns from all
regions of 200 sessions by parameters from the prior with connectomes of the training people, and is
judged by the same region of each session.

The work folder keeps simulations and draws of each way: a stopped call goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.bank import SIMULATIONS, shared_substrate, simulated_sessions
from bids_dtg.dynamics.calibration import CHECKS, RANKED, calibration, histogram, ranks
from bids_dtg.dynamics.named import NAMED
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.dynamics.posterior import SimulatedStatistics

Array = NDArray[np.float64]

TR_SECONDS, FRAMES, SEED = 0.72, 1200, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sc_50.npz and bold_REST1_LR_50.npz")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", nargs="*", choices=NAMED, default=[*NAMED])
    parser.add_argument("--bundle", type=Path, help="an amortised model, to be judged, too")
    parser.add_argument("--npe", action="store_true", help="add sbi's NPE")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    ways = {"ABC": of_abc, **({"NPE": of_npe} if args.npe else {})}
    columns = ("model", "parameter", "by", "rho (95 %)", "in 90 % intervals", "p of ranks")
    columns += ("ranks", "CPU s")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in args.models:
        known = simulations_of(name, args.data, args.work / f"{name}.npz")
        for way, infer in ways.items():
            draws, seconds = drawn(infer, known, args.work / f"{name}_{way}.npz")
            parameters = [row.name for row in NAMED[name].parameters]
            print_rows(name, way, parameters, known.unit[SIMULATIONS:], draws, seconds)
    if args.bundle:
        for way, of_people in (("prior", False), ("people", True)):
            kept = args.work / f"amortised_{way}.npz"
            truth, draws, seconds = of_amortised(args.bundle, args.data, kept, of_people=of_people)
            parameters = [f"theta{n}" for n in range(1, truth.shape[1] + 1)]
            print_rows("amortised", way, parameters, truth, draws, seconds)
        if args.npe:
            for way, found in npe_of_regions(args.bundle, args.data, args.work).items():
                print_rows("amortised", f"{way}, NPE", parameters, *found)


def simulations_of(name: str, data: Path, kept: Path) -> SimulatedStatistics:
    """Return parameters and statistics of simulated sessions; those kept, where there are any."""
    if not kept.exists():
        with np.load(data / "bold_REST1_LR_50.npz") as file:
            labels, regions = map(str, file["subject"]), map(str, file["region"])
            series = standardised(file["bold"].astype(np.float32))
        people = PeopleSeries(tuple(labels), tuple(regions), series, TR_SECONDS)
        with np.load(data / "sc_50.npz") as file:
            substrate = shared_substrate(file["weights"].astype(float), [people], TR_SECONDS)
        found = simulated_sessions(NAMED[name], substrate, SIMULATIONS + CHECKS, FRAMES, SEED)
        keep(kept, unit=found.unit, statistics=found.statistics)
    with np.load(kept) as file:
        return SimulatedStatistics(file["unit"], file["statistics"])


def of_abc(known: SimulatedStatistics, judged: Array) -> Array:
    """Return draws (sessions, draws, parameters) of the program's posteriors."""
    rng = np.random.default_rng([SEED, 1])
    return np.stack([known.posterior(row, rng, RANKED).unit for row in judged])


def of_npe(known: SimulatedStatistics, judged: Array) -> Array:
    """Return the same by sbi's neural posterior estimation."""
    import torch
    from sbi.utils import BoxUniform

    count = known.unit.shape[1]
    prior = BoxUniform(torch.zeros(count), torch.ones(count))
    return trained_npe(known.unit, known.statistics, prior)(judged)


def trained_npe(truth: Array, statistics: Array, prior: Any) -> Callable[[Array], Array]:
    """Train NPE; return what draws (cases, draws, parameters) of cases (cases, statistics)."""
    import torch
    from sbi.inference import NPE

    torch.manual_seed(SEED)
    mean, sd = statistics.mean(axis=0), statistics.std(axis=0)
    varies = sd > 1e-6 * np.abs(mean)  # the number of frames is the same in all sessions

    def standard(values: Array) -> torch.Tensor:
        return torch.tensor((values - mean)[:, varies] / sd[varies], dtype=torch.float32)

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes logs
        trainer = NPE(prior, density_estimator="nsf")
        known = torch.tensor(truth, dtype=torch.float32)
        trainer.append_simulations(known, standard(statistics)).train()
    posterior = trainer.build_posterior()

    def draws(cases: Array) -> Array:
        own = (posterior.sample((RANKED,), x=x, show_progress_bars=False) for x in standard(cases))
        return np.asarray(np.stack([found.numpy() for found in own]), np.float64)

    return draws


def of_amortised(
    folder: Path, data: Path, kept: Path, *, of_people: bool
) -> tuple[Array, Array, float]:
    """Return true parameters and draws of an amortised model's own sessions, and CPU time."""
    if not kept.exists():
        from bids_dtg.dynamics.known_sessions import simulate_known

        start = time.process_time()
        model, _, others = model_and_people(folder, data)
        found = simulate_known(model, others, SEED, of_people=of_people)
        seconds = np.array(time.process_time() - start)
        keep(kept, truth=found.truth, draws=found.draws, seconds=seconds)
    with np.load(kept) as file:
        return file["truth"], file["draws"], float(file["seconds"])


def model_and_people(folder: Path, data: Path) -> Any:
    """Return an amortised model, and networks of its training people and of all others."""
    from dynamics_unseen import people_of

    from bids_dtg.dynamics.amortised import AmortisedModel
    from bids_dtg.dynamics.bundle.bundle import load_network_bundle

    networks = people_of(data, "REST1", slice(None))
    bundle = load_network_bundle(folder)
    trained = set(bundle.rows(networks.people))
    model = bundle.model()
    if not isinstance(model, AmortisedModel):
        raise SystemExit(f"{folder} is of a published form, each draw of which is a training")
    others = [label for label in networks.people if label not in trained]
    return model, networks.of([*trained]), networks.of(others)


def npe_of_regions(folder: Path, data: Path, work: Path) -> dict[str, tuple[Array, Array, float]]:
    """Return true parameters of regions, draws by sbi's NPE, and CPU time, by kind of sessions."""
    kept = {way: work / f"amortised_{way}_NPE.npz" for way in ("prior", "people")}
    if not all(path.exists() for path in kept.values()):
        start = time.process_time()
        model, trained, others = model_and_people(folder, data)
        truth, statistics = regions_of(model, trained, SEED + 1, of_people=False)
        truth, statistics = (values.reshape(-1, values.shape[-1]) for values in (truth, statistics))
        posterior = trained_npe(truth, statistics, standard_normal(truth.shape[1]))
        for way, path in kept.items():
            truth, judged = regions_of(model, others, SEED, of_people=way == "people")
            with np.load(work / f"amortised_{way}.npz") as file:  # of a region of each session
                apart = np.abs(truth - file["truth"][:, None]).sum(axis=-1)
            which = np.arange(len(truth)), apart.argmin(axis=1)
            draws, seconds = posterior(judged[which]), np.array(time.process_time() - start)
            keep(path, truth=truth[which], draws=draws, seconds=seconds)
    found = {}
    for way, path in kept.items():
        with np.load(path) as file:
            found[way] = file["truth"], file["draws"], float(file["seconds"])
    return found


def standard_normal(count: int) -> Any:
    """Return the prior of region parameters for sbi."""
    import torch

    zeros = torch.zeros(count)
    return torch.distributions.MultivariateNormal(zeros, torch.eye(count))


def regions_of(model: Any, networks: Any, seed: int, *, of_people: bool) -> tuple[Array, Array]:
    """Return parameters of regions and what a model reads of them, (sessions, regions, values)."""
    import torch

    from bids_dtg.dynamics.amortised import Sessions
    from bids_dtg.dynamics.known_sessions import sessions_with_truth

    rng, truth, read = np.random.default_rng([seed, 3]), [], []
    for region, made in sessions_with_truth(model, networks, seed, rng, CHECKS, of_people):
        truth.append(region)
        sessions = Sessions.whole(*map(torch.as_tensor, (made.series, made.weights)))
        with torch.no_grad():
            read.append(model.statistics(sessions).double().numpy())
    return np.concatenate(truth), np.concatenate(read)


def drawn(
    infer: Callable[[SimulatedStatistics, Array], Array], known: SimulatedStatistics, kept: Path
) -> tuple[Array, float]:
    """Return draws of a way, and its processor time; those kept, where there are any."""
    if not kept.exists():
        start = time.process_time()
        first = SimulatedStatistics(known.unit[:SIMULATIONS], known.statistics[:SIMULATIONS])
        draws = infer(first, known.statistics[SIMULATIONS:])
        keep(kept, draws=draws, seconds=np.array(time.process_time() - start))
    with np.load(kept) as file:
        return file["draws"], float(file["seconds"])


def keep(path: Path, **arrays: Array) -> None:
    """Write arrays to a file that is there whole, or not at all."""
    begun = path.with_name(f".{path.name}")
    with begun.open("wb") as file:
        np.savez(file, **arrays)
    begun.replace(path)


def print_rows(
    name: str, way: str, parameters: list[str], truth: Array, draws: Array, seconds: float
) -> None:
    for number, parameter in enumerate(parameters):
        own = draws[:, :, number]
        found = calibration(truth[:, number], own, np.random.default_rng(SEED))
        bins = histogram(ranks(truth[:, number], own, np.random.default_rng(SEED)), RANKED)
        print(
            f"| {name} | {parameter} | {way} | {found.rho:.2f} ({found.rho_low:.2f} to "
            f"{found.rho_high:.2f}) | {found.coverage:.1%} | {found.uniform_p:.2g} "
            f"| {' '.join(map(str, bins))} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
