"""The file that is inflated before the imports is the one that is read first."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_job import TinyJob, add_rest

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.participant.first_run import begin_first_run, first_file
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.request import find_runs
from bids_dtg.engine.machine import available_cores
from bids_dtg.imaging import begun
from bids_dtg.imaging.bold import read_bold_header
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.settings import Settings


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


def asked(job: TinyJob, **options: object) -> Settings:
    given = {"bids_dir": job.bids, "output_dir": job.out, "model": str(job.model)}
    return Settings.of(**given, analysis_level="participant", **options)


@pytest.mark.parametrize("options", [{}, {"participant_label": ("02",)}])
def test_it_is_the_first_of_those_that_are_read_at_the_models_voxels(job, options):
    add_rest(job.bids, "02", entities="run-2")
    settings = asked(job, **options)
    path, positions = first_file(settings)
    assert path == find_runs(settings)[0].bold
    header, bundle = read_bold_header(path), load_bundle(job.model)
    voxels = Reader(bundle, settings.cleaning).places.positions
    expected = LatticeSampling.between(header.shape, header.affine, bundle.grid, voxels)
    np.testing.assert_array_equal(positions, expected.source)


def test_who_has_results_is_left_alone(job):
    (job.out / "sub-01").mkdir(parents=True)
    assert first_file(asked(job)) is None


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_nothing_is_begun_where_a_gpu_computes(job, device):
    """Its workers are not forked, and nobody would see what was inflated."""
    if available_cores() < 2:
        pytest.skip("nothing is begun on a single core")
    with begin_first_run(asked(job, device=device)):
        assert (begun._memory is None) == (device not in ("auto", "cpu"))
