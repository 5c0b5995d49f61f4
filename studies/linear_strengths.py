"""How a linear core's strengths are chosen: of one session or two, at one site or several.

    OMP_NUM_THREADS=1 python studies/linear_strengths.py ../shared/sip/data

Data: series of two sessions, as docs/evidence/linear_dynamics.md has them. The first table is that
of five folds of people: the core and strengths are of the first session of the others alone, or
strengths are chosen by the second one, too; each person's first session is read, and the second one
judges. The second table cuts the people into sites, whose sums are added, against one fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_dtg.dynamics.judging.describers import MODEL, identified, judge_people
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import SiteSums, TrainingPerson, fit_linear
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.stats.splits import fold_people

FOLDS, SITES = 5, (2, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    started = time.process_time()
    first, again = (people_of(folder, session) for session in ("REST1", "REST2"))
    columns = "frames (folds) | FC r | residual r | identified | R² 1, 2, 5 | nll | FCD"
    print(f"| strengths by | {columns} |")
    print("|---|---|---|---|---|---|---|---|")
    for words, both in (("one session", False), ("two sessions", True)):
        print_folds(words, first, again, both=both)
    print("\n| strengths by | sites | frames, of one fit | of sites | G differs by |")
    print("|---|---|---|---|---|")
    for words, both in (("one session", False), ("two sessions", True)):
        print_sites(words, training_people(first, again, both=both), first.tr_seconds)
    print(f"\n{time.process_time() - started:.0f} CPU s")


def people_of(folder: Path, session: str) -> PeopleSeries:
    held = np.load(folder / f"bold_{session}_LR_50.npz")
    return PeopleSeries(
        people=tuple(map(str, held["subject"])),
        regions=tuple(map(str, held["region"])),
        series=standardised(held["bold"]),
        tr_seconds=float(held["tr"]),
    )


def training_people(
    first: PeopleSeries, again: PeopleSeries, *, both: bool
) -> list[TrainingPerson]:
    return [
        TrainingPerson.of(own, again=LagCovariances.of(other) if both else None)
        for own, other in zip(first.series, again.series, strict=True)
    ]


def print_folds(words: str, first: PeopleSeries, again: PeopleSeries, *, both: bool) -> None:
    judged, chosen = [], []
    for group in fold_people(first.people, FOLDS, seed=0, families={}):
        others = [label for label in first.people if label not in group]
        training = training_people(first.of(others), again.of(others), both=both)
        model, _ = fit_linear(training, first.tr_seconds)
        chosen.append((round(model.strengths.transition), round(model.strengths.covariance)))
        judged += judge_people(model, first.of(group), again.of(group), seed=0)
    scores = [person.scores[MODEL] for person in judged]
    r2 = np.mean([own.r2 for own in scores], axis=0)
    found = [np.mean([getattr(own, name) for own in scores]) for name in ("fit", "residual")]
    found.append(identified(judged, MODEL))
    ends = [np.mean([getattr(own, name) for own in scores]) for name in ("nll", "fcd")]
    cells = [*(f"{value:.3f}" for value in found), " ".join(f"{value:.3f}" for value in r2[:3])]
    cells += [f"{value:.3f}" for value in ends]
    frames = ", ".join(f"{a} and {b} ({chosen.count((a, b))})" for a, b in sorted(set(chosen)))
    print(f"| {words} | {frames} | {' | '.join(cells)} |")


def print_sites(words: str, people: Sequence[TrainingPerson], tr_seconds: float) -> None:
    whole, _ = fit_linear(people, tr_seconds)
    for sites in SITES:
        size = len(people) // sites
        sums = [
            SiteSums.over(people[start : start + size], tr_seconds)
            for start in range(size, len(people), size)
        ]
        joined, _ = fit_linear(people[:size], tr_seconds, sums)
        frames = [
            f"{model.strengths.transition:,.0f} and {model.strengths.covariance:,.0f}"
            for model in (whole, joined)
        ]
        apart = np.abs(joined.group - whole.group).max()
        print(f"| {words} | {sites} of {size} | {' | '.join(frames)} | {apart:.0e} |")


if __name__ == "__main__":
    main()
