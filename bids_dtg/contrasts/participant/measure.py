"""Turn one resting-state run into connectomes and quality metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Floats, Indices, Mask
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.checks import RunCheck, judge_run
from bids_dtg.connectome.connectome import (
    Connectome,
    RunConnectomes,
    array_design,
    cleaned_courses,
    real_numbers,
    run_connectomes,
)
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import FORMS, Form
from bids_dtg.connectome.moments import RunMoments, RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks, Carpet
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.panels.presentation import MAPS
from bids_dtg.contrasts.panels.run import GREY, PARCEL, REST, MeasuredRun
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS
from bids_dtg.files.tensors import let_go
from bids_dtg.imaging.bold import MeanFrame
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import NiftiHeader, read_single
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.run_source import (
    RunSource,
    as_run_error,
    notes_on_parcels,
    require_coverage,
    require_parcels,
)
from bids_dtg.settings import CleaningOptions, InputChoice

# Frames averaged for the registration figure; enough to see where the brain is.
_MEAN_OVER = 8
# Voxels of a carpet in the model's grey matter, and in the rest of its brain mask.
_CARPET_GREY, _CARPET_REST = 75, 25
_FRAMES = 32  # frames of an array that are read at once


class Reader:
    """Reduces resting-state runs to connectomes for one model, in one pass over each file.

    Grey matter comes first, then the rest of the brain, each in the order of a file on the model's
    grid, because reading memory in order is fast. Parcels all count as grey matter, in the model's
    order.

    Parameters
    ----------
    bundle, cleaning
        The model, and the options of cleaning.
    threads
        Number of threads to compute with.
    keep_whole
        Whether to compute the connectome of the whole run as well as those of its segments.
    """

    places: Places  # voxels or parcels that are read
    in_brain: Mask  # (places,), whether the ROI series are computed there
    maps: Floats  # (rois, places), 0 outside the brain
    order: Indices  # (grey matter,), position of each among the model's places

    def __init__(
        self,
        bundle: ModelBundle,
        cleaning: CleaningOptions,
        *,
        threads: int = 1,
        keep_whole: bool = True,
    ) -> None:
        self.bundle = bundle
        self.cleaning = cleaning
        self.threads = threads
        self.keep_whole = keep_whole
        if bundle.part.parcels:
            self.places = bundle.places
            self.order = np.arange(bundle.places.number)
            self.in_brain = np.ones(len(self.order), bool)
            # A copy in memory, because they are read again and again.
            self.maps = np.array(bundle.roi_maps, np.float32)
            let_go(bundle.roi_maps)
            return
        grey, brain = bundle.voxels, bundle.brain_voxels
        self.order = order = _as_in_a_file(grey.positions, bundle.grid)
        rest = np.flatnonzero(brain.mask & ~grey.mask)
        rest = rest[_as_in_a_file(rest, bundle.grid)]
        positions = np.concatenate([grey.positions[order], rest])
        self.places = VoxelPlaces(bundle.grid, positions)
        self.in_brain = brain.mask.ravel()[positions]
        if bundle.part.several:
            self.maps = np.zeros((len(bundle.roi_maps), len(positions)), np.float32)
            # One at a time, because the model's are mapped from a file.
            for row, roi_map in zip(self.maps, bundle.roi_maps, strict=True):
                row[: len(order)] = roi_map[order]
            self.maps[:, ~self.in_brain] = 0.0
        else:
            self.maps = bundle.brain_maps_at(positions)
        let_go(bundle.roi_maps)

    @property
    def form(self) -> Form:
        """The form of the connectomes that the model reads."""
        return self.bundle.part.connectome

    @cached_property
    def carpet_voxels(self) -> Mapping[str, Indices]:
        """Positions of the carpet's voxels, evenly over the file; grey matter sorted by ROI map."""
        positions = np.arange(self.places.number)
        if not isinstance(self.places, VoxelPlaces):
            parcels = _evenly(positions, _CARPET_GREY + _CARPET_REST)
            return {PARCEL: self._by_map(parcels)}
        grey, rest = np.split(positions, [len(self.order)])
        in_grey = self._by_map(_evenly(grey, _CARPET_GREY))
        return {GREY: in_grey, REST: _evenly(rest, _CARPET_REST)}

    def _by_map(self, places: Indices) -> Indices:
        """Sort voxels by the ROI map that is strongest there."""
        strongest = np.abs(self.maps[:, places]).argmax(axis=0)
        return places[np.argsort(strongest, kind="stable")]

    def run_voxels(self, valid: Mask) -> RunVoxels:
        """Return the arrays that are needed to sum over a run, for connectomes in model order.

        Parameters
        ----------
        valid
            (voxels,), whether the run has signal there.
        """
        places = self.places
        homotopic = places.homotopic if isinstance(places, ParcelPlaces) else None
        return RunVoxels(
            self.maps,
            len(self.order),
            valid,
            brain=self.in_brain,
            order=self.order,
            homotopic=homotopic,
            form=self.form,
            combine=self.bundle.combine,
        )

    def judge(self, run: RunConnectomes, mask_overlap: float | None) -> RunCheck:
        """Check whether the model suits a run, by one set of ROIs."""
        rows = self.form.one_set(self.bundle.rois)
        combine = self.bundle.combine
        maps = self.maps[:, : len(self.order)]
        weights = None if combine is None else combine[rows].astype(np.float32)
        maps = maps[rows] if weights is None else weights @ maps
        return judge_run(
            run.with_one_set(),
            mask_overlap,
            maps,
            np.argsort(self.order),
            self.mirror,
            MAPS,
        )

    @cached_property
    def mirror(self) -> Indices:
        """Index of the mirrored voxel or parcel of the model, (voxels,); -1: none."""
        return self.bundle.places.mirror()

    def measure(
        self,
        run: RestRun,
        *,
        keep: Mask | None = None,
        cleaning: CleaningOptions | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> MeasuredRun:
        """Clean a run and reduce it to connectomes, in one pass over its file.

        Parameters
        ----------
        run
            The run, from `find_runs`.
        keep
            (frames,), False for frames to remove in addition to those that cleaning removes.
        cleaning
            Options for this run; None: the reader's.
        progress
            Receives the share of frames that have been read.

        Raises
        ------
        TooShortError
            Less than ``min_minutes``, or too few degrees of freedom, are left after censoring.
        RunError
            The run's files cannot be used.
        """
        cleaning = cleaning or self.cleaning
        source = RunSource.of(run, self.bundle.space, self.places, cleaning, keep)
        header, design = source.planned.header, source.planned.design
        mask_overlap = self._mask_overlap(run, source)
        mean_frame = None
        watch = dict[str, Any]()
        if isinstance(header, NiftiHeader):
            mean_frame = MeanFrame(header, design.keep, _MEAN_OVER)
            watch = {"watch": mean_frame.add}
        carpet = Carpet(np.concatenate([*self.carpet_voxels.values()]), header.frames)
        with as_run_error(run):
            moments = measure_run(
                lambda: carpet.watching(source.blocks(progress, **watch)),
                design,
                self.run_voxels(source.valid),
                outside=source.outside,
                segments=design.segments(self.bundle.part.cut_seconds),
                smoothing=source.smoothing,
                threads=self.threads,
            )
        connectomes, notes = self._connectomes(moments, source, run)
        fields = source.cleaned(run, cleaning) | {"notes": notes}
        if self.form.joint:
            fields["cleaning"]["places_standardised_by"] = "all frames"
        return MeasuredRun(
            **fields,
            interpolation=cleaning.interpolation,
            mean_frame=mean_frame,
            bundle=self.bundle,
            connectomes=connectomes,
            carpet=carpet,
            carpet_rows={key: len(rows) for key, rows in self.carpet_voxels.items()},
            mask_overlap=mask_overlap,
            vertices=source.vertices,
        )

    def _connectomes(
        self, moments: RunMoments, source: RunSource, run: RestRun
    ) -> tuple[RunConnectomes, tuple[str, ...]]:
        """Return a run's connectomes from its sums, and notes on it, if it covers enough."""
        # Several sets need many small products, for which one thread is fastest.
        with one_blas_thread() if self.form.sets else nullcontext():
            connectomes = run_connectomes(
                moments,
                keep_whole=self.keep_whole,
                scatter=self.bundle.part.joins_runs,
                threads=self.threads,
            )
        notes = source.notes
        if source.surface is not None:
            connectomes = connectomes.with_deviation(source.surface.deviation)
            notes = tuple(map(source.surface.on_maps, notes))
        places, covered = self.bundle.places, connectomes.covered
        if isinstance(places, ParcelPlaces):
            require_parcels(run.bold, places, covered, at_vertices=bool(run.cortex))
            notes = (*notes, *notes_on_parcels(places.names, covered))
        require_coverage(run.bold, connectomes.coverage, "the model's grey matter")
        return connectomes, notes

    def courses(self, run: RestRun, most: int) -> Float32:
        """Clean a run and return its time series at the model's voxels, in one pass.

        Parameters
        ----------
        run
            The run, from `find_runs`.
        most
            Largest number of frames; in a longer run, consecutive frames are averaged.

        Returns
        -------
        (voxels, frames kept or means of frames); 0 at voxels without signal.

        Raises
        ------
        TooShortError, RunError
            As for `measure`.
        """
        source = RunSource.of(run, self.bundle.space, self.places, self.cleaning)
        design = source.planned.design
        voxels = RunVoxels(
            np.zeros((0, self.places.number), np.float32),
            len(self.order),
            source.valid,
            order=self.order,
            form=FORMS["partial"],
        )
        with as_run_error(run):
            moments = measure_run(
                source.blocks,
                design,
                voxels,
                segments=design.segments(math.inf),
                smoothing=source.smoothing,
                outside=source.outside,
                threads=self.threads,
            )
        coverage = float(moments.varying[: len(self.order)].mean())
        require_coverage(run.bold, coverage, "the model's grey matter")
        return cleaned_courses(moments, most)

    def _mask_overlap(self, run: RestRun, source: RunSource) -> float | None:
        """Return the Dice overlap of the brain masks; None without a mask in the model's space."""
        in_mask = source.in_mask
        if run.mask is None or run.transforms or in_mask is None:
            return None  # in native space, the brain has another volume; vertices have none
        values, affine = read_single(run.mask)
        run_voxels = np.count_nonzero(np.greater(values, 0.5))
        run_volume = float(run_voxels * abs(np.linalg.det(affine[:3, :3])))
        voxel = float(abs(np.linalg.det(self.bundle.grid.affine[:3, :3])))
        model_volume = voxel * float(self.bundle.brain.number)
        shared = int((in_mask & self.in_brain).sum())
        return 2 * voxel * shared / (run_volume + model_volume)


def _evenly(voxels: Indices, most: int) -> Indices:
    """Return at most so many of the voxels, at equal steps."""
    steps = np.linspace(0, len(voxels) - 1, min(most, len(voxels)))
    return voxels[steps.astype(np.intp)]


def _as_in_a_file(positions: Indices, grid: Grid) -> Indices:
    """Return the order that sorts flat grid positions as in a file, with the first axis fastest."""
    index = np.unravel_index(positions, grid.shape)
    return np.argsort(np.ravel_multi_index(index, grid.shape, order="F"))


def measure(
    run: RestRun,
    bundle: ModelBundle,
    cleaning: CleaningOptions | None = None,
    *,
    input_type: InputChoice = "auto",
    threads: int = 1,
) -> Connectome:
    """Clean a resting-state run and reduce it to the connectome that a model reads.

    Parameters
    ----------
    run
        A run from `find_runs`.
    bundle
        The model, whose voxels and ROI maps are used.
    cleaning
        Options of cleaning; None: the program's defaults.
    input_type
        Type of the dataset; it decides the strategy if `cleaning` leaves it open. auto: taken from
        the run; nothing is removed from a run that another program has cleaned.
    threads
        Threads to compute with; None: all cores.

    Returns
    -------
    Connectome
        (rois, voxels of the bundle's mask) of the whole run. The program predicts maps for each
        segment of a run and averages them; segments, halves and quality metrics are in the result
        of `Reader.measure`.

    Raises
    ------
    RunError
        The run's files cannot be used, or too little time is left after censoring.
    SettingsError
        Options of cleaning cannot be combined.

    Examples
    --------
    A simulated participant, and the model that ships with the program:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from bids_dtg.contrasts.bundle.bundle import load_bundle
    >>> from bids_dtg.inputs.runs import find_runs
    >>> from bids_dtg.contrasts.phantom.dataset import write_run
    >>> from bids_dtg.contrasts.phantom.model import Phantom
    >>> folder = Path(mkdtemp())
    >>> person = Phantom().person(cohort=0, index=0)
    >>> write_run(folder, person, frames=60, repetition_time_s=5.0)
    >>> (run,) = find_runs(folder, "sim001")
    >>> connectome = measure(run, load_bundle("demo"))
    >>> connectome.r.shape, connectome.seconds
    ((50, 163310), 290.0)
    """
    cleaning = CleaningOptions() if cleaning is None else cleaning
    if input_type != "auto":
        cleaning = resolve(cleaning, input_type)
    reader = Reader(bundle, cleaning, threads=threads)
    whole = reader.measure(run).connectomes.whole
    assert whole is not None  # a reader computes every part by default
    return whole


def measure_array(
    bold: Floats,
    affine: Floats,
    bundle: ModelBundle,
    *,
    repetition_time_s: float,
    confounds: Floats | None = None,
    keep: Mask | None = None,
) -> Connectome:
    """Clean a BOLD image in memory and reduce it to the connectome that a model reads.

    Parameters
    ----------
    bold
        (i, j, k, frames), as from nibabel's `get_fdata`, in the space of the model's grid
        (`bundle.grid.space`) and on its lattice, with any crop, flip or order of axes.
    affine
        (4, 4), voxel indices to RAS+ mm.
    bundle
        The model, whose voxels and ROI maps are used.
    repetition_time_s
        Seconds from one frame to the next.
    confounds
        (frames, columns) to regress out, in addition to an intercept.
    keep
        (frames,), False for frames to remove; all are kept by default.

    Returns
    -------
    Connectome
        (rois, voxels of the bundle's mask) of all frames that are kept.

    Raises
    ------
    TypeError
        An array is not of real numbers, or `keep` is not boolean.
    ValueError
        Shapes do not match, the repetition time or a confound is not valid, or there are too few
        frames for the columns.
    RunError
        The voxels do not lie on the model's lattice, or less than half of them have signal.

    Examples
    --------
    >>> from bids_dtg.contrasts.bundle.bundle import load_bundle
    >>> bundle = load_bundle("demo")
    >>> shape = (*bundle.grid.shape, 20)
    >>> bold = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    >>> measure_array(bold, bundle.grid.affine, bundle, repetition_time_s=2.0).r.shape
    (50, 163310)
    """
    if not isinstance(bundle, ModelBundle):
        raise TypeError(
            f"the bundle is a {type(bundle).__name__}. Expected: from load_bundle"
        )
    tr: object = repetition_time_s
    is_number = isinstance(tr, int | float | np.number)
    if not is_number or not 0 < float(repetition_time_s) <= LONGEST_TR_SECONDS:
        raise ValueError(f"repetition_time_s is {tr!r}. Expected: {EXPECTED_TR}")
    bold = real_numbers(bold, "bold")
    to_mm = np.asarray(affine, np.float64)
    if bold.ndim != 4 or to_mm.shape != (4, 4):
        raise ValueError(
            f"bold is (i, j, k, frames) and the affine (4, 4), not {bold.shape} and {to_mm.shape}"
        )
    if not abs(np.linalg.det(to_mm[:3, :3])) > 0:
        raise ValueError("the affine cannot be inverted")
    frames = bold.shape[3]
    design = array_design(confounds, keep, frames, float(repetition_time_s))
    grid = bundle.grid
    reader = Reader(bundle, CleaningOptions())
    assert isinstance(reader.places, VoxelPlaces)  # of a model on a grid
    sampling = LatticeSampling.between(
        bold.shape[:3], to_mm, grid, reader.places.positions, name="the array"
    )

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            # (i, j, k, frames) -> (frames, voxels), first axis of the image fastest.
            block = bold[..., first : first + _FRAMES]
            volumes = block.reshape(-1, block.shape[3], order="F").T
            yield first, sampling.apply(volumes, 1.0, 0.0)

    connectomes = _connectomes_of_array(reader, design, sampling.covered, blocks)
    require_coverage("the array", connectomes.coverage, "the model's grey matter")
    return connectomes.segments[0]


def measure_parcels(
    series: Floats,
    reader: Reader,
    *,
    repetition_time_s: float,
    keep: Mask | None = None,
) -> RunConnectomes:
    """Reduce cleaned series of a model's parcels to the connectome that it reads.

    Parameters
    ----------
    series
        (frames, parcels), in the order of ``bundle.places.names``; parcels that hold NaN have no
        data.
    reader
        Reader for a model of parcels.
    repetition_time_s
        Seconds from one frame to the next.
    keep
        (frames,), which frames to keep; None: all.

    Raises
    ------
    ValueError
        The array has another number of parcels.
    RunError
        More than `MOST_MISSING` of the parcels have no data.
    """
    places = reader.places
    assert isinstance(places, ParcelPlaces)
    series = real_numbers(series, "series")
    if series.ndim != 2 or series.shape[1] != places.number:
        raise ValueError(
            f"series are (frames, {places.number} parcels), not {series.shape}"
        )
    design = array_design(None, keep, len(series), repetition_time_s)

    def blocks() -> Blocks:
        for first in range(0, len(series), _FRAMES):
            yield first, np.array(series[first : first + _FRAMES], np.float64)

    has_data: Mask = np.asarray(np.isfinite(series).all(axis=0))
    connectomes = _connectomes_of_array(reader, design, has_data, blocks)
    require_parcels("the array", places, connectomes.covered)
    return connectomes


def _connectomes_of_array(
    reader: Reader,
    design: TemporalDesign,
    valid: Mask,
    blocks: Callable[[], Blocks],
) -> RunConnectomes:
    """Return the connectomes of an array in memory, computed in double precision."""
    voxels = replace(reader.run_voxels(valid), maps=reader.maps.astype(np.float64))
    segments = design.segments(math.inf)
    return run_connectomes(measure_run(blocks, design, voxels, segments=segments))
