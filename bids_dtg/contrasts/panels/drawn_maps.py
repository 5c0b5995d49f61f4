"""Maps of voxels and of parcels: read, drawn, and packed for the viewer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Indices
from bids_dtg.contrasts.panels.regions import (
    PARCELS,
    Regions,
    area_in_words,
    facts_of_regions,
    read_regions,
)
from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.sampling import voxel_positions
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.meshes import SIDES, Hemisphere, read_template
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
from bids_dtg.report.contents import MapFile
from bids_dtg.report.figures import Figure, Picture
from bids_dtg.report.pictures import (
    AXIAL,
    MAP_COLOURS,
    MAP_VIEWS,
    Backdrop,
    View,
    Volume,
    box_around,
    draw_surfaces,
    encode,
    inline,
    join_pictures,
)
from bids_dtg.report.tables import MINUS, significant_text, with_minus
from bids_dtg.report.viewer import pack

_UNITS = {"arbitrary": "arbitrary units of the training scans"}  # as pages show them
# Colour scales end at these quantiles of a map of voxels and of one of parcels, because extremes
# would hide the rest.
_LIMIT_QUANTILE, _LIMIT_OF_PARCELS = 0.995, 0.98
# Slices through subcortical structures.
BELOW = tuple((AXIAL, mm) for mm in (-24, -8, 2, 12))
STACKED = (0, 0, 8)  # pictures below each other, with 8 rows of pixels after each
# Keys of the values of parcels in the viewer's script.
MAP, DEVIATION = "map", "deviation"
WIDTH, SPREAD = "halfwidth", "sd"
# A person's deviation, NaN without data, and the half-widths, (parcels,); None: not known.
Deviation = tuple[Float32, Float32] | None


def units_in_words(units: str) -> str:
    """Return the units of a map for a page."""
    return _UNITS.get(units, units)


def slice_text(views: Sequence[View] = MAP_VIEWS) -> str:
    """Return the positions of axial slices, in mm."""
    return with_minus(", ".join(f"{mm:g}" for _, mm in views))


class VoxelMaps:
    """Reads and draws maps on a voxel grid; `ParcelMaps` does the same for parcels."""

    encode = staticmethod(encode)
    quantile = _LIMIT_QUANTILE  # of a map, at which its colours end
    spread_limit = 1.0  # volumes have no spread over people

    def __init__(self, first: MapFile, anatomy: Volume) -> None:
        values, affine = read_volume(first.path)
        i, j, k = values.shape
        self.grid = Grid((i, j, k), affine)
        self._backdrop = Backdrop(anatomy, box_around(self.grid), MAP_VIEWS)

    def read(self, shown: MapFile) -> Float32:
        """Return a map (i, j, k), 0 without data."""
        return np.nan_to_num(read_values(shown.path), copy=False)

    def deviation_of(self, shown: MapFile) -> None:
        """Return None, as the deviations of voxels are no files."""

    def facts_of(self, shown: MapFile, values: Float32) -> None:
        """Return None, as nothing is known of regions."""

    def spread_of(self, shown: MapFile, values: Float32) -> str:
        """Return "", as the viewer shows the spread of voxels."""
        return ""

    def pack(self, shown: MapFile, values: Float32) -> dict[str, bytes]:
        """Return a copy of a map for the viewer, by its key."""
        return {shown.label: pack(values, self.grid)}

    def draw(self, values: Float32, limit: float) -> NDArray[np.uint8]:
        """Draw axial slices; (rows, columns, 4)."""
        return self._backdrop.draw_map(Volume(values, self.grid.affine), limit)

    def draw_surfaces(self, values: Float32, limit: float) -> NDArray[np.uint8]:
        """Draw the map on the template's surface, each vertex with the value of its voxel."""
        return draw_surfaces(sample_surfaces(values, self.grid.affine), limit)

    def peak(self, values: Float32) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its position in words and in mm."""
        index = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
        affine = self.grid.affine
        position = (affine[:3, :3] @ np.array(index) + affine[:3, 3]).tolist()
        place = with_minus(", ".join(f"{mm:.0f}" for mm in position))
        return float(values[index]), f"at {place} mm", position


def sample_surfaces(values: Float32, affine: Float64) -> dict[Hemisphere, Float32]:
    """Return the value of the voxel at each vertex of the template's surface."""
    sides = dict[Hemisphere, Float32]()
    for side, points in read_template("fsLR").points.items():
        voxels = np.rint(voxel_positions(points, affine)).astype(int)
        voxels = np.clip(voxels, 0, np.array(values.shape) - 1)
        sides[side] = values[tuple(voxels.T)]
    return sides


