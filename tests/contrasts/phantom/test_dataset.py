from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.contrasts.phantom.dataset import (
    RunPlan,
    describe_datasets,
    participant_label,
    write_participant,
    write_run,
)
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.phantom.streams import Cohort

PLAN = RunPlan(frames=60, repetition_time_s=2.0)
GENERATOR = {"Name": "bids_dtg", "Version": "0"}


@pytest.fixture(scope="module")
def person():
    return Phantom(block=1).person(Cohort.DEMO, 0)


@pytest.fixture(scope="module")
def fmriprep(person, tmp_path_factory) -> Path:
    """Return a derivatives folder with one short run."""
    out = tmp_path_factory.mktemp("phantom")
    describe_datasets(out, person.phantom, [person], plan=PLAN, generator=GENERATOR)
    write_run(out / "fmriprep", person, PLAN)
    return out / "fmriprep"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_labels_say_that_nobody_stands_behind_them():
    assert participant_label(0) == "sim001"


@pytest.mark.parametrize(("frames", "seconds"), [(49, 2.0), (300, 0.0), (300, 1500.0)])
def test_impossible_plans_are_refused(frames, seconds):
    with pytest.raises(ValueError, match=f"not {frames} of {seconds:g} s"):
        RunPlan(frames, seconds)


@pytest.mark.slow
def test_the_same_person_gives_the_same_bytes(person, fmriprep, tmp_path):
    again = Phantom(block=1).person(Cohort.DEMO, 0)
    write_run(tmp_path, again, PLAN)
    written = files(tmp_path)
    assert len(written) == 6
    assert {name: data for name, data in files(fmriprep).items() if "sub-" in name} == written


@pytest.mark.parametrize("strategy", ["simple", "scrubbing", "compcor"])
def test_nilearn_reads_the_confounds(fmriprep, strategy):
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    bold = next(fmriprep.rglob("*_bold.nii.gz"))
    confounds, kept = load_confounds_strategy(str(bold), denoise_strategy=strategy)
    assert len(confounds) == 60
    assert confounds.notna().all(axis=None)
    assert not {0, 1} & set(kept)  # not steady yet


@pytest.mark.slow
def test_pybids_finds_the_run(fmriprep):
    from bids import BIDSLayout

    layout = BIDSLayout(fmriprep, validate=False, is_derivative=True)
    found = layout.get(subject="sim001", task="rest", suffix="bold", extension=".nii.gz")
    assert [file.entities["space"] for file in found] == ["MNI152NLin6Asym"]
    assert found[0].get_metadata()["RepetitionTime"] == 2.0


def test_every_file_says_that_it_is_simulated(fmriprep):
    for path in fmriprep.parent.rglob("*.json"):
        if path.name != "participants.json":
            assert json.loads(path.read_text())["Simulated"] is True, path
    for path in fmriprep.rglob("*.nii.gz"):
        assert b"SIMULATED" in bytes(nib.load(path).header["descrip"]), path
    for root in fmriprep.parent.iterdir():
        assert "SIMULATED" in (root / "README").read_text()
    assert "simulated" in (fmriprep / "participants.json").read_text()


@pytest.mark.slow
def test_whole_datasets_are_valid_and_hold_the_person_s_maps(person, tmp_path):
    describe_datasets(tmp_path, person.phantom, [person], plan=PLAN, generator=GENERATOR)
    stages = []
    write_participant(
        tmp_path, person, plan=PLAN, stage=lambda name, share: stages.append((share, name))
    )
    assert stages == sorted(stages)
    assert len(list((tmp_path / "statmaps").rglob("*_statmap.nii.gz"))) == 2 * len(CONTRASTS)
    path = next((tmp_path / "truth").rglob("*contrast-wm2bk_*_statmap.nii.gz"))
    assert "_task-wm_" in path.name
    volume = np.asarray(nib.load(path).dataobj)
    truth = person.true_maps()[[c.label for c in CONTRASTS].index("wm2bk")]
    np.testing.assert_allclose(volume[person.phantom.anatomy.grey], truth, rtol=1e-6)
    validator = shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    for root in tmp_path.iterdir():
        report = subprocess.run([validator, root], capture_output=True, text=True, check=False)
        assert report.returncode == 0, report.stdout
        assert "[ERROR]" not in report.stdout
