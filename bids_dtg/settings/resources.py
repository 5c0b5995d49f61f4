"""Options on where the work is done, and with how much of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bids_dtg.settings.option import option


@dataclass(frozen=True)
class ResourceOptions:
    """Devices, processes, memory and folders for intermediate files."""

    device: str = option(
        "model",
        "where the sums and the network run: auto, cpu, cuda, cuda:N or mps",
        default="auto",
        metavar="DEVICE",
    )
    nprocs: int | None = option(
        "resources",
        "participants to work on at the same time, each in a process of its own",
        default=None,
        metavar="N",
        shown_default="one for each two available cores, as memory allows; one on a GPU",
    )
    omp_nthreads: int | None = option(
        "resources",
        "threads of each process",
        default=None,
        metavar="N",
        shown_default="the available cores divided by the processes",
    )
    mem_gb: float | None = option(
        "resources",
        "memory in GB that all processes together may take",
        default=None,
        metavar="GB",
        shown_default="what is available",
    )
    scheduler: str | None = option(
        "resources",
        "have the workers of a dask scheduler do the work; they must see the same paths",
        default=None,
        metavar="ADDRESS",
        shown_default="processes of this machine",
    )
    work_dir: Path | None = option(
        "resources",
        "folder for intermediate files (the pybids database)",
        default=None,
        flags=("-w", "--work-dir"),
        metavar="FOLDER",
        shown_default="none is kept",
    )
    clean_workdir: bool = option(
        "resources", "empty the work folder of this program's files first", default=False
    )
    stop_on_first_crash: bool = option(
        "resources", "stop at the first participant that fails", default=False
    )
