"""How much rest does a prediction need? By minutes of rest, and by residual degrees of freedom.

    python studies/minutes_of_rest.py --work /tmp/minutes --real ../shared/data/real/hcp30 \
        --png docs/minutes_of_rest.png

A linear model with partial connectomes (the program's default for few people) is fitted once, on
14.4 minutes of rest of each training person, and predicts other people from the first minutes of
their rest. Three figures, means over contrasts, with 95 % intervals over people:

- reliability: how alike the predictions from two runs of that length are, each less its mean over
  people;
- residual r: of predicted with measured maps, each less its mean over people; beside it the noise
  ceiling, the root of the retest's residual r, where people were measured twice;
- half-width: within which 90 % of a person's measured values lie around the predicted ones. Of
  simulated people the same for their true maps.

Simulated people have runs of three repetition times, cleaned by `simple`, so that the same minutes
leave other degrees of freedom. Real people (hcp30: 14.3 minutes, cleaned before: degrees of freedom
are not known) are split ten times, 10 to train and 10 to test; a person's figures are averaged over
splits first. Two runs of theirs are the ends of their one run.
Figures are kept in the work folder: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from out_of_distribution import phantom_bundle
from real_people import Study, fitted
from rich.console import Console
from rich.progress import track

from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.judging.ceilings import Ceilings
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.participant.measure import ModelVoxels
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VERSION_2
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.paired import t_interval

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from demo_distribution import Length, SimulatedRun, brain_positions

PARTIAL = Form("partial")
TRAINED_MINUTES = 14.4
MINUTES: Mapping[float, tuple[float, ...]] = {  # by repetition time in s
    0.8: (3.6, 7.2, 14.4),
    1.5: (3.6, 7.2, 14.4, 28.8, 57.6),
    2.5: (3.6, 7.2, 14.4, 28.8),
}
REAL_FRAMES = (300, 600, 1195)  # 3.6, 7.2 and 14.3 minutes
SPLITS = 10
SCORES = ("reliability", "residual r", "half-width", "half-width of the true map")
RELATIVE = "half-width, % of that at 14 minutes"  # of the same person

Array = NDArray[np.float32]
Values = NDArray[np.float64]
Row = dict[str, Any]


def main() -> None:
    """Print a table of simulated people and one of real ones, and draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for what was computed")
    parser.add_argument("--people", type=int, default=40, help="to train, and as many to test")
    parser.add_argument("--real", type=Path, help="folder with rest.npz and task.npz")
    parser.add_argument("--png", type=Path, help="picture to draw")
    args = parser.parse_args()
    tables = {"simulated": simulated_rows(args.work, args.people)}
    if args.real:
        tables["real"] = _kept(args.work / "real.json", lambda: real_rows(args.real))
    for name, rows in tables.items():
        print_table(name, rows)
    if args.png:
        draw(tables, args.png)


def simulated_rows(work: Path, people: int) -> list[Row]:
    """Return a row for each repetition time and length of simulated people's rest."""
    phantom = Phantom(VERSION_2, block=4)
    simulated = Simulated(work / phantom.parameters.hash[:8], phantom)
    model = None
    rows: list[Row] = []
    for seconds, minutes in MINUTES.items():

        def made(seconds: float = seconds, minutes: Sequence[float] = minutes) -> list[Row]:
            nonlocal model
            if model is None:
                model = simulated.model(people)
            return simulated.rows(model, Length(max(minutes), seconds), minutes, people)

        rows += _kept(simulated.folder / f"{people}-people-{seconds:g}s.json", made)
    return rows


