"""Models of real people's rest: kinds of model, forms of the connectome, how many people to train.

    python studies/real_people.py ../shared/data/real/hcp30

20 people of the Human Connectome Project by parcel: rest, and maps of 24 task conditions. They are
split at random many times: 5 or 10 to train and 10 others to test, or 15 and 5. All that a model
needs comes from the training people: 50 ROI maps by group ICA, the model, its correction, and what
was chosen by leaving some of them out. Kinds that need validation people hold them out of the
training people. Prints tables for docs/evidence/group.md: each person's scores are averaged over
the splits where that person was tested; intervals are over people, the spread over splits stands
apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import Connectome, RunConnectomes, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import NumpyArrays
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.analyses.fit import fit_model
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.contrasts.kind import FitTask, ModelSpace
from bids_dtg.contrasts.people import Person, mean_maps
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.inputs.arrays import ArrayPeople, read_arrays
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.group_ica import GroupIca
from bids_dtg.stats.paired import t_interval

ROIS = 50
NUMBERS_OF_ROIS = (25, 50, 100)
PEOPLE = ((5, 10), (10, 10), (15, 5))  # to train, and to test
KINDS = ("linear", "linear-parcel", "local-ridge", "blend")
FEWEST_BLENDED = 10  # people, of whom two validate
PARTIAL = Form("partial")
FORMS = {"marginal": None, "partial": PARTIAL.penalty}
FRAMES = (300, 600, 1195)  # 3.6, 7.2 and 14.3 minutes
FOLDS = 5  # of training people, to choose by
SCORES = (
    *("r - group", "residual r", "identified"),
    *("another's r - group", "r - own mean", "group's r"),
)

Array = NDArray[np.float32]
Values = NDArray[np.float64]
Sets = tuple[Sequence[Person], Sequence[Person]]  # training people, test people
Runs = Mapping[str, RunConnectomes]  # by person
# λ of the correlations of ROIs (rois, rois) and the effective degrees of freedom.
Penalty = Callable[[NDArray[np.floating[Any]], float], float]


def fixed(penalty: float) -> Penalty:
    """Return the same λ for everybody."""
    return lambda roi_r, dof: penalty


def by_dof(times: float) -> Penalty:
    """Return λ as so many times ROIs / degrees of freedom."""
    return lambda roi_r, dof: times * len(roi_r) / dof


def by_form(ridge: float) -> Penalty:
    """Return λ as the program has it, so many times."""
    return Form("partial", ridge=ridge).penalty


PENALTIES: Mapping[str, Penalty | None] = {
    "none: marginal": None,
    **{f"{penalty:g}": fixed(penalty) for penalty in (0.0, 0.03, 0.1, 0.3, 1.0)},
    **{f"{times:g} ROIs / dof": by_dof(times) for times in (0.3, 0.5, 1.0, 3.0)},
    **{f"the program's, {ridge:g} times": by_form(ridge) for ridge in (0.5, 1.0, 2.0)},
}


@dataclass(frozen=True)
class Split:
    """Who trains and who is tested."""

    training: tuple[str, ...]
    test: tuple[str, ...]


class Averages:
    """Scores of people, averaged over the splits where they were tested."""

    def __init__(self) -> None:
        self._of_people: dict[str, list[Values]] = {}  # (scores,) of each split
        self._of_splits: list[Values] = []  # means over the people tested, (scores,)
        self._better: list[float] = []

    def add(self, test: Sequence[str], scores: Values) -> None:
        """Add the scores (people, scores) of a split."""
        for label, values in zip(test, scores, strict=True):
            self._of_people.setdefault(label, []).append(values)
        self._of_splits.append(scores.mean(axis=0))
        self._better.append(float((scores[:, 0] > 0).mean()))

    def mean(self, score: str) -> float:
        """Return the mean of a score over people."""
        return float(self._people()[:, SCORES.index(score)].mean())

    def cells(self) -> list[str]:
        """Return the cells of a row: scores with intervals, then people better than the group."""
        cells = []
        for name, values, spread in zip(
            SCORES, self._people().T, np.std(self._of_splits, axis=0, ddof=1), strict=True
        ):
            found = t_interval(values)
            digits, sign = (4, "+") if " - " in name else (3, "")
            text = f"{found.mean:{sign}.{digits}f}"
            if name in SCORES[:3]:
                text += f" ({found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f})"
            cells.append(f"{text}, {spread:.3f}" if name == "residual r" else text)
        return [*cells, f"{100 * np.mean(self._better):.0f} %"]

    def _people(self) -> Values:
        return np.array([np.mean(values, axis=0) for values in self._of_people.values()])


@dataclass(frozen=True, eq=False)
class Study:
    """The data, and how people are split."""

    people: ArrayPeople
    splits: int

    def drawn(self, training: int, test: int) -> Iterator[Split]:
        """Draw splits, the same in each call."""
        rng = np.random.default_rng([16, training])
        for _ in range(self.splits):
            order = [self.people.labels[n] for n in rng.permutation(len(self.people.labels))]
            yield Split(
                tuple(sorted(order[:training])), tuple(sorted(order[training : training + test]))
            )

    def space(self, training: Sequence[str], frames: int | None, rois: int) -> ModelSpace:
        """Make ROI maps of the training people."""
        maps, _ = self.group_ica(training, frames).maps(rois, seed=0)
        return ModelSpace(ListedPlaces(self.people.places), maps, "hcp30", "", "")

    def group_ica(self, training: Sequence[str], frames: int | None) -> GroupIca:
        """Add up the first frames of training people's rest for group ICA."""
        ica = GroupIca()
        for label in training:
            ica.add(self.rest(label, frames))
        return ica

    def rest(self, label: str, frames: int | slice | None) -> Array:
        """Read the first frames of a person's rest, or those of a slice, (places, frames)."""
        (array,) = self.people.sessions_of(label)
        part = frames if isinstance(frames, slice) else slice(frames)
        return self.people.read(array, label)[:, part]

    def measure(self, label: str, maps: Array, frames: int | slice | None) -> RunConnectomes:
        """Reduce a person's rest to partial connectomes, from which other forms follow."""
        rest = self.rest(label, frames)
        (array,) = self.people.sessions_of(label)
        keep = np.ones(rest.shape[1], bool)
        design = TemporalDesign.build(None, [], keep, array.tr_seconds)

        def blocks() -> Blocks:
            yield 0, rest.T.astype(np.float64)

        everywhere = np.ones(len(rest), bool)
        moments = measure_run(
            blocks,
            design,
            RunVoxels(maps.astype(np.float64), len(rest), everywhere, zeros_missing=False),
            segments=design.segments(),
            arrays=NumpyArrays(np.float64),
        )
        return run_connectomes(moments, form=PARTIAL)

    def measured(
        self, split: Split, frames: int | None, rois: int = ROIS
    ) -> tuple[ModelSpace, Runs]:
        """Return where models of a split read and predict, and everybody's rest."""
        space = self.space(split.training, frames, rois)
        everybody = (*split.training, *split.test)
        return space, {label: self.measure(label, space.roi_maps, frames) for label in everybody}

    def sets(self, split: Split, runs: Runs, penalty: Penalty | None, kind: str) -> Sets:
        """Return training and test people, with what a kind of model reads."""
        training, test = (
            [self.person(label, parts_of(runs[label], kind), penalty) for label in labels]
            for labels in (split.training, split.test)
        )
        return training, test

    def person(self, label: str, parts: Sequence[Connectome], penalty: Penalty | None) -> Person:
        """Return a person with connectomes of a penalty; None: with marginal ones."""
        return Person(
            label=label,
            connectomes=np.stack([values_of(part, penalty) for part in parts]).astype(np.float16),
            weights=tuple(part.residual_dof for part in parts),
            sessions=(self.people.read_targets(label),),
            form=Form() if penalty is None else PARTIAL,
        )


