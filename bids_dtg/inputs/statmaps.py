"""Measured contrast maps of participants: finding them by name, and choosing one per contrast."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal

from bids_dtg.errors import DatasetError, ForeignFileError, SettingsError, did_you_mean
from bids_dtg.files.foreign import files_below, matching, read_text, read_toml, reading
from bids_dtg.files.names import parse_name, plain_label
from bids_dtg.files.paths import named_paths
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.inputs.anatomy import SURFACE_TEMPLATES
from bids_dtg.inputs.dataset import MOUNT_REMINDER, only_path, seen
from bids_dtg.inputs.run import (
    IMAGES,
    PARCEL_MAPS,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
    natural_order,
    stated_space,
    template_name,
)
from bids_dtg.inputs.studies import HCP, holds_study, person_folders
from bids_dtg.notices import counted, named

Statistic = Literal["z", "t", "effect"]
# The first one that all participants have is used.
STATISTICS: tuple[Statistic, ...] = ("z", "t", "effect")

# Words in the names of later sessions.
_LATER = re.compile("retest|rescan|repeat|follow|post|second", re.IGNORECASE)
_OF_PARCELS = (*PARCEL_MAPS, PARCEL_SERIES[0])
# Maps that this program predicted are not measured maps.
_PREDICTED = re.compile(
    "_desc-(synthetic|halfwidth[0-9A-Za-z]*|connectome|group(Mean|Sd))_"
)
# Keys of a pattern.
_FIELDS = {"path", "statistic", "contrast", "contrasts", "space", "task"}
_BRACES = re.compile(r"\{([a-z]+)\}")
# Folder of an HCP analysis, as TaskfMRILevel2.sh names it: tfMRI_WM_hp200_s2_level2_MSMAll.feat.
_HCP_ANALYSIS = re.compile(r"tfMRI_([A-Za-z0-9]+)_hp[0-9]+_s[0-9]+_level2\w*\.feat")
_HCP_STATS = {
    "StandardVolumeStats": (SPACE, ".nii.gz"),
    "ParcellatedStats": (PARCELS, ".ptseries.nii"),
}
_HCP_FILES: Mapping[Statistic, str] = {"z": "zstat1", "effect": "cope1"}


@dataclass(frozen=True)
class StatMap:
    """The measured map of one contrast of one participant in one session."""

    participant: str  # label, without sub-
    session: str | None  # label, without ses-; None if the data have no sessions
    contrast: str  # label, as in the data
    files: Mapping[Statistic, Path]  # available statistics
    task: str | None = None  # label; None if the name has none
    space: str | None = None  # template; None if neither name nor sidecar states one
    # Label, with the direction of HCP-like runs; None if over all runs.
    run: str | None = None
    runs: int | None = None  # how many runs it is over; None if no map of a run tells

    @property
    def key(self) -> tuple[str, str]:
        """Participant and simplified contrast, for comparison."""
        return self.participant, plain_contrast(self.contrast)


@dataclass(frozen=True)
class PersonMaps:
    """A participant's measured maps, by the `plain_contrast` of their contrasts."""

    target: dict[str, StatMap]  # the map to predict of each contrast
    # The map of a later session, for contrasts that have one.
    retest: dict[str, StatMap]


# --- Names of contrasts


def plain_contrast(label: str) -> str:
    """Simplify a label, ignoring case, punctuation and plurals in working-memory contrasts.

    Examples
    --------
    >>> plain_contrast("LANGUAGE_MATH") == plain_contrast("languageMath")
    True
    >>> plain_contrast("WM 0bk:faces") == plain_contrast("wm0bkFace")
    True
    """
    plain = re.sub("[^0-9a-z]", "", label.lower())
    return re.sub("^(wm.*(?:face|place|tool))s(?=$|vs)", r"\1", plain)


