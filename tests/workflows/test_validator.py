"""What the BIDS validator reports for an output, and what .bidsignore excludes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_check import require_every_file_seen, require_listed_names, validate
from maps_bundle import TINY_AFFINE, tiny_masks
from maps_job import TinyJob, add_rest

from bids_dtg.statistics.analyses import ANALYSES


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """Return a job of two people, one of them with sessions, that wrote all it can.

    Its input names two authors.
    """
    job = TinyJob(tmp_path_factory.mktemp("job"))
    job.reports = True
    about = job.bids / "dataset_description.json"
    named = {**json.loads(about.read_text()), "Authors": ["A. Person", "B. Person"]}
    about.write_text(json.dumps(named))
    add_rest(job.bids, "02", session="A", entities="run-1")
    add_rest(job.bids, "02", session="A", entities="run-2", seed=1)
    atlas = job.folder / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz"
    labels = np.ones(tiny_masks()[1].shape, np.int16)
    nib.save(nib.Nifti1Image(labels, TINY_AFFINE), atlas)
    assert job.run("--write", "maps", "connectome", "--atlases", atlas) == 0
    return job


@pytest.mark.slow
def test_it_passes_as_bidsignore_hides_what_it_does_not_know(job, tmp_path):
    validation = validate(job.out)
    assert (validation.errors, validation.warnings) == ([], [])
    require_listed_names(job.out, "volumes", tmp_path)


@pytest.mark.slow
def test_its_drafts_know_every_file(job, tmp_path):
    assert require_every_file_seen(job.out, tmp_path) > 50


def test_its_drafts_have_a_folder_for_each_kind_of_results_and_no_other():
    path = Path(__file__).parents[2] / "scripts" / "bids_drafts.json"
    schema = json.loads(path.read_text())["schema"]
    folders = {name for name in schema["objects"]["entities"] if "folder_" in name}
    assert folders == {*schema["rules"]["directories"]["derivative"]}
    of_models = "model evaluation folds simulation fixed_points intervention"
    of_training = "restart recipe"
    kinds = [*of_models.split(), *of_training.split(), *ANALYSES]
    assert folders == {f"folder_{kind}" for kind in kinds}
    datatypes = schema["objects"]["datatypes"].items()
    analyses = [name for name, facts in datatypes if "analysis" in facts["description"]]
    assert sorted(analyses) == sorted(ANALYSES)
