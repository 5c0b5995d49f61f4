"""What is written of a run that was measured: series, coverage, the figures of its quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.confounds import NOT_IN_TABLE
from bids_dtg.cleaning.words import Lacking
from bids_dtg.files.names import FileKind
from bids_dtg.files.provenance import Fingerprint
from bids_dtg.files.regions import (
    SERIES,
    Measure,
    NodeFile,
    RegionMatrix,
    RegionSeries,
    encode_relmat,
    encode_series,
    relationship_facts,
    segment_label,
    series_sidecar,
)
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.files.text import encoded, tsv_text, write_json
from bids_dtg.imaging.atlas import MIN_COVERAGE
from bids_dtg.participants.averages import AveragedRuns, run_entities
from bids_dtg.participants.origin import (
    atlas_facts,
    camel_case,
    cleaning_note,
    complete_average,
    first_figures,
    model_facts,
    rounded,
    run_sources,
)
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.request import ParcelRequest
from bids_dtg.report.panels import keep_all, write_kept
from bids_dtg.report.parcel_words import parcel_figures
from bids_dtg.report.quality import write_quality

COVERAGE = FileKind("bold", None, ".tsv")
_MEAN, _COVERAGE = "mean", "coverage"  # values of stat-

Request = TypeVar("Request", bound=ParcelRequest[Any])


class ParcelWriter(Generic[Request]):
    """Writes what was measured of runs, and what sidecars say of it.

    Parameters
    ----------
    request
        What the call asks for.

    Raises
    ------
    OutputError
        By each method that writes: a file cannot be written.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    def entities(self, entities: Mapping[str, str], **more: str) -> dict[str, str | None]:
        """Return the entities of a file of a run or an average, whose own are given.

        Examples
        --------
        Of `sub-01_task-rest`, `stat="mean"` gives those of
        `sub-01_task-rest_space-MNI152NLin6Asym_seg-7n_scale-400_stat-mean`.
        """
        own = {"space": self._request.grid.space, **self._request.atlas.entities}
        return {**entities, **own, **more}

    def write_with(
        self, path: PurePosixPath, data: bytes, facts: Mapping[str, Any]
    ) -> Iterator[PurePosixPath]:
        """Write a file and its sidecar; yield their paths."""
        self._request.output.write(path, data)
        yield path
        beside = path.with_name(path.name.partition(".")[0] + ".json")
        write_json(self._request.output.path(beside), dict(facts))
        yield beside

    def write_series(
        self, measured: MeasuredSeries, facts: Mapping[str, Any], notes: Sequence[str] = ()
    ) -> Iterator[PurePosixPath]:
        """Write the series of a run, and what its sidecar says: how they were made.

        Parameters
        ----------
        measured
            Series and figures of the run.
        facts
            More about it, by their keys.
        notes
            Sentences beside those of the run.
        """
        names = self._request.regions
        yield from self.write_with(
            SERIES.path(self.of_run(measured, stat=_MEAN)),
            encode_series(RegionSeries(names, measured.series.values)),
            series_sidecar(
                names, measured.series.tr_seconds, **self.how_made(measured, facts, notes)
            ),
        )

    def write_matrix(
        self,
        path: PurePosixPath,
        values: NDArray[np.float64],
        facts: Mapping[str, Any],
        measure: Measure,
    ) -> Iterator[PurePosixPath]:
        """Write a matrix between the parcels, and the table of what its rows are.

        Parameters
        ----------
        path
            Path of the matrix, in the dataset.
        values
            (parcels, parcels).
        facts
            Further fields of its sidecar.
        measure
            What a value is.
        """
        atlas = self._request.atlas
        nodes = NodeFile(
            self._request.grid.space,
            segment_label(*atlas.entities.values()),
            atlas.parcels,
            f"Parcels of the atlas {atlas.key}",
        )
        nodes.write(self._request.output)
        matrix = encode_relmat(RegionMatrix(self._request.regions, values))
        facts = {**facts, **relationship_facts(measure, nodes)}
        yield from self.write_with(path, matrix, facts)

    def write_coverage(self, measured: MeasuredSeries) -> Iterator[PurePosixPath]:
        """Write how much of each parcel has signal."""
        shares = [[f"{share:.4f}" for share in measured.series.coverage]]
        yield from self.write_with(
            COVERAGE.path(self.of_run(measured, stat=_COVERAGE)),
            encoded(tsv_text(list(self._request.regions), shares)),
            {
                "Description": "Share of each parcel's voxels that have signal, 0 to 1",
                **self.origin(measured),
            },
        )

    def origin(self, *measured: MeasuredSeries) -> dict[str, Any]:
        """Return the origin of runs' results for sidecars."""
        request = self._request
        sources = [
            source for run in measured for source in run_sources(run.run, request.dataset.name)
        ]
        return {
            "Sources": sources,
            "SpatialReference": request.grid.space,
            "Atlas": {**atlas_facts(request.atlas)["Atlas"], "SHA256": request.atlas.digest},
        }

    @property
    def cleaning_facts(self) -> dict[str, Any]:
        """What sidecars say of how all runs of the call are cleaned."""
        settings = self._request.settings
        return {
            "MinCoverage": MIN_COVERAGE,
            "InputType": settings.inputs.input_type,
            "DenoiseStrategy": settings.cleaning.denoise_strategy,
        }

    def cleaning_note(self, measured: MeasuredSeries) -> str | None:
        """Return a sentence where the model was trained on runs that were cleaned otherwise."""
        settings, bundle = self._request.settings, self._request.bundle
        if bundle is None:
            return None
        return cleaning_note(
            bundle.card.training,
            settings.inputs.input_type,
            settings.cleaning.denoise_strategy,
            measured.run.cleaned_as,
        )

    def model_facts(self) -> dict[str, Any]:
        """Return the facts of the call's model for sidecars; the call must have a model."""
        bundle = self._request.bundle
        assert bundle is not None
        part = bundle.part
        training = {"Participants": part.people, "Data": part.data_set}
        return {**model_facts(bundle), "ModelTraining": training}

    def write_kept(self, measured: MeasuredSeries) -> Iterator[PurePosixPath]:
        """Write what panels of the workflow keep of a run."""
        kept = keep_all(self._request.presentation.panels, measured)
        return write_kept(kept, run_entities(measured.run), self._request.output)

    def write_quality(
        self,
        measured: MeasuredSeries,
        seconds: float,
        *,
        model_tr_seconds: float | None = None,
        **more: object,
    ) -> Iterator[PurePosixPath]:
        """Write the figures of a run's quality.

        Parameters
        ----------
        measured
            Series and figures of the run.
        seconds
            Time spent on the run, in seconds.
        model_tr_seconds
            Between frames of the runs that the model was trained on; None: not known.
        **more
            Figures of the workflow, by column.
        """
        series = measured.series
        figures = {
            **first_figures(
                measured.run,
                measured.design,
                measured.confounds,
                voxel_mm=measured.voxel_mm,
                residual_dof=series.residual_dof,
                model_tr_seconds=model_tr_seconds,
            ),
            "effective_dof": None,
            **parcel_figures(series.coverage, series.correlation(), measured.confounds.std_dvars),
            "seconds_processing": round(seconds, 2),
            **more,
        }
        columns = self._request.presentation.quality_columns
        return write_quality(figures, columns, run_entities(measured.run), self._request.output)

    def complete(
        self,
        planned: AveragedRuns,
        inputs: Mapping[str, Fingerprint],
        files: Sequence[PurePosixPath],
        runs: Sequence[MeasuredSeries],
    ) -> None:
        """Record that an average is complete, once all else of it has been written.

        Parameters
        ----------
        planned
            The runs that are averaged.
        inputs
            Fingerprints of the input files, by path.
        files
            All that was written of it.
        runs
            Those that it was made of.
        """
        lacking = Lacking.of_runs(
            (run.confounds.decisions.get(NOT_IN_TABLE, ()) for run in runs),
            frames=any(run.confounds.dropped.interpolated for run in runs),
        )
        complete_average(self._request, planned, inputs, files, lacking)

    def of_run(self, measured: MeasuredSeries, **more: str) -> dict[str, str | None]:
        """Return the entities of a file of a run."""
        return self.entities(run_entities(measured.run), **more)

    def how_made(
        self, measured: MeasuredSeries, facts: Mapping[str, Any], notes: Sequence[str]
    ) -> dict[str, Any]:
        """Return what sidecars say of how series were made; `facts` and `notes` are added."""
        request, names = self._request, self._request.path_names
        note = self.cleaning_note(measured)
        return {
            **self.origin(measured),
            "Frames": len(measured.design.keep),
            "FramesKept": measured.design.frames_kept,
            **facts,
            RESIDUAL_DOF: rounded(measured.series.residual_dof),
            **self.cleaning_facts,
            "Interpolation": measured.interpolation,
            "Space": measured.run.space,
            "SpaceReason": names.hide(measured.run.space_reason),
            "Confounds": camel_case(measured.confounds.decisions),
            "Cleaning": camel_case(measured.cleaning),
            "Notes": [names.hide(sentence) for sentence in (*measured.notes, *notes)],
            **({"CleaningNote": note} if note else {}),
            "OptionsSHA256": request.settings.result_hash,
        }