def at_vertices(
    values: Float32, parcel_of_vertex: Mapping[Hemisphere, Indices]
) -> dict[Hemisphere, Float32]:
    """Return the value of each vertex's parcel, for each side; NaN: there is none."""
    return {
        side: np.where(numbers >= 0, values[numbers], np.float32(np.nan))
        for side, numbers in parcel_of_vertex.items()
    }


class ParcelMaps:
    """Reads and draws maps of parcels, all from one file.

    Parameters
    ----------
    first
        Any map of the file.
    anatomy
        Background of slices.
    spreads
        Their spread over people, (parcels,), by contrast; empty for a person's maps.

    Raises
    ------
    RunError
        The file is missing or damaged.
    """

    def __init__(
        self,
        first: MapFile,
        anatomy: Volume,
        spreads: Mapping[str, Float32],
    ) -> None:
        self._parcels, names, values = read_parcel_maps(first.path)
        self._values = dict(zip(names, np.nan_to_num(values), strict=True))
        self.spreads = spreads
        self.spread_limit = common_limit([*spreads.values()])
        table = first.beside(PARCELS)
        self._regions = read_regions(PARCELS, table) if table.is_file() else {}
        axis = self._parcels.axis
        # Parcel number of each vertex of a side (-1: none), and of each subcortical voxel.
        self.parcel_of_vertex = parcels_of_vertices(self._parcels)
        sizes = [len(voxels) for voxels in axis.voxels]
        self._parcel_of_voxel = np.repeat(np.arange(len(sizes)), sizes)
        if not self.has_voxels:
            return
        voxels = [np.reshape(indices, (-1, 3)) for indices in axis.voxels]
        self._voxels = np.concatenate(voxels)
        self._grid = Grid(tuple(axis.volume_shape), np.asarray(axis.affine, np.float64))
        self._backdrop = Backdrop(anatomy, box_around(self._grid), BELOW)

    encode = staticmethod(partial(encode, small=True))
    quantile = _LIMIT_OF_PARCELS

    @property
    def names(self) -> tuple[str, ...]:
        """Full names of the parcels."""
        return tuple(map(area_in_words, self._parcels.names))

    @property
    def has_voxels(self) -> bool:
        """Whether some parcels consist of voxels, which are shown in slices."""
        return len(self._parcel_of_voxel) > 0

    def read(self, shown: MapFile) -> Float32:
        """Return a map (parcels,).

        Raises
        ------
        RunError
            The file does not have it.
        """
        if shown.label not in self._values:
            what = f"{shown.path} has no map {shown.label}"
            raise RunError(what, expected="the maps of its sidecar")
        return np.asarray(self._values[shown.label])

    def deviation_of(self, shown: MapFile) -> Deviation:
        """Return the person's deviation and the half-widths, (parcels,); None: not known."""
        columns = self._regions.get(shown.label)
        if columns is None:
            return None
        difference, half_widths = columns["difference"], columns["half_width"]
        if len(difference) != self._parcels.number:
            return None
        if np.isnan(difference).all() or np.isnan(half_widths).all():
            return None
        return difference, half_widths

    def facts_of(self, shown: MapFile, values: Float32) -> Regions | None:
        """Return what a card says of the regions of a map; None: nothing is known of its error."""
        deviation = self.deviation_of(shown)
        if not deviation:
            return None
        return facts_of_regions(values, *deviation, self._parcels.names)

    def spread_of(self, shown: MapFile, values: Float32) -> str:
        """Return the spread over people of the value furthest from 0; "": not known."""
        spread = self.spreads.get(shown.label)
        if spread is None:
            return ""
        return significant_text(float(spread[np.argmax(np.abs(values))]), 2)

    def pack(self, shown: MapFile, values: Float32) -> dict[str, bytes]:
        """Return what the viewer shows of a map, by key."""
        arrays = {MAP: values}
        if shown.label in self.spreads:
            arrays[SPREAD] = self.spreads[shown.label]
        if deviation := self.deviation_of(shown):
            difference, arrays[WIDTH] = deviation
            arrays[DEVIATION] = np.nan_to_num(difference)
        return {
            f"{shown.label} {key}": array.astype("<f4").tobytes()
            for key, array in arrays.items()
        }

    def peak(self, values: Float32) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its parcel in words."""
        largest = int(np.argmax(np.abs(values)))
        return float(values[largest]), f"in {self.names[largest]}", None

    def draw(
        self, values: Float32, limit: float, opacity: Float32 | None = None
    ) -> NDArray[np.uint8]:
        """Draw both hemispheres and subcortical slices; (rows, columns, 4).

        `opacity` is (parcels,), from 0 to 1; None: weak values fade.
        """
        opacities = (
            None if opacity is None else at_vertices(opacity, self.parcel_of_vertex)
        )
        on_cortex = at_vertices(values, self.parcel_of_vertex)
        above = draw_surfaces(on_cortex, limit, opacities)
        if not self.has_voxels:
            return above
        opacity_volume = None if opacity is None else self._volume(opacity)
        below = self._backdrop.draw_map(self._volume(values), limit, opacity_volume)
        return join_pictures([above, below], *STACKED)

    def _volume(self, values: Float32) -> Volume:
        volume = np.zeros(self._grid.shape, np.float32)
        volume[tuple(self._voxels.T)] = values[self._parcel_of_voxel]
        return Volume(volume, self._grid.affine)


def relative_size(difference: Float32, half_widths: Float32) -> Float32:
    """Return opacities of a person's deviation: its size relative to the half-width, at most 1.

    This is transparent thresholding (Taylor et al. 2023, NeuroImage 270: 119908; Allen et al. 2012,
    Neuron 74: 603), so that what may well be noise is faint. 0: there is no half-width.

    Examples
    --------
    >>> import numpy as np
    >>> relative_size(np.array([-5.0, 30.0, 1.0]), np.array([20.0, 20.0, np.nan])).tolist()
    [0.25, 1.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(difference) / half_widths
    return np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0)


