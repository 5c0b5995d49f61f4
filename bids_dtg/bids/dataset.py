"""The input dataset: where the fMRIPrep derivatives are, and who is in them."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.bids.names import plain_label
from bids_dtg.errors import DatasetError

_CONTAINER = (
    "if this runs in a container, check that the folder is mounted (docker -v, apptainer -B)"
)
_NAMED = re.compile(r"(?P<package>[A-Za-z][A-Za-z0-9_-]*)=(?P<path>.+)")


@dataclass(frozen=True)
class InputDataset:
    """A dataset of fMRIPrep derivatives."""

    root: Path  # absolute; holds the sub-* folders
    name: str  # its key in DatasetLinks and BIDS URIs
    description: Mapping[str, Any]  # its dataset_description.json
    bids_dir: Path  # absolute; BIDS_DIR as given: the raw dataset or the root itself


def find_dataset(bids_dir: Path, derivatives: Sequence[str] = ()) -> InputDataset:
    """Find the fMRIPrep derivatives behind BIDS_DIR.

    Tried in this order: `derivatives`; BIDS_DIR itself if it is a derivative
    dataset; `BIDS_DIR/derivatives/fmriprep`; the only `BIDS_DIR/derivatives/*`
    whose description says that fMRIPrep made it.

    Parameters
    ----------
    bids_dir
        A raw BIDS dataset or a folder of derivatives.
    derivatives
        `[PACKAGE=]PATH` texts; beside one of fMRIPrep, those of other packages are left out.

    Raises
    ------
    DatasetError
        If nothing, or more than one dataset, is found, or a description is broken;
        if `derivatives` names other packages only.
    """
    bids_dir = _absolute(bids_dir)
    _require_folder(bids_dir, "BIDS_DIR")
    explicit = [path for text in derivatives for path in _fmriprep_path(text)]
    if derivatives and not explicit:
        raise DatasetError(
            f"--derivatives names no fMRIPrep derivatives: {', '.join(derivatives)}",
            expected="fmriprep=PATH or PATH",
        )
    if explicit:
        if len(explicit) > 1:
            raise DatasetError(
                f"--derivatives names {len(explicit)} folders: {', '.join(map(str, explicit))}",
                expected="one folder of fMRIPrep derivatives",
            )
        _require_folder(explicit[0], "--derivatives")
        return _dataset(explicit[0], bids_dir)
    if _is_derivative(read_description(bids_dir)):
        return _dataset(bids_dir, bids_dir)
    return _dataset(_derivatives_of_raw(bids_dir), bids_dir)


def read_description(root: Path) -> dict[str, Any]:
    """Read `dataset_description.json`.

    Raises
    ------
    DatasetError
        If it is missing (with what is in the folder instead) or no JSON object.
    """
    path = root / "dataset_description.json"
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as err:
        raise DatasetError(
            f"{root} is not a BIDS dataset: it has no dataset_description.json, but {_seen(root)}",
            remedy=_nearby_dataset(root),
        ) from err
    except (OSError, ValueError) as err:
        reason = (err.strerror if isinstance(err, OSError) else None) or err
        raise DatasetError(
            f"{path} cannot be read: {reason}", expected="a JSON object", remedy="repair the file"
        ) from err
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object", expected='e.g. {"Name": "…"}')
    return content


def participants_in(root: Path) -> tuple[str, ...]:
    """List the labels of the `sub-*` folders, sorted; nothing below them is looked at.

    Raises
    ------
    DatasetError
        If the folder cannot be listed.
    """
    try:
        with os.scandir(root) as entries:
            names = [e.name for e in entries if e.name.startswith("sub-") and e.is_dir()]
    except OSError as err:
        raise DatasetError(f"{root} cannot be listed: {err.strerror or err}") from err
    return tuple(sorted(name.removeprefix("sub-") for name in names))


def select_participants(root: Path, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """List the participants asked for, in the dataset's order; all where no label is given.

    Raises
    ------
    DatasetError
        If the dataset has no participants, or not those asked for (the near ones are named).
    SettingsError
        If something is no label at all.
    """
    present = participants_in(root)
    if not present:
        raise DatasetError(
            f"{root} has no participants (no sub-* folder), but {_seen(root)}", remedy=_CONTAINER
        )
    asked = {plain_label(label, "sub") for label in labels}
    unknown = sorted(asked - set(present))
    if unknown:
        near = sorted({n for u in unknown for n in difflib.get_close_matches(u, present, 3, 0.5)})
        some = near or [*present[:5], *(["…"] if len(present) > 5 else [])]
        raise DatasetError(
            f"{root} has no participant {', '.join(unknown)}",
            expected=f"{'near ones are' if near else 'e.g.'} {', '.join(some)} "
            f"({len(present)} participants there)",
        )
    return tuple(label for label in present if not asked or label in asked)


def _dataset(root: Path, bids_dir: Path) -> InputDataset:
    description = read_description(root)
    if not _is_derivative(description):
        raise DatasetError(f"{root} is a raw dataset", expected="a folder of fMRIPrep derivatives")
    return InputDataset(root, "fmriprep", description, bids_dir)


def _derivatives_of_raw(raw: Path) -> Path:
    usual = raw / "derivatives" / "fmriprep"
    if usual.is_dir():
        return usual
    made = list(_made_by_fmriprep(raw / "derivatives"))
    if len(made) == 1:
        return made[0]
    if made:
        raise DatasetError(
            f"{raw} has several fMRIPrep derivatives: {', '.join(path.name for path in made)}",
            remedy="choose one with --derivatives PATH",
        )
    raise DatasetError(
        f"{raw} is a raw dataset without fMRIPrep derivatives",
        expected=f"{usual}",
        remedy="run fMRIPrep first, or say where its output is with --derivatives PATH",
    )


def _made_by_fmriprep(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.glob("*/dataset_description.json")):
        try:
            name = _generator(read_description(file.parent))
        except DatasetError:
            continue  # a broken neighbour is not what was asked for
        if name.lower() == "fmriprep":
            yield file.parent


def _generator(description: Mapping[str, Any]) -> str:
    # The first entry is the program itself; XCP-D and others list fMRIPrep after their own name.
    # `PipelineDescription` is fMRIPrep's before 20.2.
    made = description.get("GeneratedBy") or description.get("PipelineDescription") or {}
    first = made[0] if isinstance(made, list) else made
    return str(first.get("Name") or "") if isinstance(first, dict) else ""


def _is_derivative(description: Mapping[str, Any]) -> bool:
    if "DatasetType" in description:
        return bool(description["DatasetType"] == "derivative")
    return "PipelineDescription" in description or "GeneratedBy" in description


def _fmriprep_path(text: str) -> list[Path]:
    named = _NAMED.fullmatch(text)
    if named is None or Path(text).exists():
        return [_absolute(Path(text).expanduser())]
    if named["package"].lower() != "fmriprep":
        return []
    return [_absolute(Path(named["path"]).expanduser())]


def _absolute(path: Path) -> Path:
    """Make a path absolute without `..`; links stay as people know them where that can be."""
    return path.resolve() if ".." in path.parts else path.absolute()


def _require_folder(path: Path, what: str) -> None:
    if not path.exists():
        raise DatasetError(f"{what} {path} does not exist", remedy=_CONTAINER)
    if not path.is_dir():
        raise DatasetError(f"{what} {path} is not a folder")
    try:
        empty = next(path.iterdir(), None) is None
    except OSError as err:
        raise DatasetError(f"{what} {path} cannot be listed: {err.strerror or err}") from err
    if empty:
        raise DatasetError(f"{what} {path} is empty", remedy=_CONTAINER)


def _seen(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    if not names:
        return "nothing at all"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _nearby_dataset(root: Path) -> str | None:
    below = sorted(path.parent for path in root.glob("*/dataset_description.json"))
    above = [path for path in root.parents if (path / "dataset_description.json").is_file()]
    near = [*below, *above]
    return f"perhaps {near[0]} was meant" if near else None
