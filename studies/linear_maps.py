"""The weighted linear model of real people's rest, beside the plain one on the same splits.

    python studies/linear_maps.py ../shared/data/real/hcp30

The 20 people and the splits of `real_people.py`. The plain model reads 50 ROI maps and rest as it
is; the weighted one is what ``--architecture linear`` makes of arrays. Prints tables for
docs/explanation/linear.md: each person's scores are averaged over the splits where that person
was tested, and intervals are over people. A second table has rest that is cut short: of everybody,
or of the test people alone. One row has coefficients on what predictions for people left out leave,
as Zheng et al. have it; the program takes what the fit to everybody leaves, whose sums are additive
over sites. These people are development people: about 220 variants were tried on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from real_people import PARTIAL, PEOPLE, Array, Split, Study, Values, fitted, score

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import NumpyArrays
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.analyses.fit import FittedModel
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.weighted_linear import (
    WeightedFitting,
    WeightedLinear,
    shrinkage,
)
from bids_dtg.contrasts.weighted_sums import SHORTER_MINUTES, FirstSums, rows_of
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.stats.group_ica import GroupIca, standardised_places
from bids_dtg.stats.linear import WHOLE, mean_fits, standardised
from bids_dtg.stats.paired import t_interval

PLAIN, SHAPE, WHOLE_MODEL = "plain, 50 maps", "weighted, amplitude of the shape", "weighted"
LEFT_OUT = "the same, of residuals of people left out"
SHORT = (300, 600)  # frames: 3.6 and 7.2 minutes
SHORT_TRAINING = (10, 10)  # people to train, and to test
HEAD = (
    *("residual r", "identified", "r - group", "model - another's"),
    *("above group, of pairs", "difference of residual r", "of identified", "of r - group"),
)


class Rows:
    """Scores of people by row, averaged over the splits where they were tested."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[Values]]] = {}

    def add(self, row: str, test: Sequence[str], maps: Array, people: Sets) -> None:
        """Add the predicted maps of a split's test people."""
        found = score(maps, *people)
        above, residual, identified, other, *_ = found.T
        for label, values in zip(
            test,
            np.stack([residual, identified, above, above - other, above > 0], axis=1),
            strict=True,
        ):
            self._found.setdefault(row, {}).setdefault(label, []).append(values)

    def print(self, first: Sequence[str], plain: str) -> None:
        """Print a row each, with its paired differences from one of them."""
        means = {row: self.means(row) for row in self._found}
        for row, values in means.items():
            cells = [f"{mean:.3f}" for mean in values[:, :2].mean(axis=0)]
            cells += [f"{mean:+.4f}" for mean in values[:, 2:4].mean(axis=0)]
            pairs = np.concatenate([np.array(own) for own in self._found[row].values()])
            cells.append(f"{100 * pairs[:, 4].mean():.1f} %")
            for column, digits in enumerate((3, 3, 4)):
                found = t_interval(values[:, column] - means[plain][:, column])
                text = (
                    f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
                )
                cells.append("" if row == plain else text)
            print("| " + " | ".join([*first, row, *cells]) + " |", flush=True)

    def means(self, row: str) -> Values:
        """Return means over splits, (people, scores)."""
        of_people = self._found[row]
        return np.array([np.mean(of_people[label], axis=0) for label in sorted(of_people)])


Sets = tuple[Sequence[Person], Sequence[Person]]


