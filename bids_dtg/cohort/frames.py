"""An output folder as a data frame: its maps as files, or the means of its regions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.errors import DatasetError, ForeignFileError, SettingsError
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.foreign import parse_table, read_bytes
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.inputs.statmaps import nearest_contrast, plain_contrast

if TYPE_CHECKING:
    import pandas as pd

# Columns that identify the average of a row; n/a if its names have no such entity.
_OF_SET = {"participant": "sub", "session": "ses", "task": "task", "run": "run"}
_OF_MAP = {"contrast": "contrast", "desc": "desc", "stat": "stat", "space": "space", "res": "res"}
_ATLAS = ("atlas", "seg", "scale")
_REGIONS = "regions"
_TEXT = ["contrast", "name"]  # columns of tables of regions that hold no numbers
_TABLE = "a table of regions as the program writes it"
_AGAIN = "remove it and call the participant level again"


def load_maps(
    folder: str | Path,
    *,
    contrast: str | Sequence[str] | None = None,
    atlas: str | None = None,
) -> pd.DataFrame:
    """Load the content of an output folder, for all participants.

    Parameters
    ----------
    folder
        OUTPUT_DIR of the participant level.
    contrast
        Label of a contrast, or several, in any case; None: all.
    atlas
        Name of an atlas whose table of regions was written, as ``--atlases`` takes it or as the
        names of the tables have it: ``"Schaefer400"``, ``"Schaefer2018_seg-7n_scale-400"``. None:
        the maps themselves.

    Returns
    -------
    pandas.DataFrame
        Without an atlas a row an image on a grid: participant, session, task, run, contrast, desc,
        stat, space, res, path. With one a row a contrast and region: participant, session, task,
        run, and the columns of the table as they are: contrast, index, name, mean, coverage,
        voxels. Missing values are NaN.

    Raises
    ------
    DatasetError
        There is no such folder, or nothing in it that was requested.
    SettingsError
        No map or table is of the contrast or the atlas; the message names the nearest one.

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
    import pandas as pd

    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder", expected="OUTPUT_DIR of a call")
    files = list(_named(root))
    if atlas is None:
        columns = {**_OF_SET, **_OF_MAP}
        rows = [
            [*(name.get(entity) for entity in columns.values()), str(path)]
            for path, name in files
            if name.extension == ".nii.gz" and name.get("contrast") is not None
        ]
        if not rows:
            raise DatasetError(
                f"{root} has no maps of participants",
                expected="OUTPUT_DIR of the participant level",
            )
        found = pd.DataFrame(rows, columns=[*columns, "path"])
    else:
        tables = [
            (path, name)
            for path, name in files
            if (name.extension, name.get("desc")) == (".tsv", _REGIONS)
        ]
        if not tables:
            raise DatasetError(
                f"{root} has no tables of regions",
                expected="OUTPUT_DIR of the participant level, called with an atlas",
                remedy=f"--atlases {atlas}",
            )
        key = find_atlas_key(atlas, dict.fromkeys(atlas_key(name) for _, name in tables), root)
        parts = [
            pd.DataFrame({own: name.get(entity) for own, entity in _OF_SET.items()}, [0]).merge(
                read_regions(path), how="cross"
            )
            for path, name in tables
            if atlas_key(name) == key
        ]
        found = pd.concat(parts, ignore_index=True)
    if contrast is None:
        return found
    labels = list(found["contrast"].unique())
    by_plain = {plain_contrast(label): label for label in labels}
    kept = []
    for label in [contrast] if isinstance(contrast, str) else contrast:
        if not isinstance(label, str):
            raise TypeError(f"a contrast is {label!r}. Expected: labels, as texts")
        if plain_contrast(label) not in by_plain:
            near = nearest_contrast(label, labels)
            raise SettingsError(
                f"{root} has nothing of a contrast {label!r}",
                expected=f"one of {len(labels)}, e.g. {labels[0]}",
                remedy=f"did you mean {near}?" if near else None,
            )
        kept.append(by_plain[plain_contrast(label)])
    return found[found["contrast"].isin(kept)].reset_index(drop=True)


