"""The linear model of real people's rest: how well it tells people apart.

    python studies/linear_maps.py ../shared/data/real/hcp30

20 people of the Human Connectome Project by parcel: rest, and maps of 24 task conditions. They are
split at random many times: 5 or 10 to train and 10 others to test, or 15 and 5. All that the model
needs comes from the training people: sets of ROI maps by group ICA, and what ``--architecture
linear`` makes of arrays. Each person's scores are averaged over the splits where that person was
tested. These people are development people: about 220 variants were tried on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.analyses.fit import FittedModel, fit_model
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.contrasts.kind import FitTask, ModelSpace
from bids_dtg.contrasts.people import Person, mean_maps
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.weighted_linear import WeightedLinear
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.group_ica import GroupIca, standardised_places
from bids_dtg.stats.paired import t_interval

PEOPLE = ((5, 10), (10, 10), (15, 5))  # to train, and to test
SHAPE, WHOLE_MODEL = "weighted, amplitude of the shape", "weighted"
HEAD = ("people", "model", "r - group", "residual r", "identified", "another's r - group")
Array = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class People:
    """Rest and measured maps of everybody, in the order of the labels."""

    labels: tuple[str, ...]
    places: tuple[str, ...]
    contrasts: tuple[str, ...]
    rest: Array  # (people, places, frames)
    maps: Array  # (people, contrasts, places)
    tr_seconds: float

    @classmethod
    def read(cls, folder: Path) -> People:
        """Read ``rest.npz`` and ``task.npz`` of a folder, whose rows are the same people."""
        with np.load(folder / "rest.npz") as rest, np.load(folder / "task.npz") as task:
            people, places, _ = rest["rest"].shape
            return cls(
                labels=tuple(f"p{n:02d}" for n in range(1, people + 1)),
                places=tuple(f"place{n}" for n in range(1, places + 1)),
                contrasts=tuple(map(str, task["conditions"])),
                rest=rest["rest"].astype(np.float32),
                maps=task["beta"].astype(np.float32),
                tr_seconds=float(rest["tr_seconds"]),
            )


@dataclass(frozen=True)
class Split:
    """Who trains and who is tested."""

    training: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Study:
    """The data, and how people are split."""

    people: People
    splits: int

    @property
    def form(self) -> Form:
        """What the model reads."""
        penalty = find_recipe("default").penalty
        return Form("partial", standardised=True, fixed=penalty, sets=find_kind("linear").sets)

    def drawn(self, training: int, test: int) -> Iterator[Split]:
        """Draw splits, the same in each call."""
        rng = np.random.default_rng([16, training])
        for _ in range(self.splits):
            order = [self.people.labels[n] for n in rng.permutation(len(self.people.labels))]
            yield Split(
                tuple(sorted(order[:training])), tuple(sorted(order[training : training + test]))
            )

    def space(self, training: Sequence[str]) -> ModelSpace:
        """Make the sets of ROI maps of the training people."""
        ica = GroupIca()
        for label in training:
            ica.add(self.rest(label))
        maps = np.concatenate([ica.maps(rois, 0)[0] for rois in self.form.sets])
        places = ListedPlaces(self.people.places)
        return ModelSpace(places, maps.astype(np.float16), "hcp30", "", "", self.form)

    def rest(self, label: str) -> Array:
        """Read a person's rest, (places, frames)."""
        return self.people.rest[self.people.labels.index(label)]

    def person(self, label: str, space: ModelSpace) -> Person:
        """Return a person with a connectome of the whole rest."""
        rest = standardised_places(self.rest(label))
        frames, tr_seconds = rest.shape[1], self.people.tr_seconds
        design = TemporalDesign.build(None, [], np.ones(frames, bool), tr_seconds)

        def blocks() -> Blocks:
            yield 0, np.ascontiguousarray(rest.T)

        everywhere = np.ones(len(rest), bool)
        maps = space.roi_maps.astype(np.float32)
        voxels = RunVoxels(maps, len(rest), everywhere, sets=self.form.sets)
        moments = measure_run(blocks, design, voxels, segments=design.segments(np.inf))
        (found,) = run_connectomes(moments, form=self.form, every_part=False).segments
        minutes = frames * tr_seconds / 60
        return Person(
            label=label,
            connectomes=found.r[None].astype(np.float16),
            weights=(minutes,),
            sessions=(self.people.maps[self.people.labels.index(label)],),
            form=self.form,
            minutes=minutes,
        )


def fitted(people: Sequence[Person], space: ModelSpace, contrasts: Sequence[str]) -> FittedModel:
    """Fit the linear model to training people."""
    with tempfile.TemporaryDirectory() as folder:
        return fit_model(
            find_kind("linear"),
            FitTask(
                options=ModellingOptions(),
                space=space,
                contrasts=tuple(contrasts),
                training=people,
                validation=(),
                device="cpu",
                folder=Path(folder),
                report=lambda line: None,
            ),
        )


def score(maps: Array, training: Sequence[Person], test: Sequence[Person]) -> Values:
    """Score predicted maps (people, contrasts, places), means over contrasts: (people, scores)."""
    measured, mean = np.stack([person.maps for person in test]), mean_maps(training)
    found = []
    for contrast in range(maps.shape[1]):
        of = PeopleScores.of(maps[:, contrast], measured[:, contrast])
        average = np.repeat(mean[None, contrast], len(measured), axis=0)
        group = PeopleScores.of(average, measured[:, contrast]).r
        residual = np.nan_to_num(of.residual_r)
        found.append([of.r - group, residual, of.identified, of.others_r - group])
    return np.asarray(np.mean(found, axis=0).T, np.float64)


def table(study: Study, training: int, test: int) -> None:
    """Print a row of each model for a number of people."""
    found: dict[str, dict[str, list[Values]]] = {SHAPE: {}, WHOLE_MODEL: {}}
    for split in study.drawn(training, test):
        space = study.space(split.training)
        sets = [
            [study.person(label, space) for label in labels]
            for labels in (split.training, split.test)
        ]
        model = fitted(sets[0], space, study.people.contrasts)
        assert isinstance(model.model, WeightedLinear)
        of_shape = dataclasses.replace(model.model, amplitude=None)
        for name, own in ((SHAPE, of_shape), (WHOLE_MODEL, model.model)):
            used = dataclasses.replace(model, model=own)
            scores = score(np.stack([used.predict(person) for person in sets[1]]), *sets)
            for label, values in zip(split.test, scores, strict=True):
                found[name].setdefault(label, []).append(values)
    for name, people in found.items():
        columns = np.array([np.mean(values, axis=0) for values in people.values()]).T
        cells = []
        for title, values in zip(HEAD[2:], columns, strict=True):
            over, digits = t_interval(values), ".4f" if "group" in title else ".3f"
            cells.append(f"{over.mean:{digits}} [{over.low:{digits}}, {over.high:{digits}}]")
        print(f"| {training} | {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    start = time.perf_counter()
    people = People.read(args.folder)
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD), flush=True)
    for training, test in PEOPLE:
        table(Study(people, args.splits), training, test)
    print(f"\n{args.splits} splits, one process: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
