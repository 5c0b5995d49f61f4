"""Parcels of simulated regions: the grey matter that lies nearest to each, as an atlas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_name
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.derivatives import DESCRIP, marks

ATLAS = "SimulatedRegions"  # value of the entity atlas-


@dataclass(frozen=True, eq=False)
class Parcels:
    """Which region each voxel of the grey matter belongs to."""

    anatomy: Anatomy
    names: tuple[str, ...]  # of the regions
    owner: NDArray[np.intp]  # (grey voxels,), number of the region

    @classmethod
    def around(
        cls, positions: NDArray[np.float64], names: Sequence[str], anatomy: Anatomy
    ) -> Parcels:
        """Give each voxel of the grey matter to the nearest region of its hemisphere.

        Parameters
        ----------
        positions
            (regions, 3), mm around the centre of the brain, x from left to right.
        names
            A name for each row of `positions`.
        anatomy
            Simulated anatomy that has the voxels.

        Raises
        ------
        ValueError
            A region is nearest to no voxel.

        Examples
        --------
        >>> from bids_dtg.phantom.anatomy import load_anatomy
        >>> places = np.array([[-40.0, 0, 0], [-40, 40, 0], [40, 0, 0], [40, 40, 0]])
        >>> parcels = Parcels.around(places, ["a", "b", "c", "d"], load_anatomy(4))
        >>> parcels.maps.shape[0], bool((parcels.maps.sum(axis=0) == 1).all())
        (4, True)
        """
        points = anatomy.places.points
        # The midline is where x is 0; along y and z, the grey matter's centre is elsewhere.
        centred = points - points.mean(axis=0) * [0.0, 1.0, 1.0]
        distance = np.linalg.norm(centred[:, None] - positions, axis=-1)
        distance[(centred[:, :1] < 0) != (positions[:, 0] < 0)] = np.inf
        owner = distance.argmin(axis=1)
        missing = sorted(set(range(len(names))) - set(owner.tolist()))
        if missing:
            raise ValueError(f"no voxel is nearest to {', '.join(names[row] for row in missing)}")
        return cls(anatomy, tuple(names), owner)

    @property
    def maps(self) -> NDArray[np.float32]:
        """Which voxels a region has, (regions, grey voxels): 1 or 0."""
        owned: NDArray[np.bool_] = self.owner == np.arange(len(self.names))[:, None]
        return owned.astype(np.float32)

    @property
    def labels(self) -> NDArray[np.int16]:
        """The label image (i, j, k): regions from 1, 0 outside the grey matter."""
        volume = np.zeros(self.anatomy.grid.shape, np.int16)
        volume[self.anatomy.grey] = self.owner + 1
        return volume

    def write(self, root: Path) -> Path:
        """Write the atlas as a BIDS data set of atlases has it, and return its image.

        Parameters
        ----------
        root
            Of the data set; its ``dataset_description.json`` is not written.
        """
        grid = self.anatomy.grid
        entities = {"tpl": grid.space, "atlas": ATLAS, "res": grid.resolution}
        folder = root / f"tpl-{grid.space}"
        image = folder / build_name(entities, "dseg", ".nii.gz")
        write_atomic(image, encode_integers(self.labels, grid, description=DESCRIP))
        table = folder / build_name(entities, "dseg", ".tsv")
        write_tsv(table, ["index", "name"], list(enumerate(self.names, start=1)))
        content = {"SpatialReference": grid.space, "Resolution": f"{grid.resolution} mm", **marks()}
        write_json(folder / build_name(entities, "dseg", ".json"), content)
        return image
