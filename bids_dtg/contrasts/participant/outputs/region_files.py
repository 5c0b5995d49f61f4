"""Tables of the maps' means over parcels, a long and a wide one for each average and atlas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import OutputFile
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.cells import name_cell
from bids_dtg.imaging.atlas import Atlas, region_means, region_voxels
from bids_dtg.imaging.surfaces.parcels import FORM_ENTITIES, ParcelForm, encode_pscalar
from bids_dtg.participants.origin import atlas_facts, parcel_form_facts

REGIONS = FileKind("statmap", "regions", ".tsv")
WIDE = FileKind("statmap", "regionMeans", ".tsv")
PSCALAR = FileKind("statmap", "regionMeans", ".pscalar.nii")
COLUMNS = ("contrast", "index", "name", "mean", "coverage", "voxels")

Means = NDArray[np.float64]

_MEANS = "Means of the predicted maps over the parcels of an atlas"
_CONTRAST = "Contrast of the map, as in contrast- of its file"


@dataclass(frozen=True, eq=False)
class RegionTables:
    """Makes the tables of one call."""

    atlases: tuple[Atlas, ...]
    bundle: ModelBundle  # the model whose maps they are
    min_coverage: float  # share of a parcel; below it the mean is n/a

    def files(self, entities: Mapping[str, str], maps: Layer) -> Iterator[OutputFile]:
        """Yield both tables of each atlas; `entities` are what the names of the average share."""
        for atlas in self.atlases:
            table = self._table(atlas, maps)
            yield OutputFile(self._path(entities, atlas, ".tsv"), table)
            yield OutputFile(self._path(entities, atlas, ".tsv", WIDE), _wide(table, atlas))
            if atlas.form is not None:
                yield OutputFile(self._pscalar(entities, atlas), _parcelled(table, atlas.form))

    def sidecars(
        self, entities: Mapping[str, str]
    ) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
        """Yield path and content of the sidecar of each table."""
        for atlas in self.atlases:
            yield self._path(entities, atlas, ".json"), self._facts(atlas)
            yield self._path(entities, atlas, ".json", WIDE), self._wide_facts(atlas)
            if atlas.form is not None:
                path = self._pscalar(entities, atlas, ".json")
                yield path, {**self._wide_facts(atlas), **parcel_form_facts(atlas.form)}

    def _path(
        self, entities: Mapping[str, str], atlas: Atlas, extension: str, kind: FileKind = REGIONS
    ) -> PurePosixPath:
        named = {
            **entities,
            "space": self.bundle.grid.space,
            **atlas.entities,
            "stat": self.bundle.card.part.statistic,
        }
        return kind.path(named, extension)

    def _pscalar(
        self, entities: Mapping[str, str], atlas: Atlas, extension: str | None = None
    ) -> PurePosixPath:
        named = {**entities, **FORM_ENTITIES, **atlas.entities}
        return PSCALAR.path({**named, "stat": self.bundle.card.part.statistic}, extension)

    def _table(self, atlas: Atlas, maps: Layer) -> bytes:
        voxels = region_voxels(maps.values, atlas)
        coverage = voxels / np.maximum(atlas.voxels, 1)
        means = region_means(maps.values, atlas)
        parcels = [f"\t{index}\t{name_cell(name)}\t" for index, name in atlas.parcels.items()]
        lines = ["\t".join(COLUMNS)]
        before = None
        for contrast in maps.contrasts:
            row = contrast.index
            if before is None or (voxels[row] != voxels[before]).any():  # mostly the same for all
                covered = [
                    f"\t{share:.4f}\t{count}"
                    for share, count in zip(coverage[row], voxels[row], strict=True)
                ]
            before = row
            enough = (coverage[row] >= self.min_coverage).tolist()
            lines += [
                f"{contrast.label}{parcel}{mean if thick else 'n/a'}{share}"
                for parcel, mean, share, thick in zip(
                    parcels, _texts(means[row]), covered, enough, strict=True
                )
            ]
        return ("\n".join(lines) + "\n").encode()

    def _facts(self, atlas: Atlas) -> dict[str, Any]:
        return {
            "Description": f"{_MEANS}: a row a contrast and parcel",
            "contrast": {"Description": _CONTRAST},
            "index": {"Description": "Label of the parcel in the atlas"},
            "name": {"Description": "Name of the parcel in the atlas' table"},
            "mean": {
                "Description": "Mean of the map over the parcel's voxels that have a value; n/a "
                f"where they are less than {self.min_coverage:g} of the parcel",
                "Units": self.bundle.card.part.units,
            },
            "coverage": {
                "Description": "Share of the parcel's voxels that have a value, 0 to 1; the "
                "model's mask leaves out some of most parcels"
            },
            "voxels": {"Description": "Voxels of the parcel that have a value"},
            "SpatialReference": self.bundle.grid.metadata["SpatialReference"],
            "MinCoverage": self.min_coverage,
            **atlas_facts(atlas),
        }

    def _wide_facts(self, atlas: Atlas) -> dict[str, Any]:
        """Describe the wide table; each region's column is explained once for all."""
        return {
            "Description": f"{_MEANS}: a row a contrast, a column a parcel by its name in the "
            f"atlas' table; n/a where less than {self.min_coverage:g} of the parcel has a value",
            "contrast": {"Description": _CONTRAST},
            "Units": self.bundle.card.part.units,
            "SpatialReference": self.bundle.grid.metadata["SpatialReference"],
            "MinCoverage": self.min_coverage,
            **atlas_facts(atlas),
        }


def _wide(table: bytes, atlas: Atlas) -> bytes:
    """Turn a long table into one with a row a contrast and a column a parcel."""
    _, *rows = table.decode().splitlines()
    lines = ["\t".join(["contrast", *map(name_cell, atlas.parcels.values())])]
    for first in range(0, len(rows), len(atlas.parcels)):
        cells = [row.split("\t", 4) for row in rows[first : first + len(atlas.parcels)]]
        lines.append("\t".join([cells[0][0], *(cell[3] for cell in cells)]))
    return ("\n".join(lines) + "\n").encode()


def _parcelled(table: bytes, form: ParcelForm) -> bytes:
    """Turn a long table into a file of values of parcels, a map a contrast."""
    _, *rows = table.decode().splitlines()
    cells = [row.split("\t", 4) for row in rows]
    means = np.array([np.nan if cell[3] == "n/a" else float(cell[3]) for cell in cells])
    labels = list(dict.fromkeys(cell[0] for cell in cells))
    return encode_pscalar(means.reshape(len(labels), -1), labels, form)


def _texts(values: Means) -> list[str]:
    """Write numbers (n,) as text, all at once: ten tables of a participant have 100,000."""
    text = "%.7g\n" * len(values) % tuple(values.tolist())
    return text.replace("nan", "n/a").split("\n")[:-1]
