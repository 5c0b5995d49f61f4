"""One participant's functional files, and what a BIDS filter file leaves of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError, SettingsError
from bids_dtg.files.foreign import read_json, read_json_object
from bids_dtg.files.names import BidsName
from bids_dtg.files.walk import OF_DRIVES, files_below

if TYPE_CHECKING:
    from bids import BIDSLayout

_WHOLE_NUMBERS = frozenset({"run", "echo"})
_FILE_NAME_END = r"(?=[^/\\]*$)"

# BIDS keys and the names that pybids gives them; both are taken.
PYBIDS_NAMES = {
    "sub": "subject",
    "ses": "session",
    "task": "task",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "echo": "echo",
    "part": "part",
    "hash": "hash",
    "space": "space",
    "cohort": "cohort",
    "res": "res",
    "den": "den",
    "desc": "desc",
    "datatype": "datatype",
    "suffix": "suffix",
    "extension": "extension",
}
_OTHER_NAMES = {"resolution": "res", "density": "den", "description": "desc"}
# Kinds of images that filter files of fMRIPrep, XCP-D and other programs name.
_SUITES = frozenset(
    {
        *("bold", "sbref", "fmap", "t1w", "t2w", "flair", "roi", "dwi", "asl", "m0scan", "pet"),
        *("anat_dseg", "anat_brainmask", "anat_to_template_xfm", "template_to_anat_xfm"),
        *(f"{h}h_{part}" for h in "lr" for part in ("pial_surf", "wm_surf", "subject_sphere")),
        *("cortical_thickness", "cortical_thickness_corr", "myelin", "myelin_smoothed"),
        *("sulcal_curv", "sulcal_depth"),
    }
)
_WHOLE_NUMBERS_END = 1 << 63  # of the database of pybids
_LARGE_NUMBER = re.compile(r"\s*[+-]?[\d_]{19,}\s*")
_KNOWN = {name: name for name in PYBIDS_NAMES.values()} | PYBIDS_NAMES | _OTHER_NAMES


def functional_files(folder: Path, sessions: Sequence[str] = ()) -> tuple[Path, ...]:
    """List the files in and below the `func` folders of one participant (and session).

    Parameters
    ----------
    folder
        Folder of the participant in the derivatives.
    sessions
        Labels without `ses-`; all where empty.
    """
    places = [folder / "func"]
    for place in folder.glob("ses-*"):
        if not sessions or place.name.removeprefix("ses-") in sessions:
            places.append(place / "func")
    try:
        return tuple(path for place in places for path in files_below(place, follow_links=False))
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err


def filtered_names(
    root: Path,
    participant: str,
    filters: Mapping[str, Any],
    sessions: Sequence[str] = (),
) -> frozenset[str]:
    """Return the names of a participant's functional files that pybids' filters leave.

    Names, as pybids may have resolved a link on the way to a file.

    Parameters
    ----------
    root, participant, sessions
        Dataset, participant and sessions, as in `open_index`.
    filters
        By pybids' names of entities; None is "no such entity" and "*" any value.

    Raises
    ------
    RunError
        A name is not UTF-8, as pybids' database keeps them.
    """
    wanted = {name: _query_value(value) for name, value in filters.items()}
    try:
        index = open_index(root, participant, sessions)
        found = index.get(return_type="file", invalid_filters="allow", **wanted)
    except UnicodeEncodeError as err:
        raise RunError(
            f"pybids cannot look for sub-{participant} in {root}: a name is not UTF-8",
            remedy="rename it, or leave --bids-filter-file out",
        ) from err
    return frozenset(Path(path).name for path in found)


def values_that_fit(filters: Mapping[str, Any], names: Sequence[BidsName]) -> dict[str, list[str]]:
    """Return what files have in place of values that differ in zeros, case, a dot or `ses-` alone.

    Parameters
    ----------
    filters
        By pybids' names of entities, as for `filtered_names`.
    names
        Names of the files that they choose from.

    Examples
    --------
    >>> from bids_dtg.files.names import parse_name
    >>> names = [parse_name("sub-01_ses-01_task-rest_run-01_bold.nii.gz")]
    >>> values_that_fit({"session": "ses-01", "run": "1", "extension": "nii.gz"}, names)
    {'session': ['01'], 'extension': ['.nii.gz']}
    """
    keys = {entity: key for key, entity in PYBIDS_NAMES.items()}
    fitting = {}
    for entity, value in filters.items():
        key = keys[entity]
        labels = {str(getattr(name, key, None) or name.get(key) or "") for name in names}
        asked = {str(one) for one in (value if isinstance(value, list | tuple) else [value])}
        if entity in _WHOLE_NUMBERS:  # pybids compares numbers
            asked = {one for one in asked if not one.isdecimal()}
        alike = {_plain(key, one) for one in asked}
        if near := {label for label in labels if label and _plain(key, label) in alike} - asked:
            fitting[entity] = sorted(near)
    return fitting


def _plain(key: str, value: str) -> str:
    plain = value.casefold().removeprefix(f"{key}-").strip("._")
    return plain.lstrip("0") if plain.isdecimal() else plain


def open_index(root: Path, participant: str, sessions: Sequence[str] = ()) -> BIDSLayout:
    """Index the `func` folders of one participant (and session) with pybids.

    pybids walks the folder `sub-<participant>` only: in a dataset of 100,000
    even listing its root would take longer than the rest. Entities are read
    from file names alone, by patterns of our own: those of pybids search the
    whole path, so a folder `/data/task-motor/` above the dataset would decide
    the task of every file.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    participant
        Participant's label, without `sub-`.
    sessions
        Labels without `ses-`; all where empty.
    """
    from bids import BIDSLayout, BIDSLayoutIndexer

    folder = root / f"sub-{participant}"
    allowed = "|".join(map(re.escape, sessions)) if sessions else "[^/]+"
    linked = _checked_links(folder)
    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        # pybids would take a file of this name in the dataset for patterns.
        config_filename="\n",
        ignore=[
            re.compile(rf"^/(?!func(/|$)|ses-({allowed})(/|$))"),
            re.compile(r"^/ses-[^/]+/(?!func(/|$))"),
            re.compile(rf"/({OF_DRIVES.pattern})(/|$)"),
            *linked,
        ],
    )

    return BIDSLayout(
        folder,
        validate=False,
        is_derivative=True,
        config=[_config()],
        indexer=indexer,
    )


def _checked_links(folder: Path) -> list[re.Pattern[str]]:
    """Return patterns of linked folders that pybids must skip: it may follow them in circles.

    It also reads a description in a participant's folder, whatever that is: so it is read first.
    """
    try:
        read_json_object(folder / "dataset_description.json")
    except MissingFileError:
        pass
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    links = [path for path in functional_files(folder) if path.is_symlink() and path.is_dir()]
    return [re.compile(f"^/{re.escape(str(path.relative_to(folder)))}(/|$)") for path in links]


def _query_value(value: object) -> object:
    from bids.layout import Query

    if isinstance(value, list | tuple):
        return [_query_value(item) for item in value]
    words = {None: Query.NONE, "*": Query.ANY} | {str(query): query for query in Query}
    return words.get(value, value) if value is None or isinstance(value, str) else value


def _config() -> dict[str, Any]:
    """Write pybids' configuration with patterns that see the file name only."""
    entities = [
        {
            "name": name,
            "pattern": rf"(?:^|[_/\\]){key}-({r'[0-9]+' if number else r'[0-9A-Za-z+]+'})"
            + _FILE_NAME_END,
            "dtype": "int" if number else "str",
        }
        for key, name in PYBIDS_NAMES.items()
        if name not in {"datatype", "suffix", "extension"}
        for number in [name in _WHOLE_NUMBERS]
    ]
    return {
        "name": "bids_dtg",
        "entities": [
            *entities,
            {"name": "datatype", "pattern": r"[/\\]([a-z]+)[/\\][^/\\]*$"},
            {"name": "suffix", "pattern": r"(?:^|[_/\\])([0-9A-Za-z+]+)\.[^/\\]+$"},
            {"name": "extension", "pattern": r"[^./\\](\.[^/\\]+)$"},
        ],
    }


