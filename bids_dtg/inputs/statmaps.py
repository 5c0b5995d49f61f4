"""Measured contrast maps of participants: of a task, a session, a level, and of how many runs."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.home import expand_home
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.notices import counted, named

Statistic = Literal["z", "t", "effect"]
# The first that everybody has is taken.
STATISTICS: tuple[Statistic, ...] = ("z", "t", "effect")

# Sessions that are named after an earlier one.
_LATER = re.compile("retest|rescan|repeat|follow|post|second", re.IGNORECASE)


Level = Literal["run", "session", "subject"]

# Levels of an analysis, the lower first.
LEVELS: tuple[Level, ...] = ("run", "session", "subject")


@dataclass(frozen=True)
class StatFile:
    """One file of a measured map, with what its name states."""

    path: Path
    participant: str  # label, without sub-
    session: str | None  # label, without ses-
    task: str | None
    run: str | None  # label of the run, with the direction of HCP-like runs; None: not named
    contrast: str  # label, as the data name it
    statistic: Statistic  # what the values are
    space: str | None  # template by name or sidecar; None where neither has one
    level: Level  # of the analysis


@dataclass(frozen=True)
class StatMap:
    """The measured map of one contrast of one participant in one session."""

    participant: str  # label, without sub-
    session: str | None  # label, without ses-; None where the data have no sessions
    contrast: str  # label, as the data name it
    files: Mapping[Statistic, Path]  # what there is of it
    task: str | None = None  # label; None where the names have none
    level: Level = "subject"  # of the analysis that made it
    runs: int | None = None  # how many it is of; None: not known
    space: str | None = None  # template; None where neither name nor sidecar has one


@dataclass(frozen=True)
class PersonMaps:
    """A participant's measured maps; a contrast's key is its `plain_contrast`."""

    target: Mapping[str, StatMap]  # of each contrast the map to predict
    retest: Mapping[str, StatMap]  # of each contrast one of a later session, where there is one

    @property
    def retested(self) -> bool:
        """Whether each contrast has a retest."""
        return self.target.keys() == self.retest.keys()


def statmaps_place(derivatives: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Take `statmaps=PATH` out of the derivatives; the place and the others."""
    prefix = "statmaps="
    places = [
        expand_home(text.removeprefix(prefix), "--derivatives statmaps")
        for text in derivatives
        if text.startswith(prefix)
    ]
    if len(places) > 1:
        raise DatasetError(
            f"--derivatives names {len(places)} folders of statistic maps", expected="one"
        )
    others = tuple(text for text in derivatives if not text.startswith(prefix))
    return (places[0].absolute() if places else None), others


def plain_contrast(label: str) -> str:
    """Write labels that differ by case, signs or a plural of working memory the same.

    Examples
    --------
    >>> plain_contrast("LANGUAGE_MATH") == plain_contrast("languageMath")
    True
    >>> plain_contrast("WM 0bk:faces") == plain_contrast("wm0bkFace")
    True
    """
    plain = re.sub("[^0-9a-z]", "", label.lower())
    return re.sub("^(wm.*(?:face|place|tool))s(?=$|vs)", r"\1", plain)


def nearest_contrast(label: str, known: Iterable[str]) -> str | None:
    """Return the label that is most like one that is not known; None where none is like it.

    Examples
    --------
    >>> nearest_contrast("language-mth", ["languageMath", "languageStory"])
    'languageMath'
    """
    by_plain = {plain_contrast(name): name for name in known}
    near = difflib.get_close_matches(plain_contrast(label), by_plain, n=1)
    return by_plain[near[0]] if near else None


def with_families(asked: Iterable[str], tasks: Mapping[str, str]) -> tuple[str, ...]:
    """Replace names of tasks by the labels of their contrasts; other names stay as they are.

    Parameters
    ----------
    asked
        Values of ``--contrast``.
    tasks
        The task of each known label; empty: not known.

    Examples
    --------
    >>> tasks = {"languageMath": "LANGUAGE", "languageStory": "LANGUAGE", "wm2bk": "WM"}
    >>> with_families(["language", "wm2bk"], tasks)
    ('languageMath', 'languageStory', 'wm2bk')
    """
    labels = {plain_contrast(label) for label in tasks}
    families: dict[str, list[str]] = {}
    for label, task in tasks.items():
        if task:
            families.setdefault(plain_contrast(task), []).append(label)
    found: list[str] = []
    for name in asked:
        plain = plain_contrast(name)
        found += [name] if plain in labels else families.get(plain, [name])
    return tuple(dict.fromkeys(found))


