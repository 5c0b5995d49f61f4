"""Series of parcels from a run's volumes: means over the vertices of its cortex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Mask, Values
from bids_dtg.connectome.passes import PartlyZero
from bids_dtg.errors import RunError
from bids_dtg.files.paths import PathNames, temporary_error
from bids_dtg.imaging.bold import stream_blocks, with_zeros
from bids_dtg.imaging.grid import Points, Stored
from bids_dtg.imaging.nifti import NiftiHeader, require_one_form
from bids_dtg.imaging.sampling import LinearSampling
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.parcel_series import (
    SeriesHeader,
    frames_at_vertices,
    series_blocks,
)
from bids_dtg.imaging.surfaces.vertices import (
    LEAST_SHARE,
    GreyMatter,
    ParcelVertices,
    cortex_in_run,
    inside_mask,
    placed_surfaces,
    read_own_cortex,
    template_mesh,
)
from bids_dtg.inputs.run import Cortex, RestRun, SurfaceFiles
from bids_dtg.inputs.vertex_choice import no_own_surfaces
from bids_dtg.notices import NO_MASK, TEMPLATE_SURFACE, counted

# A template's surface mixes a person's parcels, so half of the deviation of maps is used.
DEVIATIONS: Mapping[str, float] = {"template": 0.5}
# Of the vertices in view, if a surface lies where its name says; a shift by 5 mm leaves 95 %.
_LEAST_IN_MASK = 0.9
# Share of a vertex's weights in voxels without data, above which it has none.
_EMPTY = 0.5
_FRAMES = 64  # frames in a block
_HELD_FRAMES = 8  # that are read together from what is held
# Most bytes of voxels that are held in memory; more go to a temporary file.
_IN_MEMORY = 64 * 2**20
# Values of the quality table's column surface, in words.
_SURFACES = {
    "own": "at the vertices of own surfaces",
    "fsaverage": "on fsaverage's mesh",
    "template": "at the vertices of a template's surface",
}


@dataclass(frozen=True)
class UsedSurface:
    """The surface at whose vertices a run was read."""

    kind: Cortex
    reason: str  # one clause
    files: SurfaceFiles | None = None  # None for series that were on a surface before
    grey_matter: GreyMatter | None = None

    @property
    def deviation(self) -> float:
        """Factor of the deviation of maps from the group's."""
        return DEVIATIONS.get(self.kind, 1.0)

    @property
    def note(self) -> str:
        """A sentence on the surface."""
        if self.kind == "template":
            return (
                f"{TEMPLATE_SURFACE}, which ignores the person's folds ({self.reason})."
            )
        vertices, check = "the person's own surfaces", ""
        if self.kind == "fsaverage":
            vertices = "fsaverage's mesh"
        elif self.grey_matter is None:
            check = (
                "; their position was not checked, as there is no image of grey matter "
                "(label-GM_probseg)"
            )
        return (
            f"Parcels are means over the vertices of {vertices} ({self.reason}){check}."
        )

    @property
    def position(self) -> str | None:
        """Whether own surfaces were found to lie at the person's grey matter."""
        if self.kind != "own":
            return None
        return "not checked" if self.grey_matter is None else "checked"

    def on_maps(self, note: str) -> str:
        """Return a note of a run, that on its surface with a sentence on maps' deviation."""
        if self.deviation == 1.0 or note != self.note:
            return note
        return f"{note} So what is the person's own in maps is reduced to {self.deviation:.0%}."

    def facts(self, names: PathNames) -> dict[str, Any]:
        """Return entries of a sidecar; `names` replaces folder names in sentences."""
        reason = names.hide(self.reason)
        facts: dict[str, Any] = {"Surface": self.kind, "SurfaceReason": reason}
        if self.grey_matter is not None:
            facts["GreyMatterAtVertices"] = round(self.grey_matter.at_vertices, 4)
            facts["GreyMatterAfterShift"] = round(self.grey_matter.shifted, 4)
        return facts


def surface_of(run: RestRun) -> tuple[Mapping[Any, Points], UsedSurface]:
    """Read the surface of a run's volumes: the person's own, or a template's.

    Returns
    -------
    mesh
        Positions (32492, 3) of fsLR's vertices of each hemisphere, in the surfaces' space.
    surface
        Which surface it is, and why.

    Raises
    ------
    RunError
        A file is damaged, or a surface is implausible.
    """
    assert run.surfaces is not None  # of a run of volumes
    files = placed_surfaces(run.surfaces)
    if not files.sides and run.surfaces.sides:
        if files.instead is None:
            raise no_own_surfaces(files.reason)
        reason = "; ".join(filter(None, [files.reason, files.instead.reason]))
        files = replace(files.instead, reason=reason)
    if not files.sides:
        surface = UsedSurface("template", files.reason, files)
        return template_mesh(files.template), surface
    mesh, grey_matter = read_own_cortex(files)
    if grey_matter is None or not grey_matter.is_displaced:
        return mesh, UsedSurface("own", files.reason, files, grey_matter)
    misplaced = (
        f"{files.reason} is not where the person's grey matter is (its mean probability at the "
        f"vertices is {grey_matter.at_vertices:.2f}, and higher after a shift)"
    )
    if files.instead is None:
        raise RunError(misplaced, expected="surfaces in the space of the T1w image")
    reason = "; ".join(filter(None, [misplaced, files.instead.reason]))
    used = UsedSurface("template", reason, files.instead, grey_matter)
    return template_mesh(files.instead.template), used


