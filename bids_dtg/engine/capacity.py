"""How many processes work side by side, and on how many threads each."""

from __future__ import annotations

from dataclasses import dataclass

from bids_dtg.engine.machine import Machine
from bids_dtg.settings import ResourceOptions

# A process reads the next run while its network works on this one: it keeps two cores busy. On two
# cores 8 people at 2 mm took 3.6 s each in 1 process of 2 threads, 3.5 s in 2 of 1 and 3.6 s in 2
# of 2, in 1.1, 1.7 and 2.0 GB (benchmarks/throughput.py); a single person is soonest done on 2.
_CORES_EACH = 2
_MOST_MEMORY = 1e18  # bytes; what somebody allows beyond is not there


@dataclass(frozen=True)
class Capacity:
    """What this machine is asked to do at the same time."""

    processes: int  # that each do a unit of work
    threads: int  # of each, to compute with


def divide(
    resources: ResourceOptions,
    *,
    units: int,
    bytes_each: float,
    on_cpu: bool,
    machine: Machine | None = None,
) -> Capacity:
    """Divide the machine's cores and memory among units of work.

    Parameters
    ----------
    resources
        Those of nprocs, omp_nthreads and mem_gb that were given are kept to.
    units
        How many there are.
    bytes_each
        What a process needs.
    on_cpu
        Otherwise one process has the GPU.
    machine
        What is divided; None: this one, as it is now.
    """
    machine = machine or Machine.here()
    cores, memory = machine.cores, machine.memory
    if resources.mem_gb is not None:
        memory = int(min(resources.mem_gb * 1e9, _MOST_MEMORY))
    processes = resources.nprocs or (max(1, cores // _CORES_EACH) if on_cpu else 1)
    processes = min(processes, max(1, units))
    # What somebody asks for in so many words is done, whatever this estimate says.
    if memory is not None and (resources.nprocs is None or resources.mem_gb is not None):
        processes = max(1, min(processes, int(memory // bytes_each)))
    return Capacity(processes, resources.omp_nthreads or max(1, cores // processes))
