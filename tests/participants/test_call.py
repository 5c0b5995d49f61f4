"""All kinds of parallel processing give the same bytes; what is lost when a process dies."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cifti_people import ParcelCohort, write_parcel_bundle
from dask_cluster import dask_cluster
from maps_bundle import write_tiny_bundle
from maps_job import TinyJob, read_table, tree

from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.participant.worker import LEVEL
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.settings import Settings
from bids_dtg.twin.options import TwinOptions

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="no process is forked here"
)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> TinyJob:
    """Make a job of four participants; run it in one process, undisturbed."""
    job = TinyJob(tmp_path_factory.mktemp("pool"), ("01", "02", "03", "04"))
    assert job.run("--nprocs", 1, "--no-reports", out=job.folder / "whole") == 0
    return job


@pytest.fixture
def run(crowd, tmp_path, capsys):
    """Run the job into a folder of the test's own; return exit code, failures and lines."""

    # Beside the other: a dataset's links to its input are relative to it.
    crowd.out = out = crowd.folder / tmp_path.name

    def call(*options: object):
        code = crowd.run("--no-reports", *options)
        newest = max(
            out.glob("logs/*/failures.tsv"), key=lambda path: path.stat().st_mtime_ns
        )
        return code, read_table(newest), capsys.readouterr().err

    return call


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def maps(folder: Path, *labels: str) -> dict[str, str]:
    """Return the maps of some participants, or of all."""
    contents = {
        name: content for name, content in tree(folder).items() if "statmap.nii" in name
    }
    return {k: v for k, v in contents.items() if not labels or k[4:6] in labels}


@pytest.mark.parametrize("processes", [1, 2])
def test_same_bytes_from_any_number_of_processes(crowd, run, processes):
    code, failures, _ = run("--nprocs", processes)
    assert (code, failures) == (0, [])
    assert tree(crowd.out) == tree(crowd.folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_work_costs_that_participant_only(crowd, run, monkeypatch, processes):
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if "sub-02" in str(target) and str(target).endswith("statmap.nii.gz"):
            die()
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        code, failures, told = run("--nprocs", processes)
    assert code == 1
    (failure,) = failures
    assert failure["participant_id"] == "sub-02"
    assert (
        "the process that worked on sub-02 died: it was ended by SIGKILL"
        in failure["message"]
    )
    assert "sub-02: failed: the process that worked on sub-02 died" in told
    whole = crowd.folder / "whole"
    assert maps(crowd.out) == maps(whole, "01", "03", "04")
    code, failures, told = run("--nprocs", processes)
    assert (code, failures) == (0, [])
    assert "1 set of maps written, 3 already complete" in told
    assert tree(crowd.out) == tree(whole)


@pytest.mark.slow
def test_memory_limit_leaves_two_processes(crowd):
    settings = crowd.settings(nprocs=4, mem_gb=0.8)
    assert (
        Request.prepare(settings).processes == 2
    )  # two times 0.35 GB, for a tiny model


@pytest.mark.slow
def test_processes_that_are_started_afresh(crowd, run, monkeypatch):
    """As where no process is forked; and where a GPU is, whose driver does not outlive a fork."""
    monkeypatch.setattr(sys, "platform", "darwin")
    code, failures, _ = run("--nprocs", 1, "--device", "cpu")
    assert (code, failures) == (0, [])
    assert tree(crowd.out) == tree(crowd.folder / "whole")


# --- tasks of a dask scheduler


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    pytest.importorskip("distributed")
    with dask_cluster(tmp_path_factory.mktemp("dask") / "cluster") as (_, address):
        yield address


def newest_failures(folder: Path) -> list[dict[str, str]]:
    newest = max(
        folder.glob("logs/*/failures.tsv"), key=lambda path: path.stat().st_mtime_ns
    )
    return read_table(newest)


@pytest.mark.slow
def test_tasks_make_what_processes_make(tmp_path, dask, capsys, monkeypatch):
    job = TinyJob(tmp_path, ("01", "02", "03"))
    second_model = write_tiny_bundle(tmp_path / "here" / "tiny", seed=1).path
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path))
    next(job.bids.glob("sub-02/func/*confounds*.tsv")).write_text("x\n")
    assert job.run("-vv", out=job.folder / "whole") == 1
    assert "Traceback" in capsys.readouterr().err
    assert job.run("--scheduler", dask, "--model", "tiny") == 1
    told = capsys.readouterr().err
    assert (
        f"warning: the model tiny is {job.model}, not {second_model}, which is ./tiny"
        in told
    )
    assert tree(job.out) == tree(job.folder / "whole")
    assert newest_failures(job.out) == newest_failures(job.folder / "whole")
    assert (
        "3 participants: 2 sets of maps written, 0 already complete, 1 participant failed"
        in told
    )
    assert "sub-02: failed: " in told
    assert job.run("--scheduler", dask) == 1
    assert "0 sets of maps written, 2 already complete" in capsys.readouterr().err