def chosen_contrasts(
    names: Iterable[str], tasks: Mapping[str, str], *, lack: str = "no map is of"
) -> tuple[str, ...]:
    """Return the known labels that ``--contrast`` names, in the order of the option.

    Parameters
    ----------
    names
        Labels in upper or lower case, or tasks, which stand for all of their contrasts.
    tasks
        The task of each known label; empty if unknown.
    lack
        Verb phrase for the message on an unknown name.

    Raises
    ------
    SettingsError
        A name is unknown.

    Examples
    --------
    >>> chosen_contrasts(["MATH", "motor"], {"cue": "MOTOR", "math": "LANGUAGE"})
    ('math', 'cue')
    """
    task_names = list(dict.fromkeys(filter(None, tasks.values())))
    labels: dict[str, list[str]] = {}  # by plain name of a task or label
    for label, task in tasks.items():
        if task:
            labels.setdefault(plain_contrast(task), []).append(label)
    labels |= {plain_contrast(label): [label] for label in tasks}  # they override tasks
    chosen: list[str] = []
    for name in names:
        if plain_contrast(name) not in labels:
            or_tasks = f", or tasks: {', '.join(task_names)}" if task_names else ""
            raise SettingsError(
                f"--contrast names {name}, which {lack}",
                expected=f"one of {named(list(tasks))}{or_tasks}",
                remedy=did_you_mean(name, [*task_names, *tasks]),
            )
        chosen += labels[plain_contrast(name)]
    return tuple(dict.fromkeys(chosen))


def name_targets(
    maps: Sequence[StatMap], task_of_contrast: Mapping[str, str]
) -> tuple[tuple[StatMap, ...], str]:
    """Give contrasts of different tasks different labels; return a sentence on what was changed.

    A label that occurs in several tasks gets the task as a prefix (`motor` and `cue` give
    `motorCue`), except for the task of a known contrast with that label. A label that is known
    only with its task gets the prefix too (`wm` and `2bk` give `wm2bk`).

    Parameters
    ----------
    maps
        Measured maps of all participants.
    task_of_contrast
        The task of each known contrast, by its `plain_contrast`; empty if it has none.

    Raises
    ------
    DatasetError
        A label occurs in several tasks, and also without a task.
    """
    tasks: dict[str, set[str]] = {}  # by contrast
    for statmap in maps:
        contrast = plain_contrast(statmap.contrast)
        tasks.setdefault(contrast, set()).add(statmap.task or "")
    named_maps = []
    labels_of_several_tasks: set[str] = set()
    for statmap in maps:
        contrast = plain_contrast(statmap.contrast)
        named_tasks = sorted(tasks[contrast] - {""})
        if len(named_tasks) > 1 and "" in tasks[contrast]:
            raise DatasetError(
                f"some maps of the contrast {statmap.contrast} name the tasks "
                f"{', '.join(named_tasks)}, others name no task",
                expected="a task in each name, or a TOML file that gives them different labels",
            )
        task = statmap.task or ""
        joined = f"{task}{statmap.contrast[:1].upper()}{statmap.contrast[1:]}"
        is_joined_known = plain_contrast(joined) in task_of_contrast
        is_renamed = contrast not in task_of_contrast and is_joined_known
        if len(named_tasks) > 1:
            labels_of_several_tasks.add(statmap.contrast)
            is_renamed |= plain_contrast(task) != task_of_contrast.get(contrast)
        named_maps.append(replace(statmap, contrast=joined) if is_renamed else statmap)
    words = ""
    if labels_of_several_tasks:
        contrasts = ", ".join(sorted(labels_of_several_tasks))
        words = f"names of tasks are put before contrasts of several: {contrasts}"
    return tuple(named_maps), words


# --- The choice of maps