@dataclasses.dataclass(frozen=True, eq=False)
class Weighted:
    """How the weighted model's people are made, as the program does of arrays."""

    study: Study
    seed: int  # of the group ICA
    # By number of ROIs, whether each group ICA settled.
    settled: dict[int, list[bool]] = dataclasses.field(default_factory=dict)

    @property
    def settled_words(self) -> str:
        """How often a group ICA of so many maps settled."""
        shares = [f"{rois}: {sum(own)}/{len(own)}" for rois, own in self.settled.items()]
        return "group ICA that settled, by maps: " + ", ".join(shares)

    @property
    def form(self) -> Form:
        """What the model reads."""
        penalty = find_recipe("default").penalty
        sets = find_kind("linear").sets
        return Form("partial", standardised=True, fixed=penalty, sets=sets)

    def space(self, training: Sequence[str], frames: int | None) -> ModelSpace:
        """Make the sets of ROI maps of the training people."""
        return self.space_of(self.study.group_ica(training, frames))

    def space_of(self, ica: GroupIca) -> ModelSpace:
        """Make the sets of ROI maps of the people added to a group ICA."""
        made = [ica.maps(rois, self.seed) for rois in self.form.sets]
        for _, record in made:
            self.settled.setdefault(record.rois, []).append(record.converged)
        maps = np.concatenate([maps for maps, _ in made])
        places = ListedPlaces(self.study.people.places)
        return ModelSpace(places, maps.astype(np.float16), "hcp30", "", "", self.form)

    def person(self, label: str, space: ModelSpace, frames: int | None, *, trains: bool) -> Person:
        """Return a person with connectomes of the first frames of rest."""
        rest = self.study.rest(label, frames)
        (array,) = self.study.people.sessions_of(label)
        minutes = rest.shape[1] * array.tr_seconds / 60
        shorter = {}
        for length in SHORTER_MINUTES if trains else ():
            size = round(60 * length / array.tr_seconds)
            parts = [
                rest[:, first : first + size] for first in range(0, rest.shape[1] - size + 1, size)
            ]
            if parts:
                made = [self.connectome(part, space, array.tr_seconds) for part in parts]
                shorter[length] = np.mean([standardised(own, WHOLE) for own in made], axis=0)
        return Person(
            label=label,
            connectomes=self.connectome(rest, space, array.tr_seconds)[None].astype(np.float16),
            weights=(minutes,),
            sessions=(self.study.people.read_targets(label),),
            form=self.form,
            minutes=minutes,
            shorter=shorter,
        )

    def connectome(self, rest: Array, space: ModelSpace, tr_seconds: float) -> Array:
        """Reduce rest (places, frames) to a connectome (rois, places)."""
        rest = standardised_places(rest)
        design = TemporalDesign.build(None, [], np.ones(rest.shape[1], bool), tr_seconds)

        def blocks() -> Blocks:
            yield 0, np.ascontiguousarray(rest.T)

        voxels = RunVoxels(
            space.roi_maps.astype(np.float32),
            len(rest),
            np.ones(len(rest), bool),
            sets=self.form.sets,
        )
        moments = measure_run(
            blocks, design, voxels, segments=design.segments(np.inf), arrays=NumpyArrays()
        )
        (found,) = run_connectomes(moments, form=self.form, every_part=False).segments
        return found.r

    def sets(self, split: Split, training: int | None, test: int | None) -> tuple[ModelSpace, Sets]:
        """Return the people of a split with so many frames of rest."""
        space = self.space(split.training, training)
        return space, self.people(split, space, training, test)

    def people(
        self,
        split: Split,
        space: ModelSpace,
        training: int | None,
        test: int | None,
        *,
        short: bool = True,
    ) -> Sets:
        """Return training and test people as the model of a space reads them.

        `short` is whether training people have means of short rest, which whole rest does not need.
        """
        return (
            [self.person(label, space, training, trains=short) for label in split.training],
            [self.person(label, space, test, trains=False) for label in split.test],
        )


def predicted(model: FittedModel, people: Sequence[Person]) -> Array:
    """Return predicted maps, (people, contrasts, places)."""
    return np.stack([model.predict(person) for person in people])


def add_plain(rows: Rows, study: Study, split: Split, frames: int | None) -> None:
    """Add the plain model, of everybody's first frames."""
    space, runs = study.measured(split, frames)
    sets = study.sets(split, runs, PARTIAL.penalty, "linear")
    maps = predicted(fitted("linear", sets[0], space, study.people.contrasts), sets[1])
    rows.add(PLAIN, split.test, maps, sets)


def add_weighted(
    rows: Rows, weighted: Weighted, split: Split, training: int | None, test: int | None
) -> FittedModel:
    """Add the weighted model, with and without an amplitude of its own."""
    space, sets = weighted.sets(split, training, test)
    return add_fitted(rows, weighted, split, space, sets)


def add_fitted(
    rows: Rows, weighted: Weighted, split: Split, space: ModelSpace, sets: Sets, seed: str = ""
) -> FittedModel:
    """Fit the weighted model to people, and add rows, named by the seed too."""
    model = fitted("linear", sets[0], space, weighted.study.people.contrasts)
    assert isinstance(model.model, WeightedLinear)
    of_shape = dataclasses.replace(model.model, amplitude=None)
    left_out = dataclasses.replace(of_shape, coefficients=of_left_out(sets[0], of_shape.sets))
    for row, own in ((SHAPE, of_shape), (LEFT_OUT, left_out)):
        maps = predicted(dataclasses.replace(model, model=own), sets[1])
        rows.add(row + seed, split.test, maps, sets)
    rows.add(WHOLE_MODEL + seed, split.test, predicted(model, sets[1]), sets)
    return model


