"""Measured contrast maps of participants: their files, statistics and sessions."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from bids_dtg.errors import DatasetError
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.inputs.dataset import MOUNT_REMINDER, seen
from bids_dtg.notices import counted

Statistic = Literal["z", "t", "effect"]

# Of a contrast with several the first is taken.
STATISTICS: tuple[Statistic, ...] = ("z", "t", "effect")
_IMAGES = (".nii.gz", ".nii", ".hdr", ".img")
# What this program writes is not measured.
_OURS = re.compile(r"synthetic|segmentSpread|halfwidth.*|connectome")
_BRACES = re.compile(r"\{([a-z]+)\}")
# A value in braces ends where a part of the path does.
_VALUE = r"[^/]+?"
_FIELDS = {"path", "statistic", "contrast", "contrasts"}

# Sessions that are named after an earlier one.
_LATER = re.compile("retest|rescan|repeat|follow|post|second", re.IGNORECASE)


@dataclass(frozen=True)
class StatMap:
    """The measured map of one contrast of one participant."""

    participant: str  # label, without sub-
    session: str | None  # label, without ses-; None where the data have no sessions
    contrast: str  # label, as the data name it
    statistic: Statistic  # what the values are
    space: str | None  # template by the name; None where the name has none
    files: tuple[Path, ...]  # images whose mean it is: one, or one a run


@dataclass(frozen=True)
class PersonMaps:
    """A participant's measured maps; a contrast's key is its `plain_contrast`."""

    target: Mapping[str, StatMap]  # of each contrast the map to predict
    retest: Mapping[str, StatMap]  # of each contrast one of a later session, where there is one

    @property
    def retested(self) -> bool:
        """Whether each contrast has a retest."""
        return self.target.keys() == self.retest.keys()


def find_statmaps(place: Path) -> tuple[StatMap, ...]:
    """Find the measured maps of everybody.

    Parameters
    ----------
    place
        A folder with BIDS names (`*_contrast-X_stat-z_statmap.nii.gz`, as of FitLins or
        nilearn's `save_glm_to_bids`), or a TOML file of patterns (docs/group.md), whose paths
        begin in its own folder.

    Returns
    -------
    Sorted by participant, session and contrast; of each contrast the first statistic of
    `STATISTICS` that there is, of each space.

    Raises
    ------
    DatasetError
        If nothing is there, or a pattern cannot be read.
    """
    if place.suffix == ".toml" and place.is_file():
        found = []
        for pattern in _read_patterns(place):
            matched = list(pattern.find(place.parent))
            if not matched:
                raise DatasetError(
                    f"{place}: no file below {place.parent} fits the pattern {pattern.path!r}",
                    expected="paths and values of {contrast} as they are there",
                )
            found += matched
    elif place.is_dir():
        found = list(_named(place))
    else:
        raise DatasetError(
            f"--derivatives statmaps={place} does not exist",
            expected="a folder of statistic maps, or a TOML file of patterns",
            remedy=MOUNT_REMINDER,
        )
    if not found:
        raise DatasetError(
            f"{place} has no statistic maps that are known by their names"
            + (f", but {seen(place)}" if place.is_dir() else ""),
            expected="*_contrast-X_stat-z_statmap.nii.gz, or a TOML file of patterns",
        )
    return _best(found)


def statmaps_place(derivatives: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Take `statmaps=PATH` out of the derivatives; the place and the others."""
    prefix = "statmaps="
    places = [
        Path(text.removeprefix(prefix)).expanduser()
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
    """Write labels that differ by case or signs the same: `LANGUAGE_MATH` and `languageMath`."""
    return re.sub("[^0-9a-z]", "", label.lower())


def choose_sessions(maps: Iterable[StatMap], preferred: Sequence[str] = ()) -> PersonMaps:
    """Choose target and retest of each contrast of a participant.

    The first session that has the contrast is the target and the second its retest, by the
    order of `session_order`. What is of no session is of all of them: it is the target, and then
    nothing is a retest.

    Parameters
    ----------
    maps
        Of one participant.
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
    """Return what sessions are sorted by: `retest` after `test`, 2 before 10."""
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


def _best(found: Sequence[StatMap]) -> tuple[StatMap, ...]:
    """Keep one statistic of each contrast, and put the runs of a session together."""
    groups: dict[tuple[str, str, str, str], list[StatMap]] = {}
    for statmap in found:
        key = (
            statmap.participant,
            statmap.session or "",
            plain_contrast(statmap.contrast),
            statmap.space or "",
        )
        groups.setdefault(key, []).append(statmap)
    kept = []
    for _, group in sorted(groups.items()):
        statistic = min((statmap.statistic for statmap in group), key=STATISTICS.index)
        same = [statmap for statmap in group if statmap.statistic == statistic]
        files = tuple(sorted({path for statmap in same for path in statmap.files}))
        first = same[0]
        kept.append(
            StatMap(first.participant, first.session, first.contrast, statistic, first.space, files)
        )
    return tuple(kept)


def _named(root: Path) -> Iterator[StatMap]:
    """Yield the maps with BIDS names below the participants' folders."""
    for path in _images(root):
        try:
            name = parse_name(path.name)
        except ValueError:
            continue
        statmap = _map_of(name, path)
        if statmap is not None:
            yield statmap


def _map_of(name: BidsName, path: Path) -> StatMap | None:
    participant, contrast = name.get("sub"), name.get("contrast")
    statistic, desc = name.get("stat"), name.get("desc")
    if name.suffix != "statmap" or not participant or not contrast:
        return None
    if statistic not in STATISTICS or (desc and _OURS.fullmatch(desc)):
        return None
    return StatMap(
        participant,
        name.get("ses"),
        contrast,
        statistic,
        name.get("space"),
        (path,),
    )


def _images(root: Path) -> Iterator[Path]:
    """Yield images in a steady order; of an Analyze pair the header."""
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.endswith(_IMAGES) or name.startswith("."):
                continue
            path = Path(folder, name)
            if path.suffix != ".img" or not path.with_suffix(".hdr").exists():
                yield path


@dataclass(frozen=True)
class _Pattern:
    """Paths with braces, and what they hold."""

    source: Path  # the TOML file
    path: str  # below its folder, e.g. {sub}/cope{contrast}.feat/stats/zstat1.nii.gz
    statistic: Statistic  # of all these maps
    contrast: str | None  # label where the path has no {contrast}
    contrasts: Mapping[str, str]  # value of {contrast} in the path -> label

    def find(self, root: Path) -> Iterator[StatMap]:
        expression = re.compile(self._expression())
        for path in sorted(root.glob(_BRACES.sub("*", self.path))):
            match = expression.fullmatch(path.relative_to(root).as_posix())
            if match is None:
                continue
            values = match.groupdict()
            label = values.get("contrast")
            contrast = self.contrast if label is None else self.contrasts.get(label, label)
            if self.contrasts and label is not None and label not in self.contrasts:
                continue
            assert contrast is not None  # one of both is there, as was checked
            participant = values["sub"].removeprefix("sub-")
            yield StatMap(
                re.sub("[^0-9A-Za-z]", "", participant),
                values.get("ses"),
                contrast,
                self.statistic,
                None,
                (path,),
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
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise DatasetError(f"{path} cannot be read: {err}", expected="TOML") from err
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
    statistic = table.get("statistic")
    if statistic not in STATISTICS:
        raise wrong(f"has the statistic {statistic!r}", f"one of {', '.join(STATISTICS)}")
    contrast, contrasts = table.get("contrast"), table.get("contrasts", {})
    if (contrast is None) == ("contrast" not in braces):
        raise wrong("names its contrast twice or not at all", "{contrast} in path, or contrast")
    if not isinstance(contrasts, dict) or not all(isinstance(v, str) for v in contrasts.values()):
        raise wrong(f"has the contrasts {contrasts!r}", 'e.g. {"1" = "languageMath"}')
    return _Pattern(source, path, cast("Statistic", statistic), contrast, contrasts)


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
