"""What models say of one run, and the files that are written of it, without a whole call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from network_job import FRAMES, REGIONS, TR, NetworkJob, weights, write_amortised, write_core
from tiny_named import write_tiny_named

from bids_dtg.dynamics.bundle.bundle import NetworkBundle, load_network_bundle
from bids_dtg.dynamics.bundle.linear import LinearBundle, load_linear_bundle
from bids_dtg.dynamics.bundle.named import NamedBundle
from bids_dtg.dynamics.participant.infer import (
    LinearInference,
    Modelled,
    NamedInference,
    NetworkInference,
    foreseen,
)
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.write import NetworkWriter
from bids_dtg.errors import RunError
from bids_dtg.files.text import read_rows
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.settings import Settings


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> NetworkJob:
    return NetworkJob(tmp_path_factory.mktemp("runs"), ("01",))


@pytest.fixture(scope="module")
def request_of_all(job) -> NetworkRequest:
    settings = Settings.of(
        bids_dir=job.bids,
        output_dir=job.out,
        analysis_level="participant",
        workflow="dynamics",
        atlases=(str(job.atlas),),
        omp_nthreads=1,
    )
    return NetworkRequest.prepare(settings)


@pytest.fixture(scope="module")
def measured(request_of_all) -> MeasuredSeries:
    (run,) = request_of_all.runs("01")
    return request_of_all.reader().measure(run)


@pytest.fixture(scope="module")
def core(job) -> LinearBundle:
    return load_linear_bundle(write_core(job.folder / "core"))


@pytest.fixture(scope="module")
def named(job) -> NamedBundle:
    # A shorter repetition time than the run's: its sessions are simulated in a tenth of the time.
    return write_tiny_named(job.folder / "hopf", regions=REGIONS, tr=TR / 10, frames=FRAMES)


@pytest.fixture(scope="module")
def network(job) -> NetworkBundle:
    return load_network_bundle(write_amortised(job.folder / "tiny"))


@pytest.fixture
def write(request_of_all, measured) -> Callable[..., dict[str, Path]]:
    """Return what writes the results of a model: it returns files by the ends of their names."""
    (planned,) = request_of_all.averages("01")

    def write(bundle, modelled: Modelled) -> dict[str, Path]:
        request = replace(request_of_all, bundle=bundle)
        writer = NetworkWriter(request, request.reader())
        files = writer.write(planned, measured, None, modelled, seconds=1.0)
        return {path.name.partition("Slabs_")[2]: request.output.path(path) for path in files}

    return write


def without(measured: MeasuredSeries, region: int) -> MeasuredSeries:
    """Return a run of which a parcel has no signal."""
    values, coverage = measured.series.values.copy(), measured.series.coverage.copy()
    values[region], coverage[region] = np.nan, 0
    return replace(measured, series=replace(measured.series, values=values, coverage=coverage))


def test_a_run_without_a_parcel_is_refused_with_its_name(core, measured):
    with pytest.raises(RunError) as caught:
        LinearInference(core, 2, 0, 1).of(without(measured, 1), None)
    line = str(caught.value)
    assert f"too little signal in 1 of {len(REGIONS)} parcels ({REGIONS[1]})" in line
    assert "Expected: series of all of them, as core reads them together" in line
    assert "lower --min-coverage, or leave out --model" in line


def test_halves_that_say_nothing_foresee_nothing(core):
    model, series = core.model(), np.random.default_rng(0).normal(size=(len(REGIONS), 80))
    kept = np.ones(80, bool)
    assert np.isfinite(foreseen(model, series, kept)).all()
    later = np.arange(80) >= 40
    constant = np.where(later & (np.arange(len(REGIONS)) == 2)[:, None], 1.0, series)
    for values, frames in (
        (series[:, :25], kept[:25]),  # too short
        (series, later),  # nothing of the first half is kept
        (series, ~later),  # nor of the second
        (constant, kept),
    ):
        found = foreseen(model, values, frames)
        assert found.shape == (2, 4)
        assert np.isnan(found).all()


def test_a_named_model_finds_a_person_s_parameters_and_writes_them(named, measured, write):
    modelled = NamedInference(named, 2, 0, 1).of(measured, None)
    person = modelled.person
    assert modelled.simulated.shape == (2, len(REGIONS), FRAMES)
    assert not person.own
    files = write(named, modelled)
    table = files["desc-person_parameters.tsv"]
    rows = read_rows(table)
    assert [(row["name"], row["trusted"]) for row in rows] == [
        *(("G", "yes"), ("a", "yes"), ("noise", "no"))
    ]
    assert "not recovered" in rows[2]["fault"]
    mean = [float(row["mean"]) for row in rows]
    assert np.allclose(mean, person.draws.mean(axis=0), rtol=1e-4)
    for row, draws in zip(rows, person.draws.T, strict=True):
        assert float(row["low"]) == pytest.approx(np.percentile(draws, 5), rel=1e-4)
        assert float(row["high"]) == pytest.approx(np.percentile(draws, 95), rel=1e-4)
    facts = json.loads(table.with_suffix(".json").read_text())
    assert facts["StructuralConnectome"] == "mean of the training people"
    assert facts["UnusualStatistics"] == list(person.unusual)
    assert facts["UnlikeSimulations"] is person.beyond


def test_a_person_s_own_connectome_is_simulated(named, measured, write):
    inference = NamedInference(named, 2, 0, 1)
    own = inference.of(measured, weights().astype(float))
    assert own.person.own
    assert not np.array_equal(own.person.draws, inference.of(measured, None).person.draws)
    facts = write(named, own)["desc-person_parameters.json"]
    assert json.loads(facts.read_text())["StructuralConnectome"] == "the participant's own"


def test_a_named_model_of_longer_sessions_refuses_a_run(named, measured):
    series = measured.series
    half = replace(series, values=series.values[:, :50], keep=series.keep[:50])
    with pytest.raises(RunError, match=f"there are 50 frames, and tiny has .* of {FRAMES}"):
        NamedInference(named, 2, 0, 1).of(replace(measured, series=half), None)


def differing(files: dict[str, Path]) -> float | None:
    return json.loads(files["desc-lag1_relmat.json"].read_text()).get("EffectsThatDiffer")


def test_of_a_core_only_what_was_found_is_written(core, measured, write):
    modelled = LinearInference(core, 2, 0, 1).of(measured, None)
    files = write(core, modelled)
    wanted = {f"desc-components_parameters{end}" for end in (".tsv", ".json")}
    wanted |= {f"desc-forecasts_qc{end}" for end in (".tsv", ".json")}
    assert wanted <= set(files)
    assert differing(files) == modelled.core.different
    nothing = replace(
        modelled.core,
        scores=np.empty(0),
        forecasts=np.full_like(modelled.core.forecasts, np.nan),
        different=float("nan"),
    )
    fewer = write(core, replace(modelled, core=nothing))
    assert set(files) - set(fewer) == wanted
    assert differing(fewer) is None


def test_parameters_that_are_not_finite_are_refused(network, measured):
    lost = np.full((len(REGIONS),) * 2, np.nan)
    with pytest.raises(RunError, match=r"the parameters by tiny are not finite.*use another model"):
        NetworkInference(network, 2, 0, 1).of(measured, lost)
