"""Prediction intervals and the check of a run, through the whole program."""

from __future__ import annotations

import numpy as np
import pytest
from maps_bundle import with_half_widths
from maps_job import TinyJob, map_facts, read_table

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.nifti import read_volume


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """A job with a model that has half-widths."""
    job = TinyJob(tmp_path_factory.mktemp("uncertainty"))
    job.plain, job.model = (
        job.model,
        with_half_widths(job.bundle, job.folder / "sure").path,
    )
    assert job.run() == 0
    return job


def maps(job: TinyJob, desc: str, extension: str = ".nii.gz") -> list:
    return sorted(job.out.glob(f"sub-01/func/*_desc-{desc}_statmap{extension}"))


def half_widths(out) -> list:
    """Files of half-width maps: of the dataset, not of a participant."""
    return sorted(out.glob("tpl-*/tpl-*_desc-halfwidth_statmap.nii.gz"))


@pytest.mark.slow
def test_half_widths_are_the_model_s_to_the_rounding_of_eight_bits(job):
    bundle = load_bundle(job.model)
    wanted = bundle.half_widths.at_places
    paths = half_widths(job.out)
    assert len(paths) == len(bundle.contrasts)
    for contrast, widths in zip(bundle.contrasts, wanted, strict=True):
        (path,) = [
            candidate
            for candidate in paths
            if f"_contrast-{contrast.label}_" in candidate.name
        ]
        volume, affine = read_volume(path)
        np.testing.assert_allclose(
            volume[bundle.places.mask], widths, atol=widths.max() / 500
        )
        assert not volume[~bundle.places.mask].any()
        np.testing.assert_allclose(affine, bundle.grid.affine)
        sidecar = map_facts(path)
        assert sidecar["IntervalLevel"] == 0.9
        assert "newly measured map" in sidecar["IntervalCovers"]
        assert sidecar["IntervalParticipants"] == 20


def test_a_run_of_another_kind_is_told_in_table_sidecar_and_log(job):
    (table,) = job.out.glob("sub-01/func/sub-01_task-rest_qc.tsv")
    (row,) = read_table(table)
    # Noise on ROI maps of noise: nothing is where it should be.
    assert row["training_distribution"] in ("unusual", "outside")
    assert row["training_distribution_reasons"] != "n/a"
    sidecar = read_inherited(maps(job, "synthetic")[0])
    assert sidecar["Runs"][0]["TrainingDistribution"] == row["training_distribution"]
    assert (
        "; ".join(sidecar["Runs"][0]["TrainingDistributionReasons"])
        == row["training_distribution_reasons"]
    )
