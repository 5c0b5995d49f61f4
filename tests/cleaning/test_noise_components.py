"""Components of ICA-AROMA and tedana beside a run, and which of them are noise."""

from __future__ import annotations

import inspect
import shutil

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import (
    add_run,
    confound_columns,
    describe_dataset,
    write_confounds,
)
from nilearn.interfaces.fmriprep import load_confounds as by_nilearn
from nuisance_tables import write_aroma, write_tedana

from bids_dtg.cleaning.confounds import load_confounds
from bids_dtg.cleaning.noise_components import find_component_files, read_components
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

FRAMES = 30
MIXING = np.random.default_rng(0).standard_normal((FRAMES, 6))
NOISE = np.array([True, False, False, True, False, False])
KINDS = ["rejected" if noise else "accepted" for noise in NOISE]


@pytest.fixture
def run(tmp_path) -> RestRun:
    root = describe_dataset(tmp_path / "derivatives" / "fmriprep")
    add_run(root, session="A", entities="run-1")
    add_run(root, session="A", entities="run-11")
    first, _ = find_runs(root, "01")
    return first


@pytest.mark.parametrize("post", [False, True])
@pytest.mark.parametrize("place", ["beside", "fmripost_aroma", "fMRIPost-AROMA"])
def test_components_are_found_and_read(run, post, place):
    folder = run.bold.parent
    if place != "beside":
        if not post:
            place = "fmripost_aroma"
        folder = run.root.parent / place / folder.relative_to(run.root)
    write_aroma(folder, run.title, MIXING, NOISE, post=post)
    mixing, noise = read_components("ica_aroma", run, FRAMES)
    np.testing.assert_allclose(mixing, MIXING)
    np.testing.assert_array_equal(noise, NOISE)
    assert all(path.parent == folder for path in find_component_files("ica_aroma", run))


def test_files_of_another_run_are_not_taken(run):
    write_aroma(run.bold.parent, run.title + "1", MIXING, NOISE)  # run-11
    assert find_component_files("ica_aroma", run) is None
    with pytest.raises(
        RunError, match=r"run-1 has no outputs of ICA-AROMA .*MELODIC_mixing\.tsv"
    ):
        read_components("ica_aroma", run, FRAMES)


def test_components_of_two_neighbours_are_refused_with_both_names(run):
    for name in ("fmripost_aroma", "aroma_old"):
        folder = run.root.parent / name / run.bold.parent.relative_to(run.root)
        write_aroma(folder, run.title, MIXING, NOISE, post=True)
    with pytest.raises(
        RunError, match=r"two files may be .*aroma_old/.* and .*fmripost_aroma/"
    ):
        find_component_files("ica_aroma", run)


@pytest.mark.parametrize("strategy", ["ica_aroma", "tedana"])
@pytest.mark.parametrize(
    ("missing", "zeros", "flagged", "dummies", "fits"),
    [
        (3, 0, 3, "auto", True),
        (3, 0, 0, "3", True),
        (0, 3, 3, "auto", True),  # as fMRIPrep fills up what MELODIC was not given
        (0, 3, 0, "5", True),
        (3, 0, 0, "auto", False),  # three kept frames would not be cleaned
        (0, 3, 3, "0", False),
        (3, 0, 5, "auto", False),  # nobody knows which frames are missing
        (3, 0, 3, "5", False),
        (3, 1, 3, "auto", False),
    ],
)
def test_an_ica_lacks_the_frames_that_are_dropped_at_the_start_or_is_refused(
    run, strategy, missing, zeros, flagged, dummies, fits
):
    write_confounds(run.confounds, confound_columns(FRAMES, n_non_steady=flagged))
    mixing = MIXING[missing:] * (np.arange(FRAMES - missing) >= zeros)[:, None]
    write_aroma(run.bold.parent, run.title, mixing, NOISE)
    write_tedana(run.bold.parent, run.title, mixing, KINDS)
    options = CleaningOptions(denoise_strategy=strategy, dummy_scans=dummies)
    if not fits:
        with pytest.raises(
            RunError, match=rf"_mixing\.tsv has {FRAMES - missing} rows"
        ) as told:
            load_confounds(run, options, n_frames=FRAMES)
        assert "\n" not in str(told.value)
        assert f"--dummy-scans {missing + zeros}" in str(told.value)
        assert zeros == 0 or f", the first {zeros} of them of zeros" in str(told.value)
        return
    confounds = load_confounds(run, options, n_frames=FRAMES)
    assert confounds.decisions["noise_components"] == 2
    noise = confounds.mixing[confounds.keep][:, confounds.noise]
    np.testing.assert_allclose(noise, MIXING[confounds.keep][:, NOISE])


