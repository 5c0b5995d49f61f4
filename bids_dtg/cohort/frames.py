"""An output folder as a data frame: paths of its maps, or means of its regions."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from bids_dtg.cohort.region_tables import atlas_of
from bids_dtg.errors import DatasetError, SettingsError, did_you_mean
from bids_dtg.files.derivatives import (
    DerivativeDataset,
    files_of_participant,
    participants_in,
)
from bids_dtg.files.foreign import reading
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.regions import ASYMMETRY
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.surfaces.cifti import read_parcel_maps
from bids_dtg.inputs.atlases import KNOWN, atlas_key
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.notices import with_formula
from bids_dtg.report.contents import DETAILS, RESAMPLED, combination, title_of
from bids_dtg.settings import Combine

if TYPE_CHECKING:
    import pandas as pd

Content = TypeVar("Content")

# Columns that identify the average of a row, by entity; missing where its name lacks the entity.
_SET = {"participant": "sub", "session": "ses", "task": "task", "run": "run"}
_MAP = {
    "contrast": "contrast",
    "desc": "desc",
    "stat": "stat",
    "space": "space",
    "res": "res",
}

# Value of desc- of tables of models of parcels.
_PARCELS = "parcels"
# How names of files of maps end, and of tables of regions.
_MAPS = ("contrast-*_statmap.nii.gz", "desc-synthetic_statmap.pscalar.nii")
_TABLES = ("desc-regions_statmap.tsv", f"desc-{_PARCELS}_statmap.tsv")
_SIDES = (f"desc-{ASYMMETRY.desc}_statmap.tsv",)


def load_maps(
    folder: str | Path,
    *,
    contrast: str | Sequence[str] | None = None,
    atlas: str | None = None,
    combine: Combine | None = None,
    kind: Literal["maps", "asymmetry"] = "maps",
    space: str | None = None,
) -> pd.DataFrame:
    """Load the content of an output folder, for all participants.

    Parameters
    ----------
    folder
        OUTPUT_DIR of the participant level.
    contrast
        Label of a contrast, or several labels, in upper or lower case; None: all.
    atlas
        Name of an atlas whose table of regions was written, as given to ``--atlases`` or as in the
        names of the tables: ``"Schaefer400"``, ``"Schaefer2018_seg-7n_scale-400"``. None: load the
        paths of the maps. ``"parcels"`` for the tables of a model of parcels.
    combine
        Value of ``--combine`` with which maps were made, where the folder has several kinds, which
        share runs.
    kind
        ``"asymmetry"`` loads the tables of left minus right of a model of parcels.
    space
        Space of the maps, as in their names, such as ``"MNI152NLin6Asym"``; None: the space that
        the model predicts in, whose maps those in other spaces are copies of.

    Returns
    -------
    pandas.DataFrame
        Without an atlas, one row per volume, or per contrast of a file of parcels: participant,
        session, task, run, contrast, desc, stat, space, res, path. With an atlas, one row per
        contrast and region: participant, session, task, run, and the columns of the table:
        contrast, index, name, mean, coverage, voxels (or vertices); of a model of parcels contrast,
        name, predicted, group, difference, half_width; of left minus right pair in place of name.
        Missing values are NaN.

    Raises
    ------
    DatasetError
        The folder does not exist, lacks what was requested, or has maps of several ``--combine``.
    SettingsError
        No map or table has the contrast, the atlas or the space; the message names the nearest one.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp(), "sub-01", "func")
    >>> folder.mkdir(parents=True)
    >>> name = "sub-01_task-rest_space-MNI152NLin6Asym_res-2_contrast-languageMath_stat-z"
    >>> _ = (folder / f"{name}_desc-synthetic_statmap.nii.gz").write_bytes(b"")
    >>> load_maps(folder.parents[1])[["participant", "contrast", "desc"]].values.tolist()
    [['01', 'languageMath', 'synthetic']]
    """
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise DatasetError(
            f"{root} is not a folder", expected="the OUTPUT_DIR of a run"
        )
    is_asymmetry = kind == ASYMMETRY.desc
    if not (is_asymmetry or kind == "maps") or (is_asymmetry and atlas):
        raise SettingsError(
            f"kind={kind!r} was given" + f" with atlas={atlas!r}" * bool(atlas),
            expected='"maps", or "asymmetry" without an atlas',
        )
    if is_asymmetry:
        table = _table_of_sides(root, combine)
    elif atlas is None:
        table = _table_of_maps(root, combine, space)
    else:
        table = _table_of_regions(root, atlas, combine)
    if contrast is None:
        return table
    names = [contrast] if isinstance(contrast, str) else contrast
    labels = dict.fromkeys(table["contrast"].unique(), "")
    chosen = chosen_contrasts(names, labels, lack=f"nothing in {root} has")
    return table[table["contrast"].isin(chosen)].reset_index(drop=True)


def _table_of_maps(
    root: Path, combine: Combine | None, space: str | None
) -> pd.DataFrame:
    """Return a row for each map of a space, with its path."""
    import pandas as pd

    files = _in_space(root, _named(root, _MAPS, combine), space)
    if not files:
        raise DatasetError(
            f"{root} has no maps of participants",
            expected="OUTPUT_DIR of the participant level",
        )
    rows = []
    for path, contrasts in _readable(files, _contrasts_of).items():
        entities = _entities(files[path], _SET | _MAP)
        for contrast in contrasts:
            rows.append({**entities, "contrast": contrast, "path": str(path)})
    return pd.DataFrame(_in_model_order(rows))


def _in_model_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the maps of each set by the model's order of contrasts, which its sidecar has."""

    def set_of(row: Mapping[str, Any]) -> tuple[object, ...]:
        return tuple(
            row[column] for column in row if column not in ("contrast", "path")
        )

    ordered = []
    position: dict[str | None, int] = {}  # of contrasts; most people have one model's
    for _, maps in groupby(rows, key=set_of):
        rows_of_set = list(maps)
        if any(row["contrast"] not in position for row in rows_of_set):
            details = read_inherited(Path(rows_of_set[0]["path"])).get(DETAILS, {})
            position = {label: number for number, label in enumerate(details)}
        last = len(position)
        ordered += sorted(
            rows_of_set, key=lambda row: position.get(row["contrast"], last)
        )
    return ordered


