"""How cores and memory are divided."""

from __future__ import annotations

import pytest

from bids_dtg.engine import capacity
from bids_dtg.engine.capacity import Capacity, divide, need
from bids_dtg.settings import ResourceOptions

VOXELS = 158_680  # of the published models
GB = 10**9


def divided(monkeypatch, *, cores, memory=1000 * GB, participants=100, on_cpu=True, **options):
    monkeypatch.setattr(capacity, "available_cores", lambda: cores)
    monkeypatch.setattr(capacity, "available_memory", lambda: memory)
    resources = ResourceOptions(**options)
    return divide(resources, participants=participants, voxels=VOXELS, on_cpu=on_cpu)


@pytest.mark.parametrize(
    ("machine", "processes", "threads"),
    [
        ({"cores": 1}, 1, 1),
        ({"cores": 2}, 1, 2),
        ({"cores": 3}, 1, 3),
        ({"cores": 16}, 8, 2),
        ({"cores": 16, "participants": 1}, 1, 16),
        ({"cores": 16, "participants": 3}, 3, 5),
        ({"cores": 16, "participants": 0}, 1, 16),
        ({"cores": 16, "memory": 4 * GB}, 3, 5),
        ({"cores": 16, "memory": GB // 2}, 1, 16),
        ({"cores": 16, "memory": None}, 8, 2),
        ({"cores": 16, "on_cpu": False}, 1, 16),
        ({"cores": 16, "mem_gb": 4.0}, 3, 5),
        ({"cores": 16, "nprocs": 4}, 4, 4),
        ({"cores": 2, "nprocs": 4}, 4, 1),
        ({"cores": 2, "nprocs": 4, "memory": GB}, 4, 1),
        ({"cores": 16, "nprocs": 4, "mem_gb": 2.5}, 2, 8),
        ({"cores": 16, "nprocs": 4, "participants": 2}, 2, 8),
        ({"cores": 16, "omp_nthreads": 1}, 8, 1),
        ({"cores": 16, "nprocs": 16, "omp_nthreads": 4}, 16, 4),
        ({"cores": 16, "nprocs": 2, "on_cpu": False}, 2, 8),
    ],
)
def test_divided(monkeypatch, machine, processes, threads):
    assert divided(monkeypatch, **machine) == Capacity(processes, threads)


def test_need_grows_with_the_model():
    assert 1.1 * GB < need(VOXELS) < 1.5 * GB
    assert need(2 * VOXELS) > need(VOXELS) > need(1000)
