"""The input dataset: its type, where its participants are, and which of them were asked for."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError, SettingsError
from bids_dtg.files.derivatives import SourceDataset, participants_in
from bids_dtg.files.foreign import matching, read_json_object
from bids_dtg.files.names import plain_label
from bids_dtg.files.paths import expand_home
from bids_dtg.files.text import read_json
from bids_dtg.inputs.regions.atlases import names_atlases
from bids_dtg.inputs.studies import STUDIES, Study, holds_study, person_folders
from bids_dtg.notices import counted
from bids_dtg.settings import InputChoice, InputType

MOUNT_REMINDER = (
    "if this runs in a container, check that the folder is mounted (docker -v, apptainer -B)"
)
_NAMED = re.compile(r"(?P<package>[A-Za-z][A-Za-z0-9_-]*)=(?P<path>.+)")
# Programs whose outputs add to fMRIPrep's, and how those are given in their place.
_ADDED = {
    "fMRIPost-AROMA": ", with --denoise-strategy ica_aroma and this folder beside it",
    "fMRIPost-rapidtide": "; what rapidtide removes stays in the runs then",
}
# Names of programs, as in `--derivatives NAME=PATH` and in dataset_description.json, without signs.
_PACKAGES: Mapping[str, InputType] = {"fmriprep": "fmriprep", "xcpd": "xcpd"}
# As `fmriprep` issues 1725 and 3216, `xcp_d` issue 967 and `fmripost-aroma` issue 119 report.
_WRONG_TIMES = ("fmriprep", "nibabies", "xcpd", "fmripost")
TITLES: Mapping[InputType, str] = {
    "fmriprep": "fMRIPrep derivatives",
    "xcpd": "XCP-D derivatives",
    "hcp": "HCP folders",
    "ukb": "UK Biobank folders",
}
_USUAL = {"fmriprep": ("fmriprep",), "xcpd": ("xcp_d", "xcpd", "xcp-d")}


@dataclass(frozen=True)
class InputDataset(SourceDataset):
    """A dataset that holds resting-state runs."""

    input_type: InputType = "fmriprep"  # how its folders are to be read

    @property
    def title(self) -> str:
        """What it is, for messages."""
        return TITLES[self.input_type]

    @property
    def study(self) -> Study | None:
        """Layout of the folders of a study; None: names are BIDS."""
        return STUDIES.get(self.input_type)


def find_dataset(
    bids_dir: Path, derivatives: Sequence[str] = (), input_type: InputChoice = "auto"
) -> InputDataset:
    """Find the dataset behind BIDS_DIR.

    Tried in this order: `derivatives`; BIDS_DIR itself if it is a derivative
    dataset or, without a description, holds folders of a study; below a raw
    dataset `derivatives/fmriprep` and the only `derivatives/*` whose description
    says that fMRIPrep made it; and then the same of XCP-D.

    Parameters
    ----------
    bids_dir
        A raw BIDS dataset, a folder of derivatives, or the participants' folders of a study.
    derivatives
        `[PACKAGE=]PATH` texts; those of packages that are not read, and of atlases, are left out.
    input_type
        What is to be found; auto: whatever there is.

    Raises
    ------
    DatasetError
        If nothing, or more than one dataset, is found, or a description is broken;
        if `derivatives` names other packages only.
    """
    derivatives = [text for text in derivatives if not names_atlases(text)]
    bids_dir = _absolute(bids_dir)
    _require_folder(bids_dir, "BIDS_DIR")
    if input_type in ("hcp", "ukb"):
        if derivatives:
            raise DatasetError(
                f"--derivatives was given with --input-type {input_type}",
                expected="BIDS_DIR to hold the participants' folders",
            )
        return _study(bids_dir, input_type)
    if derivatives:
        return _explicit(derivatives, bids_dir, input_type)
    if input_type == "auto" and not (bids_dir / "dataset_description.json").exists():
        found: list[InputType] = [t for t, study in STUDIES.items() if holds_study(study, bids_dir)]
        if len(found) > 1:
            raise DatasetError(
                f"{bids_dir} has folders of {' and of '.join(TITLES[t] for t in found)}",
                remedy=f"choose one with --input-type {' or '.join(found)}",
            )
        if found:
            return _study(bids_dir, found[0])
    if _is_derivative(read_description(bids_dir)):
        return _dataset(bids_dir, bids_dir, input_type)
    return _derivatives_of_raw(bids_dir, input_type)


def require_bids_dir(bids_dir: Path) -> None:
    """Check that BIDS_DIR is there.

    Raises
    ------
    DatasetError
        It does not exist, or is no folder.
    """
    folder = _absolute(bids_dir)
    if not folder.is_dir():
        _require_folder(folder, "BIDS_DIR")


def name_folder(bids_dir: Path) -> SourceDataset:
    """Take a folder as what names a data set: nothing in it is read but its description.

    Raises
    ------
    DatasetError
        It is none.
    """
    require_bids_dir(bids_dir)  # it may be empty
    folder = _absolute(bids_dir)
    description = read_json(folder / "dataset_description.json")
    return SourceDataset(folder, folder.name or "data", description, folder)


def made_by(description: Mapping[str, Any]) -> InputType | None:
    """Return the program that made a dataset, by its description; None: not a known one.

    Examples
    --------
    >>> made_by({"GeneratedBy": [{"Name": "XCP-D"}, {"Name": "fMRIPrep"}]})
    'xcpd'
    """
    return _PACKAGES.get(_letters(next(iter(_generators(description)), "")))


def writes_wrong_times(root: Path) -> bool:
    """Return whether some releases of what made a dataset wrote a wrong time into headers of runs.

    The time between frames of their sidecars was right.
    """
    made = _generators(read_json(root / "dataset_description.json"))
    return any(_letters(name).startswith(_WRONG_TIMES) for name in made)


def own_name(dataset: InputDataset) -> str | None:
    """Return the name by which a dataset differs from others; None: it has none of its own.

    It is that of the raw dataset, where that can be found: BIDS_DIR, the folder above
    `derivatives`, a path in `DatasetLinks`. Derivatives are mostly named like the program that
    made them, which says nothing.
    """
    described = [read_json(place / "dataset_description.json") for place in raw_places(dataset)]
    found = [str(d.get("Name") or "") for d in described if d and not _is_derivative(d)]
    own = str(dataset.description.get("Name") or "")
    if not _letters(own).startswith(tuple(_PACKAGES)):
        found.append(own)
    return next((name.strip() for name in found if name.strip()), None)


def raw_places(dataset: InputDataset) -> Iterator[Path]:
    """Yield folders that may be the raw dataset, the likely ones first.

    They are BIDS_DIR, the path in `DatasetLinks`, and the folder above `derivatives`.
    """
    yield dataset.bids_dir
    links = dataset.description.get("DatasetLinks")
    raw = links.get("raw") if isinstance(links, Mapping) else None
    if isinstance(raw, str):
        raw = raw.removeprefix("file://")
        if "://" not in raw:
            yield dataset.root / raw
    yield from (above.parent for above in dataset.root.parents if above.name == "derivatives")


def select_participants(dataset: InputDataset, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """List the participants asked for, in the dataset's order; all where no label is given.

    Raises
    ------
    DatasetError
        If the dataset has no participants, not those asked for (the near ones are named), or two
        of them whose labels differ in upper and lower case alone.
    SettingsError
        If something is no label at all.
    """
    root, study = dataset.root, dataset.study
    if joined := [label for label in labels if "," in label]:
        raise SettingsError(
            f"--participant-label is '{joined[0]}'",
            expected="labels with spaces between them",
            remedy=f"--participant-label {' '.join(joined[0].replace(',', ' ').split())}",
        )
    if study is None:
        present = participants_in(root)
        asked = {plain_label(label, "sub") for label in labels}
    else:
        folders = [f for f in person_folders(study, root) if (f.path / study.sign).is_dir()]
        present = tuple(dict.fromkeys(folder.participant for folder in folders))
        # Names of folders will do as well.
        known = [study.labels(label.removeprefix("sub-")) for label in labels]
        asked = {
            person[0] if person else plain_label(label, "sub")
            for person, label in zip(known, labels, strict=True)
        }
    if not present:
        what = study.sign if study else "sub-*"
        raise DatasetError(
            f"{root} has no participants (no {what} folder), but {seen(root)}",
            remedy=MOUNT_REMINDER,
        )
    unknown = sorted(asked - set(present))
    if unknown:
        near = sorted({n for u in unknown for n in difflib.get_close_matches(u, present, 3, 0.5)})
        some = near or [*present[:5], *(["…"] if len(present) > 5 else [])]
        raise DatasetError(
            f"{root} has no participant {', '.join(unknown)}",
            expected=f"{'near ones are' if near else 'e.g.'} {', '.join(some)} "
            f"({counted(len(present), 'participant')} there)",
            remedy=f"--participant-label {' '.join(near or present[:1])}, or leave it out for all",
        )
    selected = tuple(label for label in present if not asked or label in asked)
    _require_distinct(root, selected)
    return selected


def _require_distinct(root: Path, labels: Sequence[str]) -> None:
    """Refuse participants whose labels differ in upper and lower case alone."""
    known: dict[str, str] = {}
    for label in labels:
        other = known.setdefault(label.casefold(), label)
        if other != label:
            raise DatasetError(
                f"{root} has sub-{other} and sub-{label}",
                expected="labels that differ in more than upper and lower case: some file systems "
                "would mix their results",
                remedy="rename one of them, or choose one with --participant-label and give the "
                "other an output folder of its own",
            )


def read_description(root: Path) -> dict[str, Any]:
    """Read `dataset_description.json`.

    Raises
    ------
    DatasetError
        If it is missing (with what is in the folder instead) or no JSON object.
    """
    path = root / "dataset_description.json"
    try:
        return read_json_object(path)
    except MissingFileError as err:
        raise DatasetError(
            f"{root} is not a BIDS dataset: it has no dataset_description.json, but {seen(root)}",
            remedy=_nearby_dataset(root),
        ) from err
    except ForeignFileError as err:
        raise err.as_kind(
            DatasetError,
            expected='a JSON object, e.g. {"Name": "…"}',
            remedy=err.remedy or "repair the file",
        ) from err


def seen(root: Path) -> str:
    """Name a few of the things in a folder, for messages."""
    names = sorted(path.name for path in root.iterdir())
    if not names:
        return "nothing at all"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _study(root: Path, input_type: InputType) -> InputDataset:
    study = STUDIES[input_type]
    if not holds_study(study, root):
        inside = root.parent if (root / study.sign).is_dir() else None
        raise DatasetError(
            f"{root} holds no participant's folder with {study.sign}, but {seen(root)}",
            expected=f"ID/{study.sign}",
            remedy=f"perhaps {inside} was meant" if inside else None,
        )
    return InputDataset(root, input_type, {}, root, input_type)


def _explicit(derivatives: Sequence[str], bids_dir: Path, input_type: InputChoice) -> InputDataset:
    named = [_named_path(text) for text in derivatives]
    wanted = tuple(TITLES) if input_type == "auto" else (input_type,)
    paths = [(path, kind) for path, kind in named if kind in (*wanted, "auto")]
    if not paths:
        title = "fMRIPrep derivatives" if input_type == "auto" else TITLES[input_type]
        raise DatasetError(
            f"--derivatives names no {title}: {', '.join(derivatives)}",
            expected="fmriprep=PATH, xcpd=PATH or PATH",
        )
    if len(paths) > 1:
        raise DatasetError(
            f"--derivatives names {len(paths)} folders: {', '.join(str(p) for p, _ in paths)}",
            expected="one folder of derivatives",
        )
    ((path, kind),) = paths
    _require_folder(path, "--derivatives")
    return _dataset(path, bids_dir, input_type if kind == "auto" else kind)


def _dataset(root: Path, bids_dir: Path, input_type: InputChoice) -> InputDataset:
    description = read_description(root)
    if not _is_derivative(description):
        raise DatasetError(
            f"{root} is a raw dataset", expected="a folder of fMRIPrep or XCP-D derivatives"
        )
    if input_type == "auto":
        made = [_letters(name) for name in _generators(description)][:1]
        for name, how in _ADDED.items():
            if _letters(name) in made:
                raise DatasetError(
                    f"{root} holds outputs of {name}, which are not read as runs",
                    expected="the fMRIPrep derivatives that it was run on",
                    remedy=f"give the folder of these as the input{how}",
                )
        input_type = made_by(description) or "fmriprep"
    found = InputDataset(root, input_type, description, bids_dir, input_type)
    return replace(found, raw=_named_raw(found)) if bids_dir == root else found


def _named_raw(dataset: InputDataset) -> Path | None:
    """Return the raw dataset that derivatives name or lie in, where it is here."""
    for place in raw_places(dataset):
        description = read_json(place / "dataset_description.json")
        if description and not _is_derivative(description):
            return _absolute(place)
    return None


def _derivatives_of_raw(raw: Path, input_type: InputChoice) -> InputDataset:
    for kind in ("fmriprep", "xcpd") if input_type == "auto" else (input_type,):
        for usual in _USUAL[kind]:
            if (raw / "derivatives" / usual).is_dir():
                return _dataset(raw / "derivatives" / usual, raw, kind)
        made = list(_made_by(kind, raw / "derivatives"))
        if len(made) == 1:
            return _dataset(made[0], raw, kind)
        if made:
            raise DatasetError(
                f"{raw} has several {TITLES[kind]}: {', '.join(path.name for path in made)}",
                remedy="choose one with --derivatives PATH",
            )
    title = TITLES["fmriprep" if input_type == "auto" else input_type]
    kinds: tuple[InputType, ...] = ("fmriprep", "xcpd") if input_type == "auto" else (input_type,)
    # As in OpenNeuro's old layout: derivatives/fmriprep_1.0.0/fmriprep.
    deeper = [path for kind in kinds for path in _made_by(kind, raw / "derivatives", "*/*")]
    raise DatasetError(
        f"{raw} is a raw dataset without {title}",
        expected=f"{raw / 'derivatives' / _USUAL.get(input_type, _USUAL['fmriprep'])[0]}",
        remedy=f"perhaps --derivatives {shlex.quote(str(deeper[0]))} was meant"
        if deeper
        else "run fMRIPrep first, or say where its output is with --derivatives PATH",
    )


def _made_by(kind: InputType, folder: Path, depth: str = "*") -> Iterator[Path]:
    for file in matching(folder, f"{depth}/dataset_description.json"):
        try:
            found = made_by(read_description(file.parent))
        except DatasetError:
            continue  # a broken neighbour is not what was asked for
        if found == kind:
            yield file.parent


def _generators(description: Mapping[str, Any]) -> list[str]:
    """Return the names of the programs that made a dataset, the one that wrote its files first."""
    # XCP-D and others list fMRIPrep after their own name. `PipelineDescription` is fMRIPrep's
    # before 20.2.
    made = description.get("GeneratedBy") or description.get("PipelineDescription") or {}
    entries = made if isinstance(made, list) else [made]
    return [str(entry.get("Name") or "") for entry in entries if isinstance(entry, dict)]


def _is_derivative(description: Mapping[str, Any]) -> bool:
    if "DatasetType" in description:
        return bool(description["DatasetType"] == "derivative")
    return "PipelineDescription" in description or "GeneratedBy" in description


def _letters(name: str) -> str:
    """Write XCP-D, xcp_d and xcpd the same."""
    return re.sub("[^a-z]", "", name.lower())


def split_named_path(text: str) -> tuple[str | None, str]:
    """Take `[PACKAGE=]PATH` apart: the package, None where none is named, and the path.

    Examples
    --------
    >>> split_named_path("fmriprep=/data/day=1"), split_named_path("/data/day=1")
    (('fmriprep', '/data/day=1'), (None, '/data/day=1'))
    """
    named = _NAMED.fullmatch(text)
    if named is None or Path(text).exists():
        return None, text
    return named["package"], named["path"]


def _named_path(text: str) -> tuple[Path, InputChoice | None]:
    """Take `[PACKAGE=]PATH` apart: auto where no package is named, None for one not read here."""
    package, path = split_named_path(text)
    place = _absolute(expand_home(path, "--derivatives"))
    return place, "auto" if package is None else _PACKAGES.get(_letters(package))


def _absolute(path: Path) -> Path:
    """Make a path absolute without `..`; links stay as people know them where that can be."""
    return path.resolve() if ".." in path.parts else path.absolute()


def _require_folder(path: Path, what: str) -> None:
    if not path.exists():
        raise DatasetError(f"{what} {path} does not exist", remedy=MOUNT_REMINDER)
    if not path.is_dir():
        raise DatasetError(f"{what} {path} is not a folder")
    try:
        empty = next(path.iterdir(), None) is None
    except OSError as err:
        raise DatasetError(f"{what} {path} cannot be listed: {err.strerror or err}") from err
    if empty:
        raise DatasetError(f"{what} {path} is empty", remedy=MOUNT_REMINDER)


def _nearby_dataset(root: Path) -> str | None:
    # Two folders down lies fMRIPrep's output in derivatives/fmriprep_1.0.0/fmriprep.
    below = [
        path.parent
        for depth in ("*", "*/*")
        for path in matching(root, f"{depth}/dataset_description.json")
    ]
    above = [path for path in root.parents if (path / "dataset_description.json").is_file()]
    near = [*below, *above]
    return f"perhaps {near[0]} was meant" if near else None
