"""How many processes work side by side, and on how many threads each."""

from __future__ import annotations

from dataclasses import dataclass

from bids_dtg.engine.machine import available_cores, available_memory
from bids_dtg.settings import ResourceOptions

# A process reads the next run while its network works on this one: it keeps two cores busy. On two
# cores 8 people at 2 mm took 3.6 s each in 1 process of 2 threads, 3.5 s in 2 of 1 and 3.6 s in 2
# of 2, in 1.1, 1.7 and 2.0 GB (benchmarks/throughput.py); a single person is soonest done on 2.
_CORES_EACH = 2
# What a process was seen to take at most with its reader and the first process, for the published
# model's 158,680 voxels: 1.13 GB (benchmarks/throughput.py), rounded up; most of the first part is
# torch itself. It does not grow with the length of runs.
_BYTES_EACH, _BYTES_A_VOXEL = 600e6, 4e3


@dataclass(frozen=True)
class Capacity:
    """What this machine is asked to do at the same time."""

    processes: int  # that each work on a participant
    threads: int  # of each, to compute with


def need(voxels: int) -> float:
    """Return the bytes that a process needs for a model of so many voxels."""
    return _BYTES_EACH + _BYTES_A_VOXEL * voxels


def divide(resources: ResourceOptions, *, participants: int, voxels: int, on_cpu: bool) -> Capacity:
    """Divide the machine's cores and memory among participants.

    Parameters
    ----------
    resources
        Those of nprocs, omp_nthreads and mem_gb that were given are kept to.
    participants
        How many there are to process.
    voxels
        Of the model's mask.
    on_cpu
        Otherwise one process has the GPU.
    """
    cores, memory = available_cores(), available_memory()
    if resources.mem_gb is not None:
        memory = int(resources.mem_gb * 1e9)
    processes = resources.nprocs or (max(1, cores // _CORES_EACH) if on_cpu else 1)
    processes = min(processes, max(1, participants))
    # What somebody asks for in so many words is done, whatever this estimate says.
    if memory is not None and (resources.nprocs is None or resources.mem_gb is not None):
        processes = max(1, min(processes, int(memory // need(voxels))))
    return Capacity(processes, resources.omp_nthreads or max(1, cores // processes))