def _table_of_regions(root: Path, atlas: str, combine: Combine | None) -> pd.DataFrame:
    """Return the tables of regions of an atlas, with a column for each entity of the set."""
    files = _named(root, _TABLES, combine)
    if not files:
        raise DatasetError(
            f"{root} has no tables of regions",
            expected="OUTPUT_DIR of the participant level, run with --atlases",
            remedy=f"run it again with --atlases {atlas}",
        )
    keys = {path: _key_of(name) for path, name in files.items()}
    key = _find_atlas(atlas, dict.fromkeys(keys.values()), root)
    return _joined({path: name for path, name in files.items() if keys[path] == key})


def _table_of_sides(root: Path, combine: Combine | None) -> pd.DataFrame:
    """Return the tables of left minus right, with a column for each entity of the set."""
    files = _named(root, _SIDES, combine)
    if not files:
        raise DatasetError(
            f"{root} has no tables of left minus right",
            expected="OUTPUT_DIR of a model of parcels named L_… and R_…, such as hcp-glasser",
        )
    return _joined(files)


def _joined(files: Mapping[Path, BidsName]) -> pd.DataFrame:
    """Return tables of participants as one, with a column for each entity of the set."""
    import pandas as pd

    tables = []
    for path, table in _readable(files, _read_regions).items():
        entities = _entities(files[path], _SET)
        tables.append(table.assign(**entities)[[*entities, *table.columns]])
    return pd.concat(tables, ignore_index=True)


def _entities(name: BidsName, columns: Mapping[str, str]) -> dict[str, str | None]:
    """Return the labels of a name's entities by column; None where it lacks the entity."""
    return {column: name.get(entity) for column, entity in columns.items()}


def _readable(
    paths: Iterable[Path], read_content: Callable[[Path], Content]
) -> dict[Path, Content]:
    """Read files, and warn of those that cannot be read, whose rows are left out.

    Raises
    ------
    DatasetError
        None can be read.
    """
    contents: dict[Path, Content] = {}
    damaged: list[DatasetError] = []
    for path in paths:
        try:
            contents[path] = read_content(path)
        except DatasetError as err:
            damaged.append(err)
    if damaged and not contents:
        raise damaged[0]
    for error in damaged:
        warnings.warn(f"its rows are left out: {error}", stacklevel=4)
    return contents


