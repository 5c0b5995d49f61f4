"""Ordinary mistakes: a one-line error, the right exit code, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import safetensors.numpy
from fmriprep_dataset import describe_dataset, make_image
from maps_bundle import TINY_AFFINE, forge
from maps_job import TR, TinyJob, add_rest, read_table, tiny_bold, tree

from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging import bold

FUNC = Path("sub-01", "func")
BOLD = FUNC / "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
CONFOUNDS = FUNC / "sub-01_task-rest_desc-confounds_timeseries.tsv"


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def the_line(capsys) -> str:
    """Return the only line on stderr that tells of an error."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = [
        line for line in err.splitlines() if "error: " in line or "failed: " in line
    ]
    return line


def code_of(call: Callable[[], int]) -> int:
    try:
        return call()
    except SystemExit as end:
        return end.code


# --- the call is refused: exit 2, one line, nothing written

# Words after those of a sound call, and what the line must name.
WORDS = {
    "an unknown participant": (["--participant-label", "09"], r"participant 09.* 01"),
    "participants with a comma": (
        ["--participant-label", "sub-01,sub-02"],
        "is not a label.*separate labels with spaces: sub-01 sub-02",
    ),
    "an unknown task": (["-t", "rset"], "no run of task rset; it has task-rest"),
    "a task of no name": (["--task-id", ""], "''"),
    "a space in another case": (
        ["--space", "MNI152NLin6asym"],
        "did you mean MNI152NLin6Asym",
    ),
    "an unknown model": (["--model", "tinny"], r"'tinny'.*did you mean tiny\?"),
    "a model that is not there": (["--model", "absent/tiny"], "absent/tiny"),
    "an unknown atlas": (["--atlases", "Schafer400"], "did you mean Schaefer400"),
    "an unknown atlas of the surface": (
        ["--atlases", "Glaser"],
        "did you mean Glasser",
    ),
    "a label file that is not there": (
        ["--atlases", "absent.dlabel.nii"],
        "absent.dlabel.nii",
    ),
    "an atlas that is not there": (["--atlases", "absent.nii.gz"], "absent.nii.gz"),
    "an unknown strategy": (["--denoise-strategy", "acompcor"], "did you mean compcor"),
    "an unknown mesh": (["--surfaces", "fsnative"], r"fsnative.*fsLR"),
    "a surface for a model of voxels": (
        ["--sample-on", "template"],
        "a model of voxels",
    ),
    "an unknown output space": (["--output-spaces", "MNI152NLin6"], "MNI152NLin6Asym"),
    "a mesh as an output space": (["--output-spaces", "fsaverage5"], "--surfaces"),
    "an unknown contrast": (["--contrast", "faces"], "faces"),
    "a band turned round": (
        ["--high-pass", "0.1", "--low-pass", "0.01"],
        "--low-pass 0.01",
    ),
    "a threshold without scrubbing": (["--fd-threshold", "0.3"], "--fd-threshold"),
    "a GPU that is not there": (["--device", "cuda:99"], "cuda:99"),
    "too little memory": (["--mem-gb", "0.2"], "Expected: 0.4 or more"),
    "a configuration that is not there": (
        ["--config-file", "absent.toml"],
        "absent.toml",
    ),
    "a filter that is not there": (
        ["--bids-filter-file", "absent.json"],
        "absent.json",
    ),
    "derivatives that are not there": (["--derivatives", "absent"], "absent"),
    "surfaces that are not there": (
        ["--derivatives", "freesurfer=absent"],
        "--derivatives.*absent",
    ),
}


@pytest.mark.parametrize("mistake", WORDS)
def test_wrong_words_are_refused(job, capsys, monkeypatch, mistake):
    words, fact = WORDS[mistake]
    monkeypatch.setenv("DTG_MODEL_DIR", str(job.folder))
    add_rest(job.bids, "02", session="A", entities="run-1")
    add_rest(job.bids, "02", task="movie", parts=("bold",))
    assert code_of(lambda: job.run(*words)) == 2
    assert re.search(fact, the_line(capsys))
    assert not job.out.exists()


