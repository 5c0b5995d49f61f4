"""The demo: run simulated people through the participant level and compare with the truth."""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float32, Floats
from bids_dtg.contrasts.analyses.group import run_group
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.maps import map_path
from bids_dtg.contrasts.participant.worker import LEVEL
from bids_dtg.contrasts.phantom.dataset import (
    CONTENTS,
    cut_run,
    describe_datasets,
    participant_label,
    write_participant,
)
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.text import write_tsv
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.notices import counted, say, show
from bids_dtg.phantom.streams import Cohort
from bids_dtg.progress import Board
from bids_dtg.report.page import write_demo
from bids_dtg.report.participant import GROUP, INDEX
from bids_dtg.report.pictures import draw_maps
from bids_dtg.report.tables import Table
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.workflows import PICTURE, SIMULATED, TABLE

# The average map of this many other people is compared with the predictions. Their maps have no
# noise, so the average is as good as that of a large sample.
_GROUP_SIZE = 12
# A run is as long as the segments that the model was trained on, and small on disk.
_FRAMES, _TR_SECONDS = 144, 3.0
# The contrast that the picture shows.
PICTURED = "wm2bk"
_MAPS = "maps"  # folder of the output
_SIMULATED = "Everything here is SIMULATED; the demo model is not for science."
_WORDS = (
    f"Group average: the mean map of {_GROUP_SIZE} other simulated people, without noise.",
    "Own: r after subtracting that average from prediction and truth, i.e. r of the participant's "
    "deviations from the group.",
)


def run_demo(arguments: argparse.Namespace) -> int:
    """Simulate, predict, compare with the truth, draw.

    Parameters
    ----------
    arguments
        `out`, a new or empty folder, and the number of `participants`. With `broken_run`, the last
        participant's run is cut in half, to show what a failure looks like.

    Returns
    -------
    The number of participants that failed.
    """
    bundle = load_bundle("demo")
    phantom = Phantom(seed=0)
    out = arguments.out
    people = [
        phantom.person(Cohort.DEMO, index) for index in range(arguments.participants)
    ]
    write_people(
        out / SIMULATED,
        phantom,
        people,
        frames=_FRAMES,
        repetition_time_s=_TR_SECONDS,
        program="dtg-demo",
        contents=("fmriprep", "truth"),
    )
    if arguments.broken_run:
        cut_run(out / SIMULATED, people[-1])
    settings = Settings.of(
        bids_dir=out / SIMULATED / "fmriprep",
        output_dir=out / _MAPS,
        analysis_level="participant",
        model="demo",
        atlases=("Schaefer400",),
    )
    failed = LEVEL.run(settings)
    first = bundle.contrasts[0]
    predicted = [
        person for person in people if _map_path(out, person, first, bundle).exists()
    ]
    if predicted:
        run_group(settings.replace(analysis_level="group"))
        _compare(out, predicted, phantom, bundle)
    show(f"maps: {settings.inputs.output_dir}")
    return failed


def run_phantom(arguments: argparse.Namespace) -> None:
    """Write the datasets of simulated people that the arguments ask for."""
    phantom = Phantom(seed=arguments.seed)
    people = [
        phantom.person(Cohort.DEMO, index) for index in range(arguments.participants)
    ]
    write_people(
        arguments.out,
        phantom,
        people,
        frames=arguments.frames,
        repetition_time_s=arguments.repetition_time,
        program="dtg-phantom",
    )


def write_people(
    folder: Path,
    phantom: Phantom,
    people: Sequence[Person],
    *,
    frames: int = 300,
    repetition_time_s: float = 1.5,
    program: str,
    contents: Collection[str] = tuple(CONTENTS),
) -> None:
    """Write simulated people's datasets, and report the progress."""
    describe_datasets(
        folder,
        phantom,
        people,
        frames=frames,
        repetition_time_s=repetition_time_s,
        program=program,
        contents=contents,
    )
    with Board(len(people)) as board:
        lane = board.lane(0)
        for person in people:
            start = time.perf_counter()
            lane.start(f"simulating sub-{participant_label(person.index)}")
            # A new object per person, because it holds large arrays that are freed with it.
            write_participant(
                folder,
                phantom.person(person.cohort, person.index),
                frames=frames,
                repetition_time_s=repetition_time_s,
                stage=lane.stage,
                contents=contents,
            )
            lane.finish(f"written in {time.perf_counter() - start:.0f} s")
            board.advance()
        board.note(f"{counted(people, 'simulated participant')} in {folder}")