def in_space(
    maps: Sequence[StatMap], space: str, transformable: Collection[str] = ()
) -> tuple[tuple[StatMap, ...], str]:
    """Keep each participant's maps of a contrast in one space; return notes on assumptions.

    The order of preference is: maps in the given space; maps without a stated space, which are
    assumed to be in it and reported; maps in one of the `transformable` spaces, from which there
    are transforms. For parcels, volumes in a template whose cortex is known come after the first.

    Raises
    ------
    DatasetError
        All maps are in other spaces.
    """
    # Maps of parcels always state their space; a map without one is a volume.
    direct = (space,) if space == PARCELS else (space, None)
    way = "transformed from other templates to"
    if space == PARCELS:
        transformable, way = SURFACE_TEMPLATES, "read at a template's vertices, for"
    order = [*direct, *sorted(transformable)]
    chosen_spaces: dict[tuple[str, str], str | None] = {}
    for candidate in order:
        for statmap in maps:
            if statmap.space == candidate:
                chosen_spaces.setdefault(statmap.key, candidate)
    if not chosen_spaces:
        names = sorted({statmap.space or "no space" for statmap in maps})
        or_volumes = ""
        if space == PARCELS:
            or_volumes = f", or volumes in {' or '.join(SURFACE_TEMPLATES)}"
        raise DatasetError(
            f"the measured maps are in {', '.join(names)}",
            expected=f"{space}, the model's space{or_volumes}",
            remedy="resample them, or state their space where they have none"
            if or_volumes
            else None,
        )
    used: list[StatMap] = []
    unused: list[StatMap] = []
    for statmap in maps:
        is_used = (statmap.key, statmap.space) in chosen_spaces.items()
        (used if is_used else unused).append(statmap)
    notes = []
    spaceless = sum(statmap.space is None for statmap in used)
    if spaceless:
        notes.append(
            f"{counted(spaceless, 'file')} of measured maps name no space and are assumed to be in "
            f"{space}, the model's space; state the space in the names, in their sidecars "
            "(SpatialReference) or in a TOML file (space)"
        )
    for words, listed in (
        (f"measured maps are {way} {space}", used),
        ("files in other spaces are not used", unused),
    ):
        elsewhere = [statmap for statmap in listed if statmap.space not in direct]
        counts = Counter(statmap.space or "no space" for statmap in elsewhere)
        spaces = [f"{name} ({count})" for name, count in sorted(counts.items())]
        if spaces:
            notes.append(f"{words}: {', '.join(spaces)}")
    return tuple(used), "; ".join(notes)


def people_maps(
    maps: Iterable[StatMap], sessions: Sequence[str] = ()
) -> dict[str, PersonMaps]:
    """Choose the target and the retest map of each contrast of each participant.

    The first session with the contrast gives the target and the second one the retest, in the
    order of `session_order`. A map over all runs is preferred to maps of single runs. A map
    without a session is taken as a map over all sessions; it is the target, without a retest.

    Parameters
    ----------
    maps
        Measured maps that were found.
    sessions
        Labels of sessions that come before all the rest, in this order, with or without `ses-`.

    Raises
    ------
    DatasetError
        Two files have the same map and statistic, for example from two runs.
    """
    preferred = [plain_label(label, "ses") for label in sessions]

    def rank(session: str | None) -> tuple[Any, ...]:
        position = preferred.index(session) if session in preferred else len(preferred)
        return session is not None, position, session_order(session or "")

    files_of: dict[tuple[str, str], dict[str | None, list[StatMap]]] = {}
    for statmap in maps:
        contrast_files = files_of.setdefault(statmap.key, {})
        contrast_files.setdefault(statmap.session, []).append(statmap)
    people: dict[str, PersonMaps] = {}
    for (participant, contrast), files in sorted(files_of.items()):
        first, *later = sorted(files, key=rank)
        run_files = files[first]
        if first is None:  # a map over all sessions is also over all of their runs
            run_files = [*chain.from_iterable(files.values())]
        person = people.setdefault(participant, PersonMaps({}, {}))
        person.target[contrast] = _combined(files[first], run_files)
        if first is not None and later:
            retest_files = files[later[0]]
            person.retest[contrast] = _combined(retest_files, retest_files)
    return people


