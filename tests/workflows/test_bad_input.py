"""Bad input: one line that names the file and the fact, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import gzip
import json
import os
import pickle
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
from fmriprep_dataset import confound_columns, describe_dataset, make_image, write_confounds
from isal import igzip
from tiny_bundle import TINY_AFFINE, TINY_SHAPE, forge, tiny_masks, tiny_network
from tiny_job import TR, TinyJob, add_rest, read_table, tiny_bold, tree

from bids_dtg.cli import models as models_cli
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.sidecars import read_inherited

FUNC = Path("sub-01", "func")
BOLD = FUNC / "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
CONFOUNDS = FUNC / "sub-01_task-rest_desc-confounds_timeseries.tsv"
MASK = FUNC / "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def the_error(capsys) -> str:
    """Return the only line on stderr that tells of an error."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if "error: " in line or "failed: " in line]
    assert len(told) == 1, err
    return told[0]


def assert_refused(job: TinyJob, capsys, fact: str, *more: object) -> None:
    """The call as a whole is refused: exit 2, and nothing is written."""
    assert job.run(*more) == 2
    line = the_error(capsys)
    assert line.startswith("bids_dtg: error: ")
    assert re.search(fact, line), line
    assert not job.out.exists()


def assert_participant_fails(job: TinyJob, capsys, fact: str, *more: object) -> None:
    """The participant fails: exit 1, one line, the same in failures.tsv, no maps."""
    assert job.run(*more) == 1
    line = the_error(capsys)
    assert re.search(fact, line), line
    (table,) = job.out.glob("logs/*/failures.tsv")
    (failure,) = read_table(table)
    assert failure["participant_id"] == "sub-01"
    names = PathNames.of({"input": job.bids}).plus(machine_folders())
    assert failure["message"] in names.hide(line)
    assert not list(job.out.rglob("*_statmap.nii.gz"))


# --- the dataset and the call: exit 2, nothing started


def test_missing_folder(job, capsys):
    job.bids = job.folder / "absent"
    assert_refused(job, capsys, r"BIDS_DIR \S+/absent does not exist.*container")


def test_file_in_place_of_the_folder(job, capsys):
    job.bids = job.folder / "file"
    job.bids.touch()
    assert_refused(job, capsys, r"BIDS_DIR \S+/file is not a folder")


def test_empty_folder(job, capsys):
    job.bids = job.folder / "nothing"
    job.bids.mkdir()
    assert_refused(job, capsys, r"BIDS_DIR \S+/nothing is empty.*mounted")


def test_not_a_dataset(job, capsys):
    (job.bids / "dataset_description.json").unlink()
    assert_refused(job, capsys, r"fmriprep is not a BIDS dataset.*no dataset_description.json")


def test_broken_description(job, capsys):
    (job.bids / "dataset_description.json").write_text('{"Name": ')
    assert_refused(job, capsys, r"fmriprep/dataset_description.json cannot be read")


def test_empty_dataset(job, capsys):
    shutil.rmtree(job.bids / "sub-01")
    assert_refused(job, capsys, r"fmriprep has no participants \(no sub-\* folder\)")


def test_raw_dataset_without_derivatives(job, capsys):
    job.bids = describe_dataset(job.folder / "raw", kind="raw")
    assert_refused(job, capsys, r"raw is a raw dataset without fMRIPrep derivatives")


def test_unknown_participant(job, capsys):
    fact = r"no participant 02.*near ones are 01"
    assert_refused(job, capsys, fact, "--participant-label", "02")


def test_label_that_is_none(job, capsys):
    assert_refused(job, capsys, r"'\.\./01' is not a label", "--participant-label", "../01")


@pytest.mark.parametrize(
    ("place", "fact"),
    [
        (".", r"OUTPUT_DIR \S+/fmriprep is the input dataset itself"),
        ("dtg", r"OUTPUT_DIR \S+/fmriprep/dtg is inside the fMRIPrep derivatives"),
        ("sub-01/dtg", r"OUTPUT_DIR \S+/sub-01/dtg is inside the fMRIPrep derivatives"),
    ],
)
def test_output_inside_the_input(job, capsys, place, fact):
    before = tree(job.bids)
    job.out = job.bids / place
    assert job.run() == 2
    assert re.search(fact, the_error(capsys))
    assert tree(job.bids) == before