@pytest.mark.slow
def test_the_others_of_a_call_with_an_unknown_participant_are_made(job, capsys):
    words = ["--participant-label", "09", "01"]
    for further in (["--dry-run"], [], ["--verify"]):
        assert job.run(*words, *further, "--nprocs", 1) == 1
        assert "has no participant 09" in the_line(capsys)
    assert [*job.out.glob("sub-01/func/*_statmap.nii.gz")]


def _moved(name: str) -> Callable[[TinyJob], object]:
    """Return a mistake of BIDS_DIR."""
    return lambda job: setattr(job, "bids", job.folder / name)


def _raw(job: TinyJob) -> None:
    job.bids = describe_dataset(job.folder / "raw", kind="raw")


def _above_the_bundle(job: TinyJob) -> None:
    (job.folder / "above").mkdir()
    job.model.rename(job.folder / "above" / "bundle")
    job.model = job.folder / "above"


# What is done to a sound job, and what the line must name.
FOLDERS = {
    "no input": (_moved("absent"), "absent does not exist"),
    "a file as input": (_moved("file"), "file is not a folder"),
    "an empty input": (_moved("nothing"), "nothing is empty"),
    "no data set": (
        lambda job: (job.bids / "dataset_description.json").unlink(),
        "fmriprep",
    ),
    "the folder above": (_moved("."), "fmriprep"),
    "nobody": (lambda job: shutil.rmtree(job.bids / "sub-01"), "no participants"),
    "raw data": (_raw, "raw is a raw dataset"),
    "the folder above the model": (_above_the_bundle, "its model.json"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_wrong_folders_are_refused(job, capsys, mistake):
    edit, fact = FOLDERS[mistake]
    (job.folder / "file").touch()
    (job.folder / "nothing").mkdir()
    edit(job)
    assert job.run() == 2
    assert fact in the_line(capsys)
    assert not job.out.exists()


@pytest.mark.parametrize(
    "place",
    [
        *("fmriprep", "fmriprep/dtg", "fmriprep/sub-01/dtg", "detour/out", ".", ".."),
        *("file", "file/out", "other", "tiny", "tiny/out"),
    ],
)
def test_an_output_that_must_not_be_is_refused(tmp_path, capsys, place):
    """In the input, above it, below a file, in another program's data set, in a model."""
    job = TinyJob(tmp_path / "study")
    (job.folder / "file").touch()
    (job.folder / "detour").symlink_to(job.bids / "sub-01")
    describe_dataset(job.folder / "other", pipeline="XCP-D")
    before = tree(job.folder)
    assert job.run("--dry-run", out=job.folder / place) == 2
    assert "OUTPUT_DIR" in the_line(capsys)
    assert job.run(out=job.folder / place) == 2
    assert "OUTPUT_DIR" in (line := the_line(capsys))
    assert "XCP-D" in line or place != "other"
    assert tree(job.folder) == before


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        ([], "BIDS_DIR, OUTPUT_DIR, analysis_level"),
        (["IN", "OUT", "partcipant"], "did you mean participant"),
        (
            ["participant", "IN", "OUT"],
            "invalid choice: 'OUT' (choose from participant, group)",
        ),
        (["IN", "", "participant"], "OUTPUT_DIR"),
        (["IN", "OUT", "group", "--model", "demo"], "holds no results"),
        (["IN", "OUT", "group", "--analysis", "train"], "--derivatives statmaps="),
        (["IN", "OUT", "group", "--analysis", "stats", "--phenotype", "iq"], "OUT"),
    ],
)
def test_wrong_calls_are_refused(job, capsys, monkeypatch, words, fact):
    from bids_dtg.cli.run import main

    monkeypatch.chdir(job.folder)
    before = sorted(job.folder.iterdir())
    job.bids.rename(job.folder / "IN")
    assert code_of(lambda: main(words)) == 2
    assert fact in the_line(capsys)
    (job.folder / "IN").rename(job.bids)
    assert sorted(job.folder.iterdir()) == before


def test_a_folder_that_is_gone_is_refused(tmp_path, monkeypatch, capsys):
    from bids_dtg.cli.run import main

    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["IN", "OUT", "participant", "--model", "demo"]) == 2
    assert (
        "the folder that the program was started in does not exist any more"
        in the_line(capsys)
    )