def test_no_noise_at_all_is_no_error(run):
    write_aroma(run.bold.parent, run.title, MIXING, np.zeros(6, bool))
    assert not read_components("ica_aroma", run, FRAMES)[1].any()


@pytest.mark.parametrize(
    ("mixing", "noise", "message"),
    [
        (MIXING[:5], "1,4", "has 5 rows.*30, the frames of"),
        (np.vstack([MIXING, MIXING]), "1,4", "has 60 rows"),
        (MIXING, "1,7", r"names \[1, 7\] of 6 components"),
        (MIXING, "0", r"names \[0\]"),
        (MIXING, "one", "cannot be read: invalid literal"),
        (MIXING * np.nan, "1", "not a table of finite numbers"),
    ],
)
def test_files_that_do_not_fit_are_one_line(run, mixing, noise, message):
    write_aroma(run.bold.parent, run.title, mixing, NOISE)
    (run.bold.parent / f"{run.title}_AROMAnoiseICs.csv").write_text(noise)
    with pytest.raises(RunError, match=message) as told:
        read_components("ica_aroma", run, FRAMES)
    assert "\n" not in str(told.value)


def test_metrics_of_another_ica_are_refused(run):
    write_aroma(run.bold.parent, run.title, MIXING, NOISE[:4], post=True)
    with pytest.raises(RunError, match="has 4 rows for 6 components"):
        read_components("ica_aroma", run, FRAMES)


@pytest.mark.parametrize("name", ["ICA_{:02d}", "ICA_{}"])
@pytest.mark.parametrize("place", ["beside", "tedana"])
def test_components_of_tedana_are_found_and_read(run, place, name):
    folder = run.bold.parent
    if place != "beside":
        folder = run.root.parent / place / folder.relative_to(run.root)
    write_tedana(folder, run.title, MIXING, KINDS, name=name)
    mixing, noise = read_components("tedana", run, FRAMES)
    np.testing.assert_allclose(mixing, MIXING)
    np.testing.assert_array_equal(noise, NOISE)
    assert all(path.parent == folder for path in find_component_files("tedana", run))


def test_nilearn_takes_the_same_components_of_real_tables(run, shared):
    if "tedana" not in inspect.signature(by_nilearn).parameters:
        pytest.skip("this nilearn has no tedana")
    real = shared / "data" / "real" / "confounds"
    optcom = run.bold.with_name(f"{run.title}_desc-optcom_bold.nii.gz")
    bold = np.random.default_rng(0).integers(1, 99, (3, 3, 3, FRAMES)).astype(np.int16)
    nib.save(nib.Nifti1Image(bold, np.eye(4)), optcom)
    for ending in ("desc-ICA_mixing.tsv", "desc-tedana_metrics.tsv"):
        shutil.copy(real / f"test_{ending}", optcom.with_name(f"{run.title}_{ending}"))
    wanted, _ = by_nilearn(
        str(optcom), strategy=("tedana",), tedana="aggressive", demean=False
    )
    mixing, noise = read_components("tedana", run, FRAMES)
    assert 10 < noise.sum() < 60
    np.testing.assert_allclose(mixing[:, noise], wanted.to_numpy())
    numbers = np.flatnonzero(noise)
    assert [f"rejected_ICA_{number:02d}" for number in numbers] == list(wanted.columns)


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        (None, r"has no outputs of tedana in .*desc-ICA_mixing\.tsv.*--prefix"),
        ("comp{}", r"desc-tedana_metrics\.tsv names none of the components"),
    ],
)
def test_what_cannot_be_used_of_tedana_is_one_line(run, name, fact):
    if name is not None:
        write_tedana(run.bold.parent, run.title, MIXING, KINDS, name=name)
    with pytest.raises(RunError, match=fact) as told:
        read_components("tedana", run, FRAMES)
    assert "\n" not in str(told.value)
