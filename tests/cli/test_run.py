"""The command line: options, plans, what is done again and why, logs and exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fmriprep_dataset import describe_dataset
from maps_bundle import with_half_widths
from maps_job import TinyJob, add_rest, tree

from bids_dtg.cli.run import main
from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.version import __version__

# Libraries that a participant's maps need not wait for: they are for reports, group analyses, other
# workflows, or options that a plain call does not have. nibabel itself looks for scipy's top.
NOT_NEEDED = {
    *("bids", "dask", "h5py", "jinja2", "matplotlib", "nilearn", "pandas", "PIL"),
    *("sklearn", "statsmodels", "templateflow", "torch", "yaml"),
    *(
        f"scipy.{part}"
        for part in ("interpolate", "io", "linalg", "ndimage", "optimize", "signal")
    ),
    *(f"scipy.{part}" for part in ("sparse", "spatial", "special", "stats")),
}
DYNAMICS = "--workflow dynamics"
TRAIN = "group --workflow dynamics --analysis train --input-arrays a.npz"
TWIN = "--workflow twin"
TWINS = f"group {TWIN} --analysis train --input-arrays a.npz"
PROGRAM = [sys.executable, "-m", "bids_dtg.cli"]


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


@pytest.fixture
def pair(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


# --- before anything is done


@pytest.mark.slow
def test_a_plain_call_imports_nothing_that_it_does_not_use(job):
    """In the process that predicts and in the one that it forks to read."""
    code = """
import os, sys
class Spy:
    def find_spec(self, name, path=None, target=None):
        with open(NAMES, "a") as file:
            file.write(f"{os.getpid()} {name}\\n")
