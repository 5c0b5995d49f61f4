"""Files of measured contrast maps: what is known from their names, folders and sidecars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.foreign import read_text, read_toml
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.text import read_json
from bids_dtg.files.walk import files_below, matching
from bids_dtg.inputs.dataset import MOUNT_REMINDER, seen
from bids_dtg.inputs.selection import IMAGES, PARCEL_MAPS, PARCEL_SERIES, PARCELS
from bids_dtg.inputs.space_choice import SPACE
from bids_dtg.inputs.statmaps import STATISTICS, Level, StatFile, Statistic
from bids_dtg.inputs.studies import HCP, holds_study, person_folders

_OF_PARCELS = (*PARCEL_MAPS, *PARCEL_SERIES)
# What this program writes is not measured.
_OURS = re.compile(r"synthetic|halfwidth.*|connectome|group(Mean|Sd)")
# What FitLins calls the folder of a node of its model: node-runLevel, node-subjectLevel, ...
_NODE = re.compile("node-.*?(run|session|subject)", re.IGNORECASE)
_TEMPLATE = re.compile(r"tpl-([0-9A-Za-z]+)")
# Of patterns: a value in braces ends where a part of the path does.
_BRACES, _VALUE = re.compile(r"\{([a-z]+)\}"), r"[^/]+?"
_FIELDS = {"path", "statistic", "contrast", "contrasts", "space", "task"}
# Of the HCP pipelines: tfMRI_WM_hp200_s2_level2_MSMAll.feat, as TaskfMRILevel2.sh names it.
_HCP_ANALYSIS = re.compile(r"tfMRI_([A-Za-z0-9]+)_hp[0-9]+_s[0-9]+_level2\w*\.feat")
_HCP_STATS = {
    "StandardVolumeStats": (SPACE, ".nii.gz"),
    "ParcellatedStats": (PARCELS, ".ptseries.nii"),
}
_HCP_FILES: Mapping[Statistic, str] = {"z": "zstat1", "effect": "cope1"}


@dataclass(frozen=True)
class FoundFiles:
    """All files of a place."""

    files: tuple[StatFile, ...]
    predicted: int  # maps that this program predicted, which are not among the files


def find_statmap_files(place: Path) -> FoundFiles:
    """Find the files of everybody's measured maps.

    Parameters
    ----------
    place
        A folder with BIDS names (`*_contrast-X_stat-z_statmap.nii.gz`, as of FitLins or
        nilearn's `save_glm_to_bids`), a folder of HCP's folders of participants, or a TOML
        file of patterns (docs/reference/statmaps.md), whose paths begin in its own folder.

    Raises
    ------
    DatasetError
        If nothing measured is there, or a pattern cannot be read.
    """
    if not place.exists():
        raise DatasetError(
            f"--derivatives statmaps={place} does not exist",
            expected="a folder of statistic maps, or a TOML file of patterns",
            remedy=MOUNT_REMINDER,
        )
    expected = "*_contrast-X_stat-z_statmap.nii.gz, or a TOML file of patterns"
    if not place.is_dir():
        found = _by_patterns(place)
    elif holds_study(HCP, place):
        found = list(_in_hcp_folders(place))
        expected = "MNINonLinear/Results/tfMRI_*/tfMRI_*_level2*.feat with StandardVolumeStats"
    else:
        found = _by_names(place)
    measured = [file for file in found if not _is_ours(file.path)]
    predicted = len(found) - len(measured)
    if not measured:
        raise DatasetError(
            f"{place} has {predicted} maps that bids_dtg predicted, and none that was measured: "
            "these are predictions"
            if predicted
            else f"{place} has no statistic maps that are known by their names"
            + (f", but {seen(place)}" if place.is_dir() else ""),
            expected="maps of a task that people performed" if predicted else expected,
        )
    return FoundFiles(tuple(measured), predicted)


def _by_names(root: Path) -> list[StatFile]:
    """Read the BIDS names below a folder."""
    named = [(path, name) for path in files_below(root) if (name := _bids_name(path))]
    return [
        file
        for path, name in named
        if name.suffix == "statmap" and name.extension in (*IMAGES, *_OF_PARCELS)
        if (file := _file_of(name, path, root)) is not None
    ]


def _bids_name(path: Path) -> BidsName | None:
    try:
        return parse_name(path.name)
    except ValueError:
        return None


def _is_ours(path: Path) -> bool:
    name = _bids_name(path)
    return name is not None and bool(_OURS.fullmatch(name.get("desc") or ""))


def _file_of(name: BidsName, path: Path, root: Path) -> StatFile | None:
    participant, contrast = name.get("sub"), name.get("contrast")
    statistic = next((known for known in STATISTICS if known == name.get("stat")), None)
    if not participant or not contrast or statistic is None:
        return None
    # HCP's runs are named by direction.
    run = "-".join(value for key in ("dir", "run") if (value := name.get(key))) or None
    node = _NODE.match(next((p for p in path.relative_to(root).parts if p[:5] == "node-"), ""))
    space = PARCELS if name.extension in _OF_PARCELS else name.get("space")
    return StatFile(
        path=path,
        participant=participant,
        session=name.get("ses"),
        task=name.get("task"),
        run=run,
        contrast=contrast,
        statistic=statistic,
        space=space or _space_of_sidecars(name, path, root),
        level=_level(node[1].lower() if node else "", run, name.get("ses")),
    )


def _level(node: str, run: str | None, session: str | None) -> Level:
    """Return the level that a node's name tells, or the entities where it tells none."""
    if node == "run" or (not node and run is not None):
        return "run"
    return "session" if node == "session" or (not node and session is not None) else "subject"


def _space_of_sidecars(name: BidsName, path: Path, root: Path) -> str | None:
    """Return the template that a JSON file of a map, of its contrast or of all maps names."""
    stem = path.name.removesuffix(name.extension)
    of_contrast = re.sub(r"_stat-[0-9A-Za-z]+", "", stem)
    beside = (path.with_name(f"{own}.json") for own in (stem, of_contrast))
    for content in map(read_json, (*beside, root / "statmap.json")):
        for value in filter(None, map(content.get, ("SpatialReference", "Space"))):
            if match := _TEMPLATE.search(str(value)):
                return match[1]
            if str(value).isalnum() and value != "orig":
                return str(value)
    return None


def _in_hcp_folders(root: Path) -> Iterator[StatFile]:
    """Yield the maps of both runs (level 2) in folders of the HCP pipelines."""
    for person in person_folders(HCP, root):
        for folder in sorted((person.path / "MNINonLinear/Results").glob("tfMRI_*/tfMRI_*.feat")):
            match = _HCP_ANALYSIS.fullmatch(folder.name)
            stats = [stat for stat in _HCP_STATS if match and (folder / stat).is_dir()]
            contrasts = _hcp_contrasts(folder) if stats else []
            kinds = product(stats, enumerate(contrasts, 1), _HCP_FILES)
            for stat, (number, contrast), statistic in kinds:
                space, ending = _HCP_STATS[stat]
                name = f"{_HCP_FILES[statistic]}{ending}"
                path = folder / stat / f"cope{number}.feat" / name
                # A contrast without events has no files.
                if match and (path.exists() or path.is_symlink()):
                    yield StatFile(
                        path=path,
                        participant=person.participant,
                        session=person.session,
                        task=match[1],
                        run=None,
                        contrast=contrast,
                        statistic=statistic,
                        space=space,
                        level="subject",
                    )


def _hcp_contrasts(folder: Path) -> list[str]:
    """Return the labels of an analysis' contrasts; MATCH-REL of HCP is MATCHVsRELATION."""
    path = folder / "Contrasts.txt"
    try:
        lines = read_text(path).split()
    except ForeignFileError as err:
        raise err.as_kind(
            DatasetError,
            expected="the names of its contrasts, as the HCP pipelines write them",
            remedy=f"fetch {path}, or name the maps in a TOML file of patterns",
        ) from err
    return [
        "Vs".join("RELATION" if side == "REL" else side.replace("_", "") for side in sides)
        for sides in (name.split("-") for name in lines)
    ]


def _by_patterns(place: Path) -> list[StatFile]:
    try:
        content = read_toml(place)
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err
    tables = content.get("maps")
    are_tables = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if not are_tables or not tables or len(content) > 1:
        raise DatasetError(f"{place} has no list of patterns", expected="tables [[maps]], no other")
    found: list[StatFile] = []
    for table in tables:
        if wrong := _wrong_of(table):
            raise DatasetError(
                f"{place}: a pattern {wrong}",
                expected="path with {sub}, statistic (z, t or effect), {contrast} in path or "
                'contrast, and perhaps contrasts ({1 = "languageMath"}), space and task',
            )
        matched = list(_of_pattern(table, place.parent))
        if not matched:
            raise DatasetError(
                f"{place}: no file below {place.parent} fits the pattern {table['path']!r}",
                expected="paths and values of {contrast} as they are there",
            )
        found += matched
    return found


def _wrong_of(table: Mapping[str, Any]) -> str:
    """Return what is wrong with a pattern; empty: it can be used."""
    path, braces = table.get("path"), _BRACES.findall(str(table.get("path")))
    contrasts = table.get("contrasts", {})
    texts = [*contrasts.values()] if isinstance(contrasts, dict) else [contrasts]
    texts += [table.get(key, "") for key in ("path", "contrast", "space", "task")]
    if unknown := sorted(set(table) - _FIELDS):
        return f"has {', '.join(unknown)}"
    if others := [text for text in texts if not isinstance(text, str)]:
        return f"has {others[0]!r}, no text"
    if "sub" not in braces or Path(str(path)).is_absolute():
        return f"has the path {path!r}, without {{sub}} below the file's folder"
    if table.get("statistic") not in STATISTICS:
        return f"has the statistic {table.get('statistic')!r}"
    if ("contrast" in table) == ("contrast" in braces):
        return "names its contrast twice or not at all"
    twice = [key for key in ("space", "task") if key in table and key in braces]
    return f"names its {' and '.join(twice)} twice" if twice else ""


def _of_pattern(table: Mapping[str, Any], root: Path) -> Iterator[StatFile]:
    labels = table.get("contrasts", {})
    text, known = "", set()
    for number, part in enumerate(_BRACES.split(table["path"])):
        if number % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P={part})" if part in known else f"(?P<{part}>{_VALUE})"
            known.add(part)
    for path in matching(root, _BRACES.sub("*", table["path"])):
        match = re.fullmatch(text, path.relative_to(root).as_posix())
        values = {**table, **(match.groupdict() if match else {})}
        if match is None or (labels and values["contrast"] not in labels):
            continue
        run, session = values.get("run"), values.get("ses")
        yield StatFile(
            path=path,
            participant=re.sub("[^0-9A-Za-z]", "", values["sub"].removeprefix("sub-")),
            session=session,
            task=values.get("task"),
            run=run,
            contrast=labels.get(values["contrast"], values["contrast"]),
            statistic=table["statistic"],
            space=PARCELS if path.name.endswith(_OF_PARCELS) else values.get("space"),
            level=_level("", run, session),
        )