def read_values(path: Path) -> Float32:
    """Read an image, (i, j, k)."""
    return np.asarray(read_volume(path)[0], np.float32)


def read_spreads(images: Mapping[str, Path]) -> dict[str, Float32]:
    """Read the spread of maps of parcels over people, (parcels,), by contrast."""
    spreads = dict[str, Float32]()
    for path in set(images.values()):
        _, names, values = read_parcel_maps(path)
        spreads |= zip(names, np.nan_to_num(values), strict=True)
    return spreads


def common_limit(maps: Sequence[Float32], quantile: float = _LIMIT_QUANTILE) -> float:
    """Return the upper limit of a colour scale that several maps share."""
    return rounded_limit(
        max((top_of(values, quantile) for values in maps), default=0.0)
    )


def top_of(values: Float32, quantile: float) -> float:
    """Return a quantile of the absolute values of a map that are not 0; 0: there are none."""
    amounts = np.abs(values.ravel(order="K"))  # in memory order, which is fastest
    inside = amounts[amounts > 0]
    return float(np.quantile(inside, quantile)) if inside.size else 0.0


def rounded_limit(top: float) -> float:
    """Return the end of a colour scale in two digits; 1 for a map of zeros."""
    return float(f"{top:.2g}") or 1.0


def draw_side_by_side(
    rows: Mapping[str, Float32],
    places: Places,
    *,
    title: str,
    units: str,
    hemispheres: Collection[Hemisphere] = SIDES,
) -> Figure | None:
    """Draw maps of voxels or parcels on the template's surface, on one colour scale.

    Parameters
    ----------
    rows
        Title of each map and its values, (places,).
    places
        Where they are.
    title, units
        Title of the figure, and units of the maps.
    hemispheres
        Those to draw.

    Returns
    -------
    None for places without positions.
    """
    filled = {name: np.nan_to_num(values) for name, values in rows.items()}
    limit = common_limit([*filled.values()])
    parts = list[Picture]()
    for name, values in filled.items():
        if isinstance(places, VoxelPlaces):
            sides = sample_surfaces(places.volume(values), places.grid.affine)
        elif isinstance(places, ParcelPlaces):
            sides = at_vertices(values, parcels_of_vertices(places))
        else:
            return None
        drawn = {side: sides[side] for side in hemispheres}
        picture = inline(encode(draw_surfaces(drawn, limit), small=True))
        words = f"{title}, {name.lower()}, on the cortex"
        parts.append(Picture(picture, words, name))
    ends = f"{MINUS}{limit:g}", f"+{limit:g} {units_in_words(units)}"
    return Figure(caption="", title=title, parts=parts, scale=(*ends, MAP_COLOURS.css))