def note_on_surfaces(rows: Iterable[Mapping[str, str]]) -> str | None:
    """Say that runs, given by the rows of their quality tables, were read on several surfaces.

    Examples
    --------
    >>> note_on_surfaces([{"surface": "own"}, {"surface": "own"}])
    >>> print(note_on_surfaces([{"surface": "own"}, {"surface": "n/a"}]).partition(",")[0])
    parcels were read in several ways (1 run at the vertices of own surfaces
    """
    ways = Counter(
        _SURFACES.get(row.get("surface", "n/a"), "given as parcels") for row in rows
    )
    if len(ways) < 2:
        return None
    runs = ", ".join(f"{counted(number, 'run')} {way}" for way, number in ways.items())
    return (
        f"parcels were read in several ways ({runs}), which mix neighbouring parcels differently: "
        "compare people within one way, or read all with --sample-on template"
    )


@dataclass(eq=False)
class VertexSeries:
    """Means of parcels over the vertices of a run, of which those without data are left out."""

    header: NiftiHeader  # of the run's volumes
    keep: Mask  # (frames,), frames that are kept
    vertices: ParcelVertices
    points: Points  # (vertices, 3), where they lie in the run's space, RAS+ mm
    sampling: LinearSampling  # at the vertices
    usable: Mask  # (vertices,), in view, in the mask, and with data
    surface: UsedSurface
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        run: RestRun,
        header: NiftiHeader,
        places: ParcelPlaces,
        keep: Mask,
    ) -> VertexSeries:
        """Find the vertices of parcels in a run's volumes and brain mask.

        Raises
        ------
        RunError
            A file cannot be read, or a surface does not lie where its name says.
        """
        mesh, surface = surface_of(run)
        assert surface.files is not None
        if surface.files.transforms:
            require_one_form(header)
        points, vertices = cortex_in_run(places, mesh, surface.files.transforms)
        sampling = LinearSampling(header.shape, header.affine, points)
        usable, notes = sampling.covered.copy(), [surface.note]
        if run.mask is not None:
            inside = inside_mask(run.mask, points)
            share = inside[usable].mean() if usable.any() else 0.0
            if share < _LEAST_IN_MASK and surface.kind == "own":
                (path, *_) = surface.files.sides["L"].midthickness
                raise RunError(
                    f"{path} and its other side have {share:.1%} of their vertices in {run.mask}",
                    expected=f"at least {_LEAST_IN_MASK:.0%}; they may be in another space",
                    remedy="use --sample-on template",
                )
            usable &= inside
        elif not run.cleaned_before:  # programs that clean runs write no mask
            notes.append(NO_MASK)
        if not usable.all():
            notes.append(
                f"{usable.mean():.1%} of the vertices are in view and in the brain mask."
            )
        return cls(header, keep, vertices, points, sampling, usable, surface, notes)

    @property
    def share(self) -> Float64:
        """(parcels,), share of the vertices of each that have data, as far as frames were read."""
        return self.vertices.means(self.usable)[1]

    @property
    def covered(self) -> Mask:
        """(parcels,), whether at least half of the vertices of each may have data."""
        return self.share >= LEAST_SHARE

    def blocks(self, watch: Callable[[int, Stored], None]) -> Any:
        """Read all frames; yield the first frame's index and a block (frames, parcels).

        Series of parcels are small, so they are complete before the first block. Vertices that turn
        out to have no data, or to leave the field of view, are then left out. The voxels that are
        needed for this are held, as reading the run again would take several times as long.
        """
        with closing(_NeededVoxels(self.header, self.sampling, self.keep)) as voxels:
            series = self._means(voxels.read(watch))
            lost = self.usable & voxels.without_data()
            if lost.any():
                self.usable &= ~lost
                series = self._means(voxels.read_again())
        yield from series_blocks(series)

    def _means(self, blocks: Generator[Stored, None, None]) -> Float32:
        """Return series (frames, parcels) of blocks of the needed voxels (frames, voxels)."""
        weights, _ = self.vertices.means(self.usable)
        means = self.sampling.averaged(weights).needed_alone()
        series = np.empty((self.header.frames, self.vertices.parcels), np.float32)
        first = 0
        # Values may be not finite.
        with closing(blocks), np.errstate(invalid="ignore"):
            for block in blocks:
                out = series[first : first + len(block)]
                means.apply(block, self.header.slope, self.header.inter, out)
                first += len(block)
        return series


