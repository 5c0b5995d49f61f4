from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.connectome import voxel_to_roi
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom.dataset import (
    CONTENTS,
    describe_datasets,
    draw_run,
    phenotype,
    write_participant,
    write_run,
)
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.run import confounds_table
from bids_dtg.phantom.run import recording_signals as watched
from bids_dtg.phantom.streams import Cohort

RUN = {"frames": 60, "repetition_time_s": 2.0}


@pytest.fixture(scope="module")
def person():
    return Phantom(block=1).person(Cohort.DEMO, 0)


@pytest.fixture(scope="module")
def fmriprep(person, tmp_path_factory) -> Path:
    """Return a derivatives folder with one short run."""
    out = tmp_path_factory.mktemp("phantom")
    describe_datasets(out, person.phantom, [person], **RUN, program="tests")
    write_run(out / "fmriprep", person, **RUN)
    return out / "fmriprep"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(("frames", "seconds"), [(49, 2.0), (300, 0.0), (300, 1500.0)])
def test_impossible_runs_are_refused(phantom, tmp_path, frames, seconds):
    run = {"frames": frames, "repetition_time_s": seconds}
    with pytest.raises(ValueError, match=f"not {frames} of {seconds:g} s"):
        describe_datasets(
            tmp_path, phantom, [phantom.person(0, 0)], **run, program="tests"
        )
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_the_same_person_gives_the_same_bytes(person, fmriprep, tmp_path):
    again = Phantom(block=1).person(Cohort.DEMO, 0)
    write_run(tmp_path, again, **RUN)
    written = files(tmp_path)
    assert len(written) == 6
    assert {
        name: data for name, data in files(fmriprep).items() if "sub-" in name
    } == written


@pytest.mark.parametrize("strategy", ["simple", "scrubbing", "compcor"])
def test_nilearn_reads_the_confounds(fmriprep, strategy):
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    bold = next(fmriprep.rglob("*_bold.nii.gz"))
    confounds, sample_mask = load_confounds_strategy(
        str(bold), denoise_strategy=strategy
    )
    assert len(confounds) == 60
    assert confounds.notna().all(axis=None)
    assert not {0, 1} & set(sample_mask)  # not steady yet


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
    describe_datasets(tmp_path, person.phantom, [person], **RUN, program="tests")
    stages = []
    write_participant(
        tmp_path,
        person,
        **RUN,
        stage=lambda name, share: stages.append((share, name)),
        contents=CONTENTS,
    )
    assert stages == sorted(stages)
    assert len(list((tmp_path / "statmaps").rglob("*_statmap.nii.gz"))) == 2 * len(
        hcp_contrasts()
    )
    path = next((tmp_path / "truth").rglob("*contrast-wm2bk_*_statmap.nii.gz"))
    assert "_task-wm_" in path.name
    volume = np.asarray(nib.load(path).dataobj)
    truth = person.true_maps()[[c.label for c in hcp_contrasts()].index("wm2bk")]
    # In steps of 1/32.
    np.testing.assert_allclose(
        volume[person.phantom.anatomy.grey], truth, atol=1 / 64 + 1e-5
    )
    validator = shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    for root in tmp_path.iterdir():
        report = subprocess.run(
            [validator, root], capture_output=True, text=True, check=False
        )
        assert report.returncode == 0, report.stdout
        assert "[ERROR]" not in report.stdout


SIMPLE = ("trans_", "rot_", "cosine")


def recorded(run):
    """Return the run's frames, and its columns of confounds with 0 for n/a."""
    signals = defaultdict(list)
    frames = np.concatenate([*watched(run.blocks(), run.anatomy, signals)])
    columns, _ = confounds_table(run.motion, signals, run.repetition_time_s)
    return frames, {name: np.nan_to_num(c) for name, c in columns.items()}


@pytest.fixture(scope="module")
def coarse(phantom):
    return phantom.person(Cohort.DEMO, 0)


def test_a_run_has_its_frames_and_is_the_same_again(coarse):
    first_run, again = (
        np.concatenate(list(draw_run(coarse, 70, 1.5).blocks())) for _ in range(2)
    )
    assert first_run.shape == (70, coarse.phantom.anatomy.brain.sum())
    assert first_run.dtype == np.float32
    np.testing.assert_array_equal(first_run, again)


@pytest.mark.slow
def test_cleaning_recovers_the_person_s_connectome(coarse):
    phantom = coarse.phantom
    frames, columns = recorded(draw_run(coarse, 300, 1.5))
    maps = np.zeros((50, frames.shape[1]), np.float32)
    maps[:, phantom.anatomy.grey_in_brain] = phantom.roi_maps
    keep = np.arange(300) >= 2
    nuisance = np.stack(
        [c for name, c in columns.items() if name.startswith(SIMPLE)], axis=1
    )
    expected = np.mean([coarse.connectome(0, segment) for segment in range(4)], axis=0)

    def similarity(confounds):
        connectome = voxel_to_roi(frames, maps, confounds, keep)[
            :, phantom.anatomy.grey_in_brain
        ]
        return np.corrcoef(connectome.ravel(), expected.ravel())[0, 1]

    # As close as a segment without any nuisance is, but for the frames' correlation in time.
    ideal = np.corrcoef(coarse.connectome(0, 4).ravel(), expected.ravel())[0, 1]
    assert similarity(nuisance) > ideal - 0.06
    assert similarity(nuisance) > similarity(None) + 0.05


def test_traits_explain_the_scores_in_part(phantom):
    people = [phantom.person(Cohort.TRAINING, n) for n in range(400)]
    phenotypes = [phenotype(person) for person in people]
    traits = np.array([person.traits[:4] for person in people])
    values = [
        [p[name] if name != "sex" else p[name] == "F" for p in phenotypes]
        for name in phenotypes[0]
    ]
    r = [np.corrcoef(v, t)[0, 1] for v, t in zip(values, traits.T, strict=True)]
    assert 0.6 < r[0] < 0.8
    assert 0.45 < r[1] < 0.7
    assert abs(r[2] - np.sqrt(0.6)) < 0.08
    assert abs(r[3] - np.sqrt(0.3)) < 0.12
    assert abs(np.mean(values[2]) - 100) < 3
    assert all(22 <= p["age"] <= 37 and p["sex"] in "FM" for p in phenotypes)
    assert phenotype(people[0]) == phenotype(phantom.person(Cohort.TRAINING, 0))