def values_of(part: Connectome, penalty: Penalty | None) -> Array:
    """Return the values (rois, places) of a connectome with a penalty; None: marginal ones."""
    if penalty is None:
        return part.marginal
    assert part.roi_r is not None
    usual = PARTIAL.penalty(part.roi_r, part.effective_dof)
    form = Form("partial", ridge=penalty(part.roi_r, part.effective_dof) / usual)
    return (PARTIAL.change(form, part.roi_r, part.effective_dof) @ part.r).astype(np.float32)


def parts_of(run: RunConnectomes, kind: str) -> tuple[Connectome, ...]:
    """Return what a kind of model reads of a run: all of it, or segments."""
    assert run.whole is not None
    return (run.whole,) if find_kind(kind).whole_runs else run.segments


def fitted(
    kind: str,
    people: Sequence[Person],
    space: ModelSpace,
    contrasts: Sequence[str],
    options: ModellingOptions | None = None,
    device: str = "cpu",
) -> Any:
    """Fit a kind to training people, some of whom validate where the kind needs that."""
    row = find_kind(kind)
    held_out = max(2, round(len(people) / 5)) if row.needs_validation else 0
    with tempfile.TemporaryDirectory() as folder:
        return fit_model(
            row,
            FitTask(
                options=options or ModellingOptions(),
                space=dataclasses.replace(space, form=people[0].form),
                contrasts=tuple(contrasts),
                training=people[held_out:],
                validation=people[:held_out],
                device=device,
                folder=Path(folder),
                report=lambda line: None,
            ),
        )