class Simulated:
    """Simulated people, whose runs a model of whole runs reads."""

    def __init__(self, folder: Path, phantom: Phantom) -> None:
        self.folder, self.phantom = folder, phantom
        bundle = phantom_bundle(phantom)
        part = replace(bundle.card.part, segment_seconds=SECONDS_PER_RUN)
        self.bundle = replace(bundle, card=replace(bundle.card, part=part))
        self.voxels = ModelVoxels.of(self.bundle)
        self.source = brain_positions(self.bundle).ravel()[self.voxels.places.positions]
        self.contrasts = [contrast.label for contrast in part.contrasts]

    def model(self, people: int) -> Any:
        """Fit the linear model to training people."""
        length = Length(TRAINED_MINUTES)
        training = [
            self.person(Cohort.TRAINING, n, self.connectome(Cohort.TRAINING, n, length))
            for n in track(range(people), "training people", console=Console(stderr=True))
        ]
        places = ListedPlaces(tuple(map(str, range(self.phantom.roi_maps.shape[1]))))
        space = ModelSpace(places, self.phantom.roi_maps, "phantom", "", "")
        return fitted("linear", training, space, self.contrasts)

    def connectome(self, cohort: int, n: int, length: Length) -> Connectome:
        """Simulate, clean and reduce a person's run."""
        run = SimulatedRun.of(self.phantom.person(cohort, n), length)
        return self.reduced(run, None)

    def reduced(self, run: SimulatedRun, minutes: float | None) -> Connectome:
        """Clean and reduce the first minutes of a run."""
        (part,) = run.connectomes(
            self.source, self.bundle, self.voxels, minutes=minutes, form=PARTIAL
        ).segments
        return part

    def person(self, cohort: int, n: int, part: Connectome, *, again: bool = False) -> Person:
        """Return a person with a connectome and one measured map, or two."""
        person = self.phantom.person(cohort, n)
        return Person(
            f"{n:03d}",
            part.r.astype(np.float16)[None],
            (part.residual_dof,),
            tuple(person.measured_maps(session) for session in range(1 + again)),
            form=PARTIAL,
            minutes=part.seconds / 60,
        )

    def rows(self, model: Any, length: Length, minutes: Sequence[float], people: int) -> list[Row]:
        """Predict test people from the first minutes of two runs, and score."""
        predicted = np.empty((len(minutes), 2, people, *self._shape), np.float32)
        dof, test, true = np.empty((len(minutes), people)), [], []
        title = f"test people, TR {length.repetition_time_s:g} s"
        for n in track(range(people), title, console=Console(stderr=True)):
            for number in range(2):
                simulated = self.phantom.person(Cohort.TEST, n)
                run = SimulatedRun.of(simulated, length, number)
                for k, some in enumerate(minutes):
                    part = self.reduced(run, some)
                    person = self.person(Cohort.TEST, n, part, again=True)
                    predicted[k, number, n] = model.predict(person)
                    dof[k, n] = part.residual_dof
            test.append(person)
            true.append(simulated.true_maps())
        ceilings = Ceilings.of(test)
        assert ceilings is not None
        measured = np.stack([person.maps for person in test])
        found = [scores(*own, measured, np.stack(true)) for own in predicted]
        return [
            {
                "tr": length.repetition_time_s,
                "minutes": some,
                "dof": float(dof[k].mean()),
                "ceiling": ceilings.residual_mean,
                **cells,
            }
            for (k, some), cells in zip(enumerate(minutes), _intervals(found, minutes), strict=True)
        ]

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.contrasts), self.phantom.roi_maps.shape[1]


def real_rows(folder: Path) -> list[Row]:
    """Return a row for each length of real people's rest."""
    people = read_arrays(
        [folder / "rest.npz", folder / "task.npz"], ["targets=beta", "contrasts=conditions"]
    )
    study = Study(people, SPLITS)
    found: dict[int, dict[str, list[Values]]] = {frames: {} for frames in REAL_FRAMES}
    splits = track(study.drawn(10, 10), "splits", total=SPLITS, console=Console(stderr=True))
    for split in splits:
        space, runs = study.measured(split, None)
        sets = study.sets(split, runs, PARTIAL.penalty, "linear")
        model = fitted("linear", sets[0], space, people.contrasts)
        measured = np.stack([person.maps for person in sets[1]])
        for frames in REAL_FRAMES:
            ends = [slice(0, frames), slice(-frames, None)]
            predicted = np.stack(
                [
                    [
                        model.predict(
                            study.person(
                                label,
                                [study.measure(label, space.roi_maps, end).whole],
                                PARTIAL.penalty,
                            )
                        )
                        for label in split.test
                    ]
                    for end in ends
                ]
            )
            own = scores(*predicted, measured, None)
            if 2 * frames > max(REAL_FRAMES) + 10:  # the two ends share frames
                own[0] = np.nan
            for label, values in zip(split.test, own.T, strict=True):
                found[frames].setdefault(label, []).append(values)
    (array, *_) = people.sessions_of(people.labels[0])
    minutes = [frames * array.tr_seconds / 60 for frames in found]
    means = [
        np.array([np.mean(own[label], axis=0) for label in sorted(own)]).T for own in found.values()
    ]
    return [
        {"tr": array.tr_seconds, "minutes": some, "dof": None, "ceiling": None, **cells}
        for some, cells in zip(minutes, _intervals(means, minutes), strict=True)
    ]