def _named(
    root: Path, endings: Sequence[str], combine: Combine | None
) -> dict[Path, BidsName]:
    """Return the parsed names of all participants' files with an ending, in order."""
    names: dict[Path, BidsName] = {}
    for ending in endings:
        for label in participants_in(root):
            for path in files_of_participant(root, label, f"*_{ending}"):
                with suppress(ValueError):  # copies made by hand, with other names
                    names[path] = parse_name(path.name)
    return _with_same_combine(root, names, combine)


def _in_space(
    root: Path, files: Mapping[Path, BidsName], space: str | None
) -> dict[Path, BidsName]:
    """Return the files of a space, or those that are not copies of others.

    Raises
    ------
    SettingsError
        There is no file of the space.
    """
    if space is not None:
        in_space = {
            path: name for path, name in files.items() if name.get("space") == space
        }
        spaces = sorted({name.get("space") or "" for name in files.values()} - {""})
        if files and not in_space:
            raise SettingsError(
                f"{root} has no maps in {space!r}",
                expected=f"one of {', '.join(spaces)}",
                remedy=did_you_mean(space, spaces),
            )
        return in_space
    # Maps of a person in one space share their sidecar.
    by_space: dict[tuple[object, ...], list[Path]] = {}
    for path, name in files.items():
        shared = [item for item in name.entities if item[0] != "contrast"]
        by_space.setdefault((path.parent, name.extension, *shared), []).append(path)
    return {
        path: files[path]
        for paths in by_space.values()
        if RESAMPLED not in read_inherited(paths[0])
        for path in paths
    }


def _contrasts_of(path: Path) -> Sequence[str | None]:
    """Return the contrasts of a file: that of its name, or all that a file of parcels names."""
    name = parse_name(path.name)
    if name.extension != ".pscalar.nii":
        return [name.get("contrast")]
    with reading(path, DatasetError):
        _, contrasts, _ = read_parcel_maps(path)
    return contrasts


def _with_same_combine(
    root: Path, files: Mapping[Path, BidsName], combine: Combine | None
) -> dict[Path, BidsName]:
    """Return the files of averages of a single ``--combine``; those without a record fit to any.

    Raises
    ------
    DatasetError
        There are several, and none was chosen, or none of the chosen one.
    """
    output = DerivativeDataset(root)

    @cache  # an average has many maps
    def kind_of(title: str) -> str | None:
        return combination(completion_record(output, title))

    kinds = {path: kind_of(title_of(name)) for path, name in files.items()}
    stated = sorted({kind for kind in kinds.values() if kind is not None})
    chosen = [combine] if combine else stated
    if len(chosen) > 1 or (stated and chosen[0] not in stated):
        raise DatasetError(
            f"{root} has maps of --combine {' and '.join(stated)}",
            expected=f"combine= one of {', '.join(stated)}, as they share runs",
        )
    return {
        path: name for path, name in files.items() if kinds[path] in (None, *chosen)
    }


def _read_regions(path: Path) -> pd.DataFrame:
    import pandas as pd

    with reading(path, DatasetError):
        # A region may be called NA.
        name = "pair" if path.name.endswith(_SIDES) else "name"
        text = dict.fromkeys(("contrast", name), str)
        table = pd.read_csv(
            path, sep="\t", dtype=text, keep_default_na=False, na_values=["n/a"]
        )
        table = table.astype(text)  # which refuses a table without these columns
        return table.assign(**{name: table[name].map(with_formula)})


def _key_of(name: BidsName) -> str:
    """Return the key of a table's atlas; that of a model's parcels is `parcels`."""
    return _PARCELS if name.get("desc") == _PARCELS else atlas_of(name)


def _find_atlas(atlas: str, keys: Collection[str], root: Path) -> str:
    """Find the key of an atlas from its name as in ``--atlases``, or from the key itself.

    Raises
    ------
    SettingsError
        No table has the atlas; the message names the nearest one.
    """
    names = {}
    for name, known_atlas in KNOWN.items():
        key = atlas_key(known_atlas.entities)
        if key in keys:
            names[name] = key
    names |= {key: key for key in keys}
    by_plain = {_plain(name): key for name, key in names.items()}
    plain = _plain(atlas).removeprefix("atlas")
    if plain in by_plain:
        return by_plain[plain]
    raise SettingsError(
        f"{root} has no tables of an atlas {atlas!r}",
        expected=f"one of {', '.join(keys)}",
        remedy=did_you_mean(atlas, list(names)),
    )


def _plain(name: str) -> str:
    return re.sub("[^0-9a-z]", "", name.lower())
