"""Files of measured contrast maps: what is known from their names, folders and sidecars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.foreign import read_toml
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.text import read_json
from bids_dtg.files.walk import files_below, matching
from bids_dtg.inputs.dataset import MOUNT_REMINDER, seen
from bids_dtg.inputs.hcp_task_maps import hcp_task_maps
from bids_dtg.inputs.selection import PARCEL_MAPS, PARCEL_SERIES, PARCELS
from bids_dtg.inputs.space_choice import SURFACE
from bids_dtg.inputs.statmaps import QUANTITIES, Level, Quantity, StatFile
from bids_dtg.inputs.studies import HCP, holds_study

_IMAGES = (".nii.gz", ".nii", ".func.gii", ".shape.gii")
# Of these, those whose values lie at vertices of fsLR's mesh, if no other is named.
_AT_VERTICES = (".dscalar.nii", ".dtseries.nii", ".gii")
_RIGHT = re.compile("_hemi-R(?=[_.])")
# What this program writes is not measured.
_OURS = re.compile(r"synthetic|halfwidth.*|connectome|group(Mean|Sd)")
_BRACES = re.compile(r"\{([a-z]+)\}")
# A value in braces ends where a part of the path does.
_VALUE = r"[^/]+?"
_FIELDS = {"path", "statistic", "contrast", "contrasts", "space", "task"}
# What FitLins calls the folder of a node of its model: node-runLevel, node-subjectLevel, ...
_NODE = "node-"
_NODE_LEVELS: tuple[tuple[str, Level], ...] = (
    ("run", "run"),
    ("session", "session"),
    ("subject", "subject"),
    ("participant", "subject"),
)
# Entities that differ between the maps of a person, or that do not distinguish maps.
_KNOWN_ENTITIES = {"sub", "ses", "task", "run", "dir", "contrast", "stat", "space", "hemi"}
_TEMPLATE = re.compile(r"tpl-([0-9A-Za-z]+)")


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
    if place.suffix == ".toml" and place.is_file():
        found, predicted = _by_patterns(place)
    elif place.is_dir() and holds_study(HCP, place):
        found, predicted = hcp_task_maps(place), 0
        if not found:
            raise DatasetError(
                f"{place} has HCP folders, and none with an analysed task",
                expected="MNINonLinear/Results/tfMRI_*/tfMRI_*_level2*.feat or _level1*.feat with "
                "StandardVolumeStats or GrayordinatesStats",
            )
    elif place.is_dir():
        found, predicted = _by_names(place)
    else:
        raise DatasetError(
            f"--derivatives statmaps={place} does not exist",
            expected="a folder of statistic maps, or a TOML file of patterns",
            remedy=MOUNT_REMINDER,
        )
    if not found and predicted:
        raise DatasetError(
            f"{place} has {predicted} maps that bids_dtg predicted, and none that was measured: "
            "these are predictions",
            expected="maps of a task that people performed",
        )
    if not found:
        raise DatasetError(
            f"{place} has no statistic maps that are known by their names"
            + (f", but {seen(place)}" if place.is_dir() else ""),
            expected="*_contrast-X_stat-z_statmap.nii.gz, or a TOML file of patterns",
        )
    return FoundFiles(tuple(found), predicted)


def _by_names(root: Path) -> tuple[list[StatFile], int]:
    """Read the BIDS names below a folder; return the measured maps, and how many are ours."""
    found, predicted = [], 0
    for path in _images(root):
        name = _bids_name(path)
        if name is None or name.suffix != "statmap":
            continue
        if _is_ours(name):
            predicted += 1
        elif (file := _file_of(name, path, root)) is not None:
            found.append(file)
    return found, predicted


def _by_patterns(place: Path) -> tuple[list[StatFile], int]:
    found, predicted = [], 0
    for pattern in _read_patterns(place):
        matched = list(pattern.find(place.parent))
        if not matched:
            raise DatasetError(
                f"{place}: no file below {place.parent} fits the pattern {pattern.path!r}",
                expected="paths and values of {contrast} as they are there",
            )
        for file in matched:
            name = _bids_name(file.path)
            if name is not None and _is_ours(name):
                predicted += 1
            else:
                found.append(file)
    return found, predicted


def _bids_name(path: Path) -> BidsName | None:
    try:
        return parse_name(path.name)
    except ValueError:
        return None


def _is_ours(name: BidsName) -> bool:
    return bool(_OURS.fullmatch(name.get("desc") or ""))


def _file_of(name: BidsName, path: Path, root: Path) -> StatFile | None:
    participant, contrast, quantity = name.get("sub"), name.get("contrast"), name.get("stat")
    if not participant or not contrast or quantity not in QUANTITIES:
        return None
    run, session = _run_label(name), name.get("ses")
    inside = path.relative_to(root)
    node = next((part for part in inside.parts if part.startswith(_NODE)), "")
    return StatFile(
        path=path,
        participant=participant,
        session=session,
        task=name.get("task"),
        run=run,
        contrast=contrast,
        quantity=quantity,
        space=_parcels_of(path)
        or name.get("space")
        or _space_of_sidecars(name, path, root)
        or _mesh_of(path),
        level=_level(node.removeprefix(_NODE) or name.get("level") or "", run, session),
        pattern=re.sub(
            r"(?<![0-9A-Za-z])(sub|run|contrast)-[0-9A-Za-z+]+", r"\1-*", inside.as_posix()
        ),
        others=tuple((key, value) for key, value in name.entities if key not in _KNOWN_ENTITIES),
    )


def _run_label(name: BidsName) -> str | None:
    """Return the entities that identify runs of one task: HCP's runs are named by direction."""
    parts = [value for key in ("dir", "run") if (value := name.get(key))]
    return "-".join(parts) or None