def of_left_out(people: Sequence[Person], sets: Sequence[int]) -> Array:
    """Return coefficients (contrasts, rois) whose residuals are those of people left out."""
    first = FirstSums.of(people, sets)
    away, found = first.people / (first.people - 1), []
    fitting = WeightedFitting(people, sets, first, amplitude=False)
    for rows, sums in zip(rows_of(sets), fitting.sums, strict=True):
        gains = sums.gains(first.people, first.mean(rows))[:, None]
        total, others = sums.fit_sum[:, 0, 1:], sums.fitted - 1
        # Deviations from the mean of the others, on both sides.
        linear = ((sums.gram @ total[..., None])[..., 0] - sums.fit_gram) / others
        left = sums.left_cross - gains * away * linear
        ridge = shrinkage(first.minutes) * np.trace(sums.gram[0]) / sums.gram.shape[-1]
        ridge = ridge * np.eye(sums.gram.shape[-1])
        shared = np.linalg.solve(sums.gram + ridge, left[..., None])[..., 0] / away
        found.append(gains * mean_fits(sums.fit_sum, sums.fitted)[:, 0, 1:] + shared)
    return np.asarray(np.hstack(found) / len(found), np.float32)


def print_head(first: Sequence[str]) -> None:
    """Print the head of a table."""
    names = [*first, "model", *HEAD]
    print("\n| " + " | ".join(names) + " |\n|" + " --- |" * len(names), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the group ICA")
    parser.add_argument(
        "--tables", nargs="+", choices=["people", "short", "seeds"], default=["people", "short"]
    )
    args = parser.parse_args()
    start = time.perf_counter()
    people = read_arrays(
        [args.folder / "rest.npz", args.folder / "task.npz"],
        ["targets=beta", "contrasts=conditions"],
    )
    study = Study(people, args.splits)
    if "seeds" in args.tables:
        seeds_table([Weighted(study, seed) for seed in args.seeds])
    for seed in args.seeds:
        weighted = Weighted(study, seed)
        if "people" in args.tables:
            people_table(weighted)
        if "short" in args.tables:
            short_table(weighted)
        if weighted.settled:
            print(weighted.settled_words)
    print(f"\n{args.splits} splits, one process: {time.perf_counter() - start:.0f} s")


def people_table(weighted: Weighted) -> None:
    """Print a row for each number of people and each model."""
    print_head(["seed", "people"])
    for training, test in PEOPLE:
        rows, apart = Rows(), 0
        for split in weighted.study.drawn(training, test):
            add_plain(rows, weighted.study, split, None)
            model = add_weighted(rows, weighted, split, None, None)
            apart += model.model.amplitude is not None  # type: ignore[attr-defined]
        rows.print([str(weighted.seed), str(training)], PLAIN)
        print(f"(amplitude apart from the shape in {apart} of {weighted.study.splits} splits)")


def seeds_table(of_seeds: Sequence[Weighted]) -> None:
    """Print a row for each number of people and model: means over seeds, and their sd."""
    print("| people | model | residual r, sd over seeds | identified | r - group |")
    print("|" + " --- |" * 5)
    study = of_seeds[0].study
    for training, test in PEOPLE:
        rows = Rows()
        for split in study.drawn(training, test):
            ica = study.group_ica(split.training, None)
            for weighted in of_seeds:
                space = weighted.space_of(ica)
                sets = weighted.people(split, space, None, None, short=False)
                add_fitted(rows, weighted, split, space, sets, f" {weighted.seed}")
        for row in (SHAPE, LEFT_OUT, WHOLE_MODEL):
            means = np.array([rows.means(f"{row} {own.seed}").mean(axis=0) for own in of_seeds])
            average, sd = means.mean(axis=0), means.std(axis=0, ddof=1)
            digits = ((0, 3), (1, 3), (2, 4))
            cells = [f"{average[n]:.{d}f} ± {sd[n]:.{d + 1}f}" for n, d in digits]
            print(f"| {training} | {row} | " + " | ".join(cells) + " |", flush=True)
    for weighted in of_seeds:
        print(f"seed {weighted.seed}: {weighted.settled_words}", flush=True)


def short_table(weighted: Weighted) -> None:
    """Print rows of rest that is cut short: of everybody, and of the test people alone."""
    print_head(["minutes", "cut"])
    study = weighted.study
    for frames in SHORT:
        minutes = f"{frames * study.people.rest[0].tr_seconds / 60:.1f}"
        for whose, training in (("everybody", frames), ("test people", None)):
            rows = Rows()
            for split in study.drawn(*SHORT_TRAINING):
                if training is not None:
                    add_plain(rows, study, split, frames)
                add_weighted(rows, weighted, split, training, frames)
            rows.print([minutes, whose], PLAIN if training is not None else SHAPE)


if __name__ == "__main__":
    main()
