"""Cross-validation of few people whose rest says nothing of their maps: how often is it a finding?

    python studies/null_folds.py [--cohorts 400] [--weighted]

Null cohorts of 8, 20 and 39 people, so many of each: 60 places, 4 ROIs, 2 contrasts; connectomes
and maps have means in common, and people differ in both independently, and in how large maps are.
A linear model is fitted to all but each group of people in turn, as `--analysis train` does of few
people, and judged by the program's verdicts; with ``--weighted`` it is the model of arrays. Prints
the shares called better and worse for docs/evidence/group.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.analyses.fit import fit_model
from bids_dtg.contrasts.analyses.folds import draw_groups
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.judging.model_scores import ModelScores, join_groups, score_maps
from bids_dtg.contrasts.judging.model_table import comparison_rows
from bids_dtg.contrasts.kind import FitTask, ModelSpace
from bids_dtg.contrasts.people import Person, mean_maps
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.settings import ModellingOptions

PEOPLE = (8, 20, 39)
PLACES, ROIS, CONTRASTS = 60, 4, 2
MINUTES = 14.0  # of rest of a person
WEIGHTED = Form("partial", standardised=True, fixed=0.06)


def cohort(people: int, seed: int) -> dict[str, Person]:
    """Draw people by label, who differ in rest and maps independently."""
    rng = np.random.default_rng([seed, people])
    group = rng.normal(size=(1, ROIS, PLACES))
    rest = group + 0.5 * rng.normal(size=(people, ROIS, PLACES))
    mean = 2 * rng.normal(size=(1, CONTRASTS, PLACES))
    mean += (rng.normal(size=(CONTRASTS, ROIS)) @ group[0])[None]
    size = np.exp(0.3 * rng.normal(size=(people, 1, 1)))
    maps = mean + size * rng.normal(size=(people, CONTRASTS, PLACES))
    return {
        f"{n:02d}": Person(
            f"{n:02d}",
            own[None].astype(np.float16),
            (1.0,),
            (of_own.astype(np.float32),),
            minutes=MINUTES,
        )
        for n, (own, of_own) in enumerate(zip(rest, maps, strict=True))
    }


def judged(people: dict[str, Person], space: ModelSpace, folder: Path) -> tuple[ModelScores, ...]:
    """Score the linear model and the group average of cross-validation."""
    found: list[tuple[ModelScores, ModelScores]] = []
    for group in draw_groups(tuple(people), {}, seed=0):
        others = [person for label, person in people.items() if label not in group]
        test = [people[label] for label in group]
        task = FitTask(
            options=ModellingOptions(),
            space=space,
            contrasts=("a", "b"),
            training=others,
            validation=[],
            device="cpu",
            folder=folder,
            report=lambda line: None,
        )
        model, mean = fit_model(find_kind("linear"), task), mean_maps(others)
        measured = np.stack([person.maps for person in test])

        predicted = np.stack([model.predict(person) for person in test])
        average = np.repeat(mean[None], len(test), axis=0)
        found.append(
            (score_maps("model", predicted, measured), score_maps("group", average, measured))
        )
    return tuple(join_groups(scores) for scores in zip(*found, strict=True))


def main() -> None:
    """Print a row a number of people and comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--weighted", action="store_true")
    args = parser.parse_args()
    cohorts, form = args.cohorts, WEIGHTED if args.weighted else MARGINAL
    places = ListedPlaces(tuple(f"V{n}" for n in range(PLACES)))
    space = ModelSpace(places, np.zeros((ROIS, PLACES), np.float32), "null", "", "", form)
    print("| people | compared | better | worse |\n|---|---|---|---|")
    for people in PEOPLE:
        count: Counter[tuple[str, str]] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(cohorts):
                model, average = judged(cohort(people, seed), space, Path(folder))
                for row in comparison_rows(model, [average]):
                    count[row["question"] or row["score"], row["verdict"]] += 1
        for name in dict.fromkeys(name for name, _ in count):
            shares = (100 * count[name, word] / cohorts for word in ("better", "worse"))
            print(
                f"| {people} | {name} |", " | ".join(f"{x:.1f} %" for x in shares), "|", flush=True
            )


if __name__ == "__main__":
    main()
