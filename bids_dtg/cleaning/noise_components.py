"""Outputs of ICA-AROMA and tedana for a run: time courses of components, and which are noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Mask
from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import parse_table, read_text, reading, require_contents
from bids_dtg.inputs.run import RestRun, require_one


@dataclass(frozen=True)
class _Program:
    """A program that classifies components as noise or signal, and the names of its files."""

    name: str
    word: str  # part of the name of a neighbouring dataset that may hold the files
    mixing: tuple[str, ...]  # name endings of files of time courses
    noise: tuple[str, ...]  # name endings of files that classify the components
    expected: str  # expected files, for errors
    remedy: str
    # From the text of the time courses, and the other file's path and text: which are noise.
    which: Callable[[str, Path, str], list[bool]]


def _noise_of_aroma(courses: str, path: Path, text: str) -> list[bool]:
    last_row = courses.strip().split("\n")[-1]
    components = len(last_row.split())
    if path.suffix == ".csv":
        noise = [int(word) for word in re.split(r"[\s,]+", text.strip()) if word]
        numbers = range(1, components + 1)
        if not set(noise) <= set(numbers):
            raise ValueError(f"{path.name} names {noise} of {components} components")
        return [number in noise for number in numbers]
    rows = parse_table(text, path).dicts()
    if len(rows) != components:
        raise ValueError(
            f"{path.name} has {len(rows)} rows for {components} components"
        )
    return [row["classification"] == "rejected" for row in rows]


def _noise_of_tedana(courses: str, path: Path, text: str) -> list[bool]:
    """Match components by name; some versions of tedana mix ICA_04 and ICA_4 between files.

    A component that the table lacks is not treated as noise, as in nilearn.
    """

    def plain(component: str) -> str:
        return re.sub(r"_0+(?=\d)", "_", component.strip())

    rows = parse_table(text, path).dicts()
    classes = {plain(row["Component"]): row["classification"] for row in rows}
    header = courses.split("\n", 1)[0]
    names = [plain(word) for word in header.split()]
    if not classes.keys() & set(names):
        raise ValueError(f"{path.name} names none of the components")
    return [classes.get(name) == "rejected" for name in names]


# By the name of the strategy that removes their noise components.
_PROGRAMS = {
    "ica_aroma": _Program(
        name="ICA-AROMA",
        word="aroma",
        # Written by fMRIPrep up to 23, and by fMRIPost-AROMA since.
        mixing=("desc-MELODIC_mixing.tsv", "desc-melodic_mixing.tsv"),
        noise=("AROMAnoiseICs.csv", "desc-aroma_metrics.tsv"),
        expected="desc-MELODIC_mixing.tsv and AROMAnoiseICs.csv, or fMRIPost-AROMA's files",
        remedy="run fMRIPost-AROMA, or choose another --denoise-strategy",
        which=_noise_of_aroma,
    ),
    "tedana": _Program(
        name="tedana",
        word="tedana",
        # Names from tedana's documentation (docs/denoising.rst), which puts them next to
        # fMRIPrep's table.
        mixing=("desc-ICA_mixing.tsv",),
        noise=("desc-tedana_metrics.tsv",),
        expected="desc-ICA_mixing.tsv and desc-tedana_metrics.tsv, there or in derivatives/tedana",
        remedy="run tedana on fMRIPrep's --me-output-echos with the run's name as --prefix, or "
        "choose another --denoise-strategy",
        which=_noise_of_tedana,
    ),
}


def find_component_files(strategy: str, run: RestRun) -> tuple[Path, Path] | None:
    """Find the time courses of a run's components, and the file that classifies them.

    They are searched for next to the run, and in the same folder of neighbouring datasets whose
    names contain "aroma" or "tedana", as fMRIPost-AROMA writes a separate dataset.

    Returns
    -------
    Both paths, or None unless both exist.

    Raises
    ------
    SeveralFilesError
        Several neighbouring datasets, or several files of a folder, fit equally well.
    """
    program = _PROGRAMS[strategy]
    func = run.bold.parent
    if pair := _pair(program, func, run.title):
        return pair
    if not func.is_relative_to(run.root):
        return None
    pairs = []
    for dataset in sorted(run.root.parent.glob("*")):
        if program.word not in dataset.name.casefold() or dataset == run.root:
            continue
        if pair := _pair(program, dataset / func.relative_to(run.root), run.title):
            pairs.append(pair)
    mixings = [mixing for mixing, _ in pairs]
    require_one(mixings, f"the components of {program.name} of {run.title}")
    return pairs[0] if pairs else None


def _pair(program: _Program, folder: Path, title: str) -> tuple[Path, Path] | None:
    """Return a run's time courses and their classification in a folder, unless one is missing."""
    mixing = _first(folder, title, program.mixing)
    noise = _first(folder, title, program.noise)
    return (mixing, noise) if mixing and noise else None