def read_filter_file(path: Path) -> dict[str, Any]:
    """Read the `bold` part of a BIDS filter file, with the entities' pybids names.

    Values stay as they are: null (no such entity), "*" (any value), a value or
    a list of these. What such files say of other images, as `t1w`, is not needed here.

    Raises
    ------
    SettingsError
        If the file cannot be read, is not `{"bold": {entity: value}}`, or has a key that is
        no kind of image or no entity: a filter that is not applied would let other runs in.
    """
    example = 'e.g. {"bold": {"acquisition": "mb"}}'
    try:
        content = read_json(path)
    except ForeignFileError as err:
        raise err.as_kind(
            SettingsError, "--bids-filter-file ", expected=f"JSON, {example}"
        ) from err
    bold = content.get("bold", {}) if isinstance(content, dict) else None
    if not isinstance(bold, dict):
        raise SettingsError(f"--bids-filter-file {path} has no filters", expected=example)
    _refuse_unknown(path, content, _SUITES, "")
    _refuse_unknown(path, bold, _KNOWN, "bold.")
    filters = {_KNOWN[key]: value for key, value in bold.items()}
    wrong = [key for key, value in filters.items() if not _is_filter_value(value)]
    if wrong:
        raise SettingsError(
            f"--bids-filter-file {path}: the value of {', '.join(wrong)} is no filter",
            expected='a text, a number, null, "*", or a list of these',
        )
    return filters


def _is_filter_value(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_filter_value(v) and not isinstance(v, list) for v in value)
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < _WHOLE_NUMBERS_END
    # pybids makes numbers of texts of digits, too.
    return value is None or (isinstance(value, str) and not _LARGE_NUMBER.fullmatch(value))


def _refuse_unknown(path: Path, keys: Iterable[str], known: Collection[str], above: str) -> None:
    unknown = next((key for key in keys if key not in known), None)
    if unknown is None:
        return
    near = difflib.get_close_matches(unknown.lower(), known, n=1)
    raise SettingsError(
        f"--bids-filter-file {path}: '{above}{unknown}' is not known",
        expected=f"'{above}{near[0]}'" if near else f"one of {', '.join(sorted(known))}",
    )
