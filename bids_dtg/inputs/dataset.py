"""The input dataset: its type, its participants, and the selection of participants."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError
from bids_dtg.files.derivatives import SourceDataset, participants_in
from bids_dtg.files.foreign import matching, read_json_object
from bids_dtg.files.names import is_label, plain_label
from bids_dtg.files.paths import expand_home, named_paths
from bids_dtg.files.text import read_json
from bids_dtg.inputs.studies import STUDIES, Study, holds_study, person_folders
from bids_dtg.notices import counted, named, say, show
from bids_dtg.settings import InputChoice, InputType, Settings

MOUNT_REMINDER = (
    "if this runs in a container, check that the folder is mounted "
    "(docker -v, apptainer -B)"
)
TITLES: Mapping[InputType, str] = {
    "fmriprep": "fMRIPrep derivatives",
    "xcpd": "XCP-D derivatives",
    "hcp": "HCP folders",
    "ukb": "UK Biobank folders",
}
# Usual folder names of derivatives in a raw dataset, by the program that made them. Keys are the
# program's name in `--derivatives NAME=PATH` and dataset_description.json, letters only.
_USUAL: Mapping[InputType, tuple[str, ...]] = {
    "fmriprep": ("fmriprep",),
    "xcpd": ("xcp_d", "xcpd", "xcp-d"),
}
_NAMED = re.compile(r"(?P<package>[A-Za-z][A-Za-z0-9_-]*)=(?P<path>.+)")
FREESURFER = "freesurfer"  # FreeSurfer's folder of all people
# XCP-D's name, in its DatasetLinks, of the derivatives that it was run on.
PREPROCESSED = "preprocessed"
# Names in `--derivatives NAME=PATH` of folders that are no datasets of resting runs.
_BESIDE = ("atlas", "atlases", FREESURFER, PREPROCESSED)
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_IN_T1W_SINCE = (0, 10, 4)  # XCP-D, whose surfaces were moved to the template before
_DESCRIPTION = "dataset_description.json"
# Where a folder has participants, and its description is absent or damaged.
_DESCRIBE = (
    f"copy {_DESCRIPTION} from the derivatives that it was made of, or write in it "
    '{"Name": "...", "BIDSVersion": "1.8.0", "DatasetType": "derivative", '
    '"GeneratedBy": [{"Name": "fMRIPrep"}]}'
)
_UNREADABLE = {
    FileNotFoundError: "does not exist",
    NotADirectoryError: "is not a folder",
}


@dataclass(frozen=True)
class InputDataset(SourceDataset):
    """A dataset that holds resting-state runs."""

    input_type: InputType = "fmriprep"  # how its folders are read

    @property
    def title(self) -> str:
        """Kind of dataset, for messages."""
        return TITLES[self.input_type]

    @property
    def study(self) -> Study | None:
        """Layout of a study's folders; None if names are BIDS."""
        return STUDIES.get(self.input_type)


def find_dataset(
    bids_dir: Path, derivatives: Sequence[str] = (), input_type: InputChoice = "auto"
) -> InputDataset:
    """Find the dataset behind BIDS_DIR.

    These are tried in order: `derivatives`; BIDS_DIR itself, if it is a derivatives dataset or,
    without a description, holds the folders of a study; in a raw dataset, `derivatives/fmriprep`,
    or the only `derivatives/*` that fMRIPrep made according to its description; the same for
    XCP-D.

    Parameters
    ----------
    bids_dir
        A raw BIDS dataset, a folder of derivatives, or the participants' folders of a study.
    derivatives
        `[PACKAGE=]PATH` texts; those of packages that are not read, and of atlases, are ignored.
    input_type
        Type of dataset to find; auto for any type.

    Raises
    ------
    DatasetError
        No dataset or more than one is found, a description is damaged, or `derivatives` names
        only packages that are not read.
    """
    derivatives = [text for text in derivatives if not named_paths([text], *_BESIDE)]
    bids_dir = _folder(bids_dir, "BIDS_DIR")
    if derivatives:
        return _explicit(derivatives, bids_dir, input_type)
    if study := _study_in(bids_dir, input_type):
        return InputDataset(bids_dir, study, {}, bids_dir, study)
    if _is_derivative(_read_description(bids_dir)):
        return _dataset(bids_dir, bids_dir, input_type)
    return _derivatives_of_raw(bids_dir, input_type)


def only_folder(derivatives: Iterable[str], name: str) -> Path | None:
    """Return the folder of a name, as `only_path` does.

    Raises
    ------
    DatasetError
        It does not exist, or two were given.

    Examples
    --------
    >>> only_folder(["fmriprep=/data/fmriprep"], FREESURFER)
    """
    path = only_path(derivatives, name)
    return _folder(path, "--derivatives") if path else None