def test_output_inside_the_input_by_a_link(job, capsys):
    (job.folder / "detour").symlink_to(job.bids / "sub-01")
    job.out = job.folder / "detour" / "out"
    assert_refused(job, capsys, r"is inside the fMRIPrep derivatives")


def test_output_in_another_dataset(job, capsys):
    describe_dataset(job.out, pipeline="XCP-D")
    assert job.run() == 2
    assert re.search(r"out already holds another dataset \(XCP-D\)", the_error(capsys))


def test_output_below_a_file(job, capsys):
    (job.folder / "file").touch()
    job.out = job.folder / "file" / "out"
    assert_refused(job, capsys, r"OUTPUT_DIR \S+/file/out cannot be written to: Not a directory")


def test_output_is_a_file(job, capsys):
    job.out.touch()
    assert job.run() == 2
    assert re.search(r"OUTPUT_DIR \S+/out cannot be written to", the_error(capsys))


def in_own_mounts(command: str) -> subprocess.CompletedProcess[str]:
    """Run shell commands in a mount namespace of their own, or skip where that is not allowed."""
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no mount namespaces here (unshare -m needs root)")
    return subprocess.run(
        ["unshare", "-m", "bash", "-c", command], capture_output=True, text=True, check=False
    )


def as_shell(job: TinyJob, *more: object) -> str:
    words = [sys.executable, "-m", "bids_dtg.cli", *job.arguments(*more)]
    return " ".join(f"'{word}'" for word in words)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare on this system")
def test_output_on_a_read_only_mount(job):
    job.out.mkdir()
    mounts = f"mount --bind '{job.out}' '{job.out}' && mount -o remount,bind,ro '{job.out}'"
    done = in_own_mounts(f"{mounts} || exit 99; {as_shell(job)}")
    if done.returncode == 99:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "out cannot be written to: Read-only file system" in done.stderr


def test_unknown_model(job, capsys, monkeypatch):
    monkeypatch.setenv("DTG_MODEL_DIR", str(job.folder))
    assert_refused(job, capsys, r"no model called 'tinny'.*did you mean tiny\?", "--model", "tinny")


def test_model_folder_that_is_not_there(job, capsys):
    job.model = job.folder / "absent"
    assert_refused(
        job, capsys, r"no model bundle: there is no \S+/absent\. Expected: a bundle.s folder"
    )


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "maps.nii.gz", "brain_mask.nii.gz", "mask.nii.gz"]
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_bundle(job, capsys, name, damage):
    path = job.model / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7])
    assert_refused(job, capsys, rf"tiny/{name} (has changed|is missing)")


def test_damaged_card(job, capsys):
    path = job.model / "model.json"
    path.write_text(path.read_text()[:-20])
    assert_refused(job, capsys, r"tiny/model.json")


class _Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return (Path.touch, (self.victim,))


def test_checkpoint_with_a_pickled_object(tmp_path, capsys):
    import torch

    victim, path = tmp_path / "created", tmp_path / "model.ckpt"
    torch.save({"state_dict": tiny_network().state_dict(), "hook": _Attack(victim)}, path)
    brain_mask, mask = tiny_masks()
    images = {"maps": np.ones((*TINY_SHAPE, 4)), "brain-mask": brain_mask, "mask": mask}
    words = ["convert", str(path), str(tmp_path / "out"), "--name", "evil"]
    for name, values in images.items():
        make_image(tmp_path / f"{name}.nii.gz", values.astype(np.float32), TINY_AFFINE)
        words += [f"--{name}", str(tmp_path / f"{name}.nii.gz")]
    assert models_cli.main(words) == 2
    line = the_error(capsys)
    assert re.search(r"model.ckpt holds pickled objects", line)
    assert not victim.exists()
    assert not (tmp_path / "out").exists()
    pickle.loads(pickle.dumps(_Attack(victim)))
    assert victim.exists(), "the attack would have worked"