def _combined(files: Sequence[StatMap], run_files: Sequence[StatMap]) -> StatMap:
    """Combine the files of one contrast of a participant in one session.

    Parameters
    ----------
    files
        The files of that session.
    run_files
        The files among which are those of the runs that a map without a run is over.
    """
    over_runs = [statmap for statmap in files if statmap.run is None]
    paths: dict[Statistic, Path] = {}
    for statmap in over_runs or files:
        for statistic, path in statmap.files.items():
            first = paths.setdefault(statistic, path)
            if first != path:
                raise DatasetError(
                    f"sub-{statmap.participant} has two {statistic} maps of {statmap.contrast}: "
                    f"{min(first, path)} and {max(first, path)}",
                    expected="one map over all runs of a session",
                    remedy="combine runs at the subject level, give the folder of one level, or "
                    "select files: -d statmaps=maps.toml (docs/reference/statmaps.md)",
                )
    single = [statmap for statmap in run_files if statmap.run is not None]
    runs = {(statmap.session, statmap.run) for statmap in single}
    return replace(files[0], files=paths, run=None, runs=len(runs) or None)


def choose_statistic(people: Mapping[str, PersonMaps]) -> tuple[Statistic, str]:
    """Return the first of `STATISTICS` that the targets of all participants have.

    The scale of z and t grows with the number of runs. If this number differs between people,
    effects are chosen, and a sentence says so; it is empty otherwise.

    Raises
    ------
    DatasetError
        Participants have no statistic in common, or different numbers of runs and no effects.
    """
    maps = [statmap for person in people.values() for statmap in person.target.values()]
    common = [
        name for name in STATISTICS if all(name in statmap.files for statmap in maps)
    ]
    if not common:
        present = sorted({name for statmap in maps for name in statmap.files})
        raise DatasetError(
            f"the measured maps are {' and '.join(present)} maps",
            expected="a statistic that all participants have",
        )
    unequal = _unequal_runs(maps)
    if not unequal:
        return common[0], ""
    if "effect" in common:
        why = f"maps of effects are used, as participants differ in runs: {unequal}"
        return "effect", why
    raise DatasetError(
        f"the measured {common[0]} maps are over different numbers of runs, with which their scale "
        f"grows: {unequal}",
        expected="as many runs for everybody, or maps of effects",
        remedy="choose people with --participant-label, or files with a TOML file",
    )


def _unequal_runs(maps: Sequence[StatMap]) -> str:
    """Describe the first contrast of which people have different numbers of runs; empty: none."""
    by_contrast: dict[str, dict[int | None, list[StatMap]]] = {}
    for statmap in maps:
        contrast_files = by_contrast.setdefault(plain_contrast(statmap.contrast), {})
        contrast_files.setdefault(statmap.runs, []).append(statmap)
    for by_number in by_contrast.values():
        if len(by_number) < 2:
            continue
        groups = []
        for number in sorted(by_number, key=lambda number: number or 0):
            what = counted(number, "run") if number else "an unknown number of runs"
            maps_of_number = by_number[number]
            labels = sorted(f"sub-{statmap.participant}" for statmap in maps_of_number)
            people = f"{counted(labels, 'participant')} ({named(labels)})"
            groups.append(f"{what} of {people}")
        (first_map, *_), *_ = by_number.values()
        return f"{first_map.contrast} has {', '.join(groups)}"
    return ""


def session_order(session: str) -> tuple[bool, list[str]]:
    """Return the sort key of a session: `retest` after `test`, 2 before 10."""
    return bool(_LATER.search(session)), natural_order(session.lower())


def describe_sessions(people: Collection[PersonMaps]) -> str:
    """Describe the sessions of targets and retests in one sentence; empty without sessions."""

    def sessions(maps_of_people: Iterable[Mapping[str, StatMap]]) -> str:
        count: Counter[str] = Counter()  # of participants
        for maps in maps_of_people:
            sessions_of_person = {statmap.session for statmap in maps.values()}
            count.update(filter(None, sessions_of_person))
        ordered = sorted(count, key=session_order)
        return ", ".join(
            f"ses-{session} ({counted(count[session], 'participant')})"
            for session in ordered
        )

    targets = sessions(person.target for person in people)
    if not targets:
        return ""
    retests = sessions(person.retest for person in people)
    after = f"retests are from {retests}." if retests else "there are no retests."
    return f"Maps to predict are from {targets}; {after}"


def describe_files(people: Collection[PersonMaps], statistic: Statistic) -> str:
    """Describe the files of the targets: their number, and an example."""
    maps = [statmap for person in people for statmap in person.target.values()]
    return (
        f"{counted(maps, f'{statistic} map')} of {counted(people, 'participant')}, such "
        f"as {maps[0].files[statistic].name}"
    )