def only_path(derivatives: Iterable[str], name: str) -> Path | None:
    """Return the path of the only ``NAME=PATH`` text of a name; None if there is none.

    Raises
    ------
    DatasetError
        There are two.
    """
    paths = named_paths(derivatives, name)
    if len(paths) > 1:
        raise DatasetError(
            f"--derivatives names {len(paths)} paths of {name}=", expected="one of them"
        )
    return expand_home(paths[0], f"--derivatives {name}") if paths else None


def linked_datasets(root: Path) -> list[Path]:
    """Return the datasets that a dataset was made from, by its description; some may be elsewhere.

    Examples
    --------
    >>> linked_datasets(Path("there is no such folder"))
    []
    """
    return list(_links(root, read_json(root / _DESCRIPTION)).values())


def _links(root: Path, description: Mapping[str, Any]) -> dict[str, Path]:
    """Return the folders that a dataset's description links to, by name."""
    links = description.get("DatasetLinks")
    folders = {}
    for name, text in links.items() if isinstance(links, Mapping) else ():
        path = text.removeprefix("file://") if isinstance(text, str) else ""
        if path and "://" not in path:
            folders[name] = root / path
    return folders


def xcpd_of(root: Path) -> tuple[str, bool]:
    """Return the version of XCP-D that made a dataset, and whether it leaves surfaces in T1w space.

    Examples
    --------
    >>> xcpd_of(Path("there is no such folder"))
    ('XCP-D of unknown version', False)
    """
    makers = makers_of(root)
    versions = [version for name, version in makers if _package(name) == "xcpd"]
    version = versions[0] if versions else ""
    match = _VERSION.match(version)
    numbers = tuple(int(number or 0) for number in match.groups()) if match else ()
    return f"XCP-D {version or 'of unknown version'}", numbers >= _IN_T1W_SINCE


def name_folder(bids_dir: Path) -> SourceDataset:
    """Describe a folder as a source dataset; only its description is read.

    Raises
    ------
    DatasetError
        It does not exist, or is not a folder.
    """
    folder = _folder(bids_dir, "BIDS_DIR", may_be_empty=True)
    description = read_json(folder / _DESCRIPTION)
    return SourceDataset(folder, folder.name or "data", description, folder)


def made_by(description: Mapping[str, Any]) -> InputType | None:
    """Return the program that made a dataset, from its description; None if not a known one.

    Examples
    --------
    >>> made_by({"GeneratedBy": [{"Name": "XCP-D"}, {"Name": "fMRIPrep"}]})
    'xcpd'
    """
    return _package(_program(description))


def makers_of(root: Path) -> tuple[tuple[str, str], ...]:
    """Return names and versions of the programs that made a dataset, from its description."""
    return tuple(_makers(read_json(root / _DESCRIPTION)))


def own_name(dataset: InputDataset) -> str | None:
    """Return a name that tells a dataset from others; None if it has none.

    It is the name of the raw dataset if that can be found, as derivatives are mostly named after
    the program that made them.
    """
    raw = read_json((dataset.raw or dataset.bids_dir) / _DESCRIPTION)
    raw_name = str(raw.get("Name") or "").strip()
    if raw_name and not _is_derivative(raw):
        return raw_name
    name = str(dataset.description.get("Name") or "").strip()
    is_of_program = _letters(name).startswith(tuple(_USUAL))
    return None if is_of_program else name or None


def participants_of(dataset: InputDataset) -> tuple[str, ...]:
    """List the labels of all participants, in the dataset's order.

    Raises
    ------
    DatasetError
        The folder cannot be listed.
    """
    study = dataset.study
    if study is None:
        return participants_in(dataset.root)
    folders = [
        folder
        for folder in person_folders(study, dataset.root)
        if (folder.path / study.sign).is_dir()
    ]
    return tuple(dict.fromkeys(folder.participant for folder in folders))


def find_participants(
    dataset: InputDataset, labels: Sequence[str] = ()
) -> tuple[tuple[str, ...], DatasetError | None]:
    """List the requested participants, in the dataset's order; all if no label is given.

    Returns
    -------
    participants
        Their labels.
    absent
        What to say of requested ones that the dataset lacks; None if there are none.

    Raises
    ------
    DatasetError
        The dataset has no participants, or none of the requested ones (similar labels are named).
    SettingsError
        A request is not a valid label.
    """
    root = dataset.root
    study = dataset.study
    present = participants_of(dataset)
    if not present:
        sign = study.sign if study else "sub-*"
        raise DatasetError(
            f"{root} has no participants (no {sign} folder). It has {seen(root)}",
            remedy=MOUNT_REMINDER,
        )
    requested = set()
    for label in labels:
        # Names of a study's folders are accepted too.
        folder = study.labels(label.removeprefix("sub-")) if study else None
        requested.add(folder[0] if folder else plain_label(label, "sub"))
    return choose_participants(requested, present, root)