@pytest.mark.parametrize(
    ("more", "fact"),
    [
        (["--min-minutes", "many"], r"--min-minutes is 'many'.*a number"),
        (["--fd-threshold", "0.3"], r"--fd-threshold was given with --denoise-strategy simple"),
        (["--gsr", "--input-type", "hcp"], r"--gsr was given with --denoise-strategy none"),
        (["--config-file", "absent.toml"], r"absent.toml cannot be read"),
        (["--bids-filter-file", "absent.json"], r"absent.json cannot be read"),
        (["--atlases", "absent.nii.gz"], r"--atlases: absent.nii.gz cannot be read"),
        (["--min-coverage", "1.5"], r"--min-coverage is 1.5.*a share, 0 to 1"),
        (["--derivatives", "absent"], r"--derivatives \S+/absent does not exist"),
        (["--device", "cuda:99"], r"--device cuda:99 was given, but torch finds \d+ CUDA"),
    ],
)
def test_wrong_options(job, capsys, more, fact):
    assert_refused(job, capsys, fact, *more)


# --- one participant's data: exit 1, the others go on


def test_no_resting_run(job, capsys):
    shutil.rmtree(job.bids / "sub-01")
    add_rest(job.bids, task="nback")
    assert_participant_fails(job, capsys, r"sub-01 has no resting-state run; it has task-nback")


def test_no_bold_at_all(job, capsys):
    shutil.rmtree(job.bids / FUNC)
    (job.bids / "sub-01" / "anat").mkdir()
    assert_participant_fails(job, capsys, r"sub-01 has no BOLD series")


def test_other_spaces_only(job, capsys, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(job.folder / "templateflow"))
    shutil.rmtree(job.bids / "sub-01")
    for space in ("MNI152NLin2009cAsym", "T1w"):
        add_rest(job.bids, space=space, res=None)
    fact = (
        r"sub-01_task-rest is in other spaces only \(MNI152NLin2009cAsym, T1w\), and .*"
        r"Expected: space-MNI152NLin6Asym, or transforms to it"
    )
    assert_participant_fails(job, capsys, fact)


def test_cifti_only(job, capsys):
    shutil.rmtree(job.bids / "sub-01")
    name = "sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii"
    (job.bids / FUNC).mkdir(parents=True)
    (job.bids / FUNC / name).write_bytes(b"cifti")
    assert_participant_fails(job, capsys, r"sub-01 has CIFTI files only \(\.dtseries\.nii\)")


def test_far_from_the_model(job, capsys):
    affine = TINY_AFFINE.copy()
    affine[0, 3] += 12.7
    add_rest(job.bids, affine=affine)
    fact = r"bold.nii.gz has signal in \d+% of the model's grey matter.* its space is right"
    assert_participant_fails(job, capsys, fact)


def test_left_and_right_not_known(job, capsys):
    image = nib.Nifti1Image(tiny_bold(), TINY_AFFINE)
    image.set_sform(TINY_AFFINE @ np.diag([-1.0, 1, 1, 1]), 4)
    image.set_qform(TINY_AFFINE, 4)
    nib.save(image, job.bids / BOLD)
    assert_participant_fails(job, capsys, r"bold.nii.gz contradicts itself: .*opposite sides")


def test_missing_confounds(job, capsys):
    (job.bids / CONFOUNDS).unlink()
    fact = r"sub-01_task-rest has no table of confounds beside \S+bold.nii.gz"
    assert_participant_fails(job, capsys, fact)


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", r"\.tsv is empty"),
        (b"\x00\xff\xfe" * 100, r"\.tsv (cannot be read as a table|has 0 rows|lacks)"),
        (b"csf\twhite_matter\n1\t2\n", r"\.tsv has 1 rows.*Expected: 60"),
    ],
)
def test_unreadable_confounds(job, capsys, content, fact):
    (job.bids / CONFOUNDS).write_bytes(content)
    assert_participant_fails(job, capsys, fact)


