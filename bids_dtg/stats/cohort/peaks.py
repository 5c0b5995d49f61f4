"""Clusters of a group map with the region of each peak."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.places import VoxelPlaces

Points = NDArray[np.floating[Any]]

_NEAR_MM = 10.0  # a peak that is farther from all regions is in none
_OTHER_PEAKS_MM = 8.0  # nilearn's default; other peaks of a cluster are not listed


@dataclass(frozen=True)
class Peak:
    """A cluster of significant voxels, by its strongest."""

    x: float  # RAS+ mm
    y: float
    z: float
    value: float  # of the map at the peak
    size_mm3: float  # of the cluster
    region: str  # of the peak; empty: no region is near


@dataclass(frozen=True, eq=False)
class RegionNames:
    """Names of the regions of some atlases, by place."""

    places: VoxelPlaces  # of the atlases' labels
    atlases: Sequence[Atlas]  # of regions that lie apart, such as cortex and subcortex

    @cached_property
    def _named(self) -> tuple[Any, list[str]]:
        """A search tree over all places in a region, and their regions' names."""
        from scipy.spatial import KDTree

        points, names = [np.empty((0, 3))], list[str]()
        for atlas in self.atlases:
            inside = atlas.labels != 0
            points.append(self.places.points[inside])
            names += [atlas.parcels[int(label)] for label in atlas.labels[inside]]
        return KDTree(np.concatenate(points)), names

    def at(self, points: Points) -> list[str]:
        """Name the regions at points (n, 3), RAS+ mm; ``near NAME`` within 10 mm, else empty.

        Examples
        --------
        >>> from bids_dtg.imaging.grid import Grid
        >>> grid = Grid((20, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
        >>> places = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
        >>> labels = np.array([1, 2] + [0] * 18)
        >>> atlas = Atlas({"atlas": "A"}, labels, {1: "V1", 2: "V2"}, np.array([1, 1]))
        >>> RegionNames(places, [atlas]).at(np.array([[0.5, 0, 0], [6, 0, 0], [30, 0, 0]]))
        ['V1', 'near V2', '']
        """
        tree, names = self._named
        if not names:
            return [""] * len(points)
        distances, numbers = tree.query(points, distance_upper_bound=_NEAR_MM)
        within = self.places.spacing_mm / 2
        return [
            "" if not np.isfinite(distance) else ("" if distance <= within else "near ") + names[n]
            for distance, n in zip(distances, numbers, strict=True)
        ]


def find_peaks(
    values: NDArray[np.floating[Any]],
    significant: NDArray[np.bool_],
    places: VoxelPlaces,
    regions: RegionNames,
) -> list[Peak]:
    """List the clusters of significant voxels, the strongest peak first.

    Parameters
    ----------
    values
        (voxels,), as z; clusters are of one sign.
    significant
        (voxels,), which of them are in clusters.
    places
        The voxels: grid, and position of each.
    regions
        Names of regions, for the names of peaks.

    Notes
    -----
    Clusters and peaks are those of nilearn's `get_clusters_table`: voxels that share a face.
    """
    from nilearn.image import index_img
    from nilearn.reporting import get_clusters_table

    shown = np.where(significant, values, 0)
    if not shown.any():
        return []
    least = 0.5 * float(np.abs(shown[shown != 0]).min())
    image = index_img(places.image(shown[None].astype(np.float32)), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that one sign has no cluster
        table = get_clusters_table(image, least, two_sided=True, min_distance=_OTHER_PEAKS_MM)
    table = table[table["Cluster ID"].astype(str).str.isdigit()]  # the others are further peaks
    points = table[["X", "Y", "Z"]].to_numpy(float)
    names = regions.at(points)
    strength = table["Peak Stat"].to_numpy(float)
    sizes = table["Cluster Size (mm3)"].to_numpy(float)
    rows = zip(points.tolist(), strength.tolist(), sizes.tolist(), names, strict=True)
    peaks = [Peak(x, y, z, value, size, name) for (x, y, z), value, size, name in rows]
    return sorted(peaks, key=lambda peak: -abs(peak.value))