def predicted(kind: str, sets: Sets, space: ModelSpace, study: Study) -> Array:
    """Fit on training people and predict test people's maps, (people, contrasts, places)."""
    model = fitted(kind, sets[0], space, study.people.contrasts)
    return np.stack([model.predict(person) for person in sets[1]])


def judged(kind: str, sets: Sets, space: ModelSpace, study: Study) -> Values:
    """Fit on training people and score on test people, (people, `SCORES`)."""
    return score(predicted(kind, sets, space, study), *sets)


def score(maps: Array, training: Sequence[Person], test: Sequence[Person]) -> Values:
    """Score predicted maps (people, contrasts, places): (people, `SCORES`), over contrasts."""
    measured, mean = np.stack([person.maps for person in test]), mean_maps(training)
    found = []
    for contrast in range(maps.shape[1]):
        of = PeopleScores.of(maps[:, contrast], measured[:, contrast])
        average = np.repeat(mean[None, contrast], len(measured), axis=0)
        group = PeopleScores.of(average, measured[:, contrast]).r
        residual, others = np.nan_to_num(of.residual_r), of.others_r - group
        own_mean = of.r - of.own_mean_r
        found.append([of.r - group, residual, of.identified, others, own_mean, group])
    return np.asarray(np.mean(found, axis=0).T, np.float64)


def left_out(people: Sequence[Person], space: ModelSpace, study: Study) -> tuple[float, float]:
    """Score training people, in groups that the linear model is not fitted on.

    Returns residual r and the share identified, both of deviations: the mean map of all others
    lacks a person's own, so that raw predictions for others look more like that person.
    """
    residual, predicted = [], []
    for fold in range(min(FOLDS, len(people))):
        own = people[fold :: min(FOLDS, len(people))]
        others = [person for person in people if person not in own]
        model, mean = fitted("linear", others, space, study.people.contrasts), mean_maps(others)
        for person in own:
            predicted.append((person.label, model.predict(person) - mean))
            residual.append(pearson_r(predicted[-1][1], person.maps - mean).mean())
    maps, mean = dict(predicted), mean_maps(people)
    identified = [
        np.mean(PeopleScores.of(*of_contrast).identified)
        for of_contrast in zip(
            np.stack([maps[person.label] for person in people]).swapaxes(0, 1),
            np.stack([person.maps - mean for person in people]).swapaxes(0, 1),
            strict=True,
        )
    ]
    return float(np.mean(residual)), float(np.mean(identified))