def print_participants(settings: Settings) -> int:
    """Print the labels of the requested participants, one a line; return 0, none fails.

    Only names of folders are read, so that a script learns at once whom to submit.

    Raises
    ------
    DatasetError, SettingsError
        The dataset or the request is wrong.
    """
    inputs = settings.inputs
    dataset = find_dataset(inputs.bids_dir, inputs.derivatives, inputs.input_type)
    participants, absent = find_participants(dataset, inputs.participant_label)
    say_absent(absent)
    labels = [label for label in participants if is_label(label)]
    show(*labels)
    if folders := [
        repr(f"sub-{label}") for label in participants if not is_label(label)
    ]:
        say(
            f"bids_dtg: note: {dataset.root} has {named(folders)}, which "
            "--participant-label cannot name. Expected: letters and digits. To do: rename them"
        )
    return int(absent is not None)


def choose_participants(
    requested: Collection[str], present: Sequence[str], root: Path
) -> tuple[tuple[str, ...], DatasetError | None]:
    """Return the requested participants of a folder, in its order; all if none are requested.

    Returns
    -------
    What `find_participants` returns.

    Raises
    ------
    DatasetError
        None of the requested participants is there.
    """
    chosen = tuple(label for label in present if not requested or label in requested)
    missing = sorted(set(requested) - set(present))
    if not missing:
        return chosen, None
    similar: set[str] = set()
    for label in missing:
        similar.update(difflib.get_close_matches(label, present, 3, 0.5))
    examples = sorted(similar)
    absent = DatasetError(
        f"{root} has no participant {', '.join(missing)}",
        expected=f"e.g. {', '.join(examples or present[:5])} "
        f"({counted(present, 'participant')} there)",
        remedy=f"--participant-label {' '.join(examples or present[:1])}, or leave it out for all",
    )
    if not chosen:
        raise absent
    return chosen, absent


def say_absent(absent: DatasetError | None) -> None:
    """Say which requested participants are not there; nothing if all are."""
    if absent is not None:
        say(f"bids_dtg: error: {absent} The others are processed.")


def seen(root: Path) -> str:
    """List a few entries of a folder, for messages."""
    return named(sorted(path.name for path in root.iterdir())) or "nothing at all"


def split_named_path(text: str) -> tuple[str | None, str]:
    """Split `[PACKAGE=]PATH` into the package, None if it is not given, and the path.

    Examples
    --------
    >>> split_named_path("fmriprep=/data/day=1"), split_named_path("/data/day=1")
    (('fmriprep', '/data/day=1'), (None, '/data/day=1'))
    """
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return None, text
    return match["package"], match["path"]


def _study_in(root: Path, input_type: InputChoice) -> InputType | None:
    """Return the study whose layout a folder has; None if it has BIDS names."""
    if input_type != "auto":
        return input_type if input_type in STUDIES else None
    if (root / _DESCRIPTION).exists():
        return None
    kinds = [kind for kind, study in STUDIES.items() if holds_study(study, root)]
    if len(kinds) > 1:
        raise DatasetError(
            f"{root} has {' and '.join(TITLES[kind] for kind in kinds)}",
            expected="people of one study, as one call reads one layout",
            remedy=f"choose with --input-type {' or '.join(kinds)}, or separate the folders",
        )
    return next(iter(kinds), None)


def _explicit(
    derivatives: Sequence[str], bids_dir: Path, input_type: InputChoice
) -> InputDataset:
    candidates: list[tuple[Path, InputChoice]] = []
    for text in derivatives:
        package, path = split_named_path(text)
        kind: InputChoice | None = input_type if package is None else _package(package)
        if kind and kind not in STUDIES and input_type in ("auto", kind):
            candidates.append((expand_home(path, "--derivatives"), kind))
    if len(candidates) != 1:
        raise DatasetError(
            f"--derivatives names {', '.join(derivatives)}, and --input-type is {input_type}",
            expected="one of fmriprep=PATH, xcpd=PATH or PATH",
        )
    ((root, chosen_type),) = candidates
    return _dataset(_folder(root, "--derivatives"), bids_dir, chosen_type)


def _dataset(root: Path, bids_dir: Path, input_type: InputChoice) -> InputDataset:
    description = _read_description(root)
    if not _is_derivative(description):
        raise DatasetError(
            f"{root} is a raw dataset",
            expected="a folder of fMRIPrep or XCP-D derivatives",
        )
    if input_type == "auto":
        program = _program(description)
        if _letters(program).startswith("fmripost"):
            raise DatasetError(
                f"{root} holds outputs of {program}, which this program does not read",
                expected="the fMRIPrep derivatives that it was run on",
                remedy="give their folder as the input",
            )
        input_type = made_by(description) or "fmriprep"
    raw = _raw_of(root, description) if bids_dir == root else None
    return InputDataset(root, input_type, description, bids_dir, input_type, raw=raw)


