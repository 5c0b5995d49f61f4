"""What a participant gets from a model that reads the partial form of the connectome."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import tiny_masks, write_tiny_bundle
from maps_job import TinyJob, tiny_bold
from plain_route import regress

from bids_dtg.connectome.form import FORMS, PENALTY, Form

CONNECTOME = "space-MNI152NLin6Asym_res-2_stat-partial_desc-connectome_statmap"


def job_of(folder: Path, **facts: object) -> TinyJob:
    """Make a job of one person whose model reads the partial form; `facts` as of the bundle."""
    job = TinyJob(folder)
    job.model = folder / "partial"
    job.bundle = write_tiny_bundle(job.model, connectome=Form("partial"), **facts)
    return job


@pytest.mark.slow
def test_the_connectome_of_the_form_is_written_with_its_penalty(tmp_path):
    job = job_of(tmp_path)
    assert job.run("--write", "maps", "connectome", "--denoise-strategy", "none") == 0
    (path,) = job.out.rglob(f"*{CONNECTOME}.nii.gz")
    assert path.name == f"sub-01_task-rest_{CONNECTOME}.nii.gz"
    image, grid = nib.load(path), tiny_masks()[1]
    assert image.header.get_intent()[0] == "none"
    facts = json.loads(
        path.with_name(path.name.replace(".nii.gz", ".json")).read_text()
    )
    assert facts["Connectome"]["Form"] == "partial"
    assert facts["Connectome"]["RidgePenalty"] == PENALTY
    assert FORMS["partial"].words in facts["Description"]

    bold = tiny_bold()[grid].T.astype(np.float64)
    series = np.genfromtxt(
        next(job.out.rglob("*_desc-rois_timeseries.tsv")), skip_header=1
    )
    expected = regress(bold, series, PENALTY)
    np.testing.assert_allclose(image.get_fdata()[grid].T, expected, atol=1e-5)