def test_confounds_that_are_a_folder(job, capsys):
    (job.bids / CONFOUNDS).unlink()
    (job.bids / CONFOUNDS).mkdir()
    assert_participant_fails(job, capsys, r"confounds")


def test_words_in_the_confounds(job, capsys):
    text = (job.bids / CONFOUNDS).read_text().splitlines()
    text[5] = "\t".join(["oops"] * len(text[0].split("\t")))
    (job.bids / CONFOUNDS).write_text("\n".join(text) + "\n")
    assert_participant_fails(
        job, capsys, r"confounds_timeseries\.tsv has 'oops' in row 5 of column"
    )


def test_confounds_with_the_wrong_number_of_rows(job, capsys):
    write_confounds(job.bids / CONFOUNDS, confound_columns(59))
    fact = r"sub-01: \S+timeseries.tsv has 59 rows\. Expected: 60, the frames of \S+bold.nii.gz"
    assert_participant_fails(job, capsys, fact)


def test_confounds_without_the_columns(job, capsys):
    columns = confound_columns(60)
    del columns["trans_x"], columns["csf"]
    write_confounds(job.bids / CONFOUNDS, columns)
    fact = r"timeseries.tsv lacks 2 of 26 columns.*trans_x"
    assert_participant_fails(job, capsys, fact)


def test_3d_bold(job, capsys):
    make_image(job.bids / BOLD, tiny_bold()[..., 0], TINY_AFFINE)
    fact = r"bold.nii.gz has sizes 10 x 12 x 9\. Expected: a 4-D BOLD run"
    assert_participant_fails(job, capsys, fact)


def test_one_volume_bold(job, capsys):
    make_image(job.bids / BOLD, tiny_bold()[..., :1], TINY_AFFINE)
    fact = r"bold.nii.gz has sizes 10 x 12 x 9( x 1)?\. Expected: a 4-D BOLD run"
    assert_participant_fails(job, capsys, fact)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9999])
def test_truncated_gzip(job, capsys, kept):
    path = job.bids / BOLD
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert_participant_fails(job, capsys, r"bold.nii.gz (ends at frame \d+ of 60|is damaged)")


def test_flipped_bytes_in_gzip(job, capsys):
    path = job.bids / BOLD
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert_participant_fails(job, capsys, r"bold.nii.gz (is damaged|ends at frame)")


@pytest.mark.parametrize(
    ("offset", "stored", "fact"),
    [
        (0, b"\x01\x02\x03\x04", r"bold.nii.gz has no valid NIfTI header"),
        (40, b"\x04\x00\xff\xff", r"bold.nii.gz (has sizes|has no valid)"),
        (70, b"\x20\x00", r"bold.nii.gz holds values of type complex64"),
        (344, b"ni1\0", r"bold.nii.gz has no valid NIfTI header"),
        (280, b"\0" * 48, r"bold.nii.gz has an affine that cannot be inverted"),
    ],
)
def test_corrupt_header(job, capsys, offset, stored, fact):
    path = job.bids / BOLD
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[offset : offset + len(stored)] = stored
    path.write_bytes(gzip.compress(bytes(content)))
    assert_participant_fails(job, capsys, fact)


def test_not_a_nifti_file(job, capsys):
    (job.bids / BOLD).write_text("<html>404 Not Found</html>" * 20)
    assert_participant_fails(job, capsys, r"bold.nii.gz has no valid NIfTI header")


def test_all_zero_image(job, capsys):
    make_image(job.bids / BOLD, np.zeros_like(tiny_bold()), TINY_AFFINE, TR)
    assert_participant_fails(
        job, capsys, r"bold.nii.gz has signal in 0% of the model's grey matter"
    )


def test_all_nan_image(job, capsys):
    make_image(job.bids / BOLD, np.full((*TINY_SHAPE, 60), np.nan, np.float32), TINY_AFFINE, TR)
    assert_participant_fails(job, capsys, r"bold.nii.gz .*(signal in 0%|beyond the range)")


