"""ICA-AROMA's outputs beside a run: the components' time courses, and which of them are noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.table import quoted
from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import as_text, parse_table, read_content
from bids_dtg.inputs.run import RestRun

# fMRIPrep 1.2 to 23 and 1.0 to 1.1; fMRIPost-AROMA since.
_MIXING = ("desc-MELODIC_mixing.tsv", "MELODICmix.tsv", "desc-melodic_mixing.tsv")
_NOISE = ("AROMAnoiseICs.csv", "desc-aroma_metrics.tsv")
_REMEDY = (
    "run fMRIPost-AROMA beside fMRIPrep's derivatives, copy the files to the run's folder, or "
    "choose another --denoise-strategy"
)


@dataclass(frozen=True, eq=False)
class AromaComponents:
    """The components of a run's ICA, by ICA-AROMA or tedana."""

    mixing: NDArray[np.float64]  # (frames, components), as stored: 0 in frames left out of the ICA
    noise: NDArray[np.bool_]  # (components,), which of them are called noise


def find_aroma_files(run: RestRun) -> tuple[Path, Path] | None:
    """Find the mixing matrix and the list of noise components of a run.

    They are looked for beside the run, and in the same folder of a dataset beside the run's
    whose name has "aroma" in it (fMRIPost-AROMA writes one of its own).

    Returns
    -------
    Both paths, or None unless both are there.
    """
    return find_files(run, "aroma", _MIXING, _NOISE)


def read_aroma(run: RestRun, n_frames: int, dropped: int = 0) -> AromaComponents:
    """Read the components of a run; the ICA may lack the frames that are dropped at its start.

    Raises
    ------
    RunError
        Files that are missing, unreadable or do not fit each other or the run.
    """
    files = find_aroma_files(run)
    if files is None:
        raise RunError(
            f"{run.title} has no outputs of ICA-AROMA beside {run.bold}",
            expected=f"{run.title}_…{_MIXING[0]} and {run.title}_…{_NOISE[0]} (fMRIPrep to 23), "
            f"or …{_MIXING[2]} and …{_NOISE[1]} (fMRIPost-AROMA)",
            remedy=_REMEDY,
        )
    return read_components(files, run, n_frames, dropped, parse=_parse_aroma, remedy=_REMEDY)


def find_files(
    run: RestRun, word: str, mixing_names: tuple[str, ...], noise_names: tuple[str, ...]
) -> tuple[Path, Path] | None:
    """Find two files of a run beside it, or in a dataset whose name has a word in it."""
    func = run.bold.parent
    folders = [func]
    if func.is_relative_to(run.root):
        near = sorted(path for path in run.root.parent.glob("*") if word in path.name.casefold())
        folders += [path / func.relative_to(run.root) for path in near if path != run.root]
    for folder in folders:
        mixing, noise = (_first(folder, run.title, names) for names in (mixing_names, noise_names))
        if mixing and noise:
            return mixing, noise
    return None


def read_components(
    files: tuple[Path, Path],
    run: RestRun,
    n_frames: int,
    dropped: int,
    *,
    parse: Callable[[Path, str, Path, str], AromaComponents],
    remedy: str,
) -> AromaComponents:
    """Read the files of a run's components, and see that they fit its frames.

    Parameters
    ----------
    files
        Of the time courses, and of what the components are.
    run
        The run.
    n_frames
        Its frames.
    dropped
        How many of them are dropped at the start: the ICA may lack all of these, and no others.
    parse
        Makes components of both paths, each with its text.
    remedy
        What to do where they cannot be used.

    Raises
    ------
    RunError
        They are unreadable, or do not fit each other or the run.
    """
    mixing_path, noise_path = files
    # An empty list: nothing is noise.
    is_empty = noise_path.is_file() and noise_path.stat().st_size == 0
    try:
        courses = as_text(read_content(mixing_path, run.participant), mixing_path)
        content = b"" if is_empty else read_content(noise_path, run.participant)
        found = parse(mixing_path, courses, noise_path, as_text(content, noise_path))
    except (ForeignFileError, ValueError) as err:
        raise RunError(
            f"sub-{run.participant}: {mixing_path} and {noise_path.name} cannot be used: "
            f"{quoted(err)}",
            expected="a column of numbers for each component, and which of them are noise",
            remedy=remedy,
        ) from err
    return replace(found, mixing=_of_all_frames(found.mixing, mixing_path, run, n_frames, dropped))


def _of_all_frames(
    mixing: NDArray[np.float64], path: Path, run: RestRun, n_frames: int, dropped: int
) -> NDArray[np.float64]:
    """Return time courses over all frames of a run: 0 in those at its start that the ICA lacks.

    fMRIPrep writes such rows of 0 itself. A frame that is kept without its courses would not be
    cleaned, and of rows that are missing elsewhere nobody knows which frames they are of.
    """
    missing = n_frames - len(mixing)
    start = np.zeros((max(missing, 0), mixing.shape[1]))
    padded = np.vstack([start, mixing])
    absent = int(np.argmax(np.append(padded.any(axis=1), True)))  # rows of 0 at the start
    if missing in (0, dropped) and absent <= dropped:
        return padded
    zeros = (
        f"; the first {absent - missing} hold only zeros, but {dropped - missing} of these frames "
        "are dropped at the start"
    )
    without = f", or {n_frames - dropped} without the {dropped} that are dropped at its start"
    drop = f"; or, if the ICA was made without the first {absent} frames, --dummy-scans {absent}"
    raise RunError(
        f"sub-{run.participant}: {path} has {len(mixing)} rows{zeros * (missing in (0, dropped))}",
        expected=f"{n_frames}, the frames of {run.bold.name}{without * (dropped > 0)}",
        remedy="both must come from one run of fMRIPrep: copy or make them again"
        + drop * (absent > 0),
    )


def _first(folder: Path, title: str, names: tuple[str, ...]) -> Path | None:
    """Find a run's file by the end of its name; only where and how it is stored may be between."""
    between = r"_(?:(?:space|res|cohort)-[0-9A-Za-z+]+_|bold_)*"
    patterns = [re.compile(re.escape(title) + between + re.escape(name)) for name in names]
    if not folder.is_dir():
        return None
    found = sorted(path.name for path in folder.glob(f"{title}_*"))
    matching = (name for pattern in patterns for name in found if pattern.fullmatch(name))
    return next((folder / name for name in matching), None)


def _parse_aroma(mixing_path: Path, courses: str, path: Path, text: str) -> AromaComponents:
    mixing = parse_mixing(mixing_path, courses)
    return AromaComponents(mixing, _parse_noise(path, text, mixing.shape[1]))


def parse_mixing(path: Path, text: str) -> NDArray[np.float64]:
    """Read time courses (frames, components), with or without names above; else ValueError."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]  # fMRIPrep writes no header, others may
    values = np.array(rows, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{path.name} is no table of finite numbers")
    return values


def _parse_noise(path: Path, text: str, components: int) -> NDArray[np.bool_]:
    noise = np.zeros(components, bool)
    if path.suffix == ".csv":
        numbers = [int(word) for word in re.split(r"[\s,]+", text.strip()) if word]
        if any(not 1 <= number <= components for number in numbers):
            raise ValueError(f"{path.name} names {numbers} of {components} components")
        noise[np.array(numbers, int) - 1] = True
        return noise
    table = parse_table(text, path)
    column = table.header.index("classification")
    if len(table.rows) != components:
        raise ValueError(f"{path.name} has {len(table.rows)} rows for {components} components")
    return np.array([row[column] == "rejected" for row in table.rows])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