class _NeededVoxels:
    """The voxels that series at vertices are computed from, read once and held for a second time.

    Parameters
    ----------
    header
        Header of the run's volumes.
    sampling
        At the vertices.
    keep
        (frames,), frames that are kept; the others do not tell where there are data.
    """

    def __init__(
        self, header: NiftiHeader, sampling: LinearSampling, keep: Mask
    ) -> None:
        self._header = header
        self._sampling = sampling
        self._keep = keep
        self._zeros = PartlyZero(np.ones(len(sampling.needed), bool))
        self._finite = np.ones(len(sampling.needed), bool)
        self._frame_bytes = len(sampling.needed) * header.dtype.itemsize
        self._bytes = header.frames * self._frame_bytes
        self._held = SpooledTemporaryFile(_IN_MEMORY, prefix="dtg-")  # noqa: SIM115

    def read(
        self, watch: Callable[[int, Stored], None]
    ) -> Generator[Stored, None, None]:
        """Read the run; yield blocks (frames, needed voxels) as stored.

        Raises
        ------
        RunError
            The run cannot be read.
        SettingsError
            The temporary file cannot be written.
        """
        first = 0
        with closing(stream_blocks(self._header)) as blocks:
            for stored in blocks:
                watch(first, stored)
                block = np.take(stored, self._sampling.needed, axis=1, mode="clip")
                self._look(block[self._keep[first : first + len(stored)]])
                with self._writing():
                    self._held.write(block.data)
                yield block
                first += len(stored)

    def read_again(self) -> Generator[Stored, None, None]:
        """Yield the same blocks from what is held."""
        with self._writing():  # what is left in a buffer
            self._held.seek(0)
        while content := self._held.read(_HELD_FRAMES * self._frame_bytes):
            values = np.frombuffer(content, self._header.dtype)
            yield values.reshape(-1, len(self._sampling.needed))

    def without_data(self) -> Mask:
        """Return which vertices depend on voxels that left the view, are not finite or empty."""
        sampling, zeros = self._sampling, self._zeros
        without = sampling.beside(~self._finite) | sampling.beside(zeros.left_view)
        without |= sampling.share_in(zeros.always) > _EMPTY
        return without

    def close(self) -> None:
        """Let go of what is held."""
        self._held.close()

    def _look(self, kept_frames: Stored) -> None:
        """Note which voxels are finite, and which are zero in some of the kept frames."""
        values = with_zeros(self._header, kept_frames)
        if self._header.dtype.kind == "f":
            self._finite &= np.isfinite(values).all(axis=0)
        self._zeros.add(values)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise temporary_error(err, f"{self._bytes >> 20} MB") from err


@dataclass(eq=False)
class SurfaceSeries:
    """Means of parcels over the vertices of a run's file, of which those without data are left out.

    The file has grayordinates, or one of fsaverage's meshes.
    """

    header: SeriesHeader
    keep: Mask  # (frames,), frames that are kept
    vertices: ParcelVertices  # of the file
    usable: Mask  # (vertices,), whether each may have data

    @property
    def share(self) -> Float64:
        """(parcels,), share of the vertices of each that have data, as far as frames were read."""
        return self.vertices.means(self.usable)[1]

    def blocks(self, watch: object) -> Any:
        """Read all frames; yield the first frame's index and a block (frames, parcels).

        No frame is watched, as those of surfaces are no volumes.
        """
        means, share_before = self.vertices.means(self.usable)
        series = np.zeros((self.vertices.parcels, self.header.frames), np.float32)
        for columns, frames in frames_at_vertices(self.header):
            usable = self._with_data(frames)
            self.usable[columns] &= usable
            weights = means[:, columns]
            for first in range(0, self.header.frames, _FRAMES):
                block = np.asarray(frames[first : first + _FRAMES], np.float32)
                block = block if usable.all() else np.where(usable, block, 0)
                series[:, first : first + len(block)] += weights @ block.T
        share = self.share
        has_value = share >= LEAST_SHARE
        series[~has_value] = 0
        # Exactly 1 where all vertices have data.
        relative_share = share[has_value] / share_before[has_value]
        series[has_value] /= relative_share[:, None].astype(np.float32)
        yield from series_blocks(series.T)

    def _with_data(self, frames: Sequence[Values]) -> Mask:
        """Return which vertices are finite and in view in all kept frames, and 0 not in all."""
        finite = np.ones(len(frames[0]), bool)
        zeros = PartlyZero(finite.copy())
        for number in np.flatnonzero(self.keep).tolist():
            finite &= np.isfinite(frames[number])
            zeros.add(frames[number][None])
        return finite & ~zeros.always & ~zeros.left_view