sys.meta_path.insert(0, Spy())
from bids_dtg.cli.run import run
run()
"""
    names = job.folder / "names"
    code = code.replace("NAMES", repr(str(names)))
    words = job.arguments("--denoise-strategy", "simple")
    subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True
    )
    imported = [line.split() for line in names.read_text().splitlines()]
    assert {name for _, name in imported} >= {
        "numpy",
        "nibabel",
        "bids_dtg.cleaning.confounds",
    }
    assert not {name for _, name in imported} & NOT_NEEDED
    assert list(job.out.rglob("*_statmap.nii.gz"))


@pytest.mark.slow
def test_as_a_user_types_it(job):
    """In a process of its own, with words that a shell hands on."""
    done = subprocess.run(
        [*PROGRAM, *job.arguments("-v")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].endswith("tiny: random weights, for tests")
    assert lines[-1] == (
        "1 participant: 1 set of maps written, 0 already complete, 0 participants failed"
    )
    for fact in (
        "not done yet",
        "reading",
        "predicting",
        "writing",
        "3 maps from 10.0 minutes",
    ):
        assert any(fact in line for line in lines), fact
    assert len(list(job.out.rglob("*_statmap.nii.gz"))) == 3


# --- options


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "label"),
    [("--participant-label", "sub-02"), ("--participant_label", "02")],
)
def test_spellings_of_participants(pair, option, label, capsys):
    assert pair.run("--dry-run", option, label) == 0
    out = capsys.readouterr().out
    assert "sub-02_task-rest: would write" in out
    assert "sub-01" not in out


def test_raw_dataset_and_derivatives_elsewhere(job, capsys):
    raw = describe_dataset(job.folder / "raw", kind="raw")
    (raw / "sub-01").mkdir()
    words = [
        str(raw),
        str(job.out),
        "participant",
        "--model",
        str(job.model),
        "--dry-run",
    ]
    assert main([*words, "--derivatives", f"fmriprep={job.bids}"]) == 0
    assert f"reads {job.bids}" in capsys.readouterr().out
    (raw / "derivatives").mkdir()
    job.bids.rename(raw / "derivatives" / "fmriprep")
    words[1] = str(raw / "derivatives" / "dtg")
    assert main(words) == 0
    assert f"to {raw}/derivatives/dtg/sub-01/func" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_model_is_said_and_the_first_ones_half_widths_go(tmp_path, capsys):
    job = TinyJob(tmp_path, ("01", "02"))
    tiny = job.model
    job.model = with_half_widths(job.bundle, tmp_path / "sure").path
    assert job.run() == 0
    widths = list(job.out.glob("tpl-*/*_desc-halfwidth_statmap.*"))
    assert widths
    job.model = tiny
    line = "OUTPUT_DIR has maps of the model tiny "
    capsys.readouterr()
    assert job.run("--dry-run") == 0
    assert line in capsys.readouterr().out
    assert job.run("--participant-label", "01") == 0
    assert line in capsys.readouterr().err
    assert all(path.exists() for path in widths)  # those of sub-02's maps
    assert job.run() == 0
    assert line not in capsys.readouterr().err
    assert not any(path.exists() for path in widths)


# --- plans


def test_dry_run_writes_nothing(pair, capsys):
    def everything():
        return tree(pair.folder, but=())

    before = everything()
    assert pair.run("--dry-run") == 0
    assert everything() == before
    assert not pair.out.exists()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{pair.bids} is read as fMRIPrep derivatives, cleaned by simple"
    assert lines[0].startswith("sub-01_task-rest: would write 3 maps to ")
    assert lines[0].endswith(f"{pair.out}/sub-01/func (not done yet)")
    assert lines[1].startswith("sub-02_task-rest: would write 3 maps to ")
    assert lines[2:] == [
        "in sum (-v names the files of each run):",
        "       2  would write 3 maps (not done yet)",
        "2 participants, 0 would fail; no output was written",
    ]
    assert pair.run("--dry-run", "-v") == 0
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(
        "task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
    )
    assert lines[1] == "    in MNI152NLin6Asym, the model's space"

    assert pair.run("--participant-label", "01") == 0
    (
        pair.bids / "sub-02/func/sub-02_task-rest_desc-confounds_timeseries.tsv"
    ).write_text("")
    before = everything()
    capsys.readouterr()
    assert pair.run("--dry-run") == 1
    assert everything() == before
    _, *lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sub-01_task-rest: complete, would be skipped"
    assert lines[1].startswith("sub-02: would fail: ")
    assert lines[3:5] == [
        "       1  complete, would be skipped",
        f"       1  {lines[1].removeprefix('sub-02: ')} (first: sub-02)",
    ]
    assert lines[-1] == "2 participants, 1 would fail; no output was written"


@pytest.mark.slow
def test_a_dry_run_notes_a_missing_mask(pair, capsys):
    (mask,) = pair.bids.glob("sub-02/func/*_desc-brain_mask.nii.gz")
    mask.unlink()
    assert pair.run("--dry-run", "-v", "--high-pass", "1e-4") == 0
    first, _, second = capsys.readouterr().out.partition("sub-02_task-rest: ")
    assert (
        "note: The run is too short for 0.0001 Hz, so --high-pass removed nothing."
        in first
    )
    assert "note: without a brain mask" in second
    assert "brain mask" not in first


# --- what is done again, and why


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> TinyJob:
    """Make two participants of two sessions, all complete."""
    job = TinyJob(tmp_path_factory.mktemp("original") / "job", ())
    for participant in ("01", "02"):
        for session in ("A", "B"):
            add_rest(job.bids, participant, session=session)
    assert job.run() == 0
    return job


@pytest.fixture
def done(original, tmp_path) -> TinyJob:
    """Move a copy elsewhere: inputs and outputs are known by their place in the dataset."""
    shutil.copytree(original.folder, tmp_path / "job")
    return TinyJob(tmp_path / "job", ())


def redone(job: TinyJob, capsys, *words: object) -> dict[str, str]:
    """Run again; return the averages that were made, with the reasons that the plan gives."""
    capsys.readouterr()
    assert job.run("--dry-run", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    planned = {
        line.partition(":")[0]: line.partition("/func (")[2].removesuffix(")")
        for line in lines
        if ": would write" in line
    }
    files = {path: path.stat().st_mtime_ns for path in job.out.rglob("*_statmap.*")}
    assert job.run(*words, "-v") == 0
    err = capsys.readouterr().err
    written = {title for title in planned if f"{title}: 3 maps from" in err}
    assert written == set(planned)
    # A reason that several share is said once, of the first of them.
    explained = {why for title, why in planned.items() if f"{title}: {why}" in err}
    assert explained == set(planned.values())
    sets = f"{len(written)} set{'s' * (len(written) != 1)}"
    assert f"{sets} of maps written, {4 - len(written)} already complete" in err
    for path, time in files.items():
        title = re.split("_(?:space|statmap)", path.name)[0]
        if title not in written:
            assert path.stat().st_mtime_ns == time, path
    return planned


@pytest.mark.slow
def test_nothing_is_done_twice(done, capsys):
    assert redone(done, capsys) == {}


@pytest.mark.slow
def test_changed_option_redoes_everything(done, capsys):
    reasons = redone(done, capsys, "--denoise-strategy", "none")
    assert len(reasons) == 4
    assert set(reasons.values()) == {"option denoise_strategy changed (simple to none)"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "rest", "reason"),
    [
        (
            "sub-02_ses-A_task-rest",
            {"seed": 5, "parts": ("bold",)},
            "input changed: sub-02/ses-A/func/sub-02_ses-A_task-rest_space",
        ),
        pytest.param(
            "sub-01_ses-B_task-rest",
            {"entities": "run-2"},
            "input new: sub-01/ses-B/func/sub-01_ses-B_task-rest_run-2",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_changed_input_redoes_its_set(done, capsys, title, rest, reason):
    add_rest(done.bids, title[4:6], session=title[11], **rest)
    ((redone_title, why),) = redone(done, capsys).items()
    assert redone_title == title
    assert why.startswith(reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("gone", "_contrast-languageMath_stat-z_desc-synthetic_statmap.nii.gz"),
        ("other bytes", "_qc.tsv"),
    ],
)
def test_damaged_output_redoes_its_set(done, capsys, damage, kind):
    (path,) = (done.out / "sub-02" / "ses-B").rglob(f"*{kind}")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (title,), (reason,) = zip(*redone(done, capsys).items(), strict=True)
    assert title == "sub-02_ses-B_task-rest"
    told = "missing" if damage == "gone" else "changed"
    assert reason == f"output {told}: {path.relative_to(done.out).as_posix()}"
    if kind.endswith(".nii.gz"):
        assert path.read_bytes() == content


# --- logs and ends


@pytest.mark.slow
def test_logs_of_a_call(job):
    assert job.run() == 0
    (folder,) = (
        path for path in (job.out / "logs").iterdir() if (path / "config.toml").exists()
    )
    tables = {"config.toml", "versions.json", "timing.json", "failures.tsv"}
    assert {path.name for path in folder.iterdir()} == {*tables, "log.txt"}
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["bids_dtg"] == __version__
    assert versions["python"] == sys.version.split()[0]
    assert versions["model"] == f"tiny 0 {job.bundle.identity}"
    assert {"torch", "numpy", "nilearn", "pybids", "nibabel"} <= versions.keys()
    timing = json.loads((folder / "timing.json").read_text())
    assert timing["seconds"] > 0
    assert (
        folder / "failures.tsv"
    ).read_text() == "participant_id\taverage\trun\tstage\tmessage\n"
    methods = " ".join((job.out / "logs" / "CITATION.md").read_text().split())
    for fact in (
        __version__,
        "tiny 0",
        "24 motion parameters",
        "within each session",
        "3 contrast",
    ):
        assert fact in methods


@pytest.mark.slow
def test_read_only_input_stays_as_it_was(job):
    before = tree(job.bids, but=())
    assert job.run() == 0
    assert tree(job.bids, but=()) == before
    assert not [path for path in Path(job.bids).rglob("*") if path.name.startswith(".")]


# --- which options, levels and analyses belong to which workflow


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Run a command line that is refused; return its one line."""
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> str:
        try:
            code = main(["in", "out", *words.split()])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        assert (code, captured.out) == (2, ""), captured
        assert not (tmp_path / "out").exists()
        (line,) = captured.err.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            f"participant {DYNAMICS} --analysis train",
            "was given with participant. Expected: group",
        ),
        (
            f"group {DYNAMICS}",
            "--workflow dynamics was given with group and no --analysis. Expected: group "
            f"--analysis train|evaluate|simulate|fixed-points|{'|'.join(ANALYSES)}.",
        ),
        (
            f"group --analysis finetune {DYNAMICS} --model own",
            "--analysis finetune was given with --workflow dynamics. Expected: one of train, "
            f"evaluate, simulate, fixed-points, {', '.join(ANALYSES)}. To do: --workflow "
            "contrasts has --analysis finetune",
        ),
        (
            f"{TRAIN} --gsr",
            "--gsr is not read by --workflow dynamics --analysis train, but by the participant "
            "level (see bids_dtg --help)",
        ),
        (
            f"{TRAIN} --region-maps absent.tsv",
            "--region-maps is not read by --workflow dynamics --analysis train, but by --analysis "
            "evaluate (see",
        ),
        (
            f"participant {DYNAMICS} --device cuda",
            "--device is not read by --workflow dynamics, but by --analysis train (see",
        ),
        (
            "group --analysis evaluate --scheduler tcp://node01:8786",
            "--scheduler is not read by --workflow contrasts --analysis evaluate, but by the "
            "participant level (see",
        ),
        (
            f"{TWINS} --permutations 5",
            "--permutations is not read by --workflow twin --analysis train, but by --analysis "
            f"intervene or {' or '.join(ANALYSES)} (see",
        ),
        (
            "participant --task-file faces",
            "--task-file is not read by --workflow contrasts, but by --workflow twin (see",
        ),
        (f"{TRAIN} --states three", "--states is 'three'. Expected: a whole number"),
        (
            f"{TRAIN} --region-parameters -1",
            "--region-parameters is -1. Expected: 1 to",
        ),
        (
            f"{TRAIN} --learning-rate 0",
            "--learning-rate is 0.0. Expected: a finite number above 0",
        ),
        ("group --analysis phenotypes --folds 1", "--folds is 1. Expected: 2 or more"),
        (
            "group --analysis phenotypes --folds halves",
            "--folds is halves. Expected: a number, or --workflow twin --analysis evaluate",
        ),
        (
            "group --analysis stats --permutations -1",
            "--permutations is -1. Expected: 0 to 1",
        ),
        (
            "group --analysis stats --phenotype age --covariates age",
            "age is given as --phenotype and as --covariates. Expected: one of them.",
        ),
        ("group --verify", "--verify was given with group. Expected: participant."),
        ("participant --combine all", "invalid choice: 'all'"),
        ("group --analysis stat", "; did you mean stats? (see"),
        (
            "group --analysis Stats",
            "; did you mean stats? Upper and lower case count (see",
        ),
        (
            f"{TWINS} --architecture linear",
            "argument --architecture: invalid choice: 'linear' (choose from lowrank, hypernetwork)",
        ),
        (
            f"group {DYNAMICS} --analysis simulate --input-arrays a.npz",
            "--workflow dynamics --analysis simulate was given without --model. Expected: a model "
            "trained by --workflow dynamics --analysis train",
        ),
    ],
)
def test_what_does_not_belong_together_is_one_line(told, words, line):
    assert line in told(words)


