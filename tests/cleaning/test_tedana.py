from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import add_run, describe_dataset
from nilearn.interfaces.fmriprep import load_confounds as by_nilearn
from nuisance_tables import write_tedana

from bids_dtg.cleaning.confounds import load_confounds
from bids_dtg.cleaning.noise_components import find_component_files, read_components
from bids_dtg.cleaning.words import cleaning_text
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

FRAMES = 30
MIXING = np.random.default_rng(0).standard_normal((FRAMES, 4))
KINDS = ("accepted", "rejected", "ignored", "rejected")


@pytest.fixture
def run(tmp_path) -> RestRun:
    root = describe_dataset(tmp_path / "derivatives" / "fmriprep")
    bold = np.random.default_rng(0).integers(1, 99, (3, 3, 3, FRAMES)).astype(np.int16)
    add_run(root, bold=bold)
    (run,) = find_runs(root, "01")
    return run


def write(folder: Path, mixing: np.ndarray = MIXING, name: str = "ICA_{:02d}") -> None:
    write_tedana(folder, "sub-01_task-rest", mixing, KINDS, name=name)


@pytest.mark.parametrize("name", ["ICA_{:02d}", "ICA_{}"])
@pytest.mark.parametrize("place", ["beside", "tedana"])
def test_components_are_found_and_read(run, place, name):
    folder = run.bold.parent
    if place != "beside":
        folder = run.root.parent / place / folder.relative_to(run.root)
    write(folder, name=name)
    found = read_components("tedana", run, FRAMES)
    np.testing.assert_allclose(found.mixing, MIXING)
    assert found.noise.tolist() == [False, True, False, True]
    assert all(path.parent == folder for path in find_component_files("tedana", run))


def test_noise_components_are_taken_away_beforehand(run):
    write(run.bold.parent)
    options = CleaningOptions(denoise_strategy="tedana")
    beforehand = load_confounds(run, options, n_frames=FRAMES)
    assert beforehand.names == ("cosine00", "cosine01")
    assert beforehand.components is not None
    assert beforehand.decisions["noise_components"] == 2
    assert "was taken away first (non-aggressively)" in cleaning_text(options)


def test_nilearn_takes_the_same_components_of_real_tables(run, shared):
    if "tedana" not in inspect.signature(by_nilearn).parameters:
        pytest.skip("this nilearn has no tedana")
    real = shared / "data" / "real" / "confounds"
    optcom = run.bold.with_name(f"{run.title}_desc-optcom_bold.nii.gz")
    shutil.copy(run.bold, optcom)
    for ending in ("desc-ICA_mixing.tsv", "desc-tedana_metrics.tsv"):
        shutil.copy(real / f"test_{ending}", optcom.with_name(f"{run.title}_{ending}"))
    wanted, _ = by_nilearn(str(optcom), strategy=("tedana",), tedana="aggressive", demean=False)
    found = read_components("tedana", run, FRAMES)
    assert 10 < found.noise.sum() < 60
    np.testing.assert_allclose(found.mixing[:, found.noise], wanted.to_numpy())
    numbers = np.flatnonzero(found.noise)
    assert [f"rejected_ICA_{number:02d}" for number in numbers] == list(wanted.columns)


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (lambda f: None, r"has no outputs of tedana beside .*desc-ICA_mixing\.tsv.*--prefix"),
        (
            lambda f: write(f, name="comp{}"),
            r"desc-tedana_metrics\.tsv names none of the components",
        ),
        (lambda f: write(f, MIXING[:5]), r"has 5 rows\. Expected: 30, the fr"),
        (
            lambda f: write(f, np.full((FRAMES, 4), np.nan)),
            r"desc-ICA_mixing\.tsv is no table of finite numbers",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(run, spoil, fact):
    spoil(run.bold.parent)
    with pytest.raises(RunError, match=fact) as told:
        read_components("tedana", run, FRAMES)
    assert "\n" not in str(told.value)