def test_constant_image(job, capsys):
    make_image(job.bids / BOLD, np.full((*TINY_SHAPE, 60), 7, np.int16), TINY_AFFINE, TR)
    assert_participant_fails(job, capsys, r"bold.nii.gz has signal in 0%")


def test_damaged_mask(job, capsys):
    path = job.bids / MASK
    path.write_bytes(path.read_bytes()[:40])
    assert_participant_fails(job, capsys, r"desc-brain_mask.nii.gz")


def test_empty_mask(job, capsys):
    make_image(job.bids / MASK, np.zeros(TINY_SHAPE, np.uint8), TINY_AFFINE)
    assert_participant_fails(job, capsys, r"bold.nii.gz has signal in 0%")


@pytest.mark.parametrize("name", [BOLD, CONFOUNDS, MASK])
def test_annex_stub(job, capsys, name):
    (job.bids / name).write_text("/annex/objects/MD5E-s123--abc.nii.gz\n")
    assert_participant_fails(job, capsys, rf"{name.name} holds only a git-annex.*datalad get \S+")


@pytest.mark.parametrize("name", [BOLD, CONFOUNDS, MASK])
def test_broken_link(job, capsys, name):
    (job.bids / name).unlink()
    (job.bids / name).symlink_to("../../.git/annex/objects/absent")
    assert_participant_fails(job, capsys, rf"{name.name} is a broken link.*datalad get \S+")


def test_broken_sidecar(job, capsys):
    sidecar = job.bids / BOLD.with_name(BOLD.name.replace(".nii.gz", ".json"))
    sidecar.write_text("{")
    assert_participant_fails(job, capsys, rf"{sidecar.name}")


@pytest.mark.slow
def test_no_repetition_time(job, capsys):
    image = nib.Nifti1Image(tiny_bold(), TINY_AFFINE)
    image.header["pixdim"][4] = 0
    nib.save(image, job.bids / BOLD)
    (job.bids / BOLD.with_name(BOLD.name.replace(".nii.gz", ".json"))).write_text("{}")
    assert_participant_fails(job, capsys, r"bold.nii.gz has no repetition time")


def with_times(job: TinyJob, sidecar: object, header: float, unit: str | None = "sec") -> None:
    """Write the time between frames into the run's sidecar (None: no key) and its header."""
    image = nib.Nifti1Image(tiny_bold(), TINY_AFFINE)
    image.header["pixdim"][4] = header
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, job.bids / BOLD)
    content = {} if sidecar is None else {"RepetitionTime": sidecar}
    path = job.bids / BOLD.with_name(BOLD.name.replace(".nii.gz", ".json"))
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("header", [800, 0.8])
def test_repetition_time_in_milliseconds(job, capsys, header):
    with_times(job, 800, header)
    fact = r"bold.json: RepetitionTime is 800\. Expected: seconds .*at most 20.*in milliseconds\?"
    assert_participant_fails(job, capsys, fact)


@pytest.mark.parametrize(
    ("header", "unit", "stored"),
    [(2.0, "sec", "2 s"), (2000, "msec", "2000 ms"), (1.1, "sec", "1.1 s")],
)
def test_header_contradicts_the_sidecar(job, capsys, header, unit, stored):
    with_times(job, TR, header, unit)
    fact = rf"bold.json states a Repe\S+ of 10 s, and the header of \S+bold.nii.gz states {stored}"
    assert_participant_fails(job, capsys, fact)