def pearson_r(one: Array, other: Array) -> Values:
    """Return r of rows, (rows,); 0 where a row is constant."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.where(size > 0, size, 1.0), np.float64)


def kinds_table(study: Study) -> None:
    """Print a row for each number of people, form and kind."""
    print_head(["people", "form", "model"])
    for training, test in PEOPLE:
        found: dict[tuple[str, str], Averages] = {}
        for split in study.drawn(training, test):
            space, runs = study.measured(split, None)
            for form, kind in itertools.product(FORMS, KINDS):
                if kind == "blend" and training < FEWEST_BLENDED:
                    continue
                sets = study.sets(split, runs, FORMS[form], kind)
                scores = judged(kind, sets, space, study)
                found.setdefault((form, kind), Averages()).add(split.test, scores)
        for names, averages in found.items():
            print_row([str(training), *names, *averages.cells()])


def rois_table(study: Study) -> None:
    """Print a row for each number of people and of ROI maps, and for the mean of these models."""
    print_head(["people", "ROI maps"])
    for training, test in PEOPLE:
        found: dict[str, Averages] = {}
        for split in study.drawn(training, test):
            maps = {}
            for rois in NUMBERS_OF_ROIS:
                space, runs = study.measured(split, None, rois)
                sets = study.sets(split, runs, PARTIAL.penalty, "linear")
                maps[str(rois)] = predicted("linear", sets, space, study)
            maps["mean of these models"] = np.mean(list(maps.values()), axis=0)
            for name, values in maps.items():
                scores = score(values, *sets)
                found.setdefault(name, Averages()).add(split.test, scores)
        for name, averages in found.items():
            print_row([str(training), name, *averages.cells()])


def penalties_table(study: Study, training: int = 10, test: int = 10) -> None:
    """Print a row for each length of rest and λ, and what training people would choose."""
    inner_scores = ("residual r", "identified", "their product")
    print_head(["minutes", "λ", "mean λ", *(f"{name}, left out" for name in inner_scores)])
    for frames in FRAMES:
        found: dict[str, Averages] = {}
        inner: dict[str, list[tuple[float, ...]]] = {}
        means: dict[str, list[float]] = {}
        chosen = {name: Averages() for name in inner_scores}
        for split in study.drawn(training, test):
            space, runs = study.measured(split, frames)
            scores = {}
            for name, penalty in PENALTIES.items():
                sets = study.sets(split, runs, penalty, "linear")
                scores[name] = judged("linear", sets, space, study)
                found.setdefault(name, Averages()).add(split.test, scores[name])
                r, identified = left_out(sets[0], space, study)
                inner.setdefault(name, []).append((r, identified, r * identified))
                means.setdefault(name, []).append(mean_penalty(runs, penalty))
            for number, averages in enumerate(chosen.values()):
                best = max(inner, key=lambda name: inner[name][-1][number])
                averages.add(split.test, scores[best])
        minutes = f"{frames * study.people.rest[0].tr_seconds / 60:.1f}"
        for name, averages in found.items():
            of_inner = [f"{value:.3f}" for value in np.mean(inner[name], axis=0)]
            first = [minutes, name, f"{np.mean(means[name]):.2f}", *of_inner]
            print_row([*first, *averages.cells()])
        for name, averages in chosen.items():
            first = [minutes, f"the best {name} of those left out, in each split"]
            print_row([*first, *[""] * 4, *averages.cells()])


def mean_penalty(runs: Runs, penalty: Penalty | None) -> float:
    """Return the mean λ over people's whole runs; NaN: there is none."""
    found = [
        penalty(run.whole.roi_r, run.whole.effective_dof)
        for run in runs.values()
        if penalty and run.whole and run.whole.roi_r is not None
    ]
    return float(np.mean(found)) if found else float("nan")


def print_head(first: Sequence[str]) -> None:
    """Print the head of a table."""
    names = [*first, *SCORES, "people above group"]
    names[len(first) + 1] += ", sd over splits"
    print_row(names)
    print_row(["---"] * len(names))


def print_row(cells: Sequence[str]) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    start = time.perf_counter()
    people = read_arrays(
        [args.folder / "rest.npz", args.folder / "task.npz"],
        ["targets=beta", "contrasts=conditions"],
    )
    study = Study(people, args.splits)
    kinds_table(study)
    print()
    penalties_table(study)
    print()
    rois_table(study)
    print()
    print(
        f"{args.splits} splits, one process: {time.perf_counter() - start:.0f} s, largest memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