@pytest.mark.slow
def test_a_participant_without_a_label_that_others_have_fails_alone(job, capsys):
    add_rest(job.bids, "02", session="B")
    assert (
        job.run("--session-label", "B", "--dry-run", "--participant-label", "01") == 1
    )
    out = capsys.readouterr().out
    assert "sub-01: would fail: sub-01 has no session B" in out
    assert out.endswith("1 participant, 1 would fail; no output was written\n")


@pytest.mark.slow
def test_a_dry_run_counts_the_faults_of_a_participant_and_names_all_of_them_on_request(
    job, capsys
):
    (job.bids / CONFOUNDS).unlink()
    for number in (1, 2):
        add_rest(job.bids, entities=f"run-{number}")
        name = CONFOUNDS.name.replace("task-rest", f"task-rest_run-{number}")
        (job.bids / FUNC / name).unlink()
    assert job.run("--dry-run") == 1
    out = capsys.readouterr().out
    assert out.count("would fail: ") == 1
    assert "sub-01_task-rest_run-1 has no confounds table" in out
    assert "(2 further faults: -v names all)\n" in out
    assert job.run("--dry-run", "-v") == 1
    out = capsys.readouterr().out
    assert out.count(": would fail: sub-01_task-rest") == 3
    for number in (1, 2):  # faults that end the search for runs
        mask = (
            job.bids / FUNC / BOLD.name.replace("desc-preproc_bold", "desc-brain_mask")
        )
        path = mask.with_name(mask.name.replace("task-rest", f"task-rest_run-{number}"))
        shutil.copy(path, path.with_suffix(""))
    assert job.run("--dry-run", "-v") == 1
    out = capsys.readouterr().out
    assert (
        out.count(
            "sub-01: would fail: two files may be the brain mask of sub-01_task-rest_"
        )
        == 2
    )


# --- one participant's data: exit 1, one line, the same in failures.tsv, no maps


def _another_task(job: TinyJob) -> None:
    shutil.rmtree(job.bids / FUNC)
    add_rest(job.bids, task="nback")


def _no_bold(job: TinyJob) -> None:
    shutil.rmtree(job.bids / FUNC)
    (job.bids / "sub-01" / "anat").mkdir()


def _cifti_only(job: TinyJob) -> None:
    shutil.rmtree(job.bids / FUNC)
    (job.bids / FUNC).mkdir()
    (
        job.bids / FUNC / "sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii"
    ).write_bytes(b"")


def _abcd_hcp(job: TinyJob) -> None:
    shutil.rmtree(job.bids / FUNC)
    (job.bids / FUNC).mkdir()
    for end in ("dtseries", "ptseries"):
        atlas = "atlas-Gordon2014FreeSurferSubcortical_" * (end == "ptseries")
        name = f"sub-01_task-rest_bold_{atlas}desc-filtered_timeseries.{end}.nii"
        (job.bids / FUNC / name).write_bytes(b"")


def _other_spaces(job: TinyJob) -> None:
    shutil.rmtree(job.bids / FUNC)
    for space in ("MNI152NLin2009cAsym", "T1w"):
        add_rest(job.bids, space=space, res=None)


def _two_sides(job: TinyJob) -> None:
    image = nib.Nifti1Image(tiny_bold(), TINY_AFFINE)
    image.set_sform(TINY_AFFINE @ np.diag([-1.0, 1, 1, 1]), 4)
    image.set_qform(TINY_AFFINE, 4)
    nib.save(image, job.bids / BOLD)


def _renamed(entities: str) -> Callable[[TinyJob], object]:
    def edit(job: TinyJob) -> None:
        shutil.rmtree(job.bids / FUNC)
        add_rest(job.bids, entities=entities)

    return edit


def _with_times(sidecar: object, header: float, unit: str | None = "sec"):
    """Return a change of a run's time between frames; None: its sidecar has none."""

    def edit(job: TinyJob) -> None:
        image = nib.Nifti1Image(tiny_bold(), TINY_AFFINE)
        image.header["pixdim"][4] = header
        image.header.set_xyzt_units("mm", unit)
        nib.save(image, job.bids / BOLD)
        content = {} if sidecar is None else {"RepetitionTime": sidecar}
        path = job.bids / BOLD.with_name(BOLD.name.replace(".nii.gz", ".json"))
        path.write_text(json.dumps(content))

    return edit


