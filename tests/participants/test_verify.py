"""What `--verify` reports, what the next run does then, and folders that were moved."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import FRAMES, TinyJob, tree

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


def zero(path: Path) -> None:
    """Leave zeros of the same size and time, as a power cut may."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_damaged_participant_is_named_and_made_again(job, capsys):
    assert job.run() == 0
    whole = tree(job.out)
    assert job.run("--verify") == 0
    told = capsys.readouterr()
    assert (
        told.out
        == "sub-01: complete (1 set of maps)\nsub-02: complete (1 set of maps)\n"
    )
    assert "2 participants checked, 0 incomplete or damaged" in told.err
    target = min((job.out / "sub-02").rglob("*desc-synthetic_statmap.nii.gz"))
    gone = min((job.out / "sub-02").rglob("*_statmap.json"))
    zero(target)
    gone.unlink()
    name, lost = (path.relative_to(job.out).as_posix() for path in (target, gone))
    assert job.run("--verify") == 1
    told = capsys.readouterr()
    damage = ", ".join(
        sorted([f"missing {lost}", f"changed {name}"], key=lambda x: x.split()[1])
    )
    assert told.out.splitlines()[1] == f"sub-02: damaged: {damage}"
    assert "1 incomplete or damaged; run participant again without --verify" in told.err
    assert job.run("--verify", "--participant-label", "01") == 0
    assert job.run() == 0
    assert "1 set of maps written, 1 already complete" in capsys.readouterr().err
    assert tree(job.out) == whole
    assert job.run("--verify") == 0


def test_only_files_of_the_same_average_go_whatever_its_record_names(job):
    """A record may have come with somebody else's folder."""
    assert job.run() == 0
    old = "sub-01/func/sub-01_task-rest_desc-old_statmap.json"
    unrelated = [
        *("participants.tsv", "sub-02/func/sub-02_task-rest_desc-old_statmap.json"),
        *(
            "sub-01/func/sub-01_task-other_desc-old_statmap.json",
            "sub-01/func/notes.txt",
        ),
        *(
            "sub-01/task-rest.json",
            "sub-02/func/sub-01_task-rest_desc-old_statmap.json",
        ),
    ]
    for name in (*unrelated, old):
        (job.out / name).parent.mkdir(parents=True, exist_ok=True)
        (job.out / name).write_text("own")
    path = job.out / "logs/complete/sub-01_task-rest.json"
    facts = json.loads(path.read_text())
    whole = set(facts["Outputs"])
    fingerprint = {"size": 3, "mtime_ns": 0, "sha256": ""}
    outputs = dict.fromkeys((*unrelated, old), fingerprint)
    path.write_text(json.dumps(facts | {"Outputs": facts["Outputs"] | outputs}))
    assert job.run() == 0
    assert [name for name in unrelated if not (job.out / name).exists()] == []
    assert not (job.out / old).exists()
    assert set(json.loads(path.read_text())["Outputs"]) == whole


def test_who_is_not_complete_and_who_is_not_there(job, capsys):
    assert job.run() == 0
    (job.out / "logs/complete/sub-01_task-rest.json").unlink()
    (job.out / "logs/complete/sub-02_task-rest.json").write_text("{")
    shutil.rmtree(job.out / "sub-02")
    assert job.run("--verify") == 1
    assert capsys.readouterr().out.splitlines() == [
        "sub-01: no set of maps is complete",
        "sub-02: damaged: unreadable logs/complete/sub-02_task-rest.json",
    ]
    assert job.run("--verify", "--participant-label", "07") == 2
    assert "has no participant 07" in capsys.readouterr().err
    for folder in ("logs/complete", "sub-01"):
        shutil.rmtree(job.out / folder)
    assert job.run("--verify") == 2
    assert "has no results of any participant" in capsys.readouterr().err


def test_the_same_atlas_and_confounds_elsewhere_make_nothing_again(job, capsys):
    def options(folder: str) -> tuple[str, ...]:
        place = job.folder / folder
        place.mkdir()
        image = nib.Nifti1Image(np.ones(TINY_SHAPE, np.int16), TINY_AFFINE)
        nib.save(image, place / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz")
        rows = "\n".join(str(number % 7) for number in range(FRAMES))
        for label in job.labels:
            name = f"sub-{label}_task-rest_desc-confounds_timeseries.tsv"
            (place / name).write_text(f"mine\n{rows}\n")
        return (
            "--atlases",
            str(place / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz"),
            "--custom-confounds",
            str(place),
        )

    assert job.run(*options("here")) == 0
    shutil.copy2(
        job.folder / "here/atlas-A_space-MNI152NLin6Asym_dseg.nii.gz", job.folder
    )
    assert job.run(*options("there")) == 0
    assert "0 sets of maps written, 2 already complete" in capsys.readouterr().err


def test_every_changed_option_is_named(job, capsys):
    assert job.run() == 0
    assert (
        job.run("--min-minutes", "3", "--high-pass", "0.01", "--gsr", "--dry-run") == 0
    )
    told = capsys.readouterr().out
    assert "gsr changed" in told
    assert "high_pass changed" in told
    assert "min_minutes changed" in told


def test_what_people_edited_is_kept_and_what_goes_is_named(job, capsys):
    assert job.run("--participant-label", "01") == 0
    table = job.out / "participants.tsv"
    table.write_text("participant_id\tage\nsub-01\t30\nsub-09\t40\n")
    description = job.out / "dataset_description.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "Authors": ["A. Person"]}))
    capsys.readouterr()
    assert job.run() == 0
    told = capsys.readouterr().err
    assert table.read_text() == "participant_id\tage\nsub-01\t30\nsub-02\tn/a\n"
    assert told.count("participants.tsv: removed the rows of sub-09") == 1
    assert json.loads(description.read_text())["Authors"] == ["A. Person"]
