"""Series alone, of twelve people with individual linear processes, as arrays, and runs on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

REGIONS = ("lh_insula", "lh_cuneus", "rh_insula", "rh_cuneus")
PEOPLE = tuple(f"{number:02}" for number in range(1, 13))
FRAMES = 120


def made_series(
    sessions: int = 2,
    people: int = len(PEOPLE),
    regions: int = len(REGIONS),
    frames: int = FRAMES,
) -> np.ndarray:
    """Return series (sessions, people, regions, frames): people differ, sessions less so."""
    rng = np.random.default_rng(0)
    shared = np.eye(regions) + 0.5 * rng.standard_normal((regions, regions))
    processes = shared + 0.4 * rng.standard_normal((people, regions, regions))
    white = rng.standard_normal((sessions, people, regions, frames))
    for frame in range(1, frames):
        white[..., frame] += 0.6 * white[..., frame - 1]
    return processes @ white


def write_sessions(
    folder: Path,
    sessions: Mapping[str, tuple[Sequence[str], np.ndarray]],
    regions: Sequence[str],
    tr_seconds: float,
) -> Path:
    """Write a file for each session: the labels of its people, and (people, regions, frames)."""
    folder.mkdir(exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "tiny"}')
    for name, (people, series) in sessions.items():
        np.savez(
            folder / f"{name}.npz",
            rest=series.astype("f4"),
            people=people,
            places=regions,
            tr_seconds=tr_seconds,
            session=name,
        )
    return folder


def write_series(folder: Path, names: Sequence[str] = ("REST1", "REST2")) -> Path:
    """Write a file for each session, without structural connectomes."""
    sessions = zip(names, made_series(), strict=False)
    people = {name: (PEOPLE, series) for name, series in sessions}
    return write_sessions(folder, people, REGIONS, 0.72)


def arguments(arrays: Path, out: Path, analysis: str, *options: str) -> list[str]:
    """Return what a user gives for an analysis of these files."""
    return [
        *(
            str(arrays),
            str(out),
            "group",
            "--workflow",
            "dynamics",
            "--analysis",
            analysis,
        ),
        *("--input-arrays", *map(str, sorted(arrays.glob("*.npz")))),
        *("--omp-nthreads", "1", *options),
    ]