def _map_path(
    out: Path, person: Person, contrast: Contrast, bundle: ModelBundle
) -> Path:
    entities = {"sub": participant_label(person.index), "task": "rest"}
    return out / _MAPS / map_path(entities, bundle, ".nii.gz", contrast=contrast.label)


def _read_maps(out: Path, person: Person, bundle: ModelBundle) -> Float32:
    """Return a person's written maps, (contrasts, voxels)."""
    rows = [
        read_volume(_map_path(out, person, contrast, bundle))[0][bundle.voxels.mask]
        for contrast in bundle.contrasts
    ]
    return np.asarray(rows, np.float32)


def _compare(
    out: Path, people: Sequence[Person], phantom: Phantom, bundle: ModelBundle
) -> None:
    """Correlate maps with the simulated truth; write a table, a figure and a page."""
    say("comparing with the simulated truth …")
    group = np.zeros((len(bundle.contrasts), bundle.places.number), np.float32)
    labels = [contrast.label for contrast in bundle.contrasts]
    number = labels.index(PICTURED)
    correlations = []  # of each person, (three, contrasts)
    with Board(_GROUP_SIZE + len(people)) as board:
        for index in range(_GROUP_SIZE):
            maps = phantom.person(Cohort.TEST, index).true_maps()
            group += maps / np.float32(_GROUP_SIZE)
            board.advance()
        for person in people:
            truth, maps = person.true_maps(), _read_maps(out, person, bundle)
            pairs = (maps, truth), (group, truth), (maps - group, truth - group)
            correlations.append([correlation(*pair) for pair in pairs])
            board.advance()
            if person is people[0]:
                pictured = truth[number], maps[number], group[number]
                _draw(out, person, pictured, bundle)
    scores = np.mean(correlations, axis=0).T  # (contrasts, three)
    columns = ["contrast", "r_predicted_truth", "r_group_truth", "r_own"]
    rows = zip(labels, np.round(scores, 4), strict=True)
    write_tsv(out / TABLE, columns, [(label, *row) for label, row in rows])
    _write_page(out, len(people), labels, scores)


def _draw(
    out: Path,
    person: Person,
    maps: tuple[Float32, Float32, Float32],
    bundle: ModelBundle,
) -> None:
    """Draw a contrast's maps (voxels,) of a person: true, predicted and the group's average."""
    truth, predicted, average = maps
    title = f"{PICTURED}, SIMULATED data, demo model: not for science"
    participant = f"sub-{participant_label(person.index)}"
    rows = {
        f"{participant}: simulated truth": truth,
        f"{participant}: predicted from rest": predicted,
        f"average of {_GROUP_SIZE} other simulated people": average,
    }
    units = bundle.part.units
    write_atomic(
        out / PICTURE, draw_maps(rows, bundle.voxels, title=title, units=units)
    )


def _write_page(out: Path, people: int, labels: Sequence[str], scores: Floats) -> None:
    """Show the mean scores, and write the page; scores are (contrasts, three)."""
    headings = ("r with the simulated truth", "predicted map", "group average", "own")
    mean = [f"mean of {len(labels)} contrasts", *scores.mean(axis=0).tolist()]
    every = [(label, *row) for label, row in zip(labels, scores.tolist(), strict=True)]
    show("")
    show(f"{headings[0]}, {mean[0]}")
    for heading, value in zip(headings[1:], mean[1:], strict=True):
        show(f"  {heading:16}{value:.3f}")
    write_demo(
        out,
        "Demo: predicted maps and the truth",
        f"{counted(people, 'simulated participant')}; maps by the demo model.",
        _SIMULATED,
        text=_WORDS,
        tables=[
            Table("", headings, [mean]),
            Table("", headings, every, folded="Each contrast"),
        ],
        pages={
            f"{_MAPS}/{INDEX}": "Reports of the participants",
            f"{_MAPS}/{GROUP}": "Group page",
            TABLE: "The table above, as a file",
        },
    )
