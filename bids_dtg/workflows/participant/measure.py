"""One resting-state run: from its files to connectomes and quality figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.cleaning.confounds import Confounds, load_confounds
from bids_dtg.cleaning.design import design_run, frequency_facts
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.connectome import Connectome, RunConnectomes, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import Arrays, arrays_on
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import (
    Blocks,
    MakeSmoothing,
    RunMoments,
    RunVoxels,
    measure_run,
)
from bids_dtg.connectome.range.judge import RangeJudge
from bids_dtg.connectome.range.pattern import PatternPlaces
from bids_dtg.connectome.range.sketch import Cells, Rest, Sketch
from bids_dtg.engine.display import Clock
from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import BoldHeader, frames_beyond, read_bold_header, stream_voxels
from bids_dtg.imaging.grid import voxel_edge_mm
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.placement import Method, Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.repetition_time import decide_repetition_time
from bids_dtg.imaging.sampling import Sampling
from bids_dtg.imaging.smoothing import MaskedSmoothing
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import CleaningOptions, InputChoice
from bids_dtg.stats.conformal import cell_block

# Below this a run's brain and the model's hardly meet: a wrong space or an empty image.
LEAST_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """What one run gives: connectomes, and how they came about."""

    run: RestRun  # its files
    connectomes: RunConnectomes  # whole run, segments, halves, coverage, tSNR
    design: TemporalDesign  # frames kept and columns removed
    cleaning: Mapping[str, object]  # what was decided about it, for the sidecar
    confounds: Confounds  # what the columns came from
    interpolation: Method  # how the model's voxels were taken out of the file
    voxel_mm: float  # edge of a cube of the volume of the file's voxels
    mask_overlap: float | None  # Dice of its brain mask and the model's; None where not known
    notes: tuple[str, ...]  # sentences on what was unusual


@dataclass(frozen=True, eq=False)
class ModelVoxels:
    """The voxels that a model reads: grey matter first, then the rest of the brain."""

    places: VoxelPlaces
    in_brain: NDArray[np.bool_]  # (voxels,), whether the ROI series are computed there
    maps: NDArray[np.float32]  # (rois, voxels), 0 outside the brain
    grey_voxels: int  # number of leading grey-matter voxels

    @classmethod
    def of(cls, bundle: ModelBundle) -> ModelVoxels:
        """Order a bundle's voxels as the pass over a run wants them."""
        grey, brain = bundle.voxels, bundle.brain_voxels
        rest = np.flatnonzero(brain.mask & ~grey.mask)
        positions = np.concatenate([grey.positions, rest])
        in_brain = brain.mask.ravel()[positions]
        # Position of each grid voxel among the brain's voxels, which order the maps.
        rank = np.cumsum(brain.mask.ravel()) - 1
        maps = bundle.roi_maps[:, rank[positions]]
        maps[:, ~in_brain] = 0.0
        return cls(VoxelPlaces(bundle.grid, positions), in_brain, maps, grey.number)


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """What is known of a run before its images are read."""

    header: BoldHeader  # of its file
    confounds: Confounds  # what is taken from its table
    design: TemporalDesign  # frames to keep and columns to remove
    notes: tuple[str, ...]  # sentences on what was unusual


def plan_run(
    run: RestRun,
    bundle: ModelBundle,
    cleaning: CleaningOptions,
    keep: NDArray[np.bool_] | None = None,
) -> PlannedRun:
    """Decide how a run is cleaned, by its file's header and its tables alone.

    Parameters
    ----------
    run
        Its files.
    bundle
        The model, whose space it must be in, or have transforms to.
    cleaning
        How runs are cleaned, by a strategy of the table.
    keep
        (frames,), False for frames to remove beside those of the cleaning.

    Raises
    ------
    TooShortError
        Less than ``min_minutes`` or ``min_dof`` are left.
    RunError
        Its space, its header or its table of confounds cannot be used.
    """
    _require_way_to(bundle, run)
    header = read_bold_header(run.bold)
    tr_seconds, notes = decide_repetition_time(
        run.bold, header.time, run.time_sidecar, run.tr_seconds
    )
    confounds = load_confounds(run, cleaning, n_frames=header.frames)
    if keep is not None:
        confounds = replace(confounds, keep=confounds.keep & _fitting(keep, run, header))
    design, more = design_run(run, confounds, tr_seconds, cleaning)
    found = (*notes, *_notes_on_frames(header), *design.notes, *confounds.notes, *more)
    return PlannedRun(header, confounds, design, found)


