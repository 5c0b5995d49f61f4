"""A multi-echo run of fMRIPrep with tedana's outputs, through the whole job.

fMRIPrep writes the combined series, and with --me-output-echos the echoes. tedana's names are those
of tedana/tests/data/cornell_three_echo_outputs.txt of ME-ICA/tedana at 02dd091b, with the run's
name as --prefix.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_job import FRAMES, TinyJob, add_rest, tiny_bold
from nuisance_tables import write_tedana

from bids_dtg.files.sidecars import read_inherited

TITLE = "sub-01_task-rest"
KINDS = ("accepted", "rejected", "accepted", "rejected")
TEDANA = ("--denoise-strategy", "tedana")


def study(folder: Path, artefact: float = 400) -> TinyJob:
    """Make a study with derivatives of fMRIPrep, and of tedana beside them."""
    job = TinyJob(folder, ())
    job.bids = (folder / "study/derivatives/fmriprep").absolute()
    job.bids.parent.mkdir(parents=True)
    (folder / "fmriprep").rename(job.bids)
    rng = np.random.default_rng(3)
    mixing, where = rng.standard_normal((FRAMES, len(KINDS))), rng.random((10, 12, 9))
    add_rest(
        job.bids,
        bold=tiny_bold() + (artefact * where[..., None] * mixing[:, 1]).astype("f4"),
    )
    for echo in (1, 2, 3):
        parts = ("bold", "json")
        add_rest(job.bids, entities=f"echo-{echo}", space=None, res=None, parts=parts)
    tedana = job.bids.with_name("tedana")
    write_tedana(tedana / "sub-01/func", TITLE, mixing, KINDS)
    described = {
        "Name": "tedana",
        "BIDSVersion": "1.9.0",
        "GeneratedBy": [{"Name": "tedana"}],
    }
    (tedana / "dataset_description.json").write_text(json.dumps(described))
    return job


def connectome(job: TinyJob) -> np.ndarray:
    (path,) = job.out.rglob("*desc-connectome_statmap.nii.gz")
    return nib.load(path).get_fdata().ravel()


@pytest.mark.slow
def test_what_tedana_rejected_is_removed(tmp_path, capsys):
    job, clean = (study(tmp_path / name, size) for name, size in (("a", 400), ("b", 0)))
    assert job.run(*TEDANA, "--dry-run") == 0
    plan = capsys.readouterr().out
    assert f"{TITLE}_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz" in plan
    assert "echo-1" not in plan
    write = ("--write", "maps", "connectome")
    assert job.run(*TEDANA, *write) == clean.run(*TEDANA, *write) == 0
    wanted, facts = connectome(clean), min(job.out.rglob("*synthetic_statmap.nii.gz"))
    assert np.corrcoef(connectome(job), wanted)[0, 1] > 0.999
    assert read_inherited(facts)["DenoiseStrategy"] == "tedana"
    assert job.run("--denoise-strategy", "simple", *write) == 0
    assert np.corrcoef(connectome(job), wanted)[0, 1] < 0.8
