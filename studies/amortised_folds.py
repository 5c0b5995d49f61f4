"""An amortised network model beside the linear core, in the folds of `evaluate --folds 5`.

    OMP_NUM_THREADS=1 python studies/amortised_folds.py ../shared/sip/data --work FOLDER
    OMP_NUM_THREADS=1 python studies/amortised_folds.py ../shared/sip/data --work FOLDER --judge

The first call trains `--recipe amortised` on the people outside each fold: calls of `bids_dtg`,
which are printed, and go on where they were stopped. The second one judges those models by the
people of their folds, as `evaluate` judges named models: each model infers parameters from REST1
and simulates five sessions; their covariances, and the process of these, are compared with REST2.
The model also predicts frames itself, from twenty moments of REST2, beside simple models from the
same moments. `--folds 1 3` trains or judges these folds alone. A published form has no place in
folds: it infers parameters only of people that it was fitted to.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from calibration import TR_SECONDS
from dynamics_unseen import people_of
from numpy.typing import NDArray

from bids_dtg.cli.run import main as bids_dtg
from bids_dtg.dynamics.analyses.linear_training import TrainingPeople
from bids_dtg.dynamics.bundle.bundle import load_network_bundle
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.judging.describers import NAMED, JudgedPerson, identified, judge_people
from bids_dtg.dynamics.judging.forecast import Forecast, forecast, forecast_baselines
from bids_dtg.dynamics.linear import fit_linear
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks, PeopleSeries
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.splits import fold_people

FOLDS, SEED = 5, 0
SESSIONS = ("REST1", "REST2")


@dataclass(frozen=True, eq=False)
class Person:
    """A person's networks, and what a model infers of them."""

    networks: Networks
    inferred: Inferred


@dataclass(frozen=True, eq=False)
class Amortised:
    """A model in the place of a named model's bank: it infers a person and simulates sessions."""

    model: GenerativeModel
    networks: Networks  # of the people who are judged

    def infer(self, series: NDArray[Any], rng: np.random.Generator, kept: None = None) -> Person:
        row = next(
            row for row, own in enumerate(self.networks.series) if np.array_equal(own, series)
        )
        networks = self.networks.of([self.networks.people[row]])
        return Person(networks, infer(self.model, networks))

    def simulate(
        self, person: Person, simulations: int, frames: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        given = self.model, person.networks, person.inferred
        made = next(iter(simulate(*given, simulations=simulations, seed=SEED)))
        bounded = np.isfinite(made).all(axis=(1, 2))
        if not bounded.all():
            print(f"{person.networks.people[0]}: {int((~bounded).sum())} simulations diverged")
        return made[bounded]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sc_50.npz and bold_REST*_LR_50.npz")
    parser.add_argument("--work", type=Path, required=True)
    numbers = range(1, FOLDS + 1)
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        choices=numbers,
        default=numbers,
        help="train or judge these alone",
    )
    parser.add_argument("--judge", action="store_true", help="judge in place of training")
    parser.add_argument("--training", default="", help="options of bids_dtg for train, as one word")
    args = parser.parse_args()
    first, again = (people_of(args.data, name, slice(None)) for name in SESSIONS)
    split = fold_people(first.people, FOLDS, seed=SEED)
    folds = {number: split[number - 1] for number in args.folds}
    if args.judge:
        judge(folds, first, again, args.work)
        return
    for number, fold in folds.items():
        train(number, [label for label in first.people if label not in fold], args)


def train(number: int, people: list[str], args: argparse.Namespace) -> None:
    data = args.data
    words = [str(data), str(args.work / "output"), "group", "--workflow", "dynamics"]
    words += ["--analysis", "train", "--recipe", "amortised", "--model-name", f"fold{number}"]
    words += ["--recipe-field", "held_out=0", "--omp-nthreads", "1"]
    words += ["--participant-label", *people, "--input-arrays", str(data / "bold_REST1_LR_50.npz")]
    words += [str(data / "sc_50.npz"), "--array-key", "rest=bold", "people=subject"]
    words += ["places=region", "structural=weights", "tr_seconds=tr", *shlex.split(args.training)]
    print(f"$ bids_dtg {shlex.join(words)}", flush=True)
    if code := bids_dtg(words):
        raise SystemExit(code)


def judge(folds: dict[int, tuple[str, ...]], first: Networks, again: Networks, work: Path) -> None:
    judged: list[JudgedPerson] = []
    ahead: dict[str, list[Forecast]] = {}
    for number, fold in folds.items():
        bundle = load_network_bundle(work / "output" / "group" / f"model-fold{number}" / "bundle")
        known = set(bundle.rows(first.people))
        if known != set(first.people) - set(fold):
            raise SystemExit(f"{bundle.path} was trained on other people than those of this fold")
        read, others = first.of(fold), again.of(fold)
        training = [label for label in first.people if label in known]
        linear = linear_of(first.of(training), again.of(training))
        bank = Amortised(bundle.model(), read)
        judged += judge_people(linear, read, others, seed=SEED, bank=bank)
        for row in (forecast(bank.model, others, seed=SEED), *forecast_baselines(others)):
            ahead.setdefault(row.words, []).append(row)
        print(f"fold {number}: {len(fold)} people judged", flush=True)
    columns = ("by", "FC r (95 %)", "residual r", "identified", "R2 1, 2, 5", "nll", "FCD")
    print(f"of {FOLDS} folds {', '.join(map(str, folds))}: {len(judged)} people\n")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in judged[0].scores:
        print_row("amortised" if name == NAMED else name, name, judged)
    print(
        f"\nfrom twenty moments of {SESSIONS[1]}, {len(judged)} people; R2 and nll by steps ahead"
    )
    for words, folds_of in ahead.items():
        r2, nll = (
            np.concatenate([getattr(one, kind) for one in folds_of]) for kind in ("r2", "nll")
        )
        columns = zip(folds_of[0].steps, r2.mean(axis=0), nll.mean(axis=0), strict=True)
        print(f"- {words}: " + "; ".join(f"{step}: {r:.3f} {n:.3f}" for step, r, n in columns))


def linear_of(first: PeopleSeries, again: PeopleSeries) -> Any:
    sessions = dict(zip(SESSIONS, (first, again), strict=True))
    own = TrainingPeople(
        lambda session, some: sessions[session].of(list(some)),
        SESSIONS[0],
        first.people,
        {SESSIONS[1]: again.people},
    )
    return fit_linear(own, TR_SECONDS)[0]


def print_row(words: str, name: str, judged: list[JudgedPerson]) -> None:
    scores = [person.scores[name] for person in judged]

    def mean(value: Callable[[Any], float], digits: int = 3) -> str:
        found = bootstrap_interval(np.array([value(one) for one in scores]))
        return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"

    cells = [words, mean(lambda one: one.fit), mean(lambda one: one.residual)]
    cells.append(f"{identified(judged, name):.2f}")
    cells.append(" ".join(f"{np.mean([one.r2[step] for one in scores]):.3f}" for step in range(3)))
    cells.append(f"{np.mean([one.nll for one in scores]):.3f}")
    print(f"| {' | '.join([*cells, mean(lambda one: one.fcd)])} |")


if __name__ == "__main__":
    main()
