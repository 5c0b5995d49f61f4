"""What is usual of simulated people's connectomes: runs of many lengths, simulated and cleaned.

The connectomes that the network is trained on are simulated directly, all of them of one length.
Runs that are judged come through frames and cleaning: so the range is learned from such runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bids_dtg.cleaning.columns import FD, STD_DVARS, censored, choose_columns
from bids_dtg.cleaning.strategies import SHORTEST_STRETCH, find_strategy
from bids_dtg.connectome.connectome import RunConnectomes, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.moments import measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.connectome.training_distribution.distribution import TrainingDistribution
from bids_dtg.connectome.training_distribution.pattern import PatternPlaces
from bids_dtg.connectome.training_distribution.summary import (
    ConnectomeSummary,
    LatticeBlocks,
    Rest,
    pack_rest,
    unpack_rest,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.measure import ModelVoxels
from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.phantom.confounds import SignalRecorder, confounds_table
from bids_dtg.phantom.streams import Cohort
from bids_dtg.settings import CleaningOptions
from bids_dtg.stats.conformal import block_edge

_BLOCK = 64  # frames added at once
# A person has one run. Neighbours differ in length, and in how often they were sampled.
MINUTES = (4.2, 7.2, 15.0, 5.0, 10.0, 6.0, 12.0, 8.5)
REPETITION_TIMES_S = (1.5, 1.5, 0.8, 1.5, 2.5)
PEOPLE = 120
SIMPLE = CleaningOptions(denoise_strategy="simple")


@dataclass(frozen=True)
class Length:
    """How long a run is, and how often it was sampled."""

    minutes: float
    repetition_time_s: float = 1.5

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
        return round(60 * self.minutes / self.repetition_time_s)


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """A run in memory, before cleaning."""

    frames: NDArray[np.float32]  # (frames, brain voxels)
    table: Mapping[str, NDArray[np.float64]]  # of confounds, (frames,) by fMRIPrep's names
    non_steady: int  # frames at the start to drop
    repetition_time_s: float

    @classmethod
    def of(cls, person: Person, length: Length, number: int = 0) -> SimulatedRun:
        """Simulate a run of a person; runs of other numbers are other runs."""
        run = draw_run(person, length.frames, length.repetition_time_s, number)
        signals, done = SignalRecorder(run.anatomy), 0
        frames = np.empty((run.frames, int(run.anatomy.brain.sum())), np.float32)
        for block in run.blocks():
            signals.add(block)
            frames[done : done + len(block)] = block
            done += len(block)
        table, _ = confounds_table(
            run.motion, signals, non_steady=run.non_steady, repetition_time_s=run.repetition_time_s
        )
        return cls(frames, table, run.non_steady, run.repetition_time_s)

    def connectomes(
        self,
        source: NDArray[np.intp],
        bundle: ModelBundle,
        voxels: ModelVoxels,
        *,
        cleaning: CleaningOptions | None = SIMPLE,
        minutes: float | None = None,
        other_lengths: bool = False,
        form: Form = MARGINAL,
    ) -> RunConnectomes:
        """Clean the run and correlate, as the program does.

        Parameters
        ----------
        source
            For each of `voxels` the brain voxel whose signal it shows, -1: none.
        bundle, voxels
            The model, and its voxels.
        cleaning
            Strategy and its options; None: nothing is removed.
        minutes
            That are kept, from the first frame; None: all.
        other_lengths
            Add connectomes of shorter and longer parts than segments.
        form
            Form of the connectomes.
        """
        keep = np.ones(len(self.frames), bool)
        if minutes is not None:
            keep = np.arange(len(keep)) < round(60 * minutes / self.repetition_time_s)
        keep[: self.non_steady] = False
        names: tuple[str, ...] = ()
        if cleaning is not None:
            names, keep = self._cleaned(cleaning, keep)
        design = TemporalDesign.build(
            np.stack([self.table[name] for name in names], axis=1) if names else None,
            names,
            keep,
            self.repetition_time_s,
        )

        def blocks() -> Blocks:
            for first in range(0, len(self.frames), _BLOCK):
                yield first, self.frames[first : first + _BLOCK][:, source]

        moments = measure_run(
            blocks,
            design,
            voxels.of_run(source >= 0),
            segments=design.segments(bundle.card.part.segment_seconds, halved=other_lengths),
        )
        return run_connectomes(moments, form=form, every_part=False, other_lengths=other_lengths)

    def _cleaned(
        self, cleaning: CleaningOptions, keep: NDArray[np.bool_]
    ) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
        """Return the columns that a strategy removes, and the frames that it keeps."""
        row = find_strategy(cleaning.denoise_strategy)
        components = [name for name in self.table if name.startswith("a_comp_cor")]
        names = choose_columns(row.nilearn_arguments(cleaning), tuple(self.table), components)
        if row.censors:
            over = self.table[FD] > cleaning.scrubbing_fd_mm
            over |= self.table[STD_DVARS] > cleaning.scrubbing_std_dvars
            keep = keep & ~censored(over, SHORTEST_STRETCH)
        return names, keep


def brain_positions(bundle: ModelBundle) -> NDArray[np.intp]:
    """Return the position of each voxel of the grid among the brain's, -1: outside."""
    brain = np.full(bundle.grid.shape, -1)
    brain[bundle.brain.mask] = np.arange(np.count_nonzero(bundle.brain.mask))
    return brain