def kill_a_worker(address: str, begun: Path) -> None:
    """Kill one worker of a dask scheduler as soon as a participant is complete."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        process, *_ = client.run(os.getpid).values()
        while not any(begun.glob("logs/complete/*.json")):
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("of_parcels", [False, True], ids=["volumes", "parcels"])
def test_a_dask_worker_that_is_killed_midway_costs_nobody(tmp_path, capsys, of_parcels):
    pytest.importorskip("distributed")
    labels = tuple(f"{number:02d}" for number in range(1, 9))
    job = ParcelCohort(tmp_path, labels) if of_parcels else TinyJob(tmp_path, labels)
    if of_parcels:
        job.model = write_parcel_bundle(tmp_path / "model").path
    assert job.run("--no-reports", out=job.folder / "whole") == 0
    with dask_cluster(tmp_path / "cluster") as (_, address):
        killer = threading.Thread(target=kill_a_worker, args=(address, job.out))
        killer.start()
        capsys.readouterr()
        assert job.run("--no-reports", "--scheduler", address) == 0
        killer.join()
    # The one that was complete may be found so by the other worker.
    assert re.search(
        "8 participants: [78] sets .* 0 participants failed", capsys.readouterr().err
    )
    assert "Remove worker" in (tmp_path / "cluster" / "log.txt").read_text()
    assert tree(job.out) == tree(job.folder / "whole")


@pytest.mark.slow
def test_no_scheduler_is_one_line(crowd, tmp_path):
    out = tmp_path / "out"
    words = crowd.arguments("--scheduler", "nowhere://127.0.0.1:1", out=out)
    # A process of its own: what dask leaves of a client that failed holds up processes forked here.
    done = subprocess.run(
        [sys.executable, "-m", "bids_dtg.cli", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    line = "--scheduler nowhere://127.0.0.1:1: no dask scheduler answers there"
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_paths_mean_the_same_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.json").write_text("{}")
    (tmp_path / "HCP").write_text("")
    (tmp_path / "faces").write_text("")
    (tmp_path / "own.toml").write_text("")
    relative = Settings.of(
        bids_dir=Path("in"),
        output_dir=Path("../out"),
        analysis_level="participant",
        model="mine",
        derivatives=("fmriprep=d/f", "e", "fmriprep=day=1/f", "/day=1/f"),
        scheduler="tcp://here:1",
        atlases=("HCP", "own.toml", "mine"),
    )
    whole = with_whole_paths(relative)
    assert whole.inputs.bids_dir == tmp_path / "in"
    assert whole.inputs.output_dir == tmp_path / "../out"
    assert whole.inputs.model == str(tmp_path / "mine")
    assert whole.inputs.derivatives == (
        *(f"fmriprep={tmp_path}/d/f", f"{tmp_path}/e"),
        *(f"fmriprep={tmp_path}/day=1/f", "/day=1/f"),
    )
    own_atlas = str(tmp_path / "own.toml")
    assert whole.outputs.atlases == ("HCP", own_atlas, "mine")
    default = Settings.of(
        bids_dir=Path("/i"), output_dir=Path("/o"), analysis_level="participant"
    )
    assert with_whole_paths(default).inputs.model is None
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "model.json").write_text("{}")
    assert (
        with_whole_paths(default.replace(model="demo")).inputs.model == "demo"
    )  # installed
    twins = default.replace(workflow="twin", task_file=("own.toml", "faces"))
    assert with_whole_paths(twins).part(TwinOptions).task_file == (own_atlas, "faces")


def test_a_level_that_was_sent_to_a_process_is_the_same():
    sent = pickle.loads(
        pickle.dumps(LEVEL)
    )  # else a worker of dask makes the work for each task
    assert sent is not LEVEL
    assert (sent, hash(sent)) == (LEVEL, hash(LEVEL))
