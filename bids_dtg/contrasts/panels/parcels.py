"""Maps of parcels of CIFTI on pages: read once from an average's files, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.surfaces.cifti import CORTEX
from bids_dtg.imaging.surfaces.grayordinates import (
    SURFACE_SPACE,
    Grayordinates,
    read_cifti_maps,
)
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.report.colours import Scale
from bids_dtg.report.pictures import Backdrop
from bids_dtg.report.slices import AXIAL, Background, Box, View, Volume
from bids_dtg.report.surface_views import surface_row

# Slices through what lies below the cortex.
BELOW = tuple(View(AXIAL, mm) for mm in (-24, -8, 2, 12))
_OTHER = "CIFTI_STRUCTURE_OTHER"
_GAP = 8  # rows of pixels
_EXPECTED = "maps of parcels (.pscalar.nii)"


@dataclass(frozen=True, eq=False)
class ParcelMaps:
    """The maps of a file, spread over the vertices and voxels of their parcels."""

    path: Path
    places: Grayordinates
    by_label: Mapping[str, NDArray[np.float32]]  # (grayordinates,) each

    @classmethod
    def read(cls, path: Path) -> ParcelMaps:
        """Read a file of maps that are called by their contrasts.

        Raises
        ------
        RunError
            It is missing or damaged.
        """
        header, values = read_cifti_maps(path, _EXPECTED)
        names = [str(name) for name in getattr(header.first, "name", ())]
        if len(names) != len(values) or not isinstance(header.places, ParcelPlaces):
            raise RunError(f"{path} has no maps of parcels by their names", expected=_EXPECTED)
        places, values = spread(header.places, np.nan_to_num(values))
        return cls(path, places, dict(zip(names, values, strict=True)))

    def of(self, label: str) -> NDArray[np.float32]:
        """Return a map; RunError where the file does not have it."""
        if label not in self.by_label:
            raise RunError(f"{self.path} has no map {label}", expected="the maps of its sidecar")
        return self.by_label[label]


def spread(
    parcels: ParcelPlaces, values: NDArray[np.float32]
) -> tuple[Grayordinates, NDArray[np.float32]]:
    """Give each vertex and voxel the values of its parcel.

    Returns
    -------
    places
        Those of all parcels; voxels are of no named structure.
    values
        (maps, grayordinates).
    """
    axis, of_side = parcels.axis, dict(zip(CORTEX, SIDES, strict=True))
    rows: dict[str, dict[int, int]] = {side: {} for side in SIDES}
    voxels: dict[tuple[int, ...], int] = {}
    for row, (of_sides, own) in enumerate(zip(axis.vertices, axis.voxels, strict=True)):
        for name, vertices in of_sides.items():
            rows[of_side[name]] |= dict.fromkeys(np.asarray(vertices).tolist(), row)
        voxels |= dict.fromkeys(map(tuple, np.asarray(own).tolist()), row)
    vertices = {side: np.array(sorted(rows[side]), np.intp) for side in SIDES}
    numbers = [rows[side][vertex] for side in SIDES for vertex in vertices[side].tolist()]
    numbers += voxels.values()
    sizes = [(name, len(vertices[side])) for name, side in of_side.items()]
    sizes = [(name, size) for name, size in (*sizes, (_OTHER, len(voxels))) if size]
    ends = np.cumsum([size for _, size in sizes]).tolist()
    structures = tuple(
        (name, slice(end - size, end)) for (name, size), end in zip(sizes, ends, strict=True)
    )
    places = Grayordinates(
        vertices=vertices,
        mesh_size=len(read_template(SURFACE_SPACE).cortex["L"]),
        voxels=np.array(list(voxels), np.intp).reshape(-1, 3),
        structures=structures,
        shape=tuple(axis.volume_shape) if voxels else (1, 1, 1),
        affine=np.asarray(axis.affine, np.float64) if voxels else np.eye(4),
    )
    return places, values[:, numbers]


class ParcelPictures:
    """Draws maps: both hemispheres, and slices through what lies below.

    Parameters
    ----------
    places
        Of the maps.
    background
        Anatomy behind the slices.
    """

    def __init__(self, places: Grayordinates, background: Background) -> None:
        self._places, self._grid = places, Grid(places.shape, places.affine)
        self._backdrop = (
            Backdrop(background, Box.around(self._grid), BELOW) if len(places.voxels) else None
        )

    def draw(
        self, values: NDArray[np.float32], limit: float, *, amount: Scale | None = None
    ) -> NDArray[np.uint8]:
        """Draw a map (grayordinates,); (rows, columns, 4) pixels; `amount` as of `surface_row`."""
        places, start = self._places, 0
        sides = {}
        for side in SIDES:
            whole = np.full(places.mesh_size, np.nan, np.float32)
            stop = start + len(places.vertices[side])
            whole[places.vertices[side]] = values[start:stop]
            sides[side], start = whole, stop
        above = surface_row(sides, limit, amount=amount)
        if self._backdrop is None:
            return above
        below = self._slices(values[start:], limit, amount)
        columns = max(above.shape[1], below.shape[1])
        rows = []
        for part in (above, below):
            left = (columns - part.shape[1]) // 2
            rows.append(np.pad(part, ((0, _GAP), (left, columns - part.shape[1] - left), (0, 0))))
        return np.concatenate(rows)

    def _slices(
        self, values: NDArray[np.float32], limit: float, amount: Scale | None
    ) -> NDArray[np.uint8]:
        assert self._backdrop is not None
        volume = Volume(self._filled(values), self._grid.affine)
        if amount is None:
            return self._backdrop.draw_map(volume, limit)
        known = Volume(self._filled(np.ones_like(values)), self._grid.affine)
        return self._backdrop.draw_amount(volume, known, low=0.0, high=limit, scale=amount)

    def _filled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        volume = np.zeros(self._places.shape, np.float32)
        volume[tuple(self._places.voxels.T)] = values
        return volume


def view_text() -> str:
    """Say what the pictures show."""
    where = ", ".join(f"{view.mm:g}".replace("-", "\N{MINUS SIGN}") for view in BELOW)
    return (
        "Left hemisphere from outside and inside, right from inside and outside, on the template's "
        f"surface; below, axial slices at z = {where} mm through the subcortical voxels, the "
        "person's left on the left."
    )