def read_components(
    strategy: str, run: RestRun, n_frames: int, dropped: int = 0
) -> tuple[Float64, Mask]:
    """Read the components of a run; the ICA may lack the frames that are dropped at its start.

    Returns
    -------
    mixing
        (frames, components), their time courses as stored; 0 in frames left out of the ICA.
    noise
        (components,), which of them are classified as noise.

    Raises
    ------
    RunError
        Files are missing, unreadable, or do not match each other or the run.
    """
    program = _PROGRAMS[strategy]
    files = find_component_files(strategy, run)
    if files is None:
        raise RunError(
            f"{run.title} has no outputs of {program.name} in {run.bold.parent}",
            expected=program.expected,
            remedy=program.remedy,
        )
    mixing_path, noise_path = files
    try:
        with reading(f"{mixing_path} and {noise_path.name}"):
            require_contents([mixing_path], run.participant)
            courses = read_text(mixing_path)
            mixing = _parse_mixing(mixing_path, courses)
            # May be an empty list, if nothing is noise.
            noise = program.which(courses, noise_path, read_text(noise_path))
    except ForeignFileError as err:
        raise err.as_kind(
            RunError,
            f"sub-{run.participant}: ",
            expected="a column of numbers for each component, and a classification of each",
            remedy=program.remedy,
        ) from err
    courses_of_run = _over_all_frames(mixing, mixing_path, run, n_frames, dropped)
    return courses_of_run, np.array(noise)


def _parse_mixing(path: Path, text: str) -> Float64:
    """Read time courses (frames, components), with or without a header; else ValueError."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    first_cell = rows[0][0] if rows else ""
    if re.match(r"[^\d.+-]", first_cell) and first_cell.lower() != "nan":
        rows = rows[1:]  # fMRIPrep writes no header, others may
    values = np.array(rows, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{path.name} is not a table of finite numbers")
    return values


def _over_all_frames(
    mixing: Float64, path: Path, run: RestRun, n_frames: int, dropped: int
) -> Float64:
    """Return time courses over all frames of a run, with 0 in initial frames that the ICA lacks.

    fMRIPrep writes such rows of 0 itself. Only dropped frames may lack time courses, as a kept
    frame without them would not be cleaned. If rows are missing elsewhere, it is unknown which
    frames they belong to.
    """
    missing = n_frames - len(mixing)
    start = np.zeros((max(missing, 0), mixing.shape[1]))
    padded = np.vstack([start, mixing])
    absent = int(np.argmax(np.append(padded.any(axis=1), True)))  # initial rows of 0
    if missing in (0, dropped) and absent <= dropped:
        return padded
    zeros = ""
    if absent > max(missing, 0):
        zeros = f", the first {absent - missing} of them of zeros"
    raise RunError(
        f"sub-{run.participant}: {path} has {len(mixing)} rows{zeros}",
        expected=f"{n_frames}, the frames of {run.bold.name}; at most the {dropped} that are "
        "dropped at its start may be absent or zero",
        remedy="copy both again from the same run of fMRIPrep; or, if the ICA was made without the "
        f"first {absent} frames, use --dummy-scans {absent}",
    )


def _first(folder: Path, title: str, names: tuple[str, ...]) -> Path | None:
    """Find a run's file by its name's ending; only entities of storage may precede it."""
    between = r"_(?:(?:space|res|cohort)-[0-9A-Za-z+]+_|bold_)*"
    run_files = sorted(folder.glob(f"{title}_*"))
    for name in names:
        pattern = re.compile(re.escape(title) + between + re.escape(name))
        matching = [path for path in run_files if pattern.fullmatch(path.name)]
        if matching:
            require_one(matching, f"the components of {title}")
            return matching[0]
    return None
