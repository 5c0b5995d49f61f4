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
from bids_dtg.files.names import parse_name
from bids_dtg.files.paths import expand_home
from bids_dtg.inputs.dataset import MOUNT_REMINDER, seen
from bids_dtg.inputs.run import (
    IMAGES,
    PARCEL_MAPS,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
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
_OURS = re.compile("_desc-(synthetic|halfwidth[0-9A-Za-z]*|connectome|group(Mean|Sd))_")
_FIELDS = {
    "path",
    "statistic",
    "contrast",
    "contrasts",
    "space",
    "task",
}  # of a pattern
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

    target: Mapping[str, StatMap]  # the map to predict of each contrast
    retest: Mapping[
        str, StatMap
    ]  # the map of a later session, for contrasts that have one


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
    asked: Iterable[str], tasks: Mapping[str, str], *, lack: str = "no map is of"
) -> tuple[str, ...]:
    """Return the known labels that ``--contrast`` names, in the order of the option.

    Parameters
    ----------
    asked
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
    families = [*dict.fromkeys(filter(None, tasks.values()))]
    labels = {
        plain_contrast(task): [label for label, of in tasks.items() if of == task]
        for task in families
    }
    labels |= {
        plain_contrast(label): [label] for label in tasks
    }  # labels override tasks
    found: list[str] = []
    for name in asked:
        if plain_contrast(name) not in labels:
            raise SettingsError(
                f"--contrast names {name}, which {lack}",
                expected=f"one of {named(list(tasks))}"
                + (f", or tasks: {', '.join(families)}" if families else ""),
                remedy=did_you_mean(name, [*families, *tasks]),
            )
        found += labels[plain_contrast(name)]
    return tuple(dict.fromkeys(found))


def name_targets(
    maps: Sequence[StatMap], known: Mapping[str, str]
) -> tuple[tuple[StatMap, ...], str]:
    """Give contrasts of different tasks different labels; return a sentence on what was changed.

    A label that occurs in several tasks gets the task as a prefix (`motor` and `cue` give
    `motorCue`), except for the task of a known contrast with that label. A label that is known
    only with its task gets the prefix too (`wm` and `2bk` give `wm2bk`).

    Parameters
    ----------
    maps
        Measured maps of all participants.
    known
        The task of each known contrast, by its `plain_contrast`; empty if it has none.

    Raises
    ------
    DatasetError
        A label occurs in several tasks, and also without a task.
    """
    tasks: dict[str, set[str]] = {}
    for one in maps:
        tasks.setdefault(plain_contrast(one.contrast), set()).add(one.task or "")
    made, several = [], set[str]()
    for one in maps:
        own = plain_contrast(one.contrast)
        of = tasks[own] - {""}
        if len(of) > 1 and "" in tasks[own]:
            raise DatasetError(
                f"some maps of the contrast {one.contrast} name the tasks {', '.join(sorted(of))}, "
                "others name no task",
                expected="a task in each name, or a TOML file that gives them different labels",
            )
        joined = f"{one.task or ''}{one.contrast[:1].upper()}{one.contrast[1:]}"
        renamed = own not in known and plain_contrast(joined) in known
        if len(of) > 1:
            several.add(one.contrast)
            renamed |= plain_contrast(one.task or "") != known.get(own)
        made.append(replace(one, contrast=joined) if renamed else one)
    words = f"names of tasks are put before contrasts of several: {', '.join(sorted(several))}"
    return tuple(made), words * bool(several)


# --- The choice of maps


def in_space(
    maps: Sequence[StatMap], space: str, others: Collection[str] = ()
) -> tuple[tuple[StatMap, ...], str]:
    """Keep each participant's maps of a contrast in one space; return notes on assumptions.

    The order of preference is: maps in the given space; maps without a stated space, which are
    assumed to be in it and reported; maps in one of the `others`, from which they can be
    transformed.

    Raises
    ------
    DatasetError
        All maps are in other spaces.
    """
    # Maps of parcels always state their space; a map without one is a volume.
    ours = (space,) if space == PARCELS else (space, None)
    order = [*ours, *sorted(others)]
    # Reversed, so that the preferred space is set last and remains.
    chosen = {
        one.key: own for own in reversed(order) for one in maps if one.space == own
    }
    if not chosen:
        names = sorted({one.space or "no space" for one in maps})
        raise DatasetError(
            f"the measured maps are in {', '.join(names)}",
            expected=f"{space}, the model's space",
        )
    kept = [one for one in maps if (one.key, one.space) in chosen.items()]
    left = [one for one in maps if (one.key, one.space) not in chosen.items()]
    parts = []
    if unknown := sum(one.space is None for one in kept):
        parts.append(
            f"{counted(unknown, 'file')} of measured maps name no space and are assumed to be in "
            f"{space}, the model's space; state the space in the names, in their sidecars "
            "(SpatialReference) or in a TOML file (space)"
        )
    for words, listed in (
        (f"measured maps are transformed from other templates to {space}", kept),
        ("files in other spaces are not used", left),
    ):
        counts = Counter(
            one.space or "no space" for one in listed if one.space not in ours
        )
        spaces = ", ".join(
            f"{name} ({count})" for name, count in sorted(counts.items())
        )
        parts += [f"{words}: {spaces}"] * bool(spaces)
    return tuple(kept), "; ".join(parts)


def people_maps(
    maps: Iterable[StatMap], preferred: Sequence[str] = ()
) -> dict[str, PersonMaps]:
    """Choose the target and the retest map of each contrast of each participant.

    The first session with the contrast gives the target and the second one the retest, in the
    order of `session_order`. A map over all runs is preferred to maps of single runs. A map
    without a session is taken as a map over all sessions; it is the target, without a retest.

    Parameters
    ----------
    maps
        Measured maps that were found.
    preferred
        Labels of sessions that come before all others, in this order.

    Raises
    ------
    DatasetError
        Two files have the same map and statistic, for example from two runs.
    """

    def rank(session: str | None) -> tuple[Any, ...]:
        place = preferred.index(session) if session in preferred else len(preferred)
        return session is not None, place, session_order(session or "")

    sessions: dict[tuple[str, str], dict[str | None, list[StatMap]]] = {}
    for one in maps:
        sessions.setdefault(one.key, {}).setdefault(one.session, []).append(one)
    targets: dict[str, dict[str, StatMap]] = {}
    retests: dict[str, dict[str, StatMap]] = {}
    for (who, contrast), files in sorted(sessions.items()):
        first, *later = sorted(files, key=rank)
        # A map over all sessions is also over all of their runs.
        of_runs = (
            files[first]
            if first is not None
            else [*chain.from_iterable(files.values())]
        )
        targets.setdefault(who, {})[contrast] = _of_files(files[first], of_runs)
        if first is not None and later:
            retest = files[later[0]]
            retests.setdefault(who, {})[contrast] = _of_files(retest, retest)
    return {who: PersonMaps(own, retests.get(who, {})) for who, own in targets.items()}


def _of_files(files: Sequence[StatMap], of_runs: Sequence[StatMap]) -> StatMap:
    """Combine the files of one contrast of a participant in one session.

    Parameters
    ----------
    files
        The files of that session.
    of_runs
        The files among which are those of the runs that a map without a run is over.
    """
    found: dict[Statistic, Path] = {}
    for one in [one for one in files if one.run is None] or files:
        for statistic, path in one.files.items():
            other = found.setdefault(statistic, path)
            if other != path:
                raise DatasetError(
                    f"sub-{one.participant} has two {statistic} maps of {one.contrast}: "
                    f"{min(other, path)} and {max(other, path)}",
                    expected="one map over all runs of a session",
                    remedy="combine runs at the subject level, give the folder of one level, or "
                    "select files: -d statmaps=maps.toml (docs/reference/statmaps.md)",
                )
    runs = {(one.session, one.run) for one in of_runs if one.run is not None}
    return replace(files[0], files=found, run=None, runs=len(runs) or None)


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
    if not (unequal := _unequal_runs(maps)):
        return common[0], ""
    if "effect" in common:
        return (
            "effect",
            f"maps of effects are used, as participants differ in runs: {unequal}",
        )
    raise DatasetError(
        f"the measured {common[0]} maps are over different numbers of runs, with which their scale "
        f"grows: {unequal}",
        expected="as many runs for everybody, or maps of effects",
        remedy="choose people with --participant-label, or files with a TOML file",
    )


def _unequal_runs(maps: Sequence[StatMap]) -> str:
    """Describe the first contrast of which people have different numbers of runs; empty: none."""
    by_contrast: dict[str, dict[int | None, list[StatMap]]] = {}
    for one in maps:
        of_contrast = by_contrast.setdefault(plain_contrast(one.contrast), {})
        of_contrast.setdefault(one.runs, []).append(one)
    for numbers in by_contrast.values():
        if len(numbers) < 2:
            continue
        parts = []
        for number, of_number in sorted(numbers.items(), key=lambda item: item[0] or 0):
            what = counted(number, "run") if number else "an unknown number of runs"
            labels = sorted(f"sub-{one.participant}" for one in of_number)
            parts.append(
                f"{what} of {counted(len(labels), 'participant')} ({named(labels)})"
            )
        (one, *_), *_ = numbers.values()
        return f"{one.contrast} has {', '.join(parts)}"
    return ""


def session_order(session: str) -> tuple[bool, tuple[str | int, ...]]:
    """Return the sort key of a session: `retest` after `test`, 2 before 10."""
    parts = re.split(r"(\d+)", session.lower())
    natural = tuple(int(part) if n % 2 else part for n, part in enumerate(parts))
    return bool(_LATER.search(session)), natural


def describe_sessions(people: Collection[PersonMaps]) -> str:
    """Describe the sessions of targets and retests in one sentence; empty without sessions."""

    def sessions(maps: Iterable[Mapping[str, StatMap]]) -> str:
        count = Counter(
            ses for own in maps for ses in {one.session for one in own.values()} if ses
        )
        ordered = sorted(count, key=session_order)
        return ", ".join(
            f"ses-{one} ({counted(count[one], 'participant')})" for one in ordered
        )

    targets = sessions(own.target for own in people)
    retests = sessions(own.retest for own in people)
    after = f"retests are from {retests}." if retests else "there are no retests."
    return f"Maps to predict are from {targets}; {after}" if targets else ""


def describe_files(people: Collection[PersonMaps], statistic: Statistic) -> str:
    """Describe the files of the targets: their number, and an example."""
    maps = [statmap for person in people for statmap in person.target.values()]
    return (
        f"{counted(len(maps), f'{statistic} map')} of {counted(len(people), 'participant')}, such "
        f"as {maps[0].files[statistic].name}"
    )


# --- Files


def statmaps_place(derivatives: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Split derivatives into the path of `statmaps=PATH`, None if absent, and the others."""
    prefix = "statmaps="
    places = [
        text.removeprefix(prefix) for text in derivatives if text.startswith(prefix)
    ]
    if len(places) > 1:
        raise DatasetError(
            f"--derivatives names {len(places)} folders of statistic maps",
            expected="one",
        )
    others = tuple(text for text in derivatives if not text.startswith(prefix))
    if not places:
        return None, others
    return expand_home(places[0], "--derivatives statmaps").absolute(), others