def _raw_of(root: Path, description: Mapping[str, Any]) -> Path | None:
    """Return the raw dataset that derivatives name or lie in, if it is on this machine."""
    links = _links(root, description)
    folders = [links["raw"]] if "raw" in links else []
    folders += [above.parent for above in root.parents if above.name == "derivatives"]
    for folder in folders:
        raw_description = read_json(folder / _DESCRIPTION)
        if raw_description and not _is_derivative(raw_description):
            return _absolute(folder)
    return None


def _derivatives_of_raw(raw: Path, input_type: InputChoice) -> InputDataset:
    kinds = [kind for kind in _USUAL if input_type in ("auto", kind)]
    folder = raw / "derivatives"
    for kind in kinds:
        usual = [folder / name for name in _USUAL[kind]]
        roots = [root for root in usual if root.is_dir()]
        if not roots:
            # A damaged description of another dataset counts as empty, as it was not requested.
            files = matching(folder, f"*/{_DESCRIPTION}")
            roots = [file.parent for file in files if made_by(read_json(file)) == kind]
        if len(roots) > 1:
            raise DatasetError(
                f"{raw} has several {TITLES[kind]}: {', '.join(root.name for root in roots)}",
                remedy="choose one with --derivatives PATH",
            )
        if roots:
            return _dataset(roots[0], raw, kind)
    raise DatasetError(
        f"{raw} is a raw dataset without {TITLES[kinds[0]]}",
        expected=f"{folder / _USUAL[kinds[0]][0]}",
        remedy="run fMRIPrep first, or give the path of its output with --derivatives PATH",
    )


def _read_description(root: Path) -> dict[str, Any]:
    """Read a dataset's description; if it is missing, the error lists the folder's content."""
    try:
        return read_json_object(root / _DESCRIPTION)
    except MissingFileError as err:
        near = [file.parent for file in matching(root, f"*/{_DESCRIPTION}")]
        near += [above for above in root.parents if (above / _DESCRIPTION).is_file()]
        remedy = f"did you mean {near[0]}?" if near else None
        raise DatasetError(
            f"{root} is not a BIDS dataset: it has no {_DESCRIPTION}. It has {seen(root)}",
            remedy=_DESCRIBE if participants_in(root) else remedy,
        ) from err
    except ForeignFileError as err:
        remedy = _DESCRIBE if participants_in(root) else None
        raise err.as_kind(DatasetError, remedy=remedy) from err


def _program(description: Mapping[str, Any]) -> str:
    """Return the name of the program that wrote a dataset; empty if it is not stated."""
    return next((name for name, _ in _makers(description)), "")


def _makers(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    # The program that wrote it comes first: XCP-D and similar ones list fMRIPrep after themselves.
    # fMRIPrep before 20.2 wrote `PipelineDescription`.
    pipeline = description.get("PipelineDescription") or {}
    programs = description.get("GeneratedBy") or pipeline
    entries = programs if isinstance(programs, list) else [programs]
    return [
        (str(entry.get("Name") or ""), str(entry.get("Version") or ""))
        for entry in entries
        if isinstance(entry, dict)
    ]


def _is_derivative(description: Mapping[str, Any]) -> bool:
    if "DatasetType" in description:
        return bool(description["DatasetType"] == "derivative")
    return "PipelineDescription" in description or "GeneratedBy" in description


def _package(name: str) -> InputType | None:
    """Return the type of a program's outputs; None if they are not read."""
    letters = _letters(name)
    return next((kind for kind in _USUAL if kind == letters), None)


def _letters(name: str) -> str:
    """Keep the letters of a name, so that XCP-D, xcp_d and xcpd are equal."""
    return re.sub("[^a-z]", "", name.lower())


def _absolute(path: Path) -> Path:
    """Make a path absolute; links are resolved only if the path contains `..`."""
    return path.resolve() if ".." in path.parts else path.absolute()


def _folder(path: Path, what: str, *, may_be_empty: bool = False) -> Path:
    """Return the absolute path of a user's folder; refuse a missing or empty one."""
    folder = _absolute(path)
    try:
        fault = "" if any(folder.iterdir()) or may_be_empty else "is empty"
    except OSError as err:
        fault = _UNREADABLE.get(type(err), f"cannot be listed: {err.strerror or err}")
    if fault:
        raise DatasetError(f"{what} {folder} {fault}", remedy=MOUNT_REMINDER)
    return folder