def pattern_places(bundle: ModelBundle, voxels: ModelVoxels) -> PatternPlaces:
    """Return what patterns are taken by."""
    return voxels.pattern_places(bundle.places)


def learn_distribution(
    folder: Path,
    phantom: Phantom,
    bundle: ModelBundle,
    people: int = PEOPLE,
    *,
    cleaning: CleaningOptions = SIMPLE,
) -> TrainingDistribution:
    """Learn what is usual among the training people, on 4 to 15 minutes of rest.

    Runs that keep too few frames are left out, as the program does. What was simulated is kept in
    `folder`: the same command resumes a stopped call.
    """
    voxels, edge = ModelVoxels.of(bundle), block_edge(bundle.places.spacing_mm)
    places = pattern_places(bundle, voxels)
    blocks = LatticeBlocks.of(bundle.places.lattice(edge).block_of)
    source = brain_positions(bundle).ravel()[voxels.places.positions]

    def summarised(n: int) -> Rest | None:
        length = planned(n)
        run = SimulatedRun.of(phantom.person(Cohort.TRAINING, n), length)
        try:
            result = run.connectomes(source, bundle, voxels, cleaning=cleaning, other_lengths=True)
        except ValueError as err:
            print(f"training person {n} is left out: {err}", file=sys.stderr)
            return None

        def summary(part: object) -> ConnectomeSummary:
            return ConnectomeSummary.of_part(part, result, places, blocks)

        others = tuple(tuple(map(summary, parts)) for parts in result.other_lengths)
        return Rest((tuple(map(summary, result.segments)),), others)

    facts = {"phantom": phantom.parameters.hash, "seed": phantom.seed, "model": bundle.card.name}
    if cleaning != SIMPLE:
        facts["strategy"] = cleaning.denoise_strategy
    rest = [
        _kept(folder / f"{n:03d}", facts | asdict(planned(n)), lambda n=n: summarised(n))
        for n in track(range(people), "Runs of many lengths", console=Console(stderr=True))
    ]
    return TrainingDistribution.learn([each for each in rest if each is not None], edge)


def planned(n: int) -> Length:
    """Return the length of a person's run."""
    return Length(MINUTES[n % len(MINUTES)], REPETITION_TIMES_S[n % len(REPETITION_TIMES_S)])


def _kept(path: Path, facts: dict[str, object], make: Callable[[], Rest | None]) -> Rest | None:
    """Read a person's summaries, or make them and write them; None: there are none."""
    array, notes = path.with_suffix(".npy"), path.with_suffix(".json")
    if notes.exists():
        found = json.loads(notes.read_text())
        if found.pop("facts") == facts:
            return unpack_rest(np.load(array), found)
    if (rest := make()) is None:
        return None
    cells, found = pack_rest(rest)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(array, cells)
    notes.write_text(json.dumps({"facts": facts, **found}))
    return rest