def find_statmaps(place: Path) -> tuple[tuple[StatMap, ...], int]:
    """Find the measured maps of all participants; each map has one file.

    Parameters
    ----------
    place
        A folder with BIDS names (`*_contrast-X_stat-z_statmap.nii.gz`, as FitLins and nilearn's
        `save_glm_to_bids` write them), a folder of HCP participants, or a TOML file of patterns
        (docs/reference/statmaps.md), whose paths are relative to its own folder.

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
        found = [*_by_patterns(place)]
    elif holds_study(HCP, place):
        found = [*_in_hcp_folders(place)]
        expected = (
            "MNINonLinear/Results/tfMRI_*/tfMRI_*_level2*.feat with StandardVolumeStats"
        )
    else:
        found = [*_by_names(place)]
    measured = tuple(
        one
        for one in found
        if not any(_OURS.search(path.name) for path in one.files.values())
    )
    if not measured:
        there = f". It has {seen(place)}" if place.is_dir() else ""
        raise DatasetError(
            f"{place} has no measured maps with recognised names{there}",
            expected=f"{expected}, of a task that participants performed (not predicted maps)",
        )
    return measured, len(found) - len(measured)


def _by_names(root: Path) -> Iterator[StatMap]:
    """Yield the maps with BIDS names below a folder."""
    for path in files_below(root):
        try:
            name = parse_name(path.name)
        except ValueError:
            continue
        given = dict(name.entities)
        statistic = next(
            (known for known in STATISTICS if known == given.get("stat")), None
        )
        is_map = name.suffix == "statmap" and name.extension in (*IMAGES, *_OF_PARCELS)
        if is_map and statistic and {"sub", "contrast"} <= given.keys():
            stated = template_name(given.get("space", ""))
            space = PARCELS if name.extension in _OF_PARCELS else stated
            yield StatMap(
                participant=given["sub"],
                session=given.get("ses"),
                contrast=given["contrast"],
                files={statistic: path},
                task=given.get("task"),
                space=space or stated_space(_sidecars(path, name.extension, root)),
                # HCP's runs are named by direction.
                run="-".join(given[key] for key in ("dir", "run") if key in given)
                or None,
            )


def _sidecars(path: Path, extension: str, root: Path) -> list[Path]:
    """Return the places of the sidecars of a map, of its contrast and of all maps."""
    stem = path.name.removesuffix(extension)
    of_contrast = re.sub(r"_stat-[0-9A-Za-z]+", "", stem)
    return [path.with_name(f"{own}.json") for own in (stem, of_contrast)] + [
        root / "statmap.json"
    ]


def _in_hcp_folders(root: Path) -> Iterator[StatMap]:
    """Yield the maps over both runs (level 2) in folders of the HCP pipelines."""
    for person in person_folders(HCP, root):
        for folder in sorted(
            (person.path / "MNINonLinear/Results").glob("tfMRI_*/tfMRI_*.feat")
        ):
            match = _HCP_ANALYSIS.fullmatch(folder.name)
            stats = [stat for stat in _HCP_STATS if match and (folder / stat).is_dir()]
            contrasts = _hcp_contrasts(folder) if stats else []
            for stat, (number, contrast) in product(stats, enumerate(contrasts, 1)):
                space, ending = _HCP_STATS[stat]
                of_contrast = folder / stat / f"cope{number}.feat"
                for statistic, stem in _HCP_FILES.items():
                    path = of_contrast / f"{stem}{ending}"
                    # A contrast without events has no files.
                    if match and (path.exists() or path.is_symlink()):
                        own, files = (
                            (person.participant, person.session),
                            {statistic: path},
                        )
                        yield StatMap(*own, contrast, files, match[1], space)


def _hcp_contrasts(folder: Path) -> list[str]:
    """Return the labels of an analysis's contrasts; HCP's MATCH-REL becomes MATCHVsRELATION."""
    path = folder / "Contrasts.txt"
    with reading(path, DatasetError):
        names = read_text(path).split()
    return [
        "Vs".join(
            "RELATION" if side == "REL" else side.replace("_", "")
            for side in name.split("-")
        )
        for name in names
    ]


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
        matched = [*_of_pattern(table, place.parent)]
        if not matched:
            raise DatasetError(
                f"{place}: no file below {place.parent} matches the pattern {table['path']!r}",
                expected="a path, and values of {contrast}, that exist there",
            )
        yield from matched


def _is_pattern(table: Any) -> bool:
    if not isinstance(table, dict) or not isinstance(
        labels := table.get("contrasts", {}), dict
    ):
        return False
    texts = [
        *labels.values(),
        *(own for key, own in table.items() if key != "contrasts"),
    ]
    path = str(table.get("path"))
    braces = _BRACES.findall(path)
    return (
        set(table) <= _FIELDS
        and all(isinstance(text, str) for text in texts)
        and table.get("statistic") in STATISTICS
        and "sub" in braces
        and not Path(path).is_absolute()
        and ("contrast" in table) != ("contrast" in braces)
    )


def _of_pattern(table: Mapping[str, Any], root: Path) -> Iterator[StatMap]:
    labels, text = table.get("contrasts", {}), re.escape(table["path"])
    for name in dict.fromkeys(_BRACES.findall(table["path"])):
        # A value in braces has no slash, and is the same at each occurrence.
        braces = re.escape(f"{{{name}}}")
        text = text.replace(braces, f"(?P<{name}>[^/]+?)", 1).replace(
            braces, f"(?P={name})"
        )
    for path in matching(root, _BRACES.sub("*", table["path"])):
        match = re.fullmatch(text, path.relative_to(root).as_posix())
        values = {**table, **(match.groupdict() if match else {})}
        if match is None or (labels and values["contrast"] not in labels):
            continue
        stated = template_name(values["space"]) if "space" in values else None
        yield StatMap(
            participant=re.sub("[^0-9A-Za-z]", "", values["sub"].removeprefix("sub-")),
            session=values.get("ses"),
            contrast=labels.get(values["contrast"], values["contrast"]),
            files={table["statistic"]: path},
            task=values.get("task"),
            space=PARCELS if path.name.endswith(_OF_PARCELS) else stated,
            run=values.get("run"),
        )
