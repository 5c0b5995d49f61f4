"""Make connectomes for twins of TCP's public parcellated rest (OpenNeuro ds005237).

    python examples/tcp/convert.py SOURCE OUT

SOURCE is the folder fMRI_timeseries_clean_denoised_GSR_parcellated of the data set, with a folder a
person (NDAR_INV…) and an HDF5 file a run (…task-rest{AP,PA}_run-0{1,2}_…_parcellated.h5). OUT gets
connectomes.npz, which `bids_dtg … group --workflow twin --input-arrays` reads, and runs.tsv, which
says what was read of each run and why a run is left out.

Layout inferred, not run: these files were not to be had where this was written. Names of folders
and files, and 434 parcels, are published; that a file has one table of parcels and frames is
inferred. A file that has not is refused, with the arrays that it has.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

PARCELS = 434
FRAMES = range(50, 100_001)  # that a run may have; a run of rest has 488
FEWEST_PEOPLE = 2
MOST_ARRAYS = 1000  # in a file
MOST_MISSING = 0.1  # of a run's parcels; with more missing the run is left out
MOST_WITHOUT = 0.05  # of runs; a parcel that more of them lack is left out of all connectomes
FOLDER = re.compile(r"NDAR_INV([A-Z0-9]{8})")
FILE = re.compile(r"(?:.*_)?task-(rest(?:AP|PA)_run-0[12])_(?:.*_)?parcellated\.h5")
COLUMNS = ("participant_id", "run", "frames", "array", "parcels_missing", "used", "why_not")


class Refused(Exception):
    """Why the input is not used: one line."""


@dataclass(frozen=True)
class Run:
    """A file of a person, and what was found in it."""

    person: str  # label
    name: str  # restAP_run-01 …
    path: Path
    array: str = ""  # name of the table in the file
    frames: int = 0
    missing: NDArray[np.bool_] | None = None  # (parcels,): NaN, infinite or constant

    @property
    def lost(self) -> int:
        """Number of parcels without a series."""
        return 0 if self.missing is None else int(self.missing.sum())


def find_runs(source: Path) -> list[Run]:
    """Return the files of all people, in order."""
    if not source.is_dir():
        raise Refused(f"{source} is no folder. Expected: the folder with NDAR_INV… folders")
    runs: dict[tuple[str, str], Run] = {}
    for path in sorted(source.glob("*/*.h5")):
        file = FILE.fullmatch(path.name)
        if file is None:
            continue
        folder = FOLDER.fullmatch(path.parent.name)
        if folder is None:
            raise Refused(
                f"{printable(path.parent.name)} is no label of TCP. Expected: NDAR_INV and eight "
                "capital letters or digits"
            )
        run = Run(f"NDARINV{folder[1]}", file[1], path)
        if (other := runs.setdefault((run.person, run.name), run)) is not run:
            raise Refused(
                f"{run.person} has two files of {run.name}: {printable(other.path.name)}, "
                f"{printable(path.name)}"
            )
    if not runs:
        raise Refused(
            f"{source} has no NDAR_INV…/…task-rest{{AP,PA}}_run-0{{1,2}}_…_parcellated.h5"
        )
    return list(runs.values())


def printable(name: str) -> str:
    """Return a name of a file, or within one, that cannot break a line."""
    return ascii(name)[1:-1][:80]


def read_series(path: Path) -> tuple[str, NDArray[np.float64]]:
    """Return the name and the values (parcels, frames) of a file's only table of parcels.

    Links within the file are not followed, and an array whose values lie in other files is refused.
    """
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, Any] = {}

            def take(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    found[name] = item
                if len(found) > MOST_ARRAYS:
                    raise Refused(f"{path} has more than {MOST_ARRAYS} arrays. Expected: 1")

            file.visititems(take)
            fit = [name for name, array in found.items() if is_table(array)]
            if len(fit) != 1:
                raise Refused(
                    f"{path} has {len(fit)} arrays of numbers with one side of {PARCELS}. "
                    f"Expected: 1. Found: {described(found)}"
                )
            table = found[fit[0]]
            if table.is_virtual or table.external:
                raise Refused(f"{path}: {printable(fit[0])} has its values in other files")
            across = table.shape[0] == PARCELS
            frames = table.shape[1 if across else 0]
            if frames not in FRAMES:
                raise Refused(
                    f"{path}: {printable(fit[0])} has {frames} frames. "
                    f"Expected: {FRAMES[0]} to {FRAMES[-1]}"
                )
            values = np.asarray(table[()], np.float64)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as err:
        raise Refused(f"{path} cannot be read: {' '.join(str(err).split())[:150]}") from err
    return printable(fit[0]), values if across else values.T


def is_table(array: Any) -> bool:
    """Return whether an array has two axes, one of them parcels, and numbers."""
    return array.dtype.kind in "fiu" and array.ndim == 2 and array.shape.count(PARCELS) == 1


def described(found: Mapping[str, Any]) -> str:
    """List arrays with their shapes, the first ten."""
    names = [f"{printable(name)} {array.shape} {array.dtype}" for name, array in found.items()]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(names[:10]) or "no array") + more


def look_at(run: Run) -> Run:
    """Return a run with what its file holds."""
    array, values = read_series(run.path)
    with np.errstate(invalid="ignore"):
        missing = ~np.isfinite(values).all(axis=1) | (np.ptp(values, axis=1) == 0)
    return Run(run.person, run.name, run.path, array, values.shape[1], missing)


def edges_of(run: Run, kept: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return Fisher z of the parcels' correlations (edges,); None: two series are the same."""
    correlation = np.asarray(np.corrcoef(read_series(run.path)[1][kept]))
    edges = correlation[np.triu_indices(len(correlation), 1)]
    return None if (np.abs(edges) > 1 - 1e-12).any() else np.arctanh(edges)