def chosen_contrasts(
    asked: Iterable[str], tasks: Mapping[str, str], *, lack: str = "no map is of"
) -> tuple[str, ...]:
    """Return the labels that ``--contrast`` names, as they are known, in its order.

    Parameters
    ----------
    asked
        Labels in any case, or tasks for all of their contrasts.
    tasks
        The task of each known label; empty: not known.
    lack
        What is said of other names: which …

    Raises
    ------
    SettingsError
        A name is unknown.

    Examples
    --------
    >>> chosen_contrasts(["MATH", "motor"], {"cue": "MOTOR", "math": "LANGUAGE"})
    ('math', 'cue')
    """
    by_plain = {plain_contrast(label): label for label in tasks}
    names = with_families(asked, tasks)
    families = [*dict.fromkeys(filter(None, tasks.values()))]
    for name in names:
        if plain_contrast(name) not in by_plain:
            near = nearest_contrast(name, [*families, *tasks])
            raise SettingsError(
                f"--contrast names {name}, which {lack}",
                expected=f"of {named(list(tasks))}"
                + (f", or tasks: {', '.join(families)}" if families else ""),
                remedy=f"did you mean {near}?" if near else None,
            )
    return tuple(dict.fromkeys(by_plain[plain_contrast(name)] for name in names))


def in_space(
    files: Sequence[StatFile], space: str, others: Collection[str] = ()
) -> tuple[tuple[StatFile, ...], str]:
    """Keep the files of a space, and a sentence on what was assumed or left.

    What names no space is taken as of the space, and the sentence reports it. Where a
    participant has a contrast in the named space too, only that is kept. Where a contrast is in
    none of these, its files in one of the `others` are kept, which maps can be brought from.

    Raises
    ------
    DatasetError
        All files are of other spaces.
    """
    # What names no space is a volume.
    ours = (space,) if space == PARCELS else (None, space)
    kept = [file for file in files if file.space in ours]
    elsewhere = [file for file in files if file.space not in ours]
    if not kept and not any(file.space in others for file in elsewhere):
        names = sorted({file.space or "no space" for file in elsewhere})
        raise DatasetError(
            f"the measured maps are in {', '.join(names)}", expected=f"{space}, the model's space"
        )

    def key(file: StatFile) -> tuple[str, str]:
        return file.participant, plain_contrast(file.contrast)

    stated = {key(file) for file in kept if file.space is not None}
    kept = [file for file in kept if file.space is not None or key(file) not in stated]
    there = {key(file) for file in kept}
    brought: list[StatFile] = []
    for other in sorted(others):
        found = [file for file in files if file.space == other and key(file) not in there]
        there |= {key(file) for file in found}
        brought += found
    unknown = sum(file.space is None for file in kept)
    parts = []
    if unknown:
        parts.append(
            f"{counted(unknown, 'file')} of measured maps name no space and are taken as "
            f"{space}, the model's: state the space in the names, in their sidecars "
            "(SpatialReference) or in a TOML file (space)"
        )
    if brought:
        words = _counted_spaces(brought)
        parts.append(f"measured maps are brought from other templates to {space}: {words}")
    if unused := [file for file in elsewhere if file not in brought]:
        parts.append(f"files in other spaces are not used: {_counted_spaces(unused)}")
    return (*kept, *brought), "; ".join(parts)