@dataclass(frozen=True, eq=False)
class Reader:
    """Reduces resting-state runs to connectomes for one model, in one pass over each file."""

    bundle: ModelBundle  # the model
    voxels: ModelVoxels  # its voxels, in the order of the pass
    cleaning: CleaningOptions  # how runs are cleaned, by a strategy of the table
    arrays: Arrays  # where sums are computed
    threads: int  # to compute with
    every_part: bool  # whether connectomes of the whole run and of its halves are kept
    form: Form  # of the connectomes
    other_lengths: bool = False  # whether those of shorter and longer parts than segments are

    @classmethod
    def of(
        cls,
        bundle: ModelBundle,
        cleaning: CleaningOptions,
        *,
        device: str = "cpu",
        threads: int = 1,
        every_part: bool = True,
        other_lengths: bool = False,
        form: Form | None = None,
    ) -> Reader:
        """Order a model's voxels, and prepare a device.

        Parameters
        ----------
        bundle, cleaning
            The model, and how to clean.
        device
            As `resolve_device` gives it.
        threads
            Threads to compute with.
        every_part
            Keep the connectomes of the whole run and of its halves beside those of segments.
        other_lengths
            Keep those of shorter and longer parts than segments, for a range to be learned from.
        form
            Of the connectomes; None: that which the model reads.
        """
        return cls(
            bundle=bundle,
            voxels=ModelVoxels.of(bundle),
            cleaning=cleaning,
            # The sums need float64, which Apple's GPUs have not.
            arrays=arrays_on("cpu" if device == "mps" else device),
            threads=threads,
            every_part=every_part,
            form=form or bundle.card.part.connectome,
            other_lengths=other_lengths,
        )

    @cached_property
    def judge(self) -> RangeJudge:
        """What runs are compared with, to judge whether the model is for them."""
        training = self.bundle.training_range
        cells = None
        if training is not None:
            cells = Cells.of(self.bundle.places.lattice(training.block).cell)
        return RangeJudge(self._pattern_places, training, cells)

    @cached_property
    def _pattern_places(self) -> PatternPlaces:
        voxels, places = self.voxels, self.bundle.places
        grey = voxels.maps[:, : voxels.grey_voxels]
        return PatternPlaces(grey, places.mirror(), places.neighbours())

    @cached_property
    def _cells(self) -> Cells:
        places = self.bundle.places
        return Cells.of(places.lattice(cell_block(places.spacing_mm)).cell)

    def sketch(self, run: RunConnectomes) -> Rest:
        """Keep of a run what the range of a model is learned from."""

        def sketched(parts: tuple[Connectome, ...]) -> tuple[Sketch, ...]:
            return tuple(
                Sketch.drawn(part, run, self._pattern_places, self._cells) for part in parts
            )

        return Rest((sketched(run.segments),), tuple(map(sketched, run.other_lengths)))

    def measure(
        self,
        run: RestRun,
        *,
        keep: NDArray[np.bool_] | None = None,
        clock: Clock | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> MeasuredRun:
        """Clean a run and reduce it to connectomes, in one pass over its file.

        Parameters
        ----------
        run
            What to read.
        keep
            (frames,), False for frames to remove beside those of the cleaning.
        clock
            Adds up the time of the stages.
        progress
            Called with the share of the frames that have been read.

        Raises
        ------
        TooShortError
            Less than ``min_minutes`` or ``min_dof`` are left after censoring.
        RunError
            The run's files cannot be used.
        """
        clock = Clock() if clock is None else clock
        with clock.time("confounds"):
            planned = plan_run(run, self.bundle, self.cleaning, keep)
        header, confounds, design = planned.header, planned.confounds, planned.design
        with clock.time("sampling"):
            source = self._open(run, header)
        moments = self._add_up(source, design, clock, progress)
        with clock.time("algebra"):
            connectomes = run_connectomes(
                moments,
                form=self.form,
                every_part=self.every_part,
                other_lengths=self.other_lengths,
                threads=self.threads,
            )
        if connectomes.coverage < LEAST_COVERAGE:
            raise RunError(
                f"{run.bold} has signal in {connectomes.coverage:.0%} of the model's grey matter",
                expected=f"at least {LEAST_COVERAGE:.0%}",
                remedy="check that the image is not empty and that its space is right",
            )
        return MeasuredRun(
            run=run,
            connectomes=connectomes,
            design=design,
            cleaning={**design.decisions, **frequency_facts(self.cleaning)},
            confounds=confounds,
            interpolation=source.interpolation,
            voxel_mm=voxel_edge_mm(header.affine),
            mask_overlap=source.mask_overlap,
            notes=(*planned.notes, *source.notes),
        )

    def _open(self, run: RestRun, header: BoldHeader) -> _Source:
        """Find out where the model's voxels lie in a run's file, and which have data."""
        bundle, voxels = self.bundle, self.voxels
        placement = Placement.through(voxels.places, run.transforms)
        sampling, method = placement.in_file(header, self.cleaning.interpolation)
        notes = _notes_on_forms(header)
        masked = _run_mask(run, placement, notes)
        return _Source(
            header=header,
            sampling=sampling,
            valid=sampling.covered & voxels.in_brain & masked,
            interpolation=method,
            mask_overlap=_mask_overlap(run, bundle, int((masked & voxels.in_brain).sum())),
            notes=tuple(notes),
        )

    def _add_up(
        self,
        source: _Source,
        design: TemporalDesign,
        clock: Clock,
        progress: Callable[[float], None],
    ) -> RunMoments:
        """Go through the file once."""

        def blocks() -> Blocks:
            stream = stream_voxels(source.header, source.sampling)
            with closing(stream):
                while True:
                    # What is not hidden behind the sums.
                    with clock.time("wait for file"):
                        item = next(stream, None)
                    if item is None:
                        return
                    first, block = item
                    progress((first + len(block)) / source.header.frames)
                    start = time.perf_counter()
                    yield first, block
                    clock.seconds["sums"] += time.perf_counter() - start

        try:
            return measure_run(
                blocks,
                design,
                RunVoxels(self.voxels.maps, self.voxels.grey_voxels, source.valid),
                segments=design.segments(
                    self.bundle.card.part.segment_seconds, halved=self.other_lengths
                ),
                arrays=self.arrays,
                smoothing=self._smoothing(),
            )
        except ValueError as err:
            raise RunError(f"{source.header.path} cannot be used: {err}") from err

    def _smoothing(self) -> MakeSmoothing | None:
        fwhm_mm = self.cleaning.smoothing_fwhm
        if fwhm_mm is None:
            return None
        return partial(MaskedSmoothing.within, self.voxels.places, fwhm_mm=fwhm_mm)


def measure(
    run: RestRun,
    bundle: ModelBundle,
    cleaning: CleaningOptions | None = None,
    *,
    input_type: InputChoice = "auto",
    device: str = "cpu",
    threads: int = 1,
) -> Connectome:
    """Clean a resting-state run and reduce it to the connectome that a model reads.

    Parameters
    ----------
    run
        From `find_runs`.
    bundle
        The model, whose voxels and ROI maps are taken.
    cleaning
        How to clean; by default as the program does where no option is given.
    input_type
        What the run was read from: it decides how to clean where `cleaning` leaves that open.
    device
        That computes: cpu or cuda.
    threads
        To compute with.

    Returns
    -------
    Connectome
        (rois, voxels of the bundle's mask) of the whole run. The program predicts maps for each
        segment of a run and averages them; segments, halves and figures of quality are in what
        `Reader.measure` returns.

    Raises
    ------
    RunError
        The run's files cannot be used, or too little time is left after censoring.
    SettingsError
        Options of the cleaning do not go together.

    Examples
    --------
    A simulated participant, and the model that ships with the program:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from bids_dtg.bundles.bundle import load_bundle
    >>> from bids_dtg.inputs.runs import find_runs
    >>> from bids_dtg.phantom.contrasts.dataset import RunPlan, write_run
    >>> from bids_dtg.phantom.contrasts.model import Phantom
    >>> folder = Path(mkdtemp())
    >>> person = Phantom().person(cohort=0, index=0)
    >>> write_run(folder, person, RunPlan(frames=60, repetition_time_s=5.0))
    >>> (run,) = find_runs(folder, "sim001")
    >>> connectome = measure(run, load_bundle("demo"))
    >>> connectome.r.shape, connectome.seconds
    ((50, 163310), 290.0)
    """
    cleaning = resolve(CleaningOptions() if cleaning is None else cleaning, input_type)
    reader = Reader.of(bundle, cleaning, device=device, threads=threads)
    whole = reader.measure(run).connectomes.whole
    assert whole is not None  # a reader keeps every part, if not made otherwise
    return whole


@dataclass(frozen=True, eq=False)
class _Source:
    """A run's file, and how the model's voxels are read from it."""

    header: BoldHeader  # of the file
    sampling: Sampling  # takes the voxels out of a frame
    valid: NDArray[np.bool_]  # (voxels,), that the file covers, in the brain of run and model
    interpolation: Method  # how voxels are taken out
    mask_overlap: float | None  # Dice of its brain mask and the model's; None where not known
    notes: tuple[str, ...]  # sentences on what was unusual


def _require_way_to(bundle: ModelBundle, run: RestRun) -> None:
    if not run.transforms and run.space != bundle.grid.space:
        raise RunError(
            f"{run.bold} is in {run.space}, with no transforms to it",
            expected=f"{bundle.grid.space}, the model's space, or transforms from it",
        )


def _fitting(keep: NDArray[np.bool_], run: RestRun, header: BoldHeader) -> NDArray[np.bool_]:
    if keep.shape != (header.frames,):
        raise RunError(
            f"{len(keep)} frames of {run.bold} are said to be kept or not",
            expected=f"{header.frames}, those of the file",
        )
    return keep


def _notes_on_frames(header: BoldHeader) -> list[str]:
    beyond = frames_beyond(header)
    if not beyond:
        return []
    return [
        f"The header says {header.frames} frames, and the file holds {header.frames + beyond}: "
        f"the first {header.frames} were used."
    ]


def _notes_on_forms(header: BoldHeader) -> list[str]:
    if not header.forms_differ_mm:
        return []
    return [
        "The header's sform was used; its qform, of another space, puts a voxel up to "
        f"{header.forms_differ_mm:.3g} mm elsewhere."
    ]


def _mask_overlap(run: RestRun, bundle: ModelBundle, shared_voxels: int) -> float | None:
    """Return the Dice overlap of the brain masks; None without a mask in the model's space."""
    if run.mask is None or run.transforms:
        return None  # a brain of native space has another volume
    values, affine = read_single(run.mask)
    of_run = float(np.count_nonzero(np.greater(values, 0.5)) * abs(np.linalg.det(affine[:3, :3])))
    voxel = float(abs(np.linalg.det(bundle.grid.affine[:3, :3])))
    of_model = voxel * float(bundle.brain.number)
    return 2 * voxel * shared_voxels / (of_run + of_model)


def _run_mask(run: RestRun, placement: Placement, notes: list[str]) -> NDArray[np.bool_]:
    if run.mask is None:
        notes.append("The run has no brain mask: every voxel with signal was used.")
        return np.ones(placement.voxels.number, dtype=bool)
    return placement.mask(run.mask)