@pytest.mark.parametrize(
    ("sidecar", "header", "unit", "note"),
    [
        (TR, 10000, "msec", None),
        (TR, 0, "sec", "states no repetition time (0 s)"),
        (TR, 1, None, "states no repetition time (1 without a unit)"),
        (TR, 1, "sec", "the header has 1 s: some releases of fMRIPrep"),
        (TR, 10000, "sec", "the header has 10000 s: some releases of fMRIPrep"),
        (None, 10_000_000, "usec", "the header's (10 s) was used"),
    ],
)
def test_times_that_go_together(job, capsys, sidecar, header, unit, note):
    with_times(job, sidecar, header, unit)
    assert job.run("--dry-run") == 0
    planned = capsys.readouterr().out
    assert bool(note) == ("    note: " in planned)
    assert not note or note in planned
    assert job.run() == 0
    (run,) = read_table(next(job.out.rglob("*_qc.tsv")))
    assert float(run["repetition_time"]) == TR
    told = json.dumps(read_inherited(next(job.out.rglob("*synthetic_statmap.nii.gz"))))
    words = ("repetition time", "header's", "header has")
    assert bool(note) == any(word in told for word in words)
    assert not note or note in told


def forge_output_layer(job: TinyJob, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensors = safetensors.numpy.load((job.model / "weights.safetensors").read_bytes())
    for name in ("out_block.1.weight", "out_block.1.bias"):
        tensors[name] = change(tensors[name])
    forge(job.bundle, "weights.safetensors", safetensors.numpy.save(tensors))


def test_map_that_is_not_finite_is_not_written(job, capsys):
    """Finite weights, by somebody who knows the hashes, that make infinite maps."""
    forge_output_layer(job, lambda values: np.full_like(values, 3e38))
    fact = r"sub-01: failed: the predicted map of \S+ has \d+ values that are not finite"
    assert_participant_fails(job, capsys, fact)
    assert not (job.out / "sub-01").exists()


def test_too_short(job, capsys):
    fact = r"bold.nii.gz has 10.0 of 10.0 minutes left \(60 of 60 frames of 10 s\).* 12 minutes"
    assert_participant_fails(job, capsys, fact, "--min-minutes", "12")


def test_fewer_frames_than_columns(job, capsys):
    add_rest(job.bids, frames=25)
    fact = r"bold.nii.gz cannot be cleaned: 25 frames are kept, too few"
    assert_participant_fails(job, capsys, fact)


@pytest.mark.parametrize("extra", ["foo-1", "acq-a b", "run-1_run-2"])
def test_names_that_bids_does_not_know(job, capsys, extra):
    shutil.rmtree(job.bids / "sub-01")
    add_rest(job.bids, entities=extra)
    assert job.run() == 1
    line = the_error(capsys)
    assert "internal" not in line
    assert "sub-01" in line


# --- the disk


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare on this system")
@pytest.mark.parametrize("pages", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_disk_full(job, pages):
    """A real file system that fills up while describing the dataset, and while writing maps."""
    job.out.mkdir()
    mount = f"mount -t tmpfs -o size={4 * pages}k,nr_inodes=1k tmpfs '{job.out}' || exit 99"
    listing = f"find '{job.out}' -type f -printf '%P %s\\n'"
    done = in_own_mounts(f"{mount}; {as_shell(job)}; echo code $?; {listing}")
    if done.returncode == 99:
        pytest.skip("mounting is not allowed here")
    code, *files = done.stdout.splitlines()
    assert code == "code 1", done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "error:" in line or "failed:" in line]
    assert len(told) == 1, done.stderr
    assert re.search(r"cannot be written: No space left on device.*free space", told[0])
    assert not [name for name in files if ".tmp" in name]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["statmap.nii.gz", "complete/sub-01_task-rest.json"])
def test_no_space_at_one_file(job, capsys, monkeypatch, target):
    """An error of the system at one file stands for a disk that fills up there."""
    replace = Path.replace

    def full(self: Path, other: Path) -> Path:
        if str(other).endswith(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(other))
        return replace(self, other)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert job.run() == 1
    line = the_error(capsys)
    assert re.search(rf"{target} cannot be written: No space left on device.*free space", line)
    assert not list(job.out.rglob("*.tmp"))
    assert job.run() == 0
    assert job.run(out=job.folder / "other") == 0
    assert tree(job.out) == tree(job.folder / "other")


# --- one among others


