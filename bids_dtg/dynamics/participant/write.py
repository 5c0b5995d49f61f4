"""Writes results of a run: series, connectivity, features, quality, the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.dynamics.networks import normalised
from bids_dtg.dynamics.panels import figures
from bids_dtg.dynamics.participant.infer import Modelled
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.nodes import Measure
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.inputs.structural import StructuralMatrix
from bids_dtg.notices import counted
from bids_dtg.participants.averages import AveragedRuns, run_entities
from bids_dtg.participants.figures import rounded
from bids_dtg.participants.origin import atlas_facts
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.write import ParcelWriter
from bids_dtg.report.pages.participant import discard_report

STRUCTURAL = FileKind("relmat", "structural", ".tsv")
_PEARSON = "pearsoncorrelation"  # a value of stat-
_FILLED = "FramesFilledShare"  # key of sidecars


class NetworkWriter(ParcelWriter[NetworkRequest]):
    """Writes the files of runs.

    Parameters
    ----------
    request
        What the call asks for.

    Raises
    ------
    OutputError
        In each method: a file cannot be written.
    """

    def write(
        self,
        planned: AveragedRuns,
        measured: MeasuredSeries,
        structural: StructuralMatrix | None,
        modelled: Modelled | None,
        *,
        seconds: float,
    ) -> list[PurePosixPath]:
        """Write all files of a run, except the record that it is complete; return their paths."""
        # An earlier report shows other results, and a new one may fail.
        discard_report(self._request.output, planned.participant)
        files = [*self._write_series(measured, structural, modelled)]
        if structural is not None:
            files += self._write_structural(measured, structural)
        if modelled is not None:
            files += self._write_transitions(measured, modelled)
            files += self._write_features(measured, modelled)
        bundle = self._request.bundle
        files += self.write_kept(measured)
        files += self.write_quality(
            measured,
            seconds,
            model_tr_seconds=None if bundle is None else bundle.part.tr_seconds,
            filled_share=None if modelled is None else rounded(modelled.share_filled),
            not_modelled=self._request.why_not_modelled(),
        )
        return files

    def notes(
        self,
        measured: MeasuredSeries,
        structural: StructuralMatrix | None,
        modelled: Modelled | None,
    ) -> tuple[str, ...]:
        """Return sentences on unusual findings in a run."""
        note = self.cleaning_note(measured)
        more = () if structural is None else structural.notes
        of_model = self._request.notes_on_model(modelled, measured.run.participant)
        return (*measured.notes, *more, *([note] if note else []), *of_model)

    def _entities(self, measured: MeasuredSeries, **more: str) -> dict[str, str | None]:
        return self.entities(run_entities(measured.run), **more)

    def _write_series(
        self,
        measured: MeasuredSeries,
        structural: StructuralMatrix | None,
        modelled: Modelled | None,
    ) -> Iterator[PurePosixPath]:
        filled = {} if modelled is None else {_FILLED: round(modelled.share_filled, 4)}
        notes = () if structural is None else structural.notes
        of_model = self._request.notes_on_model(modelled, measured.run.participant)
        yield from self.write_series(measured, filled, (*notes, *of_model))
        yield from self.write_matrix(
            RELMAT.path(self._entities(measured, stat=_PEARSON)),
            measured.series.correlation(),
            {
                "Description": "Functional connectivity: Pearson correlation between the cleaned "
                "series of parcels over the frames kept; n/a for parcels without a series",
                **self.origin(measured),
            },
            Measure("Pearson correlation", "Product-moment correlation of two series over frames"),
        )
        yield from self.write_coverage(measured)

    def _write_structural(
        self, measured: MeasuredSeries, structural: StructuralMatrix
    ) -> Iterator[PurePosixPath]:
        weights = normalised(structural.weights[None])[0].astype(np.float64)
        yield from self.write_matrix(
            STRUCTURAL.path(self._entities(measured)),
            weights,
            {
                "Description": "Structural connectome, divided by its largest weight; the diagonal "
                "is 0",
                "StructuralFile": structural.path.name,
                "Notes": list(structural.notes),
                "SpatialReference": self._request.grid.space,
                **atlas_facts(self._request.atlas),
            },
            Measure(
                "structural connectivity",
                "Weights of the given connectome, divided by the largest",
                non_negative=True,
            ),
        )

    def _write_transitions(
        self, measured: MeasuredSeries, modelled: Modelled
    ) -> Iterator[PurePosixPath]:
        """Write the effect of each region on each other one, so many frames later."""
        for lag, values in enumerate(modelled.transitions, 1):
            later = f"{counted(lag, 'frame')} later"
            yield from self.write_matrix(
                figures.lag(lag).path(self._entities(measured)),
                values,
                {
                    "Description": f"Effect of the parcel of a column on that of a row {later}, "
                    f"all parcels together, by a linear model: an estimate. {figures.CAUTION}",
                    **self._model_facts(measured, modelled),
                },
                Measure(
                    "effective connectivity",
                    "Coefficient of a vector autoregression, shrunk to that of training people",
                    directed=True,
                ),
            )

    def _write_features(
        self, measured: MeasuredSeries, modelled: Modelled
    ) -> Iterator[PurePosixPath]:
        """Write the scores of components, which are for statistics."""
        bundle = self._request.bundle
        assert bundle is not None  # its results are written
        if not len(modelled.scores):
            return
        iccs = bundle.part.component_icc or (None,) * len(modelled.scores)
        rows = [
            [f"component{number}", f"{score:.6g}", None if icc is None else f"{icc:.3f}"]
            for number, (score, icc) in enumerate(zip(modelled.scores, iccs, strict=True), 1)
        ]
        yield from self.write_with(
            figures.COMPONENTS.path(self._entities(measured)),
            encoded(tsv_text(["name", "score", "icc"], rows)),
            {
                "Description": "Features of the person for statistics: components of covariances "
                "that are not shrunken, as the training people vary",
                "name": {"Description": "Component, by decreasing variance over training people"},
                "score": {
                    "Description": "Score in standard deviations of the training people; above 0: "
                    "the connectivity that the component is of is stronger than their mean"
                },
                "icc": {
                    "Description": "ICC(A,1) between two sessions of the training people; n/a "
                    "where fewer than 10 of them have two"
                },
                "MinutesKept": round(modelled.minutes, 3),
                **self._model_facts(measured, modelled),
            },
        )

    def _model_facts(self, measured: MeasuredSeries, modelled: Modelled) -> dict[str, Any]:
        filled = {_FILLED: round(modelled.share_filled, 4)}
        return {**self.origin(measured), **self.model_facts(), **filled}
