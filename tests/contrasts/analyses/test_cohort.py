"""People's arrays are the same made in parallel or in turn, even after failures."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from isal import igzip
from itk_files import affine_part, write_composite
from maps_cohort import LABELS, TinyCohort
from maps_job import add_rest
from split_options import sets

from bids_dtg import load_bundle
from bids_dtg.contrasts.analyses.cohort import CohortPlan
from bids_dtg.contrasts.analyses.finding import contrast_rows, find_people
from bids_dtg.contrasts.analyses.reading import read_maps
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import DatasetError
from bids_dtg.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"))


def train(cohort, out: Path, *options: object) -> int:
    words = ("--architecture", "linear", *sets(LABELS, 0, 0.25))
    return cohort.analyse("train", *words, *options, out=out)


def cached(out: Path) -> dict[str, bytes]:
    cache = out / "group/cache"
    return {
        path.relative_to(cache).as_posix(): path.read_bytes()
        for path in sorted(cache.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def serial(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("serial") / "out"
    assert train(cohort, out, "--nprocs", 1) == 0
    return cached(out)


@pytest.mark.slow
def test_side_by_side_is_one_after_the_other_to_the_byte(
    cohort, serial, tmp_path, capsys
):
    assert train(cohort, tmp_path / "out", "--nprocs", 3) == 0
    parallel = cached(tmp_path / "out")
    assert len(parallel) == len(LABELS) * 3 * 2
    assert parallel == serial
    lines = capsys.readouterr().err
    assert all(f"/8] sub-{label}: read" in lines for label in LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_number_of_processes_does_not_change_how_sums_are_rounded(
    processes, cohort, tmp_path, monkeypatch
):
    """Each person's sums are made by one thread, whatever else there would be room for."""
    opened, noted = igzip.IGzipFile.__init__, tmp_path / "threads"

    def note_threads(self, path, *arguments):
        if path.name.endswith("_bold.nii.gz"):
            with noted.open("a") as file:
                file.write(f"{os.environ['OMP_NUM_THREADS']}\n")
        opened(self, path, *arguments)

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(cohort, "threads", None)
    monkeypatch.setattr(igzip.IGzipFile, "__init__", note_threads)
    assert train(cohort, tmp_path / "out", "--nprocs", processes) == 0
    assert noted.read_text().split() == ["1"] * len(LABELS)