def test_one_bad_participant_among_three(tmp_path, capsys):
    job = TinyJob(tmp_path, ("01", "02", "03"))
    path = job.bids / str(BOLD).replace("sub-01", "sub-02")
    path.write_bytes(path.read_bytes()[:-500])
    # Of two processes, either may begin with the second participant.
    assert job.run("--nprocs", "1") == 1
    line = the_error(capsys)
    assert re.search(r"\[2/3\] sub-02: failed: \S+sub-02_task-rest\S+bold.nii.gz", line)
    (table,) = job.out.glob("logs/*/failures.tsv")
    assert [row["participant_id"] for row in read_table(table)] == ["sub-02"]
    maps = {path.name.split("_")[0] for path in job.out.rglob("*statmap.nii.gz")}
    assert maps == {"sub-01", "sub-03"}
    assert len(list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))) == 6
    assert job.run("--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("complete, would be skipped") == 2


def disturb_reading(monkeypatch, happens: Callable[[], None]) -> None:
    """Have something happen where the BOLD series of sub-02 is opened."""
    opened = igzip.IGzipFile.__init__

    def disturbed(self, path, *more):
        if path.name.startswith("sub-02") and path.name.endswith("_bold.nii.gz"):
            happens()
        opened(self, path, *more)

    monkeypatch.setattr(igzip.IGzipFile, "__init__", disturbed)


@pytest.mark.slow
def test_internal_error_stays_with_its_participant(tmp_path, capsys, monkeypatch):
    job = TinyJob(tmp_path, ("01", "02", "03"))

    def bug() -> None:
        raise IndexError("a bug\nof two lines")

    disturb_reading(monkeypatch, bug)
    assert job.run() == 1
    line = the_error(capsys)
    assert re.search(
        r"sub-02: failed: internal error: IndexError: a bug of two lines\. .*--debug", line
    )
    assert len(list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))) == 6
    assert job.run("--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no process is forked here")
def test_reader_killed_for_lack_of_memory(tmp_path, capsys, monkeypatch):
    job, parent = TinyJob(tmp_path, ("01", "02", "03")), os.getpid()

    def killed() -> None:
        """End this process as the system does; never the one of the tests."""
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    disturb_reading(monkeypatch, killed)
    assert job.run() == 1
    line = the_error(capsys)
    assert re.search(r"sub-02: failed: .* read sub-02 died: it was ended by SIGKILL", line)
    assert {path.name[:6] for path in job.out.rglob("*statmap.nii.gz")} == {"sub-01", "sub-03"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sub-01 copy", "sub-02"])
def test_files_of_another_participant(job, capsys, name):
    """A copy under another folder's name must not replace what was made from the original."""
    shutil.copytree(job.bids / "sub-01", job.bids / name)
    make_image(job.bids / name / "func" / BOLD.name, tiny_bold(seed=9), TINY_AFFINE, TR)
    assert job.run("--nprocs", "1") == 1
    line = the_error(capsys)
    assert re.search(rf"\[2/2\] {name}: failed: \S+.*{BOLD.name} is not of {name} by its", line)
    shutil.rmtree(job.bids / name)
    assert job.run(out=job.folder / "other") == 0
    assert tree(job.out) == tree(job.folder / "other")


def test_internal_error_before_the_start(job, capsys, monkeypatch):
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(json, "loads", bug)
    assert job.run() == 70
    line = the_error(capsys)
    assert "internal error: ZeroDivisionError: two lines" in line
    assert not job.out.exists()


@pytest.mark.parametrize("row", ["2", "2\t"])
def test_atlas_with_a_parcel_without_name(job, capsys, row):
    atlas = job.folder / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz"
    make_image(atlas, 2 * np.ones(TINY_SHAPE, np.int16), TINY_AFFINE)
    atlas.with_name("atlas-A_space-MNI152NLin6Asym_dseg.tsv").write_text(f"index\tname\n{row}\n")
    code = job.run("--atlases", atlas)
    line = capsys.readouterr().err
    assert (code, "internal" in line) == ((2, False) if row == "2" else (0, False))
