"""The demo: simulated people through the participant level, their maps compared with the truth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.overview.analysis import run_group
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.map_files import map_path
from bids_dtg.contrasts.participant.worker import LEVEL
from bids_dtg.contrasts.phantom.dataset import (
    RunPlan,
    cut_run,
    describe_datasets,
    participant_label,
    write_participant,
)
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.engine.display import Reporter, make_board
from bids_dtg.engine.messages import End, NotBegun, Raised, WorkerDied, follow
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, Work
from bids_dtg.errors import OutputError
from bids_dtg.files.text import write_tsv
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.notices import counted, say, show
from bids_dtg.phantom.streams import Cohort
from bids_dtg.report.contents import SYNTHETIC
from bids_dtg.report.demo import SIMULATED, TABLE, keep_picture
from bids_dtg.report.pages.index import INDEX
from bids_dtg.report.pages.page import missing_packages
from bids_dtg.report.pictures import draw_maps
from bids_dtg.settings import Settings
from bids_dtg.version import __version__

# Other people, whose average map is compared with the predictions. Their maps have no noise, so
# that the average is as good as that of a large sample.
_GROUP_SIZE = 24
# The contrast that the picture shows.
PICTURED = "wm2bk"


@dataclass(frozen=True, eq=False)
class DemoScores:
    """How well maps match the simulated truth: Pearson r over grey matter."""

    participants: tuple[str, ...]  # labels of those with maps
    contrasts: tuple[str, ...]  # labels
    predicted: NDArray[np.float64]  # (participants, contrasts)
    group: NDArray[np.float64]  # (participants, contrasts), of the average map of other people
    own: NDArray[np.float64]  # (participants, contrasts), after subtracting that average from both


def run_demo(out: Path, *, participants: int, broken_run: bool) -> int:
    """Simulate, predict, compare with the truth, draw.

    Parameters
    ----------
    out
        Output folder; it must be new or empty.
    participants
        How many people to simulate.
    broken_run
        Cut the last participant's run in half, to show how a failure looks.

    Returns
    -------
    The number of participants that failed.
    """
    bundle, phantom = load_bundle("demo"), Phantom(seed=0)
    people = [phantom.person(Cohort.DEMO, index) for index in range(participants)]
    write_people(out / SIMULATED, phantom, people, plan=RunPlan(), program="dtg-demo")
    if broken_run:
        cut_run(out / SIMULATED, people[-1])
    settings = Settings.of(
        bids_dir=out / SIMULATED / "fmriprep",
        output_dir=out / "maps",
        analysis_level="participant",
        model="demo",
    )
    failed = LEVEL.run(settings)
    first = bundle.contrasts[0]
    made = [person for person in people if _map_path(out, person, first, bundle).exists()]
    if made:
        _compare(out, made, phantom, bundle)
        if not missing_packages():
            run_group(settings.replace(analysis_level="group"))
            show(f"reports: {settings.inputs.output_dir / INDEX}")
    show(f"maps: {settings.inputs.output_dir}")
    return failed


def write_people(
    folder: Path, phantom: Phantom, people: Sequence[Person], *, plan: RunPlan, program: str
) -> None:
    """Write simulated people's datasets, and report the progress."""
    generator = {"Name": f"bids_dtg {program}", "Version": __version__}
    describe_datasets(folder, phantom, people, plan=plan, generator=generator)
    written = {participant_label(person.index): person for person in people}
    with make_board(len(people)) as board:
        # One process: each person is simulated on all cores, in most of a small machine's memory.
        pool = Pool(
            partial(_writing, folder, written, plan),
            1,
            forked=True,
            before_start=board.before_fork,
        )
        messages = pool.run(Backlog(written))
        with closing(follow(messages, board, lambda label: f"simulating sub-{label}")) as ends:
            for _, end in ends:
                _check(end)
                board.advance()
        board.note(f"{counted(len(people), 'simulated participant')} in {folder}")


def _map_path(out: Path, person: Person, contrast: Contrast, bundle: ModelBundle) -> Path:
    entities = {"sub": participant_label(person.index), "task": "rest"}
    return out / "maps" / map_path(entities, contrast, SYNTHETIC, ".nii.gz", bundle=bundle)


def _read_maps(out: Path, person: Person, bundle: ModelBundle) -> NDArray[np.float32]:
    """Return a person's written maps, (contrasts, voxels)."""
    rows = [
        read_volume(_map_path(out, person, contrast, bundle))[0][bundle.voxels.mask]
        for contrast in bundle.contrasts
    ]
    return np.asarray(rows, np.float32)