def scores(one: Array, other: Array, measured: Array, true: Array | None) -> Values:
    """Score predictions (people, contrasts, places) from two runs: (`SCORES`, people)."""
    found = []
    for q in range(measured.shape[1]):
        reliability = PeopleScores.of(other[:, q], one[:, q]).residual_r
        residual_r = PeopleScores.of(one[:, q], measured[:, q]).residual_r
        widths = [
            np.quantile(np.abs(one[:, q] - maps[:, q]), 0.9, axis=1)
            if maps is not None
            else np.full(len(one), np.nan)
            for maps in (measured, true)
        ]
        found.append([reliability, residual_r, *widths])
    return np.asarray(np.mean(found, axis=0), np.float64)


def _intervals(
    found: Sequence[Values], minutes: Sequence[float]
) -> list[dict[str, list[float] | None]]:
    """Return means over people with intervals, by score and length, as JSON has them.

    `found` are (`SCORES`, people) of each length.
    """
    usual = min(range(len(minutes)), key=lambda k: abs(minutes[k] - TRAINED_MINUTES))
    width = SCORES.index("half-width")
    rows = []
    for values in found:
        own = dict(zip(SCORES, values, strict=True))
        own[RELATIVE] = 100 * values[width] / found[usual][width]
        intervals = {name: t_interval(people) for name, people in own.items()}
        rows.append(
            {
                name: [one.mean, one.low, one.high] if np.isfinite(one.mean) else None
                for name, one in intervals.items()
            }
        )
    return rows


def _kept(path: Path, make: Any) -> list[Row]:
    """Read rows, or make them and write them."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()))
    rows: list[Row] = json.loads(path.read_text())
    return rows


def print_table(name: str, rows: Sequence[Row]) -> None:
    """Print a table of rows."""
    heads = ["TR", "minutes", "residual dof", "ceiling of residual r", *SCORES, RELATIVE]
    print(f"\n{name} people\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows:
        cells = [f"{row['tr']:g} s", f"{row['minutes']:.1f}"]
        cells.append("n/a" if row["dof"] is None else f"{row['dof']:.0f}")
        cells.append("n/a" if row["ceiling"] is None else f"{row['ceiling']:.2f}")
        for score in (*SCORES, RELATIVE):
            found, digits = row[score], {RELATIVE: 1}.get(score, 2 if "width" in score else 3)
            cells.append(
                "n/a"
                if found is None
                else f"{found[0]:.{digits}f} ({found[1]:.{digits}f} to {found[2]:.{digits}f})"
            )
        print(f"| {' | '.join(cells)} |")


def draw(tables: Mapping[str, Sequence[Row]], file: Path) -> None:
    """Draw the scores by minutes and by residual degrees of freedom."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [
        (f"simulated, TR {tr:g} s", colour, [r for r in tables["simulated"] if r["tr"] == tr])
        for tr, colour in zip(MINUTES, ("#5aa0b8", "#2456b8", "#8a4fb5"), strict=True)
    ]
    if "real" in tables:
        lines.append(("HCP, 20 people, by parcel", "#c9302a", list(tables["real"])))
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6.4), sharey="col")
    titles = (
        "reliability of the predicted deviation",
        "residual r with measured maps",
        RELATIVE,
    )
    for row, (key, label) in enumerate(
        (("minutes", "minutes of rest"), ("dof", "residual degrees of freedom"))
    ):
        shown = (*SCORES[:2], RELATIVE)
        for axis, score, title in zip(axes[row], shown, titles, strict=True):
            for name, colour, rows in lines:
                known = [r for r in rows if r[key] is not None and r[score] is not None]
                if not known:
                    continue
                middle, low, high = np.array([r[score] for r in known]).T
                axis.errorbar(
                    [r[key] for r in known],
                    middle,
                    [middle - low, high - middle],
                    marker="o",
                    markersize=4,
                    linewidth=1.4,
                    capsize=2,
                    color=colour,
                    label=name,
                )
            if row == 0:
                axis.set_title(title, fontsize=10)
            ticks = (3.6, 7.2, 14.4, 28.8, 57.6) if key == "minutes" else (50, 200, 500, 2000)
            axis.set_xscale("log")
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            axis.set_xlabel(label)
            axis.grid(alpha=0.25)
            if score != RELATIVE:
                axis.set_ylim(bottom=0)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=9, loc="lower center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(file, dpi=90)


if __name__ == "__main__":
    main()
