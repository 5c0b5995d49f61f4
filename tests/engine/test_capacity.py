"""How cores and memory are divided."""

from __future__ import annotations

import pytest

from bids_dtg.engine import machine
from bids_dtg.errors import SettingsError
from bids_dtg.settings import ResourceOptions

GB = 10**9


@pytest.fixture
def divided(monkeypatch):
    def divided(*, cores, memory=1000 * GB, units=100, on_cpu=True, **options):
        monkeypatch.setattr(machine, "available_cores", lambda: cores)
        monkeypatch.setattr(machine, "available_memory", lambda: memory)
        resources = ResourceOptions(**options)
        return machine.divide(
            resources, units=units, bytes_each=1.25 * GB, on_cpu=on_cpu
        )

    return divided


@pytest.mark.parametrize(
    ("options", "processes", "threads"),
    [
        ({"cores": 1}, 1, 1),
        ({"cores": 2}, 2, 1),
        ({"cores": 16}, 16, 1),
        ({"cores": 16, "units": 1}, 1, 16),
        ({"cores": 16, "units": 0}, 1, 16),
        ({"cores": 16, "memory": 4 * GB}, 3, 5),
        ({"cores": 16, "memory": GB // 2}, 1, 16),
        ({"cores": 16, "on_cpu": False}, 1, 16),
        ({"cores": 16, "mem_gb": 4.0}, 3, 5),
        ({"cores": 16, "nprocs": 4}, 4, 1),
        ({"cores": 16, "nprocs": 4, "units": 2}, 2, 2),
        ({"cores": 2, "nprocs": 4}, 2, 1),
        ({"cores": 16, "nprocs": 4, "mem_gb": 2.5}, 2, 2),
        ({"cores": 16, "nprocs": 4, "memory": 4 * GB}, 3, 1),
        ({"cores": 16, "omp_nthreads": 4}, 4, 4),
        ({"cores": 16, "nprocs": 16, "omp_nthreads": 4}, 4, 4),
        ({"cores": 16, "nprocs": 4, "on_cpu": False}, 1, 4),
        ({"cores": 16, "nprocs": 4, "omp_nthreads": 1, "on_cpu": False}, 4, 1),
    ],
)
def test_divided(divided, options, processes, threads):
    assert divided(**options) == (processes, threads)


@pytest.mark.parametrize(
    ("options", "processes", "threads", "reason"),
    [
        (
            {"cores": 2, "omp_nthreads": 100_000},
            1,
            2,
            "100000, but this machine has 2 cores",
        ),
        (
            {"cores": 16, "nprocs": 4, "omp_nthreads": 8},
            1,
            4,
            "8, but --nprocs and .* 4 cores",
        ),
    ],
)
def test_more_threads_than_cores(divided, options, processes, threads, reason):
    with pytest.warns(UserWarning, match=f"--omp-nthreads is {reason}"):
        assert divided(**options) == (processes, threads)


def test_less_memory_than_one_process_needs_is_refused(divided):
    with pytest.raises(
        SettingsError,
        match=r"--mem-gb is 0\.2, but one process of this run may take 1\.25 GB\. Expected: 1\.3",
    ):
        divided(cores=2, mem_gb=0.2)
    assert divided(cores=2, mem_gb=1.25) == (1, 2)
