"""BIDS file names: building them from entities, and parsing them; no file is opened here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from bids_dtg.errors import OutputError, SettingsError

# Order of `rules/entities` in the BIDS schema 1.11, and three entities that it does not have yet:
# `hash` (the program's configuration, placed as by NiBabies), and `contrast` and `stat` (statistic
# maps, placed before `desc` as by FitLins).
ENTITY_ORDER = (
    "sub",
    "tpl",
    "ses",
    "hash",
    "cohort",
    "sample",
    "task",
    "tracksys",
    "acq",
    "nuc",
    "voi",
    "ce",
    "trc",
    "stain",
    "rec",
    "dir",
    "run",
    "mod",
    "echo",
    "flip",
    "inv",
    "mt",
    "part",
    "proc",
    "hemi",
    "space",
    "split",
    "recording",
    "chunk",
    "atlas",
    "seg",
    "scale",
    "res",
    "den",
    "label",
    "contrast",
    "stat",
    "desc",
)
_LABEL = re.compile(r"[0-9A-Za-z+]+")
_INDEX_ENTITIES = frozenset({"run", "echo", "flip", "inv", "split", "chunk"})


@dataclass(frozen=True)
class BidsName:
    """A parsed file name; `str()` gives the original name.

    Examples
    --------
    >>> name = parse_name("sub-01_task-rest_desc-preproc_bold.nii.gz")
    >>> name.get("task"), name.suffix, name.extension
    ('rest', 'bold', '.nii.gz')
    """

    entities: tuple[tuple[str, str], ...]  # (key, value) in the order of the name
    suffix: str  # last part before the extension, e.g. "bold"
    extension: str  # from the first dot on, e.g. ".nii.gz"; may be empty

    def get(self, key: str) -> str | None:
        """Return the value of an entity; None if the name does not have it."""
        return dict(self.entities).get(key)

    def __str__(self) -> str:
        pairs = [f"{key}-{label}" for key, label in self.entities]
        return "_".join([*pairs, self.suffix]) + self.extension


@dataclass(frozen=True)
class FileKind:
    """The parts that all file names of one kind share; other entities tell the files apart.

    Examples
    --------
    >>> kind = FileKind("timeseries", "frames", ".tsv")
    >>> kind == FileKind.of(parse_name("sub-01_task-rest_desc-frames_timeseries.tsv"))
    True
    """

    suffix: str  # last part of the name
    desc: str | None  # value of desc-; None if names have none
    extension: str  # from the first dot on

    @classmethod
    def of(cls, name: BidsName) -> FileKind:
        """Return the kind of a file."""
        return cls(name.suffix, name.get("desc"), name.extension)

    def path(
        self, entities: Mapping[str, str | None], extension: str | None = None
    ) -> PurePosixPath:
        """Build the path of a file, or of its sidecar, below the dataset root.

        Parameters
        ----------
        entities
            Entities of the name, without desc-.
        extension
            Extension of the file; None for that of this kind.
        """
        named = {**entities, "desc": self.desc}
        return build_path(named, self.suffix, extension or self.extension)


def parse_name(name: str) -> BidsName:
    """Split a file name (or a path with `/`) into entities, suffix and extension.

    Raises
    ------
    ValueError
        The name is not `key-value_..._suffix.extension` with distinct keys.

    Examples
    --------
    >>> name = parse_name("sub-01_task-rest_run-1_bold.nii.gz")
    >>> name.get("task"), name.suffix, name.extension
    ('rest', 'bold', '.nii.gz')
    """
    stem, dot, rest = name.rstrip("/").rpartition("/")[2].partition(".")
    *pairs, suffix = stem.split("_")
    entities = []
    for pair in pairs:
        key, _, label = pair.partition("-")
        entities.append((key, label))
    complete = all(key and label for key, label in entities)
    distinct = len(dict(entities)) == len(entities)
    if not suffix or "-" in suffix or not complete or not distinct:
        raise ValueError(
            f"{name!r} is not a BIDS name (key-value_..._suffix.extension)"
        )
    return BidsName(tuple(entities), suffix, dot + rest)


def build_name(entities: Mapping[str, str | None], suffix: str, extension: str) -> str:
    """Build a file name with its entities in the order of the specification.

    Entities whose value is None are left out. Labels are checked, so that no label from a model,
    an option or an input file can lead to a path outside its folder.

    Raises
    ------
    OutputError
        A label or the suffix has characters that BIDS does not allow.
    ValueError
        An entity is not in `ENTITY_ORDER`.

    Examples
    --------
    >>> build_name({"desc": "synthetic", "sub": "01", "ses": None}, "statmap", ".nii.gz")
    'sub-01_desc-synthetic_statmap.nii.gz'
    """
    unknown = sorted(set(entities) - set(ENTITY_ORDER))
    if unknown:
        raise ValueError(
            f"unknown entities {unknown}; known: {', '.join(ENTITY_ORDER)}"
        )
    pairs = []
    for key in ENTITY_ORDER:
        label = entities.get(key)
        if label is not None:
            pairs.append(f"{key}-{_checked(label, key)}")
    return "_".join([*pairs, _checked(suffix, "suffix")]) + extension


def build_path(
    entities: Mapping[str, str | None],
    suffix: str,
    extension: str,
    *,
    datatype: str = "func",
) -> PurePosixPath:
    """Build the path of a participant's file below the dataset root.

    Examples
    --------
    >>> str(build_path({"sub": "01", "ses": "a", "task": "rest"}, "qc", ".tsv"))
    'sub-01/ses-a/func/sub-01_ses-a_task-rest_qc.tsv'
    """
    name = build_name(entities, suffix, extension)
    return participant_folder(entities["sub"], entities.get("ses")) / datatype / name


def participant_folder(
    participant: str | None, session: str | None = None
) -> PurePosixPath:
    """Build the folder of a participant (and session) below the dataset root.

    Examples
    --------
    >>> str(participant_folder("01", "1"))
    'sub-01/ses-1'
    """
    folder = PurePosixPath(f"sub-{_checked(participant or '', 'sub')}")
    if session is None:
        return folder
    return folder / f"ses-{_checked(session, 'ses')}"


def is_label(text: str) -> bool:
    """Return whether a text can be the label of a BIDS entity.

    Examples
    --------
    >>> is_label("01"), is_label("a_b"), is_label("")
    (True, False, False)
    """
    return bool(_LABEL.fullmatch(text))


def plain_label(text: str, entity: str) -> str:
    """Strip `sub-`, `ses-`, ... from a label that a user typed, and check it.

    Raises
    ------
    SettingsError
        The label has characters other than letters, digits and `+`.

    Examples
    --------
    >>> plain_label("sub-01", "sub"), plain_label("01", "sub")
    ('01', '01')
    """
    label = text.strip().removeprefix(f"{entity}-")
    if not _LABEL.fullmatch(label):
        labels = re.findall(r"[^\s,;]+", text)
        raise SettingsError(
            f"{text!r} is not a label of the BIDS entity {entity!r}",
            expected=f"letters and digits, optionally preceded by {entity}-",
            remedy=f"separate labels with spaces: {' '.join(labels)}"
            if len(labels) > 1
            else None,
        )
    return label


def same_label(entity: str, first: str, second: str) -> bool:
    """Return whether two labels are equivalent: `run-1` is `run-01`, `sub-1` is not `sub-01`.

    Examples
    --------
    >>> same_label("run", "1", "01"), same_label("sub", "1", "01")
    (True, False)
    """
    if entity in _INDEX_ENTITIES and first.isdecimal() and second.isdecimal():
        return first.lstrip("0") == second.lstrip("0")
    return first == second


def plain_index(entity: str, label: str) -> str:
    """Return a key that is equal for labels that users would consider the same.

    Examples
    --------
    >>> plain_index("run", "01"), plain_index("task", "REST"), plain_index("sub", "01")
    ('1', 'rest', '01')
    """
    if entity in _INDEX_ENTITIES and label.isdecimal():
        return label.lstrip("0")
    return label.casefold()


def bids_uri(dataset: str, relative_path: PurePosixPath | str) -> str:
    """Build a BIDS URI; the dataset is a key of `DatasetLinks`, or empty for this dataset.

    Examples
    --------
    >>> bids_uri("fmriprep", "sub-01/func/sub-01_task-rest_bold.nii.gz")
    'bids:fmriprep:sub-01/func/sub-01_task-rest_bold.nii.gz'
    """
    return f"bids:{dataset}:{PurePosixPath(relative_path)}"


def _checked(label: str, entity: str) -> str:
    if not _LABEL.fullmatch(label):
        raise OutputError(
            f"{entity} {label!r} cannot be part of a file name",
            expected="letters and digits only",
        )
    return label