def _one_second(job: TinyJob) -> None:
    """Have a program that writes right times write 1 s into the header."""
    _with_times(TR, 1)(job)
    describe_dataset(job.bids, version="24.1.1")


def _infinite(job: TinyJob) -> None:
    """Have finite weights, by somebody who knows the hashes, make infinite maps."""
    tensors = safetensors.numpy.load((job.model / "weights.safetensors").read_bytes())
    for name in ("out_block.1.weight", "out_block.1.bias"):
        tensors[name] = np.full_like(tensors[name], 3e38)
    forge(job.bundle, "weights.safetensors", safetensors.numpy.save(tensors))


OF_A_PERSON = {
    "another task": (_another_task, r"no resting-state run; it has task-nback"),
    "no series": (_no_bold, "sub-01 has no BOLD series"),
    "ABCD": (
        _abcd_hcp,
        r"only sub-01\S+ of abcd-hcp-pipeline, .*Expected: .*fMRIPrep or XCP-D",
    ),
    "other spaces": (
        _other_spaces,
        r"MNI152NLin2009cAsym, T1w.*Expected: space-MNI152NLin6Asym",
    ),
    "CIFTI only": (_cifti_only, "no desc-preproc_bold image. It has .*dtseries.nii"),
    "left and right": (_two_sides, "bold.nii.gz contradicts itself"),
    "no confounds": (lambda job: (job.bids / CONFOUNDS).unlink(), "no confounds table"),
    "25 frames": (
        lambda job: add_rest(job.bids, frames=25),
        "25 frames are kept, too few",
    ),
    "milliseconds": (_with_times(800, 800), "RepetitionTime is 800.*milliseconds"),
    "two times": (
        _with_times(TR, 1.1),
        r"10 s, but the header of \S+bold.nii.gz states 1.1 s",
    ),
    "one second": (_one_second, r"10 s, but the header of \S+bold.nii.gz states 1 s"),
    "no time": (_with_times(None, 0), "bold.nii.gz has no repetition time"),
    "an unknown entity": (_renamed("foo-1"), "sub-01"),
    "an entity twice": (_renamed("run-1_run-2"), "sub-01"),
    "a map that is not finite": (_infinite, r"the predicted map of \S+ has \d+ values"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", OF_A_PERSON)
def test_a_participant_who_cannot_be_used_fails(job, capsys, monkeypatch, fault):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(job.folder / "templateflow"))
    edit, fact = OF_A_PERSON[fault]
    edit(job)
    assert job.run() == 1
    line = the_line(capsys)
    assert re.search(fact, line)
    assert "internal" not in line
    (table,) = job.out.glob("logs/*/failures.tsv")
    (failure,) = read_table(table)
    assert failure["participant_id"] == "sub-01"
    names = PathNames().plus({"input": job.bids}).plus(machine_folders())
    assert failure["message"] in names.hide(line)
    assert not (job.out / "sub-01").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "note"),
    [
        (_with_times(TR, 10000, "msec"), None),
        (_with_times(TR, 10.4), "(10 s) was used; the header has 10.4 s."),
        (_with_times(TR, 0), "states no repetition time"),
        (_with_times(TR, 1), "the header has 1 s: some releases of fMRIPrep"),
        (_with_times(TR, 10000), "the header has 10000 s: some releases of fMRIPrep"),
        (_with_times(None, 10_000_000, "usec"), "the header's (10 s) was used"),
    ],
)
def test_times_that_go_together(job, capsys, times, note):
    times(job)
    assert job.run("--dry-run") == 0
    planned = capsys.readouterr().out
    assert bool(note) == ("    note: " in planned)
    assert not note or note in planned
    assert job.run() == 0
    (run,) = read_table(next(job.out.rglob("*_qc.tsv")))
    assert float(run["repetition_time"]) == TR
    told = json.dumps(read_inherited(next(job.out.rglob("*synthetic_statmap.nii.gz"))))
    assert not note or note in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sub-01 copy", "sub-02"])
