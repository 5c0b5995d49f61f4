"""What is written of a run that was measured: series, coverage, the figures of its quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.contrasts.participant.outputs.map_files import camel_case, run_sources
from bids_dtg.contrasts.participant.outputs.region_files import atlas_facts
from bids_dtg.contrasts.participant.quality import cleaning_note
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.series import SERIES, RegionSeries, encode_series, series_sidecar
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.files.text import encoded, tsv_text, write_json
from bids_dtg.participants.figures import first_figures, rounded
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.request import ParcelRequest
from bids_dtg.participants.sets import run_entities
from bids_dtg.report.parcels.quality import parcel_figures

COVERAGE = FileKind("bold", None, ".tsv")
_MEAN, _COVERAGE = "mean", "coverage"  # values of stat-


class ParcelFiles:
    """Writes what was measured of runs, and what sidecars say of it.

    Parameters
    ----------
    request
        What the call asks for.
    bundle
        The model, whose cleaning is compared; None: the call has none.

    Raises
    ------
    OutputError
        By each method that writes: a file cannot be written.
    """

    def __init__(self, request: ParcelRequest, bundle: Bundle[Any] | None) -> None:
        self._request, self._bundle = request, bundle

    def entities(self, entities: Mapping[str, str], **more: str) -> dict[str, str | None]:
        """Return the entities of a file of a run or a set, whose own are given.

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
        yield self.write_sidecar(path, facts)

    def write_sidecar(self, path: PurePosixPath, facts: Mapping[str, Any]) -> PurePosixPath:
        """Write the sidecar of a file; return its path."""
        beside = path.with_name(path.name.partition(".")[0] + ".json")
        write_json(self._request.output.path(beside), dict(facts))
        return beside

    def write_series(
        self, measured: MeasuredSeries, facts: Mapping[str, Any], notes: Sequence[str] = ()
    ) -> Iterator[PurePosixPath]:
        """Write the series of a run, and what its sidecar says: how they were made.

        Parameters
        ----------
        measured
            The run.
        facts
            More about it, by their keys.
        notes
            Sentences beside those of the run.
        """
        names = self._request.regions
        yield from self.write_with(
            SERIES.path(self._of_run(measured, stat=_MEAN)),
            encode_series(RegionSeries(names, measured.series.values)),
            series_sidecar(
                names, measured.series.tr_seconds, **self._how_made(measured, facts, notes)
            ),
        )

    def write_coverage(self, measured: MeasuredSeries) -> Iterator[PurePosixPath]:
        """Write how much of each parcel has signal."""
        shares = [[f"{share:.4f}" for share in measured.series.coverage]]
        yield from self.write_with(
            COVERAGE.path(self._of_run(measured, stat=_COVERAGE)),
            encoded(tsv_text(list(self._request.regions), shares)),
            {
                "Description": "Share of each parcel's voxels that have signal, 0 to 1",
                **self.origin(measured),
            },
        )

    def origin(self, *measured: MeasuredSeries) -> dict[str, Any]:
        """Return what sidecars say of where results of runs come from."""
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
            "MinCoverage": settings.outputs.min_coverage,
            "InputType": settings.inputs.input_type,
            "DenoiseStrategy": settings.cleaning.denoise_strategy,
        }

    def cleaning_note(self, measured: MeasuredSeries) -> str | None:
        """Return a sentence where the model was trained on runs that were cleaned otherwise."""
        settings = self._request.settings
        if self._bundle is None:
            return None
        return cleaning_note(
            self._bundle.card.training,
            settings.inputs.input_type,
            settings.cleaning.denoise_strategy,
            measured.run.cleaned_as,
        )

    def quality(
        self, measured: MeasuredSeries, seconds: float, model_tr_seconds: float | None = None
    ) -> dict[str, object]:
        """Return the figures of a run's quality that exist without a model.

        Parameters
        ----------
        measured
            The run.
        seconds
            Time it took.
        model_tr_seconds
            Between frames of the runs that the model was trained on; None: not known.
        """
        series = measured.series
        return {
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
        }

    def _of_run(self, measured: MeasuredSeries, **more: str) -> dict[str, str | None]:
        return self.entities(run_entities(measured.run), **more)

    def _how_made(
        self, measured: MeasuredSeries, facts: Mapping[str, Any], notes: Sequence[str]
    ) -> dict[str, Any]:
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
