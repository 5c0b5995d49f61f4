"""Raw series whose head motion fMRIPrep estimated: its levels minimal and resampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import read_json_object
from bids_dtg.files.sidecars import sidecars_of
from bids_dtg.inputs.index import functional_files
from bids_dtg.inputs.selection import COMBINED, IMAGES, STORAGE, NamedFile, named_files
from bids_dtg.inputs.space_choice import (
    HOW,
    OWN,
    SPACE,
    Choice,
    SpaceRule,
    asked_for,
    native_transforms,
    transforms_through,
)

# What the grid of a run is registered to, beside a fieldmap.
_TARGETS = frozenset({*OWN, "orig", "T1w", "T2w", "anat", "session", "subject"})
# A series names its fieldmaps by these; fMRIPrep's sidecars name the files that they were made of.
_FIELDMAP, _SOURCES = "B0FieldSource", ("Sources", "RawSources")


@dataclass(frozen=True)
class RawSeries:
    """A run of which fMRIPrep's derivatives have the head's motion, and no series."""

    file: NamedFile  # the raw series; its matrices where that was not found
    motion: NamedFile  # the list of matrices, one a frame

    @property
    def is_here(self) -> bool:
        """Whether the raw series was found."""
        return self.file is not self.motion


def is_motion(file: NamedFile) -> bool:
    """Return whether a file holds a head's motion, as all of fMRIPrep's levels write it."""
    name = file.name
    return name.suffix == "xfm" and name.get("desc") == "hmc" and name.get("from") == "orig"


def raw_series(
    func: Sequence[NamedFile], roots: Sequence[Path], participant: str, sessions: Sequence[str]
) -> list[RawSeries]:
    """Find the raw series of the runs that derivatives have no `desc-preproc` series of.

    Parameters
    ----------
    func
        Files of the participant's `func` folders in the derivatives.
    roots
        Folders that may be the raw dataset; the first that has the participant is taken.
    participant
        Participant's label, without `sub-`.
    sessions
        Labels without `ses-`; all where empty.
    """
    done = {_run(f) for f in func if f.name.suffix == "bold" and _is_realigned(f)}
    wanted = {_run(file): file for file in func if is_motion(file) and _run(file) not in done}
    if not wanted:
        return []
    folders = (root / f"sub-{participant}" for root in roots)
    folder = next(filter(_is_here, folders), None)
    files = named_files(functional_files(folder, sessions)) if folder else []
    found = [
        RawSeries(file, wanted[_run(file)])
        for file in files
        if _is_raw(file) and _run(file) in wanted
    ]
    here = {_run(series.file) for series in found}
    return found + [RawSeries(file, file) for run, file in wanted.items() if run not in here]


def _is_here(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # what a description names may be no name at all
        return False


def choose_raw(series: RawSeries, func: Sequence[NamedFile], rule: SpaceRule, root: Path) -> Choice:
    """Choose a raw series, to be realigned while it is read.

    Parameters
    ----------
    series
        The run's raw series and matrices.
    func
        Files of the participant's `func` folders in the derivatives.
    rule
        Where the run is wanted.
    root
        Root folder of the dataset of derivatives.

    Raises
    ------
    RunError
        The raw series is not there, a fieldmap is named, or no transforms lead to it.
    """
    if not series.is_here:
        raise _no_series(series, rule)
    own = [file for file in func if _run(file) == _run(series.motion)]
    if named := next(_fieldmaps(series, own), None):
        raise RunError(
            f"{_title(series)} has a fieldmap ({named}), and raw series are realigned here "
            "without correction of distortions",
            expected="a run without a fieldmap, or fMRIPrep's level full",
            remedy=_REMEDY,
        )
    beside = NamedFile(series.motion.path.with_name(series.file.path.name), series.file.name)
    asked_for([beside], rule)
    try:
        transforms, way = native_transforms(beside, rule.model, root), rule.model
    except RunError:
        # A series in the other template, which `choose_version` would take, is not there.
        through = transforms_through(beside, rule, root)
        if through is None:
            raise
        transforms, way = through
    reason = (
        f"the raw series, realigned by {series.motion.path.name}, with the transforms to "
        f"{way}; there is no desc-preproc series"
    )
    return Choice(series.file, transforms, reason, motion=series.motion.path)


_REMEDY = (
    "rerun fMRIPrep on the same output folder with --level full --output-spaces "
    f"{SPACE}:res-2: what is there is reused"
)


def _no_series(series: RawSeries, rule: SpaceRule) -> RunError:
    looked = f" in {', '.join(map(str, rule.raw))}" if rule.raw else ""
    return RunError(
        f"{_title(series)} was preprocessed at fMRIPrep's minimal or resampling level: there is "
        f"{series.motion.path.name}, but no desc-preproc_bold, and no raw series{looked}",
        expected="the raw dataset as BIDS_DIR and the derivatives with -d fmriprep=PATH, or "
        "-d raw=PATH",
        remedy=f"name the raw dataset, or {_REMEDY}",
    )


def _title(series: RawSeries) -> str:
    return "_".join(f"{key}-{value}" for key, value in _run(series.motion))


def _run(file: NamedFile) -> tuple[tuple[str, str], ...]:
    """Return the entities that a run's files in the derivatives share with its raw series."""
    others = STORAGE | HOW | COMBINED
    return tuple((key, value) for key, value in file.name.entities if key not in others)


def _is_realigned(file: NamedFile) -> bool:
    return file.name.get("desc") == "preproc" and file.name.extension in IMAGES


def _is_raw(file: NamedFile) -> bool:
    name = file.name
    # Phase and complex parts are no BOLD signal.
    magnitude = name.get("part") in {None, "mag"}
    return name.suffix == "bold" and name.extension in IMAGES and magnitude


def _fieldmaps(series: RawSeries, own: Sequence[NamedFile]) -> Iterator[str]:
    """Yield where a run's files name a fieldmap."""
    for file in own:
        origin, target = file.name.get("from"), file.name.get("to")
        if file.name.suffix == "xfm" and origin in OWN and target not in _TARGETS:
            yield file.path.name
        if file.name.extension == ".json":
            described = _described(file.path)
            named = [entry for key in _SOURCES for entry in _texts(described.get(key))]
            if any("/fmap/" in entry or "fieldmap" in entry for entry in named):
                yield f"a source of {file.path.name}"
    for path in sidecars_of(series.file.path, raw_root(series.file.path)):
        if named := _texts(_described(path).get(_FIELDMAP)):
            yield f"{_FIELDMAP} '{named[0]}' in {path.name}"


def raw_root(path: Path) -> Path:
    """Return the dataset that a raw series lies in: what holds the participant's folder."""
    return next((p.parent for p in path.parents if p.name.startswith("sub-")), path.parent)


def _described(path: Path) -> Mapping[str, Any]:
    try:
        return read_json_object(path)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
