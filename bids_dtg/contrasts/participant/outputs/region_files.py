"""Tables of the maps' means over parcels, a long and a wide one for each average and atlas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from bids_dtg.report.contents import DEVIATION, SYNTHETIC
from bids_dtg.stats.parcel_intervals import ParcelIntervals, intervals_of

REGIONS = FileKind("statmap", "regions", ".tsv")
WIDE = FileKind("statmap", "regionMeans", ".tsv")
PSCALAR = FileKind("statmap", "regionMeans", ".pscalar.nii")
COLUMNS = ("contrast", "index", "name", "mean", "coverage", "voxels", "half_width", "deviation")
TRUE_WIDTH = "true_half_width"  # a further column, where the model has intervals for true means

Means = NDArray[np.float64]

_MEANS = "Means of the predicted maps over the parcels of an atlas"
_CONTRAST = "Contrast of the map, as in contrast- of its file"


@dataclass(frozen=True, eq=False)
class RegionTables:
    """Makes the tables of one call."""

    atlases: tuple[Atlas, ...]
    bundle: ModelBundle  # the model whose maps they are
    interval_level: int  # level of the intervals in percent
    min_coverage: float  # share of a parcel; below it the mean is n/a

    def files(self, entities: Mapping[str, str], layers: Sequence[Layer]) -> Iterator[OutputFile]:
        """Yield both tables of each atlas.

        Parameters
        ----------
        entities
            What the names of the average share.
        layers
            Kinds of values: the maps, and their deviations where there are some.
        """
        found = {layer.desc: layer for layer in layers}
        for atlas in self.atlases:
            table = self._table(atlas, found[SYNTHETIC], found.get(DEVIATION))
            yield OutputFile(self._path(entities, atlas, ".tsv"), table)
            yield OutputFile(self._path(entities, atlas, ".tsv", WIDE), _wide(table, atlas))
            if atlas.form is not None:
                yield OutputFile(self._pscalar(entities, atlas), _parcelled(table, atlas.form))

    def sidecars(
        self, entities: Mapping[str, str], layers: Sequence[Layer]
    ) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
        """Yield path and content of the sidecar of each table."""
        deviation = any(layer.desc == DEVIATION for layer in layers)
        for atlas in self.atlases:
            yield self._path(entities, atlas, ".json"), self._facts(atlas, deviation)
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

    def _table(self, atlas: Atlas, maps: Layer, deviation: Layer | None) -> bytes:
        voxels = region_voxels(maps.values, atlas)
        coverage = voxels / np.maximum(atlas.voxels, 1)
        means = region_means(maps.values, atlas)
        apart = _means_or_nan(deviation, atlas, len(means))
        widths, true_widths = self._width_texts[atlas.key]
        none = "" if self._columns(atlas) == COLUMNS else "\tn/a"
        parcels = [f"\t{index}\t{name_cell(name)}\t" for index, name in atlas.parcels.items()]
        lines = ["\t".join(self._columns(atlas))]
        before = None
        for contrast in maps.contrasts:
            row = contrast.index
            if before is None or (voxels[row] != voxels[before]).any():  # mostly the same for all
                covered = [
                    f"\t{share:.4f}\t{count}\t"
                    for share, count in zip(coverage[row], voxels[row], strict=True)
                ]
            before = row
            enough = (coverage[row] >= self.min_coverage).tolist()
            lines += [
                f"{contrast.label}{parcel}{mean}{share}{width}\t{other}{true}"
                if thick
                else f"{contrast.label}{parcel}n/a{share}n/a\tn/a{none}"
                for parcel, mean, share, width, other, true, thick in zip(
                    parcels,
                    _texts(means[row], 7),
                    covered,
                    widths[row],
                    _texts(apart[row], 4),
                    true_widths[row],
                    enough,
                    strict=True,
                )
            ]
        return ("\n".join(lines) + "\n").encode()

    def _columns(self, atlas: Atlas) -> tuple[str, ...]:
        intervals = self._intervals(atlas)
        true = intervals is not None and intervals.true_error is not None
        return (*COLUMNS, TRUE_WIDTH) if true else COLUMNS

    @cached_property
    def _width_texts(self) -> dict[str, tuple[list[list[str]], list[list[str]]]]:
        """Half-widths of both kinds as text, a list for each contrast: the same for all.

        Those of the second kind, with the tab before them, are empty where there are none.
        """
        return {atlas.key: self._both_widths(atlas) for atlas in self.atlases}

    def _both_widths(self, atlas: Atlas) -> tuple[list[list[str]], list[list[str]]]:
        intervals, shape = self._intervals(atlas), (len(self.bundle.contrasts), len(atlas.parcels))
        own = np.full(shape, np.nan, np.float32)
        true = None
        if intervals is not None:
            own = intervals.half_widths(self.interval_level)
            true = intervals.true_half_widths(self.interval_level)
        empty = [[""] * shape[1]] * shape[0]
        return _rows_of_texts(own), empty if true is None else [
            [f"\t{text}" for text in row] for row in _rows_of_texts(true)
        ]

    def _intervals(self, atlas: Atlas) -> ParcelIntervals | None:
        found = intervals_of(self.bundle.parcel_intervals, atlas.key, atlas.digest)
        return found if found is not None and self.interval_level in found.levels else None

    def _facts(self, atlas: Atlas, deviation: bool) -> dict[str, Any]:
        units = self.bundle.card.part.units
        intervals = self._intervals(atlas)
        return {
            "Description": f"{_MEANS}: a row a contrast and parcel",
            "contrast": {"Description": _CONTRAST},
            "index": {"Description": "Label of the parcel in the atlas"},
            "name": {"Description": "Name of the parcel in the atlas' table"},
            "mean": {
                "Description": "Mean of the map over the parcel's voxels that have a value; n/a "
                f"where they are less than {self.min_coverage:g} of the parcel",
                "Units": units,
            },
            "coverage": {
                "Description": "Share of the parcel's voxels that have a value, 0 to 1; the "
                "model's mask leaves out some of most parcels"
            },
            "voxels": {"Description": "Voxels of the parcel that have a value"},
            "half_width": {"Description": self._width_words(intervals), "Units": units},
            "deviation": {
                "Description": "Mean over the parcel of the map's deviation from the model's mean "
                "prediction, each voxel in units of the spread between training people"
                if deviation
                else "n/a: the model carries no mean and spread of its training people"
            },
            **self._true_facts(intervals, units),
            "SpatialReference": self.bundle.grid.metadata["SpatialReference"],
            "MinCoverage": self.min_coverage,
            **({} if intervals is None else _calibration(intervals, self.interval_level)),
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

    def _width_words(self, intervals: ParcelIntervals | None) -> str:
        if intervals is None:
            return "n/a: the model has no intervals for means over the parcels of this atlas"
        return (
            f"Half-width of the {self.interval_level} % interval around the mean: the mean over "
            "the parcel of a newly measured map mostly lies within it; calibrated on "
            "means over parcels, as errors of neighbouring voxels are correlated"
        )

    def _true_facts(self, intervals: ParcelIntervals | None, units: str) -> dict[str, Any]:
        if intervals is None or intervals.true_error is None:
            return {}
        words = (
            f"Half-width of the {self.interval_level} % interval for the person's true mean over "
            "the parcel, without the noise of a measurement"
        )
        return {TRUE_WIDTH: {"Description": words, "Units": units}}


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


def _means_or_nan(layer: Layer | None, atlas: Atlas, contrasts: int) -> Means:
    if layer is None:
        return np.full((contrasts, len(atlas.parcels)), np.nan)
    return region_means(layer.values, atlas)


def _rows_of_texts(widths: NDArray[np.float32]) -> list[list[str]]:
    return [_texts(row, 4) for row in widths.astype(np.float64)]


def _texts(values: Means, digits: int) -> list[str]:
    """Write numbers (n,) as text, all at once: ten tables of a participant have 100,000."""
    text = f"%.{digits}g\n" * len(values) % tuple(values.tolist())
    return text.replace("nan", "n/a").split("\n")[:-1]


def _calibration(intervals: ParcelIntervals, level: int) -> dict[str, Any]:
    return {
        "IntervalLevel": level / 100,
        "CalibrationParticipants": intervals.participants,
        "CalibrationSegments": intervals.segments,
        **({"CalibrationRetestParticipants": intervals.retest} if intervals.retest else {}),
    }
