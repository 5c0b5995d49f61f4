"""Writes the results of a run: series, connectivity, process, features, quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.dynamics.networks import normalised
from bids_dtg.dynamics.panels import figures
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.files.regions import RELMAT, relationship_facts
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.inputs.structural import StructuralMatrix
from bids_dtg.notices import counted
from bids_dtg.participants.origin import atlas_facts, begin_replacing
from bids_dtg.participants.parcels import MeasuredSeries, ParcelWriter
from bids_dtg.participants.request import AveragedRuns


class NetworkWriter(ParcelWriter[NetworkRequest]):
    """Writes the files of runs.

    Raises
    ------
    OutputError
        A file cannot be written; all methods raise it.
    """

    def write(
        self,
        planned: AveragedRuns,
        measured: MeasuredSeries,
        structural: StructuralMatrix | None,
        transitions: Float64 | None,
        scores: Sequence[float],
        *,
        notes: Sequence[str],
        seconds: float,
    ) -> list[PurePosixPath]:
        """Write all files of a run, except the record that it is complete; return their paths.

        `transitions` (lags, regions, regions) and component `scores` come from a linear core; they
        are None and empty if there is no core, or if it has no components.
        """
        begin_replacing(self._request, planned)
        files = [*self._write_series(measured, notes)]
        if structural is not None:
            files += self._write_structural(measured, structural)
        if transitions is not None:
            files += self._write_transitions(measured, transitions)
        if scores:
            files += self._write_features(measured, scores)
        files += self.write_page_files(measured, seconds)
        return files

    def _write_series(
        self, measured: MeasuredSeries, notes: Sequence[str]
    ) -> Iterator[PurePosixPath]:
        notice = self._request.dataset.notice
        facts = {"NotForScience": True, "DataNotice": notice} if notice else {}
        yield from self.write_series(measured, facts, notes)
        yield from self.write_matrix(
            RELMAT.path(self.entities_of_run(measured, stat="pearsoncorrelation")),
            measured.fc,
            {
                "Description": "Functional connectivity: Pearson correlation between the cleaned "
                "series of parcels over the kept frames; n/a for parcels without a series",
                **self.origin(measured),
                **relationship_facts(
                    "Pearson correlation",
                    "Product-moment correlation of two series over frames",
                ),
            },
        )
        yield from self.write_coverage(measured)

    def _write_structural(
        self, measured: MeasuredSeries, structural: StructuralMatrix
    ) -> Iterator[PurePosixPath]:
        yield from self.write_matrix(
            figures.STRUCTURAL.path(self.entities_of_run(measured)),
            normalised(structural.weights[None])[0].astype(np.float64),
            {
                "Description": "Structural connectome, divided by its largest weight; the diagonal "
                "is 0",
                "StructuralFile": structural.path.name,
                "Notes": list(structural.notes),
                "SpatialReference": self._request.space_label,
                **atlas_facts(self._request.atlas),
                **relationship_facts(
                    "structural connectivity",
                    "Weights of the given connectome, divided by the largest",
                    non_negative=True,
                ),
            },
        )

    def _write_transitions(
        self, measured: MeasuredSeries, transitions: Float64
    ) -> Iterator[PurePosixPath]:
        """Write the effects between regions, one file for each lag."""
        for lag, values in enumerate(transitions, 1):
            yield from self.write_matrix(
                figures.lag(lag).path(self.entities_of_run(measured)),
                values,
                {
                    "Description": "Effect of the column's parcel on the row's parcel "
                    f"{counted(lag, 'frame')} later, given all other parcels, as estimated by a "
                    f"linear model. {figures.CAUTION}",
                    **self.origin(measured),
                    **self.model_facts(),
                    **relationship_facts(
                        "effective connectivity",
                        "Coefficient of a vector autoregression whose covariances are shrunk "
                        "towards the training people's mean",
                        directed=True,
                    ),
                },
            )

    def _write_features(
        self, measured: MeasuredSeries, scores: Sequence[float]
    ) -> Iterator[PurePosixPath]:
        """Write the scores of components, which are for statistics."""
        bundle = self._request.bundle
        iccs = (bundle.part.component_icc if bundle else ()) or (None,) * len(scores)
        rows = [
            [
                f"component{number}",
                f"{score:.6g}",
                None if icc is None else f"{icc:.3f}",
            ]
            for number, (score, icc) in enumerate(zip(scores, iccs, strict=True), 1)
        ]
        yield from self.write_with(
            figures.COMPONENTS.path(self.entities_of_run(measured)),
            encoded(tsv_text(["name", "score", "icc"], rows)),
            {
                "Description": "Features of the person for statistics: scores on principal "
                "components of the training people's unshrunken covariances",
                "name": {
                    "Description": "Component, by decreasing variance over training people"
                },
                "score": {
                    "Description": "Score in standard deviations of the training people; above 0: "
                    "the component's connectivity is stronger than their mean"
                },
                "icc": {
                    "Description": "ICC(A,1) of the score between two sessions of the training "
                    "people; n/a if fewer than 10 of them have two"
                },
                "MinutesKept": round(measured.design.seconds_kept / 60, 3),
                **self.origin(measured),
                **self.model_facts(),
            },
        )