def test_files_of_another_participant_are_not_used(job, capsys, name):
    """A copy under another folder's name must not replace what was made from the original."""
    shutil.copytree(job.bids / "sub-01", job.bids / name)
    make_image(job.bids / name / "func" / BOLD.name, tiny_bold(seed=9), TINY_AFFINE, TR)
    assert job.run("--nprocs", "1") == 1
    assert re.search(
        rf"{name}: failed: .*{BOLD.name} .*its folder is that of {name}",
        the_line(capsys),
    )
    shutil.rmtree(job.bids / name)
    assert job.run(out=job.folder / "other") == 0
    assert tree(job.out) == tree(job.folder / "other")


# --- the disk


def _unshared(
    job: TinyJob, mount: str, after: str = ""
) -> subprocess.CompletedProcess[str]:
    """Call the program in a mount namespace of its own, or skip where that is not allowed."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "true"], check=False).returncode
    ):
        pytest.skip("no mount namespaces here (unshare -m needs root)")
    job.out.mkdir()
    words = " ".join(
        f"'{w}'" for w in [sys.executable, "-m", "bids_dtg.cli", *job.arguments()]
    )
    command = f"{mount} || exit 99; {words}; code=$?; {after or ':'}; exit $code"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip("mounting is not allowed here")
    return done


@pytest.mark.slow
def test_an_output_on_a_read_only_mount_is_refused(job):
    mount = (
        f"mount --bind '{job.out}' '{job.out}' && mount -o remount,bind,ro '{job.out}'"
    )
    done = _unshared(job, mount)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "out cannot be written to: Read-only file system" in done.stderr


def test_a_dry_run_tries_whether_the_output_can_be_written(job, capsys, monkeypatch):
    def fails(self, _content):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_bytes", fails)
    assert job.run("--dry-run") == 2
    assert "out cannot be written to: Read-only file system" in the_line(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["statmap.nii.gz", "complete/sub-01_task-rest.json"])
def test_no_space_at_one_file(job, capsys, monkeypatch, target):
    replace = Path.replace

    def full(self: Path, new_path: Path) -> Path:
        if str(new_path).endswith(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(new_path))
        return replace(self, new_path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert job.run() == 1
    assert re.search(rf"{target} cannot be written: No space left", the_line(capsys))
    assert job.run() == 0
    assert job.run(out=job.folder / "other") == 0
    assert tree(job.out) == tree(job.folder / "other")


# --- faults of our own, and of the machine: they stay with their participant


def _killed() -> None:
    """End this process as the system does; never the one of the tests."""
    assert os.getpid() != _PARENT
    os.kill(os.getpid(), signal.SIGKILL)


def _bug() -> None:
    raise IndexError("a bug\nof two lines")


def _full() -> None:
    raise MemoryError("Unable to allocate 41 GiB")


_PARENT = os.getpid()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no process is forked here")
@pytest.mark.parametrize(
    ("happens", "fact"),
    [
        (_bug, r"internal error: IndexError: a bug of two lines"),
        (_full, "not enough memory: Unable to allocate 41 GiB"),
        (_killed, "died: it was ended by SIGKILL"),
    ],
)
def test_a_fault_stays_with_its_participant(
    tmp_path, capsys, monkeypatch, happens, fact
):
    job = TinyJob(tmp_path, ("01", "02", "03"))
    stream = bold.stream_blocks

    def disturbed(header, *arguments, **named):
        if header.path.name.startswith("sub-02"):
            happens()
        return stream(header, *arguments, **named)

    monkeypatch.setattr(bold, "stream_blocks", disturbed)
    assert job.run() == 1
    assert re.search(rf"sub-02: failed: .*{fact}", the_line(capsys))
    assert {path.name[:6] for path in job.out.rglob("*statmap.nii.gz")} == {
        "sub-01",
        "sub-03",
    }
    assert job.run("--dry-run") == 0
    assert capsys.readouterr().out.count(": complete, would be skipped") == 2


def test_a_fault_before_the_start_is_exit_70(job, capsys, monkeypatch):
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(os, "sched_getaffinity", bug)
    assert job.run() == 70
    assert "internal error: ZeroDivisionError: two lines" in the_line(capsys)
    assert not job.out.exists()