def _named(root: Path) -> Iterator[tuple[Path, BidsName]]:
    """List the statistic maps and tables of all participants, in the order of their names."""
    for label in participants_in(root):
        person = root / f"sub-{label}"
        for path in sorted(
            (*person.glob("func/*_statmap.*"), *person.glob("ses-*/func/*_statmap.*"))
        ):
            with suppress(ValueError):  # copies made by hand
                yield path, parse_name(path.name)


def read_regions(path: Path, columns: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of regions, or some of its columns: numbers where they are, else text.

    Raises
    ------
    DatasetError
        It is no such table.
    """
    import pandas as pd

    try:
        wanted = parse_table(
            read_bytes(path), path, wanted=lambda name: not columns or name in columns
        )
        table = pd.DataFrame(wanted.rows, columns=list(wanted.header), dtype=object)
        if missing := [name for name in ("contrast", "index", "name") if name not in table]:
            raise ValueError(f"it has no column {missing[0]}")
        for column in table.columns.difference(_TEXT):
            values = table[column]
            table[column] = pd.to_numeric(values.where(~values.isin(["n/a", "nan"])))
    except (ForeignFileError, ValueError) as err:
        raise DatasetError(f"{path} cannot be read: {err}", expected=_TABLE, remedy=_AGAIN) from err
    return table


def region_tables(title: str, folder: Path) -> tuple[Path, ...]:
    """Return the tables of regions of an average of maps, in the order of their names."""
    pattern = f"{title}_space-*_desc-{_REGIONS}_statmap.tsv"
    return tuple(sorted(folder.glob(pattern)))


def atlas_key(name: BidsName) -> str:
    """Return the part of a table's name for its atlas, e.g. ``Schaefer2018_seg-7n_scale-400``."""
    pairs = [f"{entity}-{label}" for entity in _ATLAS if (label := name.get(entity)) is not None]
    return "_".join(pairs).removeprefix("atlas-")


def find_atlas_key(atlas: str, keys: Collection[str], root: Path) -> str:
    """Find the tables' atlas by one of its names.

    Parameters
    ----------
    atlas
        Its name or file in ``--atlases``, or its name in the names of the tables.
    keys
        `atlas_key` of the existing tables.
    root
        The output folder, for error messages.

    Raises
    ------
    SettingsError
        No table is of it, or tables of several are; the message names the nearest one.
    """
    if atlas.endswith((".nii", ".nii.gz")):
        atlas = atlas_key(parse_name(Path(atlas).name)) or atlas
    called: dict[str, tuple[str, ...]] = {
        key: (_plain(key), _plain(f"atlas-{key}")) for key in keys
    }
    found = [key for key, names in called.items() if _plain(atlas) in names]
    if not found:
        called = {key: _short_names(key) for key in keys}
        found = [key for key, names in called.items() if _plain(atlas) in names]
    if len(found) == 1:
        return found[0]
    short = {name: key for key, names in called.items() for name in names}
    near = difflib.get_close_matches(_plain(atlas), short, 1, 0.5)
    raise SettingsError(
        f"{root} has tables of {len(found)} atlases {atlas!r}"
        if found
        else f"{root} has no tables of an atlas {atlas!r}",
        expected=f"one of {', '.join(found or keys)}",
        remedy=f"did you mean {short[near[0]]}?" if near and not found else None,
    )


def _short_names(key: str) -> tuple[str, ...]:
    """Return other names of an atlas: its label, and its label and size without the year."""
    label, *others = key.split("_")
    size = "".join(pair.partition("-")[2] for pair in others if pair.startswith("scale-"))
    return _plain(label), _plain(re.sub(r"\d{4}$", "", label) + size), _plain(label + size)


def _plain(name: str) -> str:
    return re.sub("[^0-9a-z]", "", name.lower())
