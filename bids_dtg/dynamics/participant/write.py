"""Writes results of a run: series, connectivity, parameters, simulations, quality, the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.dynamics.bundle.bundle import NetworkBundle
from bids_dtg.dynamics.bundle.linear import LinearBundle, LinearPart
from bids_dtg.dynamics.bundle.named import NamedBundle
from bids_dtg.dynamics.judging.describers import STEPS
from bids_dtg.dynamics.networks import normalised
from bids_dtg.dynamics.panels import effective, parameters, person
from bids_dtg.dynamics.panels.features import COMPONENTS, COST, REGIONAL, cost_of_minutes
from bids_dtg.dynamics.panels.forecasts import FILE as FORECASTS
from bids_dtg.dynamics.panels.run import NetworkRun
from bids_dtg.dynamics.participant.infer import CoreResults, Modelled, Parameters, PersonParameters
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.posterior import LEVEL
from bids_dtg.dynamics.regional import FIGURES
from bids_dtg.files.array_store import write_npz
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.nodes import Measure
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.inputs.structural import StructuralMatrix
from bids_dtg.notices import counted
from bids_dtg.participants.averages import AveragedRuns, run_entities
from bids_dtg.participants.figures import rounded
from bids_dtg.participants.origin import atlas_facts, run_sources
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.parcels.write import ParcelWriter
from bids_dtg.report.pages.participant import discard_report

STRUCTURAL = FileKind("relmat", "structural", ".tsv")
PARAMETERS = FileKind("parameters", "dynamics", ".tsv")
SIMULATED = FileKind("timeseries", "simulated", ".npz")
_PEARSON = "pearsoncorrelation"  # a value of stat-
_FILLED = "FramesFilledShare"  # key of sidecars
_IMAGES = "dynamics"  # suffix of images of parameters


class NetworkWriter(ParcelWriter[NetworkRequest]):
    """Writes the files of runs.

    Parameters
    ----------
    request
        What the call asks for.
    reader
        Reader whose voxels are those of the images of parameters.

    Raises
    ------
    OutputError
        In each method: a file cannot be written.
    """

    def __init__(self, request: NetworkRequest, reader: SeriesReader) -> None:
        super().__init__(request)
        self._reader = reader

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
            if modelled.parameters is not None:
                files += self._write_parameters(measured, modelled, modelled.parameters)
                files += self._write_images(measured, modelled, modelled.parameters)
            if modelled.person is not None:
                files += self._write_person(measured, modelled, modelled.person)
            if modelled.core is not None:
                files += self._write_transitions(measured, modelled, modelled.core)
                files += self._write_features(measured, modelled, modelled.core)
                files += self._write_regional(measured, modelled, modelled.core)
                files += self._write_forecasts(measured, modelled, modelled.core)
            files += self._write_simulated(measured, modelled)
        bundle = self._request.bundle
        files += self.write_kept(
            measured,
            NetworkRun,
            sources=tuple(run_sources(measured.run, self._request.dataset.name)),
            series=None if modelled is None else modelled.series,
            simulated=None if modelled is None else modelled.simulated,
        )
        files += self.write_quality(
            measured,
            seconds,
            model_tr_seconds=None if bundle is None else bundle.part.tr_seconds,
            filled_share=None if modelled is None else rounded(modelled.share_filled),
            simulations=None if modelled is None else len(modelled.simulated),
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
        self, measured: MeasuredSeries, modelled: Modelled, core: CoreResults
    ) -> Iterator[PurePosixPath]:
        """Write the effect of each region on each other one, so many frames later, and its sd."""
        different = {}
        if np.isfinite(core.different):
            different = {effective.DIFFERENT: float(core.different)}
        for lag, (values, sd) in enumerate(zip(core.transitions, core.sd, strict=True), 1):
            later = f"{counted(lag, 'frame')} later"
            yield from self.write_matrix(
                effective.lag(lag).path(self._entities(measured)),
                values,
                {
                    "Description": f"Effect of the parcel of a column on that of a row {later}, "
                    f"all parcels together, by a linear model: an estimate. {effective.CAUTION}",
                    **(different if lag == 1 else {}),
                    **self._model_facts(measured, modelled),
                },
                Measure(
                    "effective connectivity",
                    "Coefficient of a vector autoregression, shrunk to that of training people",
                    directed=True,
                ),
            )
            yield from self.write_matrix(
                effective.sd_of(lag).path(self._entities(measured)),
                sd,
                {
                    "Description": f"Standard deviation of the effect of the parcel of a column on "
                    f"that of a row {later}, of the estimate for the person",
                    **self._model_facts(measured, modelled),
                },
                Measure(
                    "standard deviation of effective connectivity",
                    "Square root of the posterior variance of the coefficient, with how much more "
                    "than by sampling training people vary between sessions",
                    non_negative=True,
                    directed=True,
                ),
            )

    def _write_features(
        self, measured: MeasuredSeries, modelled: Modelled, core: CoreResults
    ) -> Iterator[PurePosixPath]:
        """Write the scores of components, which are for statistics."""
        if not len(core.scores):
            return
        cost = cost_of_minutes(core.minutes, self._core_part.minutes)
        iccs = self._core_part.component_icc or (None,) * len(core.scores)
        rows = [
            [f"component{number}", f"{score:.6g}", None if icc is None else f"{icc:.3f}"]
            for number, (score, icc) in enumerate(zip(core.scores, iccs, strict=True), 1)
        ]
        yield from self.write_with(
            COMPONENTS.path(self._entities(measured)),
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
                "MinutesKept": round(core.minutes, 3),
                **({COST: cost} if cost else {}),
                **self._model_facts(measured, modelled),
            },
        )

    def _write_regional(
        self, measured: MeasuredSeries, modelled: Modelled, core: CoreResults
    ) -> Iterator[PurePosixPath]:
        """Write figures of regions, which describe the process."""
        iccs = self._core_part.regional_icc or (None,) * len(FIGURES)
        rows = [
            [index, name, *(f"{value:.6g}" for value in values)]
            for (index, name), values in zip(
                self._request.atlas.parcels.items(), core.regional.T, strict=True
            )
        ]
        meanings = {
            name: {
                "Description": words,
                **({} if icc is None else {"RetestICC": round(icc, 3)}),
            }
            for (name, (words, _)), icc in zip(FIGURES.items(), iccs, strict=True)
        }
        yield from self.write_with(
            REGIONAL.path(self._entities(measured)),
            encoded(tsv_text(["index", "name", *FIGURES], rows)),
            {
                "Description": "Figures of each region by a linear process that is shrunk to the "
                "training people's: description, not for statistics, as they move with the "
                "minutes kept",
                "index": {"Description": "Label of the parcel in the atlas"},
                "name": {"Description": "Name of the parcel in the atlas' table"},
                **meanings,
                **self._model_facts(measured, modelled),
            },
        )

    def _write_forecasts(
        self, measured: MeasuredSeries, modelled: Modelled, core: CoreResults
    ) -> Iterator[PurePosixPath]:
        """Write how well the first half of the run predicts the second one's frames."""
        if not np.isfinite(core.forecasts).all():
            return
        ahead = "Share of the variance of frames of the run's second half that is explained so "
        rows = [
            [str(step), f"{step * measured.series.tr_seconds:.6g}", f"{own:.4f}", f"{group:.4f}"]
            for step, own, group in zip(STEPS, *core.forecasts, strict=True)
        ]
        yield from self.write_with(
            FORECASTS.path(self._entities(measured)),
            encoded(tsv_text(["frames", "seconds", "r2", "r2_group"], rows)),
            {
                "Description": "Forecasts: frames of the run's second half, predicted from frames "
                "before them by a linear model",
                "frames": {"Description": "How many frames ahead"},
                "seconds": {"Description": "The same in time", "Units": "s"},
                "r2": {
                    "Description": f"{ahead}many frames ahead, by the process of the first half, "
                    "shrunk to that of training people; 0: as good as the half's mean"
                },
                "r2_group": {"Description": "The same by the training people's process"},
                **self._model_facts(measured, modelled),
            },
        )

    @property
    def _core_part(self) -> LinearPart:
        bundle = self._request.bundle
        assert isinstance(bundle, LinearBundle)  # its results are written
        return bundle.part

    def _write_parameters(
        self, measured: MeasuredSeries, modelled: Modelled, found: Parameters
    ) -> Iterator[PurePosixPath]:
        bundle = self._request.bundle
        assert isinstance(bundle, NetworkBundle)  # its results are written
        part, count = bundle.part, found.mean.shape[1]
        columns = [f"theta{number}{end}" for number in range(1, count + 1) for end in ("", "_sd")]
        values = np.stack([found.mean, found.sd], axis=2)
        values = values.reshape(len(found.mean), -1)
        rows = [
            [index, name, *(f"{value:.6g}" for value in row)]
            for (index, name), row in zip(self._request.atlas.parcels.items(), values, strict=True)
        ]
        meanings = {
            column: {
                "Description": f"{'Standard deviation' if column.endswith('_sd') else 'Mean'} of "
                f"the posterior of parameter {column[5:].removesuffix('_sd')}, in the model's own "
                "order; before any data each is 0 with a standard deviation of 1"
            }
            for column in columns
        }
        yield from self.write_with(
            PARAMETERS.path(self._entities(measured)),
            encoded(tsv_text(["index", "name", *columns], rows)),
            {
                "Description": "Parameters of each region by a network model: estimates",
                "index": {"Description": "Label of the parcel in the atlas"},
                "name": {"Description": "Name of the parcel in the atlas' table"},
                **meanings,
                **({parameters.FAULTS: part.faults} if part.judged else {}),
                **self._model_facts(measured, modelled),
            },
        )

    def _write_person(
        self, measured: MeasuredSeries, modelled: Modelled, found: PersonParameters
    ) -> Iterator[PurePosixPath]:
        """Write a named model's parameters, and whether they can be trusted."""
        bundle = self._request.bundle
        assert isinstance(bundle, NamedBundle)  # its results are written
        part = bundle.part
        judged = part.judged or (None,) * len(part.model.parameters)
        tail = 100 * (1 - LEVEL) / 2
        rows = []
        for row, own, draws in zip(part.model.parameters, judged, found.draws.T, strict=True):
            low, high = np.percentile(draws, (tail, 100 - tail))
            figures = [f"{value:.5g}" for value in (draws.mean(), draws.std(), low, high)]
            fault = "not judged by simulations" if own is None else own.fault
            rows.append([row.name, *figures, person.DISTRUSTED if fault else "yes", fault or None])
        names = "; ".join(f"{row.name}: {row.words}" for row in part.model.parameters)
        meanings = {**person.COLUMNS, "name": f"{person.COLUMNS['name']}. {names}"}
        connectome = "the participant's own" if found.own else "mean of the training people"
        yield from self.write_with(
            person.FILE.path(self._entities(measured)),
            encoded(tsv_text([*person.COLUMNS], rows)),
            {
                "Description": f"Parameters of the person by {part.model.words}, the same for all "
                "regions: estimates",
                **{name: {"Description": words} for name, words in meanings.items()},
                person.UNUSUAL: list(found.unusual),
                person.BEYOND: found.beyond,
                "StructuralConnectome": connectome,
                **self._model_facts(measured, modelled),
            },
        )

    def _write_images(
        self, measured: MeasuredSeries, modelled: Modelled, parameters: Parameters
    ) -> Iterator[PurePosixPath]:
        """Write each parameter's means and spreads at the voxels of the parcels."""
        places, parcel = self._reader.places, self._reader.parcel
        for what, values in (("", parameters.mean), ("sd", parameters.sd)):
            for number, column in enumerate(values.T.astype(np.float32), 1):
                kind = FileKind(_IMAGES, f"theta{number}{what}", ".nii.gz")
                data = places.encode(column[parcel], description=f"bids_dtg {kind.desc}")
                words = "standard deviation" if what else "mean"
                yield from self.write_with(
                    kind.path(self._entities(measured)),
                    data,
                    {
                        "Description": f"Parameter {number} of each region by a network model, "
                        f"{words} of the posterior: an estimate",
                        "Units": "arbitrary",
                        **self._request.grid.brain_metadata,
                        **self._model_facts(measured, modelled),
                    },
                )

    def _write_simulated(
        self, measured: MeasuredSeries, modelled: Modelled
    ) -> Iterator[PurePosixPath]:
        path = SIMULATED.path(self._entities(measured))
        write_npz(
            self._request.output.path(path),
            {
                "places": np.array(self._request.regions),
                "tr_seconds": np.array(measured.series.tr_seconds),
                "simulated": modelled.simulated.astype("<f4"),
            },
        )
        yield path
        yield self.write_sidecar(
            path,
            {
                "Description": "Simulated series (simulations, places, frames) under the key "
                "simulated; places has the names. Simulated by a model, not measured",
                "Units": "standard deviations of a region's measured series",
                "RepetitionTime": measured.series.tr_seconds,
                "Seed": self._request.settings.modelling.seed,
                **self._model_facts(measured, modelled),
            },
        )

    def _model_facts(self, measured: MeasuredSeries, modelled: Modelled) -> dict[str, Any]:
        filled = {_FILLED: round(modelled.share_filled, 4)}
        return {**self.origin(measured), **self.model_facts(), **filled}
