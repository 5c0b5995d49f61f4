"""A run as a source of frames: how it is cleaned, and where voxels lie in its file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Mask
from bids_dtg.cleaning.confounds import Confounds, load_confounds
from bids_dtg.cleaning.design import design_run, frequency_facts
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.passes import Blocks, MakeSmoothing, PartlyZero
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.imaging.bold import (
    decide_repetition_time,
    read_bold_header,
    stream_voxels,
    with_zeros,
)
from bids_dtg.imaging.grid import Points, Stored
from bids_dtg.imaging.nifti import NiftiHeader
from bids_dtg.imaging.placement import Method, Placement
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.sampling import LinearSampling, Sampling
from bids_dtg.imaging.smoothing import MaskedSmoothing
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.parcel_series import (
    SeriesHeader,
    has_equal_sides,
    read_frame,
    read_series_header,
    stream_series,
)
from bids_dtg.imaging.surfaces.vertices import LEAST_SHARE
from bids_dtg.inputs.dataset import makers_of
from bids_dtg.inputs.run import GIFTI_SERIES, RestRun, is_series, other_side
from bids_dtg.notices import NO_MASK, SAME_SIDES, counted, named
from bids_dtg.participants.vertex_series import (
    SurfaceSeries,
    UsedSurface,
    VertexSeries,
)
from bids_dtg.settings import CleaningOptions, Interpolation

Watch = Callable[[int, Stored], None]
Frames = Generator[tuple[int, Float32], None, None]  # as `Blocks`
# With less coverage, the run's space is wrong or its image is empty.
LEAST_COVERAGE = 0.5
MOST_MISSING = 0.05  # share of parcels that a run may lack
_FEW_PARCELS = 3  # number of parcels that any run may lack


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """What is known about a run before its image is read."""

    header: NiftiHeader | SeriesHeader  # of its file
    confounds: Confounds  # from its table
    design: TemporalDesign  # frames to keep and columns to remove
    notes: tuple[str, ...]  # sentences on what was unusual


def plan_run(
    run: RestRun,
    space: str,
    cleaning: CleaningOptions,
    keep: Mask | None = None,
) -> PlannedRun:
    """Decide how a run is cleaned, from its header and tables only.

    Parameters
    ----------
    run
        The run, from `find_runs`.
    space
        Template space to read the run in; the run must be in it or have transforms to it.
    cleaning
        How runs are cleaned; auto removes nothing from a run that another program has cleaned.
    keep
        (frames,), False for further frames to remove.

    Raises
    ------
    TooShortError
        Less than ``min_minutes``, or too few degrees of freedom, are left.
    RunError
        Its space, its header or its confounds table cannot be used.
    """
    if not run.transforms and run.surfaces is None and run.space != space:
        raise RunError(
            f"{run.bold} is in {run.space}, with no transforms to it",
            expected=f"{space}, the space of the grid, or transforms from it",
        )
    header = read_run_header(run.bold)
    tr_seconds, notes = decide_repetition_time(
        run.bold, header.time, run.time_sidecar, run.tr_seconds, makers_of(run.root)
    )
    cleaning = resolve(cleaning, "xcpd" if run.cleaned_before else "fmriprep")
    confounds = load_confounds(run, cleaning, n_frames=header.frames)
    if keep is not None:
        confounds = replace(confounds, keep=confounds.keep & keep)
    design, notes_on_design = design_run(run, confounds, tr_seconds, cleaning)
    all_notes = [*notes, *design.notes, *confounds.notes, *notes_on_design]
    first_frame = int(design.keep.argmax())
    if isinstance(header, SeriesHeader) and has_equal_sides(header, first_frame):
        all_notes.append(SAME_SIDES)
    return PlannedRun(header, confounds, design, tuple(all_notes))


def read_run_header(bold: Path) -> NiftiHeader | SeriesHeader:
    """Read the header of a run's file; RunError if it cannot be read."""
    if is_series(bold):
        return read_series_header(bold)
    return read_bold_header(bold)


@dataclass(frozen=True, eq=False, kw_only=True)
class CleanedRun:
    """How a run was cleaned and read; what was made of it is added by a workflow."""

    run: RestRun  # its files
    design: TemporalDesign  # frames kept and columns removed
    confounds: Confounds  # the source of these columns
    cleaning: Mapping[str, object]  # decisions on the cleaning, for the sidecar
    sampled: Method  # interpolation that was used at the places
    # Edge of a cube with the volume of the file's voxels, or vertex spacing.
    voxel_mm: float
    surface: UsedSurface | None  # at whose vertices parcels were read; None: none
    notes: tuple[str, ...]  # sentences on what was unusual


