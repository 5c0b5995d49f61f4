"""An output folder as a data frame: paths of its maps, or means of its regions."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.errors import DatasetError, SettingsError, did_you_mean
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.foreign import reading
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.inputs.atlases import KNOWN, atlas_key, entities_of
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.notices import with_formula

if TYPE_CHECKING:
    import pandas as pd

# Columns that identify the average of a row, by entity; missing where its name lacks the entity.
_OF_SET = {"participant": "sub", "session": "ses", "task": "task", "run": "run"}
_OF_MAP = {
    "contrast": "contrast",
    "desc": "desc",
    "stat": "stat",
    "space": "space",
    "res": "res",
}


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
        Label of a contrast, or several labels, in upper or lower case; None: all.
    atlas
        Name of an atlas whose table of regions was written, as given to ``--atlases`` or as in the
        names of the tables: ``"Schaefer400"``, ``"Schaefer2018_seg-7n_scale-400"``. None: load the
        paths of the maps.

    Returns
    -------
    pandas.DataFrame
        Without an atlas, one row per volume: participant, session, task, run, contrast, desc, stat,
        space, res, path. With an atlas, one row per contrast and region: participant, session,
        task, run, and the columns of the table: contrast, index, name, mean, coverage, voxels.
        Missing values are NaN.

    Raises
    ------
    DatasetError
        The folder does not exist, or lacks what was requested.
    SettingsError
        No map or table has the contrast or the atlas; the message names the nearest one.

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
        raise DatasetError(
            f"{root} is not a folder", expected="the OUTPUT_DIR of a run"
        )
    ending = (
        "contrast-*_statmap.nii.gz" if atlas is None else "desc-regions_statmap.tsv"
    )
    files = _named(root, ending)
    if not files:
        raise DatasetError(
            f"{root} has no {'maps of participants' if atlas is None else 'tables of regions'}",
            expected="OUTPUT_DIR of the participant level"
            + ", run with --atlases" * bool(atlas),
            remedy=f"run it again with --atlases {atlas}" if atlas else None,
        )
    if atlas is None:
        found = pd.DataFrame(
            {column: name.get(entity) for column, entity in (_OF_SET | _OF_MAP).items()}
            | {"path": str(path)}
            for path, name in files.items()
        )
    else:
        keys = {path: _key_of(name) for path, name in files.items()}
        wanted = _find_atlas(atlas, dict.fromkeys(keys.values()), root)
        parts = []
        for path, name in files.items():
            if keys[path] == wanted:
                table = _read_regions(path)
                of_set = {
                    column: name.get(entity) for column, entity in _OF_SET.items()
                }
                parts.append(table.assign(**of_set)[[*of_set, *table.columns]])
        found = pd.concat(parts, ignore_index=True)
    if contrast is None:
        return found
    asked = [contrast] if isinstance(contrast, str) else contrast
    there = dict.fromkeys(found["contrast"].unique(), "")
    chosen = chosen_contrasts(asked, there, lack=f"nothing in {root} has")
    return found[found["contrast"].isin(chosen)].reset_index(drop=True)


def _named(root: Path, ending: str) -> dict[Path, BidsName]:
    """Return the parsed names of all participants' files with an ending, in order."""
    found = {}
    for label in participants_in(root):
        person = root / f"sub-{label}"
        for path in sorted(
            (*person.glob(f"func/*_{ending}"), *person.glob(f"ses-*/func/*_{ending}"))
        ):
            with suppress(ValueError):  # copies made by hand, whose names are not BIDS
                found[path] = parse_name(path.name)
    return found


def _read_regions(path: Path) -> pd.DataFrame:
    import pandas as pd

    with reading(path, DatasetError):
        text = dict.fromkeys(("contrast", "name"), str)  # a region may be called NA
        table = pd.read_csv(
            path, sep="\t", dtype=text, keep_default_na=False, na_values=["n/a"]
        )
        table = table.astype(text)  # which refuses a table without these columns
        return table.assign(name=table["name"].map(with_formula))


def _key_of(name: BidsName) -> str:
    """Return the key of a file's atlas; desc- is ignored, as it does not name an atlas."""
    entities = entities_of({key: own for key, own in name.entities if key != "desc"})
    return atlas_key(entities) if entities else ""


def _find_atlas(atlas: str, keys: Collection[str], root: Path) -> str:
    """Find the key of an atlas from its name as in ``--atlases``, or from the key itself.

    Raises
    ------
    SettingsError
        No table has the atlas; the message names the nearest one.
    """
    names = {own.name: atlas_key(own.entities) for own in KNOWN.values()}
    names = {name: key for name, key in names.items() if key in keys} | {
        key: key for key in keys
    }
    by_plain = {_plain(name): key for name, key in names.items()}
    if (found := by_plain.get(_plain(atlas).removeprefix("atlas"))) is not None:
        return found
    raise SettingsError(
        f"{root} has no tables of an atlas {atlas!r}",
        expected=f"one of {', '.join(keys)}",
        remedy=did_you_mean(atlas, list(names)),
    )


def _plain(name: str) -> str:
    return re.sub("[^0-9a-z]", "", name.lower())
