"""Options on what is written, with which resources, and how the program behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import option

Combine = Literal["run", "session", "participant"]


@dataclass(frozen=True)
class RunningOptions:
    """Outputs, resources and behaviour."""

    combine: Combine = option(
        "output",
        "average maps within each run, session or participant",
        default="session",
        shapes_results=True,
    )
    interval_level: int = option(
        "output",
        "level of the intervals around the maps, where the model carries a calibration",
        default=90,
        metavar="PERCENT",
        shapes_results=True,
    )
    half_maps: bool = option(
        "output",
        "also predict maps from the odd and the even pieces of each run, and tell how reliable the "
        "maps are",
        default=False,
        shapes_results=True,
    )
    write_connectome: bool = option(
        "output",
        "also write the connectome, the ROI-by-ROI matrix and the ROI series of each run",
        default=False,
        shapes_results=True,
    )
    atlas: Path | None = option(
        "output",
        "label image in the model's space; the maps' parcel means are written as a table",
        default=None,
        metavar="FILE",
        shapes_results=True,
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
    reports_only: bool = option(
        "behaviour",
        "make the reports anew from what OUTPUT_DIR holds, and nothing else",
        default=False,
    )
    boilerplate_only: bool = option(
        "behaviour", "write and print the methods text, and nothing else", default=False
    )
    no_reports: bool = option("behaviour", "make no reports", default=False)
    dry_run: bool = option(
        "behaviour",
        "print what would be read, written and skipped, and stop",
        default=False,
    )
    skip_bids_validation: bool = option(
        "behaviour", "accepted for compatibility: inputs are never validated", default=False
    )
    notrack: bool = option(
        "behaviour", "accepted for compatibility: nothing is ever tracked", default=False
    )
    verbose: int = option("behaviour", "more detail", default=0, flags=("-v",))
    debug: bool = option("behaviour", "show tracebacks of failures", default=False)