def connectomes(
    runs: Sequence[Run], kept: NDArray[np.bool_], why_not: dict[Path, str]
) -> dict[str, NDArray[np.float32]]:
    """Return each person's mean edges, weighted by frames; a reason for each run without any."""
    total: dict[str, NDArray[np.float64]] = {}
    frames: dict[str, int] = {}
    for run in runs:
        if run.path in why_not:
            continue
        edges = edges_of(run, kept)
        if edges is None:
            why_not[run.path] = "two parcels have the same series"
            continue
        total[run.person] = total.get(run.person, 0.0) + run.frames * edges
        frames[run.person] = frames.get(run.person, 0) + run.frames
    return {person: (total[person] / frames[person]).astype(np.float32) for person in total}


def choose(runs: Sequence[Run]) -> tuple[NDArray[np.bool_], dict[Path, str]]:
    """Return the parcels that connectomes have, and why some runs are left out."""
    why_not = {run.path: "not fetched" for run in runs if run.missing is None}
    for run in runs:
        if run.lost > MOST_MISSING * PARCELS:
            why_not[run.path] = f"{run.lost} of {PARCELS} parcels without a series"
    there = [run.missing for run in runs if run.missing is not None and run.path not in why_not]
    if not there:
        raise Refused(f"no run can be used: {', '.join(sorted(set(why_not.values())))}")
    kept = np.mean(there, axis=0) <= MOST_WITHOUT
    for run in runs:
        if run.path not in why_not and (lost := int((run.missing & kept).sum())):
            why_not[run.path] = f"{lost} parcels without a series that most have"
    return kept, why_not


def convert(source: Path, out: Path) -> str:
    """Write the connectomes and the table of runs; return a sentence on them."""
    if out.resolve().is_relative_to(source.resolve()):
        raise Refused(f"{out} lies in {source}. Expected: a folder outside the data set")
    # Files that DataLad has not fetched are links that lead nowhere.
    runs = [look_at(run) if run.path.exists() else run for run in find_runs(source)]
    kept, why_not = choose(runs)
    found = connectomes(runs, kept, why_not)
    if len(found) < FEWEST_PEOPLE:
        raise Refused(f"{len(found)} people are left. Expected: at least {FEWEST_PEOPLE}")
    out.mkdir(parents=True, exist_ok=True)
    with replaced(out / "connectomes.npz") as path, path.open("wb") as file:
        np.savez_compressed(
            file,
            people=np.array(list(found)),
            places=np.array([f"parcel{number + 1:03d}" for number in np.flatnonzero(kept)]),
            edges=np.stack(list(found.values())),
        )
    with replaced(out / "runs.tsv") as path:
        lines = ["\t".join(COLUMNS), *("\t".join(row_of(run, why_not)) for run in runs)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return (
        f"{len(found)} people, {int(kept.sum())} of {PARCELS} parcels, {len(runs) - len(why_not)} "
        f"of {len(runs)} runs: {out / 'connectomes.npz'}"
    )


def row_of(run: Run, why_not: Mapping[Path, str]) -> list[str]:
    """Return a run's row of the table."""
    reason = why_not.get(run.path, "")
    known = [str(run.frames), run.array, str(run.lost)] if run.array else ["n/a"] * 3
    return [run.person, run.name, *known, "false" if reason else "true", reason or "n/a"]


class replaced:
    """A temporary file that takes the place of a file, or of a link of its name, when complete."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        """Make the temporary file."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: object, *error: object) -> None:
        """Rename it, or remove it after an error."""
        if kind is None:
            self.temporary.chmod(0o644)
            self.temporary.replace(self.path)
        else:
            self.temporary.unlink()


def main() -> int:
    """Convert; return 0, or 2 after a line on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with NDAR_INV… folders")
    parser.add_argument("out", type=Path, help="folder of connectomes.npz and runs.tsv")
    args = parser.parse_args()
    try:
        print(convert(args.source, args.out))
    except (Refused, OSError) as err:
        print(f"convert: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