def test_what_a_file_of_options_has_beside_what_is_read_is_said(told, tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text('[model]\nworkflow = "dynamic"\n')
    assert "workflow is 'dynamic'. Expected: one of contrasts, dynamics, twin" in told(
        "participant --config-file options.toml"
    )
    file.write_text(
        '[model]\nworkflow = "dynamics"\n[cleaning]\ngsr = true\nhigh_pass = 0.01\n'
    )
    assert (
        main(
            [
                "in",
                "out",
                *TRAIN.split()[:1],
                "--analysis",
                "train",
                f"--config-file={file}",
            ]
        )
        == 2
    )
    note, _error = capsys.readouterr().err.splitlines()
    assert (
        note
        == f"bids_dtg: note: without effect here: gsr of {file}, high_pass of {file}"
    )


# --- outputs of another workflow


def describe(folder: Path, **generator: str) -> None:
    folder.mkdir()
    description = {"GeneratedBy": [{"Name": "bids_dtg", "Version": "1", **generator}]}
    (folder / "dataset_description.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("generator", "words", "line"),
    [
        (
            {"Workflow": "dynamics"},
            "participant",
            "out holds results of --workflow dynamics. Exp",
        ),
        ({"Workflow": "dynamics"}, "group", "or one that --workflow contrasts made"),
        (
            {"Workflow": "contrasts"},
            TRAIN,
            "out holds results of --workflow contrasts. Expected: ",
        ),
        ({"Workflow": "dynamics"}, TWINS, "out holds results of --workflow dynamics"),
    ],
)
def test_an_output_of_another_workflow_is_refused(
    tmp_path, capsys, generator, words, line
):
    describe(tmp_path / "out", **generator)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), *words.split()]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert line in message
    assert message.endswith("To do: choose another OUTPUT_DIR.")