@dataclass(frozen=True, eq=False)
class RunSource:
    """A run's file, how it is cleaned, and how voxels or parcels ("places") are read from it."""

    planned: PlannedRun
    covered: Mask  # (places,), whether the file covers them
    interpolation: Method  # how the file is sampled at them
    notes: tuple[str, ...]  # sentences on what was unusual
    # Reads the frames at the places. Its argument is called with whole frames as stored, if the
    # file has whole frames.
    stream: Callable[[Watch], Frames]
    # (places,), whether voxels are in the run's brain mask; None: it has none, or places are no
    # voxels.
    in_mask: Mask | None = None
    smoothing: MakeSmoothing | None = None  # among voxels with data
    # (places,), whether a neighbour leaves the field of view in some frame; set once all frames
    # are read. None where places are voxels of the file, as the blocks then show it.
    outside: Mask | None = None
    # At whose vertices parcels are averaged; None: none.
    surface: UsedSurface | None = None
    # Vertices at which volumes are sampled, (vertices, 3) in RAS+ mm of the run; None: none are.
    vertices: Points | None = None
    # Returns the share of each parcel's vertices that have data (parcels,), once all frames are
    # read; None where places are voxels, or parcels of the file.
    share: Callable[[], Float64] | None = None

    @classmethod
    def of(
        cls,
        run: RestRun,
        space: str,
        places: Places,
        cleaning: CleaningOptions,
        keep: Mask | None = None,
    ) -> RunSource:
        """Plan a run, and find where the wanted places lie in its file and its brain mask.

        Parameters
        ----------
        run, space, cleaning, keep
            As for `plan_run`.
        places
            Voxels of a grid, or parcels of CIFTI, whose values are wanted.

        Raises
        ------
        RunError
            As for `plan_run`; also if the mask or a transform cannot be read or its space is
            unknown, or if the file has other parcels.
        SettingsError
            Smoothing was asked for, and the file has parcels.
        """
        planned = plan_run(run, space, cleaning, keep)
        header = planned.header
        smoothing = _smoothing_among(places, cleaning)
        if isinstance(header, SeriesHeader):
            return cls._from_series(run, planned, header, places)
        if isinstance(places, ParcelPlaces):
            series = VertexSeries.of(run, header, places, planned.design.keep)
            return cls(
                planned,
                series.covered,
                "linear",
                notes=(*planned.notes, *series.notes),
                stream=series.blocks,
                # Vertices that leave the view are left out.
                outside=np.zeros(places.number, bool),
                surface=series.surface,
                vertices=series.points,
                share=lambda: series.share,
            )
        assert isinstance(places, VoxelPlaces)  # as the space is that of voxels
        interpolation = cleaning.interpolation
        return cls._from_volumes(run, planned, header, places, interpolation, smoothing)

    @classmethod
    def _from_series(
        cls,
        run: RestRun,
        planned: PlannedRun,
        header: SeriesHeader,
        places: Places,
    ) -> RunSource:
        """Return the source of a file that holds series, of parcels or grayordinates."""
        assert isinstance(places, ParcelPlaces)  # as the space is that of parcels
        weights, parcel_notes = find_parcels(header, places)
        present = np.diff(weights.indptr) > 0
        notes, surface = [*planned.notes, *parcel_notes], None
        if run.bold.name.endswith(GIFTI_SERIES):  # on a mesh of fsaverage
            sides = f"{run.bold.name} and its other side"
            surface = UsedSurface("fsaverage", sides)
            notes.append(surface.note)
        source = cls(
            planned,
            present,
            "none",
            notes=tuple(notes),
            stream=lambda watch: stream_series(header, weights),
            surface=surface,
        )
        vertices = header.vertices_of(places)
        if vertices is None:
            return source
        usable = np.ones(len(vertices.parcel), bool)  # before frames are read
        series = SurfaceSeries(header, planned.design.keep, vertices, usable)
        return replace(source, stream=series.blocks, share=lambda: series.share)

    @classmethod
    def _from_volumes(
        cls,
        run: RestRun,
        planned: PlannedRun,
        header: NiftiHeader,
        places: VoxelPlaces,
        interpolation: Interpolation,
        smoothing: MakeSmoothing | None,
    ) -> RunSource:
        """Return the source of a file of volumes, sampled at voxels of a grid."""
        placement = Placement.through(places, run.transforms)
        sampling, method = placement.in_file(header, interpolation)
        notes = [*planned.notes]
        in_mask = None
        if run.mask is not None:
            in_mask = placement.mask(run.mask)
        elif not run.cleaned_before:  # programs that clean runs write no mask
            notes.append(NO_MASK)
        if header.forms_differ_mm:
            notes.append(
                "The header's sform was used; its qform, of another space, puts a voxel up to "
                f"{header.forms_differ_mm:.3g} mm away."
            )
        outside = None
        if method in ("linear", "cubic"):
            outside = np.zeros(places.number, bool)

        def stream(watch: Watch) -> Frames:
            if outside is None:
                return stream_voxels(header, sampling, watch=watch)
            around = sampling
            if not isinstance(around, LinearSampling):
                around = LinearSampling(header.shape, header.affine, placement.points)
            keep = planned.design.keep
            return _stream_between(
                header, sampling, around, outside, keep=keep, watch=watch
            )

        return cls(
            planned,
            sampling.covered,
            method,
            tuple(notes),
            stream,
            in_mask,
            smoothing,
            outside,
        )

    @property
    def valid(self) -> Mask:
        """(places,), whether the file covers them and they are in the run's brain mask."""
        in_mask = self.in_mask
        return self.covered if in_mask is None else self.covered & in_mask

    def cleaned(self, run: RestRun, cleaning: CleaningOptions) -> dict[str, Any]:
        """Return the fields of a `CleanedRun`, once its frames have been read."""
        design = self.planned.design
        return {
            "run": run,
            "design": design,
            "confounds": self.planned.confounds,
            "cleaning": {**design.decisions, **frequency_facts(cleaning)},
            "sampled": self.interpolation,
            "voxel_mm": self.planned.header.voxel_mm,
            "surface": self.surface,
            "notes": self.notes,
        }

    def blocks(
        self,
        progress: Callable[[float], None] = lambda share: None,
        watch: Watch = lambda first, stored: None,
    ) -> Blocks:
        """Read all frames once, (first frame, (frames, places) block) at a time.

        Parameters
        ----------
        progress
            Called with the share of the frames that have been read.
        watch
            Called with whole frames as stored, as by `stream_voxels`; never for parcel series.
        """
        with closing(self.stream(watch)) as frames:
            for first, block in frames:
                progress((first + len(block)) / self.planned.header.frames)
                yield first, block


