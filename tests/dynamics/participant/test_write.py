"""Results of models for one run, and the files written of them, without the whole program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_job import REGIONS, NetworkJob, write_core

from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.worker import NetworkWork
from bids_dtg.errors import RunError
from bids_dtg.participants.parcels import MeasuredSeries
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
    return LinearBundle.load(write_core(job.folder / "core"))


@pytest.fixture
def work(request_of_all, core) -> NetworkWork:
    return NetworkWork(replace(request_of_all, bundle=core))


def without(measured: MeasuredSeries, region: int) -> MeasuredSeries:
    """Return a run of which a parcel has no signal."""
    values, coverage = measured.series.values.copy(), measured.series.coverage.copy()
    values[region], coverage[region] = np.nan, 0
    return replace(
        measured, series=replace(measured.series, values=values, coverage=coverage)
    )


def test_a_run_without_a_parcel_is_refused_with_its_name(work, measured):
    with pytest.raises(RunError) as caught:
        work.request.require_usable(without(measured, 1))
    line = str(caught.value)
    assert f"too little signal in 1 of {len(REGIONS)} parcels ({REGIONS[1]})" in line
    assert "Expected: series of all parcels, which core needs" in line
    assert "leave out --model" in line


@pytest.mark.parametrize(
    ("pace", "frames", "message"),
    [
        (
            1.06,
            range(100),
            "apart and those of the model core .* Expected: a difference of at m",
        ),
        (
            0.94,
            range(100),
            "a difference of at most 5%, as the model's step is one frame",
        ),
        (
            1.04,
            range(59),
            "59 frames from the first to the last kept one. Expected: 60 or more",
        ),
        (
            1.00,
            range(0, 99, 2),
            "49% of the 99 frames from .* Expected: at most 30%, for the mode",
        ),
    ],
)
def test_a_run_of_other_frames_than_the_models_is_refused(
    work, measured, pace, frames, message
):
    design = measured.design
    keep = design.keep & np.isin(np.arange(len(design.keep)), frames)
    changed = replace(
        design, tr_seconds=pace * design.tr_seconds, keep=keep, basis=design.basis[keep]
    )
    with pytest.raises(RunError, match=message):
        work.request.require_usable(replace(measured, design=changed))