def _compare(out: Path, people: Sequence[Person], phantom: Phantom, bundle: ModelBundle) -> None:
    say("comparing with the simulated truth …")
    group = np.zeros((len(bundle.contrasts), bundle.places.number), np.float32)
    for index in range(_GROUP_SIZE):
        group += phantom.person(Cohort.TEST, index).true_maps() / np.float32(_GROUP_SIZE)
    predicted, average, own = [], [], []
    for person in people:
        truth, maps = person.true_maps(), _read_maps(out, person, bundle)
        predicted.append(_row_correlations(maps, truth))
        average.append(_row_correlations(group, truth))
        own.append(_row_correlations(maps - group, truth - group))
        if person is people[0]:
            _draw(out, person, truth, maps, group, bundle)
    scores = DemoScores(
        participants=tuple(participant_label(person.index) for person in people),
        contrasts=tuple(contrast.label for contrast in bundle.contrasts),
        predicted=np.array(predicted),
        group=np.array(average),
        own=np.array(own),
    )
    _write_scores(out / TABLE, scores)
    _print_scores(scores, out)


def _row_correlations(
    one: NDArray[np.floating], other: NDArray[np.floating]
) -> NDArray[np.float64]:
    one, other = (maps - maps.mean(axis=1, keepdims=True) for maps in (one, other))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    r: NDArray[np.float64] = np.einsum("cv,cv->c", one, other) / norms
    return r


def _write_scores(path: Path, scores: DemoScores) -> None:
    columns = ["contrast", "r_predicted_truth", "r_group_truth", "r_own"]
    rows = zip(
        scores.contrasts,
        np.round(scores.predicted.mean(axis=0), 4),
        np.round(scores.group.mean(axis=0), 4),
        np.round(scores.own.mean(axis=0), 4),
        strict=True,
    )
    write_tsv(path, columns, rows)


def _print_scores(scores: DemoScores, out: Path) -> None:
    def line(label: str, *values: object) -> None:
        cells = (
            f"{value:10.3f}" if isinstance(value, float) else f"{value:>10}" for value in values
        )
        show(f"  {label:26}{''.join(cells)}")

    people = counted(len(scores.participants), "participant")
    show("")
    show(f"r with the simulated truth, mean over {people}")
    line("contrast", "predicted", "group", "own")
    columns = [rows.mean(axis=0) for rows in (scores.predicted, scores.group, scores.own)]
    for label, *values in zip(scores.contrasts, *columns, strict=True):
        line(label, *map(float, values))
    line("mean", *(float(column.mean()) for column in columns))
    for words in (
        f"group: the average map of {_GROUP_SIZE} other simulated people, without noise; "
        "own: r after subtracting",
        "that average from prediction and truth, the participant's deviation from the group.",
        "Everything here is SIMULATED; the demo model is not for science.",
        "",
    ):
        show(words)
    show(f"table: {out / TABLE}")


def _draw(
    out: Path,
    person: Person,
    truth: NDArray[np.floating],
    maps: NDArray[np.floating],
    group: NDArray[np.floating],
    bundle: ModelBundle,
) -> None:
    number = [contrast.label for contrast in bundle.contrasts].index(PICTURED)
    label = f"sub-{participant_label(person.index)}"
    rows = {
        f"{label}: simulated truth": truth[number],
        f"{label}: predicted from rest": maps[number],
        f"average of {_GROUP_SIZE} other simulated people": group[number],
    }
    title = f"{PICTURED}, SIMULATED data, demo model: not for science"
    picture = draw_maps(rows, bundle.voxels, title=title, units=bundle.card.part.units)
    keep_picture(out, picture)


def _writing(folder: Path, people: Mapping[str, Person], plan: RunPlan) -> Work[None]:
    """Return the function that writes a person's files."""

    def write(label: str, reporter: Reporter) -> None:
        start = time.perf_counter()
        write_participant(folder, people[label], plan=plan, stage=reporter.stage)
        reporter.finish(f"written in {time.perf_counter() - start:.0f} s")

    return write


def _check(end: End[None]) -> None:
    """Raise the error of a person's process, if there was one."""
    match end:
        case Raised(error=err, trace=trace):
            raise err from RuntimeError(trace)
        case WorkerDied(label, reason) | NotBegun(label, reason):
            raise OutputError(f"the process that simulated sub-{label} died: {reason}")