def _stream_between(
    header: NiftiHeader,
    sampling: Sampling,
    around: LinearSampling,
    outside: Mask,
    *,
    keep: Mask,
    watch: Watch,
) -> Frames:
    """Read frames at points between a file's voxels.

    At the end, `outside` (places,) marks points with a neighbour that leaves the field of view in
    some frames, where interpolated values are not 0. Neighbours are the eight voxels `around` it.
    """
    zeros = PartlyZero(np.ones(len(around.needed), bool))

    def see(first: int, stored: Stored) -> None:
        watch(first, stored)
        needed = np.take(stored, around.needed, axis=1, mode="clip")
        kept_frames = needed[keep[first : first + len(stored)]]
        zeros.add(with_zeros(header, kept_frames))

    yield from stream_voxels(header, sampling, watch=see)
    outside[:] = around.beside(zeros.left_view)


def _smoothing_among(places: Places, cleaning: CleaningOptions) -> MakeSmoothing | None:
    """Return the smoothing among voxels with data; None if cleaning does not smooth."""
    if (fwhm := cleaning.smoothing_fwhm) is None:
        return None
    if not isinstance(places, VoxelPlaces):
        raise SettingsError(
            "--smoothing-fwhm was given for parcels", expected="no smoothing"
        )
    return lambda data: MaskedSmoothing(places, data, fwhm).apply


@contextmanager
def as_run_error(run: RestRun) -> Iterator[None]:
    """Turn a ValueError about a run's values into a RunError that names its file."""
    try:
        yield
    except ValueError as err:
        raise RunError(f"{_in_words(run.bold)} cannot be used: {err}") from err


