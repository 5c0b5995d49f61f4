"""The machine as containers and schedulers show it, on fake trees of /proc and /sys."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy  # noqa: F401 (brings a BLAS)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bids_dtg.engine.machine import (
    WAIT_VARIABLES,
    allowed_threads,
    available_cores,
    available_memory,
    one_blas_thread,
)

GB = 10**9


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False
    )


def fake(root: Path, **files: object) -> Path:
    """Write files, `/` in their names as `__`, `.` as `_dot_`; return the root."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def version_2(root: Path, group: str = "/", **files: object) -> Path:
    fake(root, proc__self__cgroup=f"0::{group}")
    below = "sys__fs__cgroup" + group.rstrip("/").replace("/", "__")
    return fake(
        root, **{f"{below}__{name}": content for name, content in files.items()}
    )


def test_a_bare_machine(tmp_path):
    assert available_cores(tmp_path) == 16
    assert available_memory(tmp_path) is None
    fake(
        tmp_path,
        proc__meminfo="MemTotal: 9 kB\nMemAvailable:   4000000 kB\nBuffers: 1 kB",
    )
    assert available_memory(tmp_path) == 4_000_000 * 1024


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("400000 100000", 4),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", 16),
    ],
)
def test_quota_of_cgroup_2(tmp_path, quota, cores):
    assert available_cores(version_2(tmp_path, cpu_dot_max=quota)) == cores


def test_affinity_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    assert available_cores(version_2(tmp_path, cpu_dot_max="400000 100000")) == 1


def test_the_least_of_nested_groups_counts(tmp_path):
    version_2(
        tmp_path, "/slurm/job_7/step_0", cpu_dot_max="max 100000", memory_dot_max="max"
    )
    version_2(
        tmp_path,
        "/slurm/job_7",
        cpu_dot_max="300000 100000",
        memory_dot_max=8 * GB,
        memory_dot_current=3 * GB,
    )
    fake(tmp_path, proc__self__cgroup="0::/slurm/job_7/step_0", proc__meminfo="")
    assert available_cores(tmp_path) == 3
    assert available_memory(tmp_path) == 5 * GB


def test_file_cache_is_not_lost(tmp_path):
    version_2(
        tmp_path,
        memory_dot_max=4 * GB,
        memory_dot_current=4 * GB,
        memory_dot_stat=f"anon 5\nactive_file 7\ninactive_file {3 * GB}",
    )
    assert available_memory(tmp_path) == 3 * GB


def test_group_that_is_not_shown_within_a_container(tmp_path):
    """Without a namespace of its own a container sees another path than its mount has."""
    version_2(tmp_path, cpu_dot_max="200000 100000")
    fake(tmp_path, proc__self__cgroup="0::/docker/0123abc")
    assert available_cores(tmp_path) == 2


def test_cgroup_1(tmp_path):
    fake(
        tmp_path,
        proc__self__cgroup="9:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n0::/x",
        **{
            "sys__fs__cgroup__cpu,cpuacct__job__cpu_dot_cfs_quota_us": 350000,
            "sys__fs__cgroup__cpu,cpuacct__job__cpu_dot_cfs_period_us": 100000,
            "sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_quota_us": -1,
            "sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_period_us": 100000,
            "sys__fs__cgroup__memory__job__memory_dot_limit_in_bytes": 6 * GB,
            "sys__fs__cgroup__memory__job__memory_dot_usage_in_bytes": 2 * GB,
            "sys__fs__cgroup__memory__job__memory_dot_stat": f"cache 1\ntotal_inactive_file {GB}",
            "sys__fs__cgroup__memory__memory_dot_limit_in_bytes": 2**63 - 4096,
            "sys__fs__cgroup__memory__memory_dot_usage_in_bytes": 10 * GB,
        },
    )
    assert available_cores(tmp_path) == 3
    assert available_memory(tmp_path) == 5 * GB


# A program of ours, and what it finds in its environment when it imports NumPy.
SPY = """
import os, sys
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(*(os.environ.get(name) for name in {names}), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Spy())
from bids_dtg.cli.{program} import run
sys.argv = {words}
run()
"""


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("run", ["bids_dtg", ".", "out", "participant"]),
        ("models", ["dtg-models", "info", "nowhere"]),
        ("phantom", ["dtg-phantom", "out", "--participants", "1"]),
        ("demo", ["dtg-demo", "out"]),
    ],
)
@pytest.mark.parametrize(
    "users_variables",
    [{}, {"OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_THREAD_TIMEOUT": "9"}],
)
def test_threads_wait_asleep_from_the_start_or_as_the_user_says(
    tmp_path, program, words, users_variables
):
    code = SPY.format(names=[*WAIT_VARIABLES], program=program, words=words)
    bare = {
        name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**bare, **users_variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(done.stdout.splitlines()) == {
        " ".join({**WAIT_VARIABLES, **users_variables}.values())
    }


def test_threads_are_those_that_were_set_or_all_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert allowed_threads() == 3
    for nonsense in ("", "0,2", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert allowed_threads() == available_cores()


def test_the_collector_leaves_alone_what_is_imported_first():
    facts = in_a_process("""
        with importing():
            print(gc.isenabled())
        print(gc.isenabled(), gc.get_freeze_count() > 0)
        with importing():
            print(gc.isenabled())
    """)
    assert facts == ["False", "True True", "True"]


def in_a_process(code: str) -> list[str]:
    """Return the lines that code prints in a process that has imported nothing else."""
    head = "import gc\nfrom bids_dtg.engine.machine import importing\n"
    command = [sys.executable, "-c", head + textwrap.dedent(code)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def blas_threads() -> set[int]:
    return {
        pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
    }


@pytest.mark.parametrize("times", [1, 2])  # the libraries are looked for once
def test_blas_has_one_thread_within_a_block_and_its_own_number_after_it(times):
    with threadpool_limits(2, user_api="blas"):
        for _ in range(times):
            with one_blas_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {2}