def _level(node: str, run: str | None, session: str | None) -> Level:
    """Return the level that a node's name tells, or the entities where it tells none."""
    for word, level in _NODE_LEVELS:
        if word in node.lower():
            return level
    if run is not None:
        return "run"
    return "session" if session is not None else "subject"


def _space_of_sidecars(name: BidsName, path: Path, root: Path) -> str | None:
    """Return the template that a JSON file of a map, of its contrast or of all maps names."""
    stem = path.name.removesuffix(name.extension)
    own = path.with_name(f"{stem}.json")
    of_contrast = path.with_name(re.sub(r"_stat-[0-9A-Za-z]+", "", stem) + ".json")
    for sidecar in dict.fromkeys((own, of_contrast, root / "statmap.json")):
        content = read_json(sidecar)
        for key in ("SpatialReference", "Space"):
            value = content.get(key)
            if isinstance(value, str) and (match := _TEMPLATE.search(value)):
                return match.group(1)
            if isinstance(value, str) and re.fullmatch("[0-9A-Za-z]+", value) and value != "orig":
                return value
    return None


def _parcels_of(path: Path) -> str | None:
    return PARCELS if path.name.endswith((*PARCEL_SERIES, *PARCEL_MAPS)) else None


def _mesh_of(path: Path) -> str | None:
    return SURFACE if path.name.endswith(_AT_VERTICES) else None


def _images(root: Path) -> Iterator[Path]:
    """Yield images in a steady order; of two sides the left."""
    try:
        for path in files_below(root):
            left = path.with_name(_RIGHT.sub("_hemi-L", path.name))
            is_second = left != path and left.exists()
            if path.name.endswith(_IMAGES) and not is_second:
                yield path
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err


@dataclass(frozen=True)
class _Pattern:
    """Paths with braces, and what they hold."""

    source: Path  # the TOML file
    path: str  # below its folder, e.g. {sub}/cope{contrast}.feat/stats/zstat1.nii.gz
    quantity: Quantity  # of all these maps
    contrast: str | None  # label where the path has no {contrast}
    contrasts: Mapping[str, str]  # value of {contrast} in the path -> label
    space: str | None  # of all these maps; None: not stated
    task: str | None  # likewise, where the path has no {task}

    def find(self, root: Path) -> Iterator[StatFile]:
        expression = re.compile(self._expression())
        for path in matching(root, _BRACES.sub("*", self.path)):
            match = expression.fullmatch(path.relative_to(root).as_posix())
            if match is None:
                continue
            values = match.groupdict()
            label = values.get("contrast")
            contrast = self.contrast if label is None else self.contrasts.get(label, label)
            if self.contrasts and label is not None and label not in self.contrasts:
                continue
            assert contrast is not None  # one of both is there, as was checked
            run, session = values.get("run"), values.get("ses")
            yield StatFile(
                path=path,
                participant=re.sub("[^0-9A-Za-z]", "", values["sub"].removeprefix("sub-")),
                session=session,
                task=values.get("task") or self.task,
                run=run,
                contrast=contrast,
                quantity=self.quantity,
                space=_parcels_of(path) or values.get("space") or self.space or _mesh_of(path),
                level=_level("", run, session),
                pattern=self.path,
            )

    def _expression(self) -> str:
        text, known = "", set()
        for number, part in enumerate(_BRACES.split(self.path)):
            if number % 2 == 0:
                text += re.escape(part)
            elif part in known:
                text += f"(?P={part})"
            else:
                known.add(part)
                text += f"(?P<{part}>{_VALUE})"
        return text


def _read_patterns(path: Path) -> tuple[_Pattern, ...]:
    try:
        content = read_toml(path)
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err
    tables = content.get("maps")
    if not isinstance(tables, list) or not tables or len(content) > 1:
        raise DatasetError(f"{path} has no list of patterns", expected="tables [[maps]], no other")
    return tuple(_pattern(path, table) for table in tables)


def _pattern(source: Path, table: Mapping[str, Any]) -> _Pattern:
    def wrong(found: str, expected: str) -> DatasetError:
        return DatasetError(f"{source}: a pattern {found}", expected=expected)

    if unknown := sorted(set(table) - _FIELDS):
        raise wrong(f"has {', '.join(unknown)}", f"only {', '.join(sorted(_FIELDS))}")
    path = table.get("path")
    braces = _BRACES.findall(path) if isinstance(path, str) else []
    if not isinstance(path, str) or "sub" not in braces or Path(path).is_absolute():
        raise wrong(f"has the path {path!r}", "a path below the file's folder, with {sub} in it")
    quantity = table.get("statistic")
    if quantity not in QUANTITIES:
        raise wrong(f"has the statistic {quantity!r}", f"one of {', '.join(QUANTITIES)}")
    contrast, contrasts = table.get("contrast"), table.get("contrasts", {})
    if (contrast is None) == ("contrast" not in braces):
        raise wrong("names its contrast twice or not at all", "{contrast} in path, or contrast")
    if not isinstance(contrasts, dict) or not all(isinstance(v, str) for v in contrasts.values()):
        raise wrong(f"has the contrasts {contrasts!r}", 'e.g. {"1" = "languageMath"}')
    stated = {}
    for key in ("space", "task"):
        stated[key] = table.get(key)
        if stated[key] is not None and (not isinstance(stated[key], str) or key in braces):
            raise wrong(f"has the {key} {stated[key]!r}", f"text, in path or in {key}")
    return _Pattern(source, path, cast("Quantity", quantity), contrast, contrasts, **stated)