# --- Files


def statmaps_place(derivatives: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Split derivatives into the path of `statmaps=PATH`, None if absent, and the rest."""
    path = only_path(derivatives, "statmaps")
    rest = tuple(text for text in derivatives if not named_paths([text], "statmaps"))
    return path and path.absolute(), rest


def find_statmaps(place: Path) -> tuple[tuple[StatMap, ...], int]:
    """Find the measured maps of all participants; each map has one file.

    Parameters
    ----------
    place
        A folder with BIDS names (`*_contrast-X_stat-z_statmap.nii.gz`, as FitLins and nilearn's
        `save_glm_to_bids` write them), a folder of HCP participants, or a TOML file of patterns
        (docs/reference/statmaps.md), whose paths are relative to its folder.

    Returns
    -------
    The measured maps, and the number of maps that this program predicted.

    Raises
    ------
    DatasetError
        There are no measured maps, or a pattern cannot be read.
    """
    expected = "*_contrast-X_stat-z_statmap.nii.gz, or a TOML file of patterns"
    if not place.is_dir():
        maps = [*_by_patterns(place)]
    elif holds_study(HCP, place):
        maps = [*_in_hcp_folders(place)]
        analysis = "MNINonLinear/Results/tfMRI_*/tfMRI_*_level2*.feat"
        expected = f"{analysis} with StandardVolumeStats"
    else:
        maps = [*_by_names(place)]
    measured = tuple(statmap for statmap in maps if not _is_predicted(statmap))
    if not measured:
        content = f". It has {seen(place)}" if place.is_dir() else ""
        raise DatasetError(
            f"{place} has no measured maps with recognised names{content}",
            expected=f"{expected}, of a task that participants performed (not predicted maps)",
        )
    return measured, len(maps) - len(measured)


def _is_predicted(statmap: StatMap) -> bool:
    return any(_PREDICTED.search(path.name) for path in statmap.files.values())


def _by_names(root: Path) -> Iterator[StatMap]:
    """Yield the maps with BIDS names below a folder."""
    for path in files_below(root):
        try:
            name = parse_name(path.name)
        except ValueError:
            continue
        entities = dict(name.entities)
        statistics = [stat for stat in STATISTICS if stat == entities.get("stat")]
        is_map = name.suffix == "statmap" and name.extension in (*IMAGES, *_OF_PARCELS)
        if is_map and statistics and {"sub", "contrast"} <= entities.keys():
            space = _space_of(path, entities.get("space", ""))
            # HCP's runs are named by direction.
            run_labels = [entities[key] for key in ("dir", "run") if key in entities]
            yield StatMap(
                participant=entities["sub"],
                session=entities.get("ses"),
                contrast=entities["contrast"],
                files={statistics[0]: path},
                task=entities.get("task"),
                space=space or stated_space(_sidecars(path, root)),
                run="-".join(run_labels) or None,
            )


def _space_of(path: Path, label: str) -> str:
    """Return the space of a map from its kind of file and its label; empty if it has none."""
    return PARCELS if path.name.endswith(_OF_PARCELS) else template_name(label)


def _sidecars(path: Path, root: Path) -> list[Path]:
    """Return the places of the sidecars of a map, of its contrast and of all maps."""
    beside = sidecar_of(path)
    of_contrast = re.sub(r"_stat-[0-9A-Za-z]+", "", beside.name)
    return [beside, beside.with_name(of_contrast), root / "statmap.json"]


def _in_hcp_folders(root: Path) -> Iterator[StatMap]:
    """Yield the maps over both runs (level 2) in folders of the HCP pipelines."""
    for person in person_folders(HCP, root):
        results = person.path / "MNINonLinear/Results"
        for folder in sorted(results.glob("tfMRI_*/tfMRI_*.feat")):
            match = _HCP_ANALYSIS.fullmatch(folder.name)
            if match is None:
                continue
            stats = [stat for stat in _HCP_STATS if (folder / stat).is_dir()]
            contrasts = _hcp_contrasts(folder) if stats else []
            for stat, (number, contrast) in product(stats, enumerate(contrasts, 1)):
                space, ending = _HCP_STATS[stat]
                contrast_folder = folder / stat / f"cope{number}.feat"
                for statistic, stem in _HCP_FILES.items():
                    path = contrast_folder / f"{stem}{ending}"
                    # A contrast without events has no files.
                    if path.exists() or path.is_symlink():
                        yield StatMap(
                            participant=person.participant,
                            session=person.session,
                            contrast=contrast,
                            files={statistic: path},
                            task=match[1],
                            space=space,
                        )


def _hcp_contrasts(folder: Path) -> list[str]:
    """Return the labels of an analysis's contrasts; HCP's MATCH-REL becomes MATCHVsRELATION."""
    path = folder / "Contrasts.txt"
    with reading(path, DatasetError):
        names = read_text(path).split()

    def label(condition: str) -> str:
        return "RELATION" if condition == "REL" else condition.replace("_", "")

    return ["Vs".join(map(label, name.split("-"))) for name in names]


def _by_patterns(place: Path) -> Iterator[StatMap]:
    try:
        content = read_toml(place)
    except ForeignFileError as err:
        raise err.as_kind(
            DatasetError,
            "--derivatives statmaps=",
            expected="a folder of statistic maps, or a TOML file of patterns",
            remedy=None if place.exists() else MOUNT_REMINDER,
        ) from err
    tables = content.get("maps")
    if not isinstance(tables, list) or not tables or len(content) > 1:
        raise DatasetError(
            f"{place} has no list of patterns", expected="only tables [[maps]]"
        )
    for table in tables:
        if not _is_pattern(table):
            raise DatasetError(
                f"{place} has the pattern {table}",
                expected="texts: a relative path with {sub}, statistic (z, t or effect), "
                "{contrast} in path or the key contrast, and optionally contrasts "
                '({1 = "languageMath"}), space and task',
            )
        matched = [*_pattern_maps(table, place.parent)]
        if not matched:
            raise DatasetError(
                f"{place}: no file below {place.parent} matches the pattern {table['path']!r}",
                expected="a path, and values of {contrast}, that exist there",
            )
        yield from matched


def _is_pattern(table: Any) -> bool:
    if not isinstance(table, dict):
        return False
    labels = table.get("contrasts", {})
    if not isinstance(labels, dict) or not set(table) <= _FIELDS:
        return False
    texts = [*labels.values()]
    texts += [value for key, value in table.items() if key != "contrasts"]
    if not all(isinstance(text, str) for text in texts):
        return False
    path = str(table.get("path"))
    braces = _BRACES.findall(path)
    names_contrast_once = ("contrast" in table) != ("contrast" in braces)
    return (
        table.get("statistic") in STATISTICS
        and "sub" in braces
        and not Path(path).is_absolute()
        and names_contrast_once
    )


def _pattern_maps(table: Mapping[str, Any], root: Path) -> Iterator[StatMap]:
    labels = table.get("contrasts", {})
    expression = re.escape(table["path"])
    for name in dict.fromkeys(_BRACES.findall(table["path"])):
        # A value in braces has no slash, and is the same at each occurrence.
        braces = re.escape(f"{{{name}}}")
        expression = expression.replace(braces, f"(?P<{name}>[^/]+?)", 1)
        expression = expression.replace(braces, f"(?P={name})")
    for path in matching(root, _BRACES.sub("*", table["path"])):
        match = re.fullmatch(expression, path.relative_to(root).as_posix())
        if match is None:
            continue
        values = {**table, **match.groupdict()}
        if labels and values["contrast"] not in labels:
            continue
        yield StatMap(
            participant=re.sub("[^0-9A-Za-z]", "", values["sub"].removeprefix("sub-")),
            session=values.get("ses"),
            contrast=labels.get(values["contrast"], values["contrast"]),
            files={table["statistic"]: path},
            task=values.get("task"),
            space=_space_of(path, values.get("space", "")) or None,
            run=values.get("run"),
        )
