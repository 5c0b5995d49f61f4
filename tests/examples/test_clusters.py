"""The examples for clusters: SLURM's array without SLURM, BABS' options without BABS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from maps_job import TinyJob, read_table

EXAMPLES = Path(__file__).parents[2] / "examples"
SUBMIT, TASK = EXAMPLES / "slurm" / "submit", EXAMPLES / "slurm" / "task.sbatch"

# Stands in for SLURM's: runs the tasks here, one by one.
FAKE_SBATCH = """\
#!/usr/bin/env bash
echo "$@" > "$SENT"
for option; do case $option in
  --array=*) last=${option#--array=1-}; shift;;
  --output=*) shift;;
esac; done
for task in $(seq 1 "${last%\\%*}"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=2 SLURM_MEM_PER_NODE=3072 "$@" || true
done
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put an sbatch, and the program of this environment, on the path."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sbatch").write_text(FAKE_SBATCH)
    (programs / "bids_dtg").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m bids_dtg.cli "$@"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SENT", str(tmp_path / "sent"))
    for name in ("PEOPLE", "CHUNK", "LIMIT", "IMAGE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def submit(*words: object, **environment: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in (SUBMIT, *words)],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_array_does_everybody_and_nobody_twice(cluster):
    job = TinyJob(cluster / "a b", ("01", "02", "03"))
    next(job.bids.glob("sub-03/func/*confounds*.tsv")).write_text("x\n")
    options = ("--model", job.model, "--no-reports")
    done = submit(job.bids, job.out, *options, CHUNK=2)
    assert done.returncode == 0  # the tasks were sent; one of them failed
    assert "3 participants in 2 tasks" in done.stdout
    sent = (cluster / "sent").read_text()
    assert (
        f"--array=1-2%100 --output={job.out}/logs/slurm/%A_%a.txt {TASK} --model"
        in sent
    )
    assert {path.name for path in job.out.glob("sub-*/func")} == {"func"}
    tables = [read_table(path) for path in sorted(job.out.glob("logs/*/failures.tsv"))]
    assert [row["participant_id"] for table in tables for row in table] == ["sub-03"]
    settings = max(job.out.glob("logs/*/config.toml")).read_text()
    assert "nprocs = 2" in settings
    assert "omp_nthreads = 2" in settings
    assert "mem_gb = 3.22" in settings
    (cluster / "people.txt").write_text("sub-01\n\n02\n")
    again = submit(job.bids, job.out, *options, PEOPLE=cluster / "people.txt", CHUNK=2)
    assert again.returncode == 0
    assert "2 participants in 1 tasks" in again.stdout
    assert "0 sets of maps written, 2 already complete" in again.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
@pytest.mark.parametrize("image", ["", "bids_dtg.sif"])
def test_array_of_biobank_is_as_long_as_slurm_allows(cluster, image):
    programs, labels = (
        cluster / "programs",
        [f"10000{number:02d}" for number in range(1, 12)],
    )
    if image:
        (programs / "bids_dtg").rename(programs / "of-image")
    # The tasks are those of the test above.
    for name, does in {
        "sbatch": f'echo "$@" > "$SENT"; echo "CHUNK $CHUNK"; cat "$PEOPLE" > {cluster}/listed',
        "scontrol": 'echo "MaxArraySize            = 4"',
        "apptainer": 'while [ "$1" != bids_dtg.sif ]; do shift; done; shift; exec of-image "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    for label in labels:
        (cluster / "ukb" / f"{label}_20227_2_0" / "fMRI").mkdir(parents=True)
    places = (cluster / "ukb", cluster / "out", "--gsr")
    all_of_them = submit(*places, IMAGE=image)
    assert all_of_them.returncode == 0, all_of_them.stderr
    assert "CHUNK is 4 instead of 1, as SLURM allows 3 tasks here" in all_of_them.stdout
    assert "11 participants in 3 tasks" in all_of_them.stdout
    assert (cluster / "listed").read_text().split() == labels
    two = submit(
        *places, "--participant_label", *labels[4:6], "--low-pass", "0.1", IMAGE=image
    )
    assert "CHUNK 1\n2 participants in 2 tasks" in two.stdout
    assert (cluster / "listed").read_text().split() == labels[4:6]
    assert (cluster / "sent").read_text().endswith("task.sbatch --gsr --low-pass 0.1\n")


# Stands in for `apptainer run --cleanenv`: drops the environment but for what it names, and shows
# what it would bind.
FAKE_APPTAINER = """\
#!/usr/bin/env bash
shift 2
kept=(PATH="$PATH" SENT="$SENT")
for name in $(compgen -e APPTAINERENV_); do kept+=("${name#APPTAINERENV_}=${!name}"); done
while [ "$1" = --bind ]; do echo "$2" >> "$SENT.seen"; shift 2; done
shift
exec env -i "${kept[@]}" of-image "$@"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_an_image_sees_what_options_and_variables_name(cluster, monkeypatch):
    programs = cluster / "programs"
    (programs / "apptainer").write_text(FAKE_APPTAINER)
    shows = 'echo "$DTG_MODEL_DIR $TMPDIR ${HOME-no home}" >> "$SENT.seen"; echo sub-01'
    (programs / "of-image").write_text(f"#!/bin/sh\n{shows}\n")
    for program in ("apptainer", "of-image"):
        (programs / program).chmod(0o755)
    for folder in ("ds", "out", "models", "freesurfer", "tables", "fast"):
        (cluster / folder).mkdir()
    (cluster / "tables" / "people.tsv").write_text("participant_id\n")
    (cluster / "ds" / "filter.json").write_text("{}")
    monkeypatch.setenv("DTG_MODEL_DIR", str(cluster / "models"))
    monkeypatch.setenv("TMPDIR", str(cluster / "fast"))
    options = (
        "--participants-file",
        cluster / "tables" / "people.tsv",
        "--bids-filter-file",
        cluster / "ds" / "filter.json",
        "-d",
        f"freesurfer={cluster}/freesurfer",
        f"--config={cluster}/no-such-file",
    )
    done = submit(cluster / "ds", cluster / "out", *options, IMAGE="bids_dtg.sif")
    assert done.returncode == 0, done.stderr
    seen = (cluster / "sent.seen").read_text().splitlines()
    binds = [
        f"{cluster}/ds:{cluster}/ds:ro",
        f"{cluster}/tables:{cluster}/tables:ro",
        f"{cluster}/freesurfer:{cluster}/freesurfer:ro",
        f"{cluster}/models:{cluster}/models",
        f"{cluster}/fast",
        f"{cluster}/out",
    ]
    shown = [*binds, f"{cluster}/models {cluster}/fast no home"]
    # When participants are listed, and in the task.
    assert seen[: len(shown)] == shown
    assert seen[-len(shown) :] == shown


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_what_is_wrong_is_told_before_anything_is_sent(cluster, monkeypatch):
    (cluster / "empty").mkdir()
    empty = submit(cluster / "empty", cluster / "out")
    assert empty.returncode == 2
    assert f"BIDS_DIR {cluster}/empty is empty" in empty.stderr
    assert submit(cluster).returncode == 2
    (cluster / "people.txt").write_text("\n")
    words = (cluster / "empty", cluster / "out")
    nobody = submit(*words, PEOPLE=cluster / "people.txt")
    assert nobody.stderr == f"PEOPLE={cluster}/people.txt has no participants\n"
    twice = submit(*words, "--participant-label", "01", PEOPLE=cluster / "people.txt")
    assert "PEOPLE and --participant-label were both given" in twice.stderr
    (cluster / "programs" / "bids_dtg").unlink()
    monkeypatch.setenv("PATH", f"{cluster}/programs:/usr/bin:/bin")
    missing = submit(cluster / "empty", cluster / "out")
    assert missing.returncode == 2
    assert "activate its environment, or give IMAGE" in missing.stderr
    assert not (cluster / "sent").exists()
