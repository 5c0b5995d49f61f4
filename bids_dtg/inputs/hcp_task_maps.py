"""Task maps in folders of the HCP pipelines: of both runs by level 2, else of each by level 1.

The layout is that which TaskfMRILevel1.sh and TaskfMRILevel2.sh of HCPpipelines write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.foreign import read_text
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.inputs.space_choice import SPACE, SURFACE
from bids_dtg.inputs.statmaps import Level, Quantity, StatFile
from bids_dtg.inputs.studies import HCP, PersonFolder, person_folders

_RESULTS = Path("MNINonLinear/Results")
# tfMRI_WM_LR_hp200_s4_level1.feat, tfMRI_WM_hp200_s2_level2_MSMAll.feat
_ANALYSIS = re.compile(
    r"tfMRI_(?P<task>[A-Za-z0-9]+)(?:_(?P<run>[A-Za-z0-9]+))?"
    r"_(?P<filter>hp[0-9]+)_(?P<smoothing>s[0-9]+)_level(?P<level>[12])(?P<rest>\w*)\.feat"
)
_STATS = {
    "StandardVolumeStats": (SPACE, ".nii.gz"),
    "GrayordinatesStats": (SURFACE, ".dtseries.nii"),
    "ParcellatedStats": (PARCELS, ".ptseries.nii"),
}
_QUANTITIES: dict[str, Quantity] = {"zstat": "z", "cope": "effect", "varcope": "variance"}
_LEVELS: dict[str, Level] = {"1": "run", "2": "subject"}
_NAME = re.compile(r"/ContrastName([0-9]+)\s+(\S+)")
# HCP's short words in names of contrasts.
_SHORT = {"REL": "RELATION"}


def hcp_task_maps(root: Path) -> list[StatFile]:
    """List the files of task maps in folders of the HCP pipelines.

    Parameters
    ----------
    root
        Folder of the participants' folders, which have `MNINonLinear`.

    Raises
    ------
    DatasetError
        A table of contrasts' names is missing or cannot be read.
    """
    return [
        file
        for person in person_folders(HCP, root)
        for folder in sorted((person.path / _RESULTS).glob("tfMRI_*/tfMRI_*.feat"))
        if (match := _ANALYSIS.fullmatch(folder.name))
        for file in _files(person, folder, match, root)
    ]


def _files(
    person: PersonFolder, folder: Path, match: re.Match[str], root: Path
) -> Iterator[StatFile]:
    """Yield the maps of one analysis."""
    second = match["level"] == "2"
    stats = [name for name in _STATS if (folder / name).is_dir()]
    names = (_names_of_level_2(folder) if second else _names_of_level_1(folder)) if stats else {}
    others = {
        "filter": match["filter"],
        "smoothing": match["smoothing"],
        "registration": match["rest"].strip("_"),
    }
    for stat in stats:
        space, ending = _STATS[stat]
        for number, contrast in names.items():
            own = f"cope{number}.feat/{{}}1{ending}" if second else f"{{}}{number}{ending}"
            for prefix, quantity in _QUANTITIES.items():
                path = folder / stat / own.format(prefix)
                if not (path.exists() or path.is_symlink()):
                    continue  # a contrast without events has no files
                yield StatFile(
                    path=path,
                    participant=person.participant,
                    session=person.session,
                    task=match["task"],
                    run=None if second else match["run"],
                    contrast=contrast,
                    quantity=quantity,
                    space=space,
                    level=_LEVELS[match["level"]],
                    pattern=_pattern(path, root),
                    others=tuple(others.items()),
                )


def _names_of_level_1(folder: Path) -> dict[int, str]:
    """Return the contrasts' labels by their number, from the design of FEAT."""
    text = _text(folder / "design.con")
    return {int(number): _label(name) for number, name in _NAME.findall(text)}


def _names_of_level_2(folder: Path) -> dict[int, str]:
    """Return the contrasts' labels by their number, one a line."""
    lines = _text(folder / "Contrasts.txt").split()
    return {number: _label(name) for number, name in enumerate(lines, 1)}


def _text(path: Path) -> str:
    if not path.is_file():
        raise DatasetError(
            f"{path.parent} has no {path.name}, which names its contrasts",
            expected=f"{path.name}, as the HCP pipelines write it",
            remedy=f"fetch {path}, or name the maps in a TOML file of patterns",
        )
    try:
        return read_text(path)
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err


def _label(name: str) -> str:
    """Return the label of one of HCP's contrasts.

    Examples
    --------
    >>> _label("MATCH-REL"), _label("2BK_BODY")
    ('MATCHVsRELATION', '2BKBODY')
    """
    sides = [_SHORT.get(side, side).replace("_", "") for side in name.split("-")]
    return "Vs".join(sides)


def _pattern(path: Path, root: Path) -> str:
    """Return how such files are named, with * for the person, the direction and the number."""
    inside = path.relative_to(root).as_posix().partition("/")[2]
    inside = re.sub(r"_(LR|RL|AP|PA)(?=[_/])", "_*", inside)
    return "*/" + re.sub(r"(cope|zstat)[0-9]+(?=\.)", r"\1*", inside)