def _in_words(file: object) -> str:
    """Return the path of a run's series; a hemisphere's is read together with its other side.

    Examples
    --------
    >>> _in_words(Path("sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii"))
    'sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii, with its other side,'
    """
    has_side = isinstance(file, Path) and other_side(file)
    return f"{file}, with its other side," if has_side else f"{file}"


def require_coverage(run: object, coverage: float, of: str) -> None:
    """Refuse a run with signal in too few of the wanted voxels.

    Parameters
    ----------
    run
        The file, or words for it, for the error message.
    coverage
        Share of the voxels with signal, 0 to 1.
    of
        What the voxels are, for the error message.

    Raises
    ------
    RunError
        Less than `LEAST_COVERAGE`.
    """
    if coverage < LEAST_COVERAGE:
        raise RunError(
            f"{_in_words(run)} has signal in {coverage:.0%} of {of}",
            expected=f"at least {LEAST_COVERAGE:.0%}",
            remedy="check that the image is not empty in some frames, and that its space, "
            "transforms and brain mask are right",
        )


def notes_on_parcels(names: Sequence[str], present: Mask) -> tuple[str, ...]:
    """Name the parcels without data in a run; empty where all have data.

    Examples
    --------
    >>> notes_on_parcels(("V1", "V2"), np.array([True, False]))
    ('No data (too little signal, constant, or NaN) in 1 of 2 parcels, which are n/a: V2.',)
    """
    if present.all():
        return ()
    lost = [name for name, has_data in zip(names, present, strict=True) if not has_data]
    where = f"in {len(lost)} of {len(names)} parcels, which are n/a: {', '.join(lost)}"
    return (f"No data (too little signal, constant, or NaN) {where}.",)


def find_parcels(header: SeriesHeader, places: Places) -> tuple[Any, tuple[str, ...]]:
    """Find parcels in a file, as `SeriesHeader.weights_of` does, with notes on them.

    Raises
    ------
    RunError
        The file lacks too many of its parcels, or has others.
    """
    assert isinstance(places, ParcelPlaces)  # as the space is that of parcels
    try:
        weights, differing = header.weights_of(places)
    except ValueError as err:
        raise RunError(f"{header.path}: {err}", expected=places.density) from err
    require_parcels(header.path, places, np.diff(weights.indptr) > 0)
    note = (
        "Parcels were matched by name; those of the file are used, of which "
        f"{counted(differing, 'parcel')} have other vertices or voxels."
    )
    return weights, (note,) if differing else ()


def parcels_in(
    header: SeriesHeader, places: ParcelPlaces, keep: Mask
) -> tuple[Mask, tuple[str, ...]]:
    """Return which parcels a file has as far as a few of its frames show, with notes on them.

    Parcels that are NaN in one frame are so in all. Vertices have no data that are NaN in one of
    the first, middle and last kept frames, or 0 in all three.
    """
    weights, notes = find_parcels(header, places)
    present = np.diff(weights.indptr) > 0
    if header.vertices is not None:  # a file of a mesh is read as a whole only
        return present, notes
    kept_frames = np.flatnonzero(keep)
    vertices = header.vertices_of(places)
    if vertices is None:
        means = weights @ read_frame(header, int(kept_frames[0]))
        return present & np.isfinite(means), notes
    frames = [
        read_frame(header, int(kept_frames[number]))
        for number in (0, len(kept_frames) // 2, -1)
    ]
    usable = np.isfinite(frames).all(axis=0) & np.any(frames, axis=0)
    _, share = vertices.means(usable)
    return share >= LEAST_SHARE, notes


def require_parcels(
    file: Path | str,
    places: ParcelPlaces,
    present: Mask,
    *,
    at_vertices: bool = False,
) -> None:
    """Refuse a file that lacks more than `MOST_MISSING` of some parcels, and name them.

    `at_vertices` says that parcels are averaged here over vertices, and are none of the file's.
    """
    missing = [
        name
        for name, has_data in zip(places.names, present, strict=True)
        if not has_data
    ]
    if len(missing) > max(_FEW_PARCELS, MOST_MISSING * places.number):
        these = f"{len(missing)} of {places.number} parcels"
        what = f"has data at too few vertices of {these}"
        raise RunError(
            f"{_in_words(file)} {what if at_vertices else f'lacks {these}, or their data'}: "
            f"{named(missing)}",
            expected=f"at most {MOST_MISSING:.0%} missing",
            remedy="check the run's field of view and brain mask"
            if at_vertices
            else "give another file of the run, or make this one of data that cover them",
        )
