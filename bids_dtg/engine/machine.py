"""Cores, memory and GPU that this process may use, and how they are shared."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.notices import counted, say
from bids_dtg.settings import ResourceOptions

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_ROOT = Path("/")
# Environment variables from which numerical libraries read their number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# These make idle threads of OpenMP and OpenBLAS sleep. By default they spin, and take time from
# processes that have work. The second value is log2 of clock cycles; 4 is the minimum.
WAIT_VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}
_PR_SET_PDEATHSIG = 1  # of Linux' prctl
# Many processes with one thread each are faster than few with several: no thread waits for another,
# and a process reads the next participant while its network computes (docs/evidence.md).
_CORES_EACH = 1
_MOST_MEMORY = 1e18  # bytes; no machine has more
# Device files of GPU drivers. If none exists, there is no GPU, and torch need not be imported.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_TO_DO = (
    "check the driver, how the GPU is passed on (docker --gpus all, apptainer --nv), and that "
    "PyTorch is a build for this GPU (docs/how-to/gpu.md)"
)


def available_cores(root: Path = _ROOT) -> int:
    """Count the cores that this process may use, by its CPU affinity and its cgroups' quotas.

    Parameters
    ----------
    root
        Folder that holds ``proc`` and ``sys``.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS
        cores = os.cpu_count() or 1
    quotas = [int(quota) for quota in _core_quotas(root)]
    return max(1, min([cores, *quotas]))


def available_memory(root: Path = _ROOT) -> int | None:
    """Return the memory in bytes that this process may still take, or None if unknown.

    Parameters
    ----------
    root
        Folder that holds ``proc`` and ``sys``.
    """
    limits = [*_free_memory_of_cgroups(root)]
    available_kb = _number_in(root / "proc/meminfo", r"MemAvailable: +(\d+) kB")
    if available_kb:
        limits.append(1024 * available_kb)
    return max(0, min(limits)) if limits else None


def limit_threads(threads: int) -> None:
    """Set how many threads numerical libraries use; they read it when first imported."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)


def allowed_threads() -> int:
    """Return how many threads this process may use: as `limit_threads` set it, else its cores.

    Examples
    --------
    >>> allowed_threads() >= 1
    True
    """
    threads = os.environ.get(THREAD_VARIABLES[0], "")
    return max(1, int(threads)) if threads.isdecimal() else available_cores()


def in_threads(do: Callable[[slice], None], number: int) -> None:
    """Split `range(number)` into parts, and call a function on each part in its own thread.

    There is one part per thread (`allowed_threads`), but at most `number` parts.

    Examples
    --------
    >>> squares = [0] * 5
    >>> def square(part: slice) -> None:
    ...     squares[part] = [number**2 for number in range(5)[part]]
    >>> in_threads(square, 5)
    >>> squares
    [0, 1, 4, 9, 16]
    """
    from concurrent.futures import ThreadPoolExecutor

    threads = min(allowed_threads(), number)
    if threads < 2:
        do(slice(0, number))
        return
    ends = [number * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(do, map(slice, ends, ends[1:])))


def wait_asleep() -> None:
    """Make idle threads of numerical libraries sleep, unless the user's environment says otherwise.

    The libraries read this when first imported, so call it before that.
    """
    for variable, value in WAIT_VARIABLES.items():
        os.environ.setdefault(variable, value)


def share_cores(threads: int) -> None:
    """Set how many threads numerical libraries use from now on, also those already imported."""
    from threadpoolctl import threadpool_limits

    limit_threads(threads)
    threadpool_limits(threads)


def return_memory() -> None:
    """Return freed memory to the system, which glibc would otherwise keep.

    Examples
    --------
    >>> return_memory()
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def importing() -> Iterator[None]:
    """Exclude everything imported in the ``with`` block from garbage collection.

    Imported objects live as long as the process. Scanning them again and again took a sixth of the
    program's import time. They remain excluded afterwards, so that forked processes keep sharing
    their memory. Only the first such block in a process has this effect, as garbage may exist by
    the time of a later one.

    Examples
    --------
    >>> import gc
    >>> with importing():
    ...     import bids_dtg.participants
    >>> gc.isenabled()
    True
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end_with_parent() -> None:
    """Ask the system to kill this process when its parent has ended for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _core_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroups(root, "cpu"):
        # cgroup v2: quota and period in µs; the quota may be "max"
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        # v1; a quota of -1 means no limit
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
            if int(quota) > 0:
                yield int(quota) / int(period)


def _free_memory_of_cgroups(root: Path) -> Iterator[int]:
    names = {
        "memory.max": "memory.current",
        "memory.limit_in_bytes": "memory.usage_in_bytes",
    }
    for folder in _cgroups(root, "memory"):
        for limit_name, usage_name in names.items():
            with suppress(OSError, ValueError):  # "max" is not a number
                limit = int((folder / limit_name).read_text())
                usage = int((folder / usage_name).read_text())
                # The system frees the cache of files when memory is needed.
                pattern = r"(?:total_)?inactive_file (\d+)"
                cache = _number_in(folder / "memory.stat", pattern)
                yield limit - usage + cache


