"""JSON sidecars and the BIDS inheritance principle."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import is_stub, read_json_object
from bids_dtg.files.names import (
    BidsName,
    build_name,
    parse_name,
    participant_folder,
    same_label,
)
from bids_dtg.files.text import read_json

# A longer time was not given in seconds.
LONGEST_TR_SECONDS = 20.0
EXPECTED_TR = f"seconds between frames, above 0 and at most {LONGEST_TR_SECONDS:g}"
# Key of the degrees of freedom that remain after cleaning, as the cleaning program wrote it.
RESIDUAL_DOF = "ResidualDegreesOfFreedom"
_Path = TypeVar("_Path", bound=PurePath)


def sidecar_of(file: _Path) -> _Path:
    """Return the path of the JSON sidecar beside a file with a BIDS name.

    Examples
    --------
    >>> sidecar_of(Path("sub-01_task-rest_bold.nii.gz")).name
    'sub-01_task-rest_bold.json'
    """
    return file.with_name(file.name.partition(".")[0] + ".json")


def repetition_time(bold: Path, root: Path) -> tuple[float | None, tuple[Path, ...]]:
    """Return the RepetitionTime of a BOLD file, from the nearest sidecar that has one.

    The sidecar next to the file is read first, where fMRIPrep always writes the value. Folders
    above, up to the dataset root, are searched only if needed, as listing the root of a large
    dataset for each run would be slow.

    Parameters
    ----------
    bold
        Path of a BOLD image, `..._bold.nii.gz`.
    root
        The dataset that it belongs to.

    Returns
    -------
    tr_seconds
        None if no sidecar has a value.
    sidecars
        The files read, nearest first.

    Raises
    ------
    RunError
        A sidecar is not a JSON object, or its RepetitionTime is not a number above 0 and up to 20.
    """
    sidecars: list[Path] = []
    for sidecar in sidecars_of(bold, root):
        sidecars.append(sidecar)
        seconds = stated_repetition_time(sidecar)
        if seconds is not None:
            return seconds, tuple(sidecars)
    return None, tuple(sidecars)


def stated_repetition_time(sidecar: Path) -> float | None:
    """Read the RepetitionTime of one sidecar, in seconds; None if it has none.

    Raises
    ------
    RunError
        It is not a JSON object, or its RepetitionTime is not a number above 0 and up to 20.
    """
    return _stated(
        [sidecar], "RepetitionTime", LONGEST_TR_SECONDS, EXPECTED_TR, zero=False
    )


def in_milliseconds(seconds: float) -> str | None:
    """Return a remedy for a time that is probably in milliseconds; None for other times.

    Examples
    --------
    >>> in_milliseconds(800)
    'is it in milliseconds? Then write 0.8'
    """
    if not LONGEST_TR_SECONDS < seconds <= 1e3 * LONGEST_TR_SECONDS:
        return None
    return f"is it in milliseconds? Then write {seconds / 1e3:g}"


def stated_residual_dof(sidecars: Sequence[Path]) -> float | None:
    """Read the residual degrees of freedom of a cleaned run; None if no sidecar states them.

    Raises
    ------
    RunError
        A sidecar is not a JSON object, or the value is not a number of at least 0.
    """
    return _stated(sidecars, RESIDUAL_DOF, math.inf, "a number, or n/a")


def stated_start_time(sidecars: Sequence[Path]) -> float:
    """Read the time of a run's first volume, in seconds after the acquisition began; default 0.

    fMRIPrep writes it (StartTime) if it applied slice-timing correction.

    Raises
    ------
    RunError
        A sidecar is not a JSON object, or the value is not a time from 0 to 20 s.
    """
    expected = f"seconds, 0 to {LONGEST_TR_SECONDS:g}"
    return _stated(sidecars, "StartTime", LONGEST_TR_SECONDS, expected) or 0.0


def _stated(
    sidecars: Sequence[Path], key: str, most: float, expected: str, *, zero: bool = True
) -> float | None:
    """Return the first value of a key, a number from 0 to `most`; None if no sidecar has one."""
    for sidecar in sidecars:
        value = _facts_of(sidecar).get(key)
        if value is None or value == "n/a":
            continue
        is_number = type(value) in (int, float)
        in_range = is_number and 0 <= value <= most and value != math.inf
        if not in_range or (value == 0 and not zero):
            raise RunError(
                # Shortened, as a list or a number may be long.
                f"{sidecar}: {key} is {reprlib.repr(value)}",
                expected=expected,
                remedy=in_milliseconds(value) if is_number else None,
            )
        return float(value)
    return None


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a JSON sidecar.

    Raises
    ------
    RunError
        It cannot be read or is not a JSON object.
    """
    try:
        return read_json_object(path)
    except ForeignFileError as err:
        raise err.as_kind(
            RunError,
            expected='a JSON object, e.g. {"RepetitionTime": 2.0}',
            remedy="repair or remove it; the image's header has the repetition time too",
        ) from err


def _facts_of(sidecar: Path) -> dict[str, Any]:
    """Read a run's sidecar; return nothing for a stub, which `require_contents` reports later."""
    try:
        return read_sidecar(sidecar)
    except RunError:
        if is_stub(sidecar):
            return {}
        raise


def shared_sidecar_path(
    entities: Mapping[str, str | None], suffix: str
) -> PurePosixPath:
    """Return the path of the sidecar that all files with a suffix and these entities inherit.

    Examples
    --------
    >>> str(shared_sidecar_path({"sub": "01", "ses": "a", "task": "rest"}, "statmap"))
    'sub-01/ses-a/sub-01_ses-a_task-rest_statmap.json'
    """
    folder = participant_folder(entities["sub"], entities.get("ses"))
    return folder / build_name(entities, suffix, ".json")


def read_inherited(file: Path) -> dict[str, Any]:
    """Read the metadata of a file that this program wrote, from all its sidecars.

    Sidecars next to the file override those one folder above; in a folder, those that share more
    entities with the file override the others. Damaged or missing sidecars count as empty.
    """
    name = parse_name(file.name)
    metadata: dict[str, Any] = {}
    for folder in (file.parent.parent, file.parent):
        for path in reversed(_applying(folder, name)):
            metadata |= read_json(path)
    return metadata


def _applying(folder: Path, name: BidsName) -> list[Path]:
    """List the JSON files of a folder that apply to a file, the most specific first."""
    applying = []  # number of entities, path
    for path in folder.glob(f"*{name.suffix}.json"):
        try:
            parsed = parse_name(path.name)
        except ValueError:
            continue
        if parsed.suffix == name.suffix and applies_to(parsed, name):
            applying.append((len(parsed.entities), path))
    return [path for _, path in sorted(applying, reverse=True)]


def applies_to(sidecar: BidsName, file: BidsName) -> bool:
    """Return whether the file has all entities of the sidecar, with the same labels."""
    for key, label in sidecar.entities:
        file_label = file.get(key)
        if file_label is None or not same_label(key, label, file_label):
            return False
    return True


def sidecars_of(bold: Path, root: Path) -> Iterator[Path]:
    """Yield the JSON files that apply to a BOLD file of a dataset, nearest first."""
    name = replace(parse_name(bold.name), suffix="bold")
    beside = sidecar_of(bold)
    if beside.exists() or beside.is_symlink():
        yield beside
    folders = [bold.parent, *bold.parent.parents]
    depth = folders.index(root) + 1 if root in folders else 1
    for folder in folders[:depth]:
        yield from (path for path in _applying(folder, name) if path != beside)