def _counted_spaces(files: Sequence[StatFile]) -> str:
    counts = Counter(file.space or "no space" for file in files)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def name_targets(
    files: Sequence[StatFile], known: Mapping[str, str]
) -> tuple[tuple[StatFile, ...], str]:
    """Give the contrasts of different tasks labels of their own, and a sentence where that is so.

    A label that occurs in several tasks becomes task and label (`motor` and `cue` make
    `motorCue`), but for the task that a known contrast of that label belongs to. A label that is
    known only together with its task becomes both, too (`wm` and `2bk` make `wm2bk`).

    Parameters
    ----------
    files
        Files of all participants' measured maps.
    known
        The task of each known contrast, by its `plain_contrast`; empty where it has none.

    Raises
    ------
    DatasetError
        A label occurs in several tasks, and without a task.
    """
    tasks: dict[str, set[str | None]] = {}
    for file in files:
        tasks.setdefault(plain_contrast(file.contrast), set()).add(file.task)
    made, several = [], {}
    for file in files:
        own, of = plain_contrast(file.contrast), tasks[plain_contrast(file.contrast)]
        if len(of) > 2 and None in of:
            raise DatasetError(
                f"maps of the contrast {file.contrast} name the tasks "
                f"{', '.join(sorted(task for task in of if task))}, and others name none",
                expected="a task in each name, or a TOML file with labels of their own",
            )
        joined = f"{file.task or ''}{file.contrast[:1].upper()}{file.contrast[1:]}"
        alone = own not in known and plain_contrast(joined) in known
        if len(of - {None}) > 1:
            several[file.contrast] = len(of - {None})
        if alone or (
            file.contrast in several and plain_contrast(file.task or "") != known.get(own)
        ):
            file = dataclasses.replace(file, contrast=joined)
        made.append(file)
    words = "; ".join(
        f"{label} is of {counted(number, 'task')}, whose names are put before it"
        for label, number in sorted(several.items())
    )
    return tuple(made), f"contrasts of different tasks are different targets: {words}" * bool(words)


def group_maps(files: Sequence[StatFile]) -> tuple[StatMap, ...]:
    """Put the files of each map together: of a participant, a contrast, a session, one level.

    Of several levels of an analysis (FitLins writes runs, sessions and subjects) only the highest
    is used; its runs are counted at the lowest. A map of no session and no run stands for all
    sessions.

    Raises
    ------
    DatasetError
        Two files are of the same map and statistic, such as those of two runs.
    """

    def key(file: StatFile) -> tuple[str, str]:
        return file.participant, plain_contrast(file.contrast)

    made = []
    for _, group in groupby(sorted(files, key=key), key=key):
        members = list(group)
        whole = [file for file in members if file.session is None and file.level == "subject"]
        sessions = [None] if whole else sorted({file.session for file in members}, key=str)
        for session in sessions:
            of_session = whole or [file for file in members if file.session == session]
            below = members if whole else of_session
            highest = max((file.level for file in of_session), key=LEVELS.index)
            chosen = [file for file in of_session if file.level == highest]
            made.append(_map_of(chosen, below))
    return tuple(made)


def _map_of(files: Sequence[StatFile], below: Sequence[StatFile]) -> StatMap:
    """Make one map of the files of its level; `below` are those of all levels."""
    found: dict[Statistic, StatFile] = {}
    for file in sorted(files, key=lambda file: file.path.as_posix()):
        other = found.setdefault(file.statistic, file)
        if other.path.resolve() != file.path.resolve():
            raise DatasetError(
                f"sub-{file.participant} has two {file.statistic} maps of {file.contrast}: "
                f"{other.path} and {file.path}",
                expected="one map of all runs of a session",
                remedy="combine runs at the subject's level (FitLins; nilearn's "
                "compute_fixed_effects), or name the files wanted in a TOML file of patterns: "
                "-d statmaps=maps.toml (docs/reference/statmaps.md)",
            )
    first = files[0]
    counted_runs = {(file.session, file.run) for file in below if file.level == "run"}
    return StatMap(
        participant=first.participant,
        session=first.session,
        contrast=first.contrast,
        files={statistic: file.path for statistic, file in found.items()},
        task=first.task,
        level=first.level,
        runs=len(counted_runs) or None,
        space=first.space,
    )


def choose_statistic(people: Mapping[str, PersonMaps]) -> tuple[Statistic, str]:
    """Choose the statistic of everybody's targets, and a sentence where runs decided.

    The first of `STATISTICS` that everybody's files give. z and t grow with the number of runs, so
    they are taken only where everybody has as many runs of a contrast; effects have one scale
    whatever the number.

    Raises
    ------
    DatasetError
        No statistic is everybody's, or the numbers of runs differ and there are no effects.
    """
    maps = [statmap for person in people.values() for statmap in person.target.values()]
    possible = [name for name in STATISTICS if all(name in statmap.files for statmap in maps)]
    if not possible:
        present = sorted({name for statmap in maps for name in statmap.files})
        raise DatasetError(
            f"the measured maps are of {' and '.join(present)}, and no statistic is everybody's",
            expected="one statistic for everybody",
        )
    unequal = _unequal_runs(maps)
    if not unequal:
        return possible[0], ""
    if "effect" in possible:
        return "effect", (
            "effects are the targets, because their scale does not depend on the number of runs "
            f"({unequal})"
        )
    raise DatasetError(
        f"participants have different numbers of runs: {unequal}. The scale of {possible[0]} "
        "maps grows with the number of runs, and would look like a trait of the person",
        expected="as many runs for everybody, or maps of the effect beside",
        remedy="choose people with --participant-label",
    )