def _number_in(path: Path, pattern: str) -> int:
    """Return the number in the line of a file that begins with a pattern; 0 if there is none."""
    with suppress(OSError):
        match = re.search(f"^{pattern}", path.read_text(), re.MULTILINE)
        if match:
            return int(match[1])
    return 0


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's cgroups and their parents, innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, cgroup = line.split(":", 2)
        if number != "0" and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if number == "0" else controllers)
        # Inside a container, its own cgroup may appear as the top one.
        inner = top / cgroup.strip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(top):
                yield folder


def one_blas_thread() -> AbstractContextManager[object]:
    """Limit NumPy's BLAS to one thread while other threads of ours are running.

    BLAS threads spin while they wait for each other. Next to a thread that decompresses, they made
    a pass on two cores 1.5 times slower, and ten times slower on a machine with other work.
    """
    return _libraries(len(sys.modules)).limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Find the libraries that have threads; search again when new modules have been imported.

    The search takes 4 ms, as long as the connectome of a small run.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def allowed_cores(resources: ResourceOptions) -> int:
    """Return how many cores this run may use: those of the machine, but at most ``--nprocs``."""
    cores = available_cores()
    return cores if resources.nprocs is None else min(cores, resources.nprocs)


def given_threads(resources: ResourceOptions) -> int | None:
    """Return the threads of each process that the user gave, at most the cores; None: not given.

    A warning says where these are fewer than ``--omp-nthreads``.
    """
    cores = allowed_cores(resources)
    threads = resources.omp_nthreads
    if threads is None or threads <= cores:
        return threads
    limit = "this machine has"
    if resources.nprocs is not None:
        limit = "--nprocs and this machine allow"
    warnings.warn(
        f"--omp-nthreads is {threads}, but {limit} {counted(cores, 'core')}, which are used",
        stacklevel=3,
    )
    return cores


def divide(
    resources: ResourceOptions,
    *,
    units: int,
    bytes_each: float,
    on_cpu: bool,
) -> tuple[int, int]:
    """Divide the machine's cores and memory among units of work.

    Parameters
    ----------
    resources
        The user's limits: nprocs is that of all cores, mem_gb that of all memory.
    units
        Number of units of work, such as participants.
    bytes_each
        Memory that one process needs, in bytes.
    on_cpu
        Whether the CPU computes; otherwise one process uses the GPU.

    Returns
    -------
    processes
        Number of processes, each of which does one unit of work at a time.
    threads
        Number of threads per process.

    Raises
    ------
    SettingsError
        One process needs more memory than the user allowed.
    """
    cores = allowed_cores(resources)
    memory = available_memory()
    threads = given_threads(resources)
    if resources.mem_gb is not None:
        memory = int(min(resources.mem_gb * 1e9, _MOST_MEMORY))
        if memory < bytes_each:
            raise SettingsError(
                f"--mem-gb is {resources.mem_gb:g}, but one process of this run may take "
                f"{bytes_each / 1e9:.2f} GB",
                expected=f"{math.ceil(bytes_each / 1e8) / 10:g} or more, or no --mem-gb",
            )
    # Processes share a GPU only where both numbers are given.
    shared = on_cpu or (resources.nprocs is not None and threads is not None)
    fitting = cores // (threads or _CORES_EACH) if shared else 1
    processes = max(1, min(fitting, units))
    if memory is not None:
        processes = max(1, min(processes, int(memory // bytes_each)))
    return processes, threads or max(1, cores // processes)


# --- The device that computes


def map_device(wanted: str) -> str:
    """Return the device that makes maps, from ``--device``; auto means the CPU.

    The network takes a small part of a participant's time, and PyTorch and the GPU driver take
    longer to start than they save (docs/evidence.md).

    Raises
    ------
    SettingsError
        The requested device, or PyTorch, is not available.
    """
    return "cpu" if wanted == "auto" else training_device(wanted, say)


def training_device(wanted: str, report: Callable[[str], None]) -> str:
    """Return the device that trains, from ``--device``; auto means a CUDA GPU if there is one.

    A GPU that PyTorch cannot use is reported.

    Raises
    ------
    SettingsError
        The requested device, or PyTorch, is not available.
    """
    auto = wanted == "auto"
    if wanted == "cpu" or (auto and not any(map(Path.exists, _GPU_DEVICES))):
        return "cpu"
    require(f"--device {wanted}", "torch", extra="torch", otherwise="--device cpu")
    device = "cuda" if auto else wanted
    why = _why_not(device)
    if why is None:
        return device
    if not auto:
        raise SettingsError(
            f"--device {wanted} was given, but PyTorch cannot compute on it: {why}",
            remedy=f"use --device cpu, or {_TO_DO}",
        )
    report(
        f"a GPU was found, but the CPU trains, as PyTorch says: {why}. To do: {_TO_DO}"
    )
    return "cpu"


def _why_not(device: str) -> str | None:
    """Return PyTorch's reason why it cannot add two numbers on a device; None if it can."""
    import torch

    try:
        torch.ones(1, device=device).add(1).item()
    except Exception as err:  # AssertionError, RuntimeError, NotImplementedError
        first_sentence, *_ = re.split(r"\n|\. ", str(err).strip())
        return first_sentence.rstrip(".")
    return None
