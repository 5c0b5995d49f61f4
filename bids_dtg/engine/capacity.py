"""How many processes work side by side, and on how many threads each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bids_dtg.engine.machine import Machine
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted
from bids_dtg.settings import ResourceOptions

# More processes of one thread do more than fewer of several: no thread waits for another, and a
# process's reader fills what its network leaves (docs/evidence.md).
_CORES_EACH = 1
# More threads or processes than this do not make anything faster; very many exhaust the machine.
_MOST_A_CORE = 4
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
        Those of nprocs, omp_nthreads and mem_gb that were given are kept to, but for
        numbers that no machine of this size can serve (`excess`).
    units
        How many units of work there are, participants for example.
    bytes_each
        Memory that a process needs, in bytes.
    on_cpu
        Otherwise one process has the GPU.
    machine
        What is divided; None: this one, as it is now.

    Raises
    ------
    SettingsError
        One process needs more than the memory that was given.
    """
    machine = machine or Machine.here()
    memory = machine.memory
    cores = machine.cores
    threads = own_threads(resources, machine)
    if resources.mem_gb is not None:
        memory = int(min(resources.mem_gb * 1e9, _MOST_MEMORY))
        if memory < bytes_each:
            raise SettingsError(
                f"--mem-gb is {resources.mem_gb:g}, and one process of this call may take "
                f"{bytes_each / 1e9:.2f} GB",
                expected=f"{math.ceil(bytes_each / 1e8) / 10:g} or more, or no --mem-gb",
            )
    if resources.nprocs is not None:
        processes = _bounded(resources.nprocs, machine)
    else:
        # Who states threads states how many processes fit.
        processes = max(1, cores // (threads or _CORES_EACH)) if on_cpu else 1
    processes = min(processes, max(1, units))
    # What somebody asks for in so many words is done, whatever this estimate says.
    if memory is not None and (resources.nprocs is None or resources.mem_gb is not None):
        processes = max(1, min(processes, int(memory // bytes_each)))
    return Capacity(processes, threads or max(1, cores // processes))


def own_threads(resources: ResourceOptions, machine: Machine | None = None) -> int | None:
    """Return the threads of a process that somebody asked for, bounded; None where nobody did."""
    if resources.omp_nthreads is None:
        return None
    return _bounded(resources.omp_nthreads, machine or Machine.here())


def excess(resources: ResourceOptions, machine: Machine | None = None) -> list[str]:
    """List requested resources that the machine does not have, a sentence each.

    Examples
    --------
    >>> excess(ResourceOptions(omp_nthreads=100_000), Machine(cores=2, memory=None))
    ['--omp-nthreads 100000 is more than 4 times the 2 cores here: 8 are used']
    """
    machine = machine or Machine.here()
    asked = {
        "--nprocs": resources.nprocs,
        "--omp-nthreads": resources.omp_nthreads,
    }
    return [
        f"{flag} {number} is more than {_MOST_A_CORE} times the {counted(machine.cores, 'core')} "
        f"here: {_bounded(number, machine)} are used"
        for flag, number in asked.items()
        if number is not None and number > _bounded(number, machine)
    ]


def _bounded(number: int, machine: Machine) -> int:
    return min(number, _MOST_A_CORE * machine.cores)