def _unequal_runs(maps: Sequence[StatMap]) -> str:
    """Describe the first contrast whose people have different numbers of runs; empty: none."""
    by_contrast: dict[str, dict[int | None, list[str]]] = {}
    for statmap in maps:
        of_contrast = by_contrast.setdefault(statmap.contrast, {})
        of_contrast.setdefault(statmap.runs, []).append(statmap.participant)
    for contrast, runs in by_contrast.items():
        if len(runs) > 1:
            words = (
                f"{'an unknown number of runs' if n is None else counted(n, 'run')} of "
                f"{counted(len(who), 'participant')} ({named(sorted(who))})"
                for n, who in sorted(runs.items(), key=lambda item: item[0] or 0)
            )
            return f"{contrast} has {', '.join(words)}"
    return ""


def choose_sessions(maps: Iterable[StatMap], preferred: Sequence[str] = ()) -> PersonMaps:
    """Choose target and retest of each contrast of a participant.

    The first session that has the contrast is the target and the second its retest, by the
    order of `session_order`. What is of no session is of all of them: it is the target, and then
    nothing is a retest.

    Parameters
    ----------
    maps
        Measured maps of one participant.
    preferred
        Labels of sessions that come before all others, in this order.
    """
    found: dict[str, list[StatMap]] = {}
    for statmap in maps:
        found.setdefault(plain_contrast(statmap.contrast), []).append(statmap)
    target, retest = {}, {}
    for contrast, several in found.items():
        first, *others = sorted(several, key=lambda found: _rank(found.session, preferred))
        target[contrast] = first
        later = [statmap for statmap in others if statmap.session != first.session]
        if later and first.session is not None:
            retest[contrast] = later[0]
    return PersonMaps(target, retest)


def session_order(session: str) -> tuple[bool, tuple[str | int, ...]]:
    """Return the sort key of a session: `retest` after `test`, 2 before 10."""
    parts = re.split(r"(\d+)", session.lower())
    natural = tuple(int(part) if n % 2 else part for n, part in enumerate(parts))
    return bool(_LATER.search(session)), natural


def describe_sessions(people: Iterable[PersonMaps]) -> str:
    """Say in one sentence which sessions are targets and retests; nothing without sessions."""
    people = list(people)
    targets = _sessions_of(sessions.target for sessions in people)
    if not targets:
        return ""
    retests = _sessions_of(sessions.retest for sessions in people)
    return f"Maps to predict are of {targets}; " + (
        f"retests are of {retests}." if retests else "there are no retests."
    )


def describe_files(people: Collection[PersonMaps], statistic: Statistic) -> tuple[str, ...]:
    """Describe the files of the targets: their number, levels, runs and tasks."""
    maps = [statmap for person in people for statmap in person.target.values()]
    levels: Counter[str] = Counter(statmap.level for statmap in maps)
    tasks = Counter(statmap.task or "not named" for statmap in maps)
    runs = Counter("not known" if m.runs is None else str(m.runs) for m in maps)
    return (
        f"{counted(len(maps), f'{statistic} map')} of {counted(len(people), 'participant')}, as "
        f"{maps[0].files[statistic].name}",
        f"level: {_shares(levels)}; runs in a map: {_shares(runs)}; task: {_shares(tasks)}",
    )


def _shares(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({counted(n, 'map')})" for name, n in counts.items())


def _rank(
    session: str | None, preferred: Sequence[str]
) -> tuple[int, tuple[bool, tuple[str | int, ...]]]:
    if session is None:
        return -1, session_order("")
    place = preferred.index(session) if session in preferred else len(preferred)
    return place, session_order(session)


def _sessions_of(maps: Iterable[Mapping[str, StatMap]]) -> str:
    """Name the sessions, each with how many participants have maps of it."""
    count = Counter(
        session
        for statmap in maps
        for session in sorted({found.session for found in statmap.values() if found.session})
    )
    ordered = sorted(count, key=session_order)
    return ", ".join(
        f"ses-{session} ({counted(count[session], 'participant')})" for session in ordered
    )
