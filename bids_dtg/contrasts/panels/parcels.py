"""Maps of parcels of CIFTI on pages: read once from an average's file, and drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.surfaces.cifti import CORTEX
from bids_dtg.imaging.surfaces.grayordinates import SURFACE_SPACE, read_cifti_maps
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.report.contents import MapFile
from bids_dtg.report.pictures import Backdrop
from bids_dtg.report.slices import AXIAL, Background, Box, View, Volume
from bids_dtg.report.surface_views import surface_row

# Slices through what lies below the cortex.
BELOW = tuple(View(AXIAL, mm) for mm in (-24, -8, 2, 12))
_GAP = 8  # rows of pixels
_EXPECTED = "maps of parcels (.pscalar.nii)"


class ParcelMaps:
    """Reads and draws the maps of a file, called by their contrasts.

    Parameters
    ----------
    first
        Any map of the file.
    background
        Anatomy behind slices.

    Raises
    ------
    RunError
        The file is missing or damaged.
    """

    def __init__(self, first: MapFile, background: Background) -> None:
        header, values = read_cifti_maps(first.path, _EXPECTED)
        names = [str(name) for name in getattr(header.first, "name", ())]
        if len(names) != len(values) or not isinstance(header.places, ParcelPlaces):
            what = f"{first.path} has no maps of parcels by their names"
            raise RunError(what, expected=_EXPECTED)
        self._values = dict(zip(names, np.nan_to_num(values), strict=True))
        self._parcels, axis = header.places, header.places.axis
        mesh_size = len(read_template(SURFACE_SPACE).cortex["L"])
        # Which parcel each vertex of a side is of, -1: of none; and each voxel below the cortex.
        self._of_vertex = {side: np.full(mesh_size, -1, np.intp) for side in SIDES}
        of_side = dict(zip(CORTEX, SIDES, strict=True))
        for row, of_sides in enumerate(axis.vertices):
            for name, vertices in of_sides.items():
                self._of_vertex[of_side[name]][vertices] = row
        sizes = [len(voxels) for voxels in axis.voxels]
        self._of_voxel = np.repeat(np.arange(len(sizes)), sizes)
        if not len(self._of_voxel):
            return
        self._voxels = np.concatenate([np.reshape(own, (-1, 3)) for own in axis.voxels])
        self._grid = Grid(tuple(axis.volume_shape), np.asarray(axis.affine, np.float64))
        self._backdrop = Backdrop(background, Box.around(self._grid), BELOW)

    def read(self, shown: MapFile) -> NDArray[np.float32]:
        """Return a map (parcels,); RunError where the file does not have it."""
        if shown.label not in self._values:
            what = f"{shown.path} has no map {shown.label}"
            raise RunError(what, expected="the maps of its sidecar")
        own: NDArray[np.float32] = self._values[shown.label]
        return own

    def peak(self, values: NDArray[np.float32]) -> tuple[float, tuple[float, float, float]]:
        """Return the value that is furthest from 0, and where its parcel lies, in mm."""
        largest = int(np.argmax(np.abs(values)))
        x, y, z = self._parcels.points[largest].tolist()
        return float(values[largest]), (x, y, z)

    def draw(self, values: NDArray[np.float32], limit: float) -> NDArray[np.uint8]:
        """Draw both hemispheres, and slices through what lies below; (rows, columns, 4)."""
        sides = {
            side: np.where(rows >= 0, values[rows], np.float32(np.nan))
            for side, rows in self._of_vertex.items()
        }
        above = surface_row(sides, limit)
        if not len(self._of_voxel):
            return above
        volume = np.zeros(self._grid.shape, np.float32)
        volume[tuple(self._voxels.T)] = values[self._of_voxel]
        below = self._backdrop.draw_map(Volume(volume, self._grid.affine), limit)
        columns = max(above.shape[1], below.shape[1])
        rows = []
        for part in (above, below):
            left = (columns - part.shape[1]) // 2
            rows.append(np.pad(part, ((0, _GAP), (left, columns - part.shape[1] - left), (0, 0))))
        return np.concatenate(rows)