@pytest.mark.slow
def test_processes_that_are_started_afresh_do_the_same(
    cohort, serial, tmp_path, monkeypatch
):
    """As where no process is forked; and where a GPU is, whose driver does not outlive a fork."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert train(cohort, tmp_path / "out", "--nprocs", 2) == 0
    assert cached(tmp_path / "out") == serial


@pytest.mark.slow
def test_what_is_killed_costs_one_participant(
    cohort, serial, tmp_path, capsys, monkeypatch
):
    opened = igzip.IGzipFile.__init__

    def killed(self, path, *arguments):
        if path.name.startswith("sub-02") and path.name.endswith("_bold.nii.gz"):
            os.kill(os.getpid(), signal.SIGKILL)
        opened(self, path, *arguments)

    monkeypatch.setattr(igzip.IGzipFile, "__init__", killed)
    assert train(cohort, tmp_path / "out", "--nprocs", 2) == 1
    assert (
        "sub-02 is left out: the process that worked on this" in capsys.readouterr().err
    )
    assert cached(tmp_path / "out") == {
        name: data
        for name, data in serial.items()
        if not name.startswith(("sub-02/partial_connectomes", "sub-02/sketches"))
    }
    monkeypatch.undo()
    # The next analysis does what is left, and only that.
    assert train(cohort, tmp_path / "out", "--nprocs", 2, "--model-name", "next") == 0
    assert cached(tmp_path / "out") == serial
    lines = capsys.readouterr().err
    assert "[1/1] sub-02" in lines
    assert "sub-03" not in lines


@pytest.mark.slow
def test_what_cannot_be_read_costs_one_participant(tmp_path, capsys):
    cohort = TinyCohort(tmp_path)
    add_rest(cohort.bids, "02", frames=6)
    shutil.rmtree(cohort.bids / "sub-03/func")
    assert train(cohort, tmp_path / "out", "--dry-run") == 0
    log = capsys.readouterr().err
    assert all(f"sub-{label} would be left out: " in log for label in ("02", "03"))
    assert train(cohort, tmp_path / "out") == 1
    log = capsys.readouterr().err
    assert (
        "sub-02 is left out: sub-02 has no resting-state run with enough data left"
        in log
    )
    assert "sub-03 is left out: sub-03 has no BOLD series" in log
    path = tmp_path / "out/group/cache/sub-04/target_maps.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"1")
    for label in set(LABELS) - {"04"}:
        add_rest(cohort.bids, label, frames=6)
    assert train(cohort, tmp_path / "out", "--model-name", "next") == 2
    log = capsys.readouterr().err
    assert "target_maps.npy has changed since it was written" in log
    assert f"nobody in {cohort.bids} has usable rest and maps" in log


@pytest.fixture
def renamed(tmp_path):
    """Return people whose first session is the retest and whose second is the test."""
    renamed_cohort = TinyCohort(tmp_path)
    for old, new in (("ses-a", "ses-retest"), ("ses-b", "ses-test")):
        for path in list(renamed_cohort.statmaps.rglob(f"*{old}_*")):
            path.rename(path.with_name(path.name.replace(old, new)))
    return renamed_cohort


@pytest.mark.slow
def test_a_retest_is_never_the_target(renamed, cohort, serial, tmp_path, capsys):
    out = tmp_path / "out"
    assert train(renamed, out) == 0
    line = "ses-test (8 participants); retests are from ses-retest (8 participants)"
    assert line in capsys.readouterr().err
    assert line in (out / "group/model-own/report.html").read_text()
    first = cached(out)["sub-01/target_maps.npy"]
    # The session that was called b is the target now.
    assert first == serial["sub-01/retest_maps.npy"]


def people_with_maps_in(statmaps, cohort, folder):
    settings = Settings.of(
        bids_dir=cohort.bids,
        output_dir=folder / "out",
        analysis_level="group",
        model=str(cohort.model),
        analysis="evaluate",
        derivatives=(f"statmaps={statmaps}",),
    )
    return find_people(CohortPlan.prepare(settings), None)


@pytest.mark.slow
def test_only_who_was_asked_for_is_read(cohort, tmp_path, capsys):
    labels = ("01", "sub-02", "04", "05", "06", "07")
    words = ("--architecture", "linear", *sets([label[-2:] for label in labels], 0, 0))
    words += ("--participant-label", *labels)
    assert cohort.analyse("train", *words, out=tmp_path / "out") == 0
    assert "6 participants with rest and maps, 2 contrasts (z); 0 left out" in (
        capsys.readouterr().err
    )
    people = {name[:6] for name in cached(tmp_path / "out")}
    assert people == {f"sub-{label[-2:]}" for label in labels}
    assert train(cohort, tmp_path / "out", "--participant-label", "99") == 2
    assert "has no participant 99" in capsys.readouterr().err


@pytest.mark.slow
def test_maps_in_another_template_are_brought_through_templateflows_transform(
    cohort, tmp_path, monkeypatch
):
    moved, shift = tmp_path / "statmaps", np.eye(4)
    shift[:3, 3] = 6, -4, 2  # where a point of the model's template lies in the other
    for path in sorted(cohort.statmaps.rglob("*_ses-a_*.nii.gz")):
        image = nib.load(path)
        shifted = moved / path.name.replace(
            "_contrast", "_space-MNI152NLin2009cAsym_contrast"
        )
        shifted.parent.mkdir(exist_ok=True)
        nib.save(
            nib.Nifti1Image(image.get_fdata("unchanged"), shift @ image.affine), shifted
        )
    with pytest.raises(
        DatasetError, match=r"maps are in MNI152NLin2009cAsym\. Expected: MNI152NLin6"
    ):
        people_with_maps_in(moved, cohort, tmp_path)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    folder = tmp_path / "templateflow/tpl-MNI152NLin6Asym"
    folder.mkdir(parents=True)
    name = "tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5"
    write_composite(folder / name, [affine_part(shift)])
    maps = {}
    for statmaps in (cohort.statmaps, moved):
        files = people_with_maps_in(statmaps, cohort, tmp_path)
        maps[statmaps], unusable = read_maps(files, files.maps["01"].target)
        assert not unusable
        assert ("MNI152NLin2009cAsym" in files.transforms) == (statmaps == moved)
    np.testing.assert_allclose(maps[moved], maps[cohort.statmaps], rtol=0, atol=1e-5)
    assert any(
        "from other templates to MNI152NLin6Asym: MNI152NLin2009cA" in n
        for n in files.notes
    )


def test_own_maps_have_the_definition_of_their_contrast_and_not_a_models():
    model = load_bundle("hcp-glasser").contrasts
    label = "motorLhVsAvg"
    (of_hcp,) = (row.description for row in hcp_contrasts() if row.label == label)
    (of_model,) = (row.description for row in model if row.label == label)
    assert of_hcp != of_model
    (of_own_maps,) = contrast_rows([label], None, model, ())
    (of_evaluation,) = contrast_rows([label], model, model, ())
    assert (of_own_maps.description, of_evaluation.description) == (of_hcp, of_model)
