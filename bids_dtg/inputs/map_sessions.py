"""Which session of measured maps is the one to predict, and which its retest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bids_dtg.inputs.statmaps import StatMap, plain_contrast
from bids_dtg.notices import counted

# Sessions that are named after an earlier one.
_LATER = re.compile("retest|rescan|repeat|follow|post|second", re.IGNORECASE)


@dataclass(frozen=True)
class PersonMaps:
    """A participant's measured maps; a contrast's key is its `plain_contrast`."""

    target: Mapping[str, StatMap]  # of each contrast the map to predict
    retest: Mapping[str, StatMap]  # of each contrast one of a later session, where there is one

    @property
    def retested(self) -> bool:
        """Whether each contrast has a retest."""
        return self.target.keys() == self.retest.keys()


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
    for one in maps:
        found.setdefault(plain_contrast(one.contrast), []).append(one)
    target, retest = {}, {}
    for contrast, several in found.items():
        first, *others = sorted(several, key=lambda one: _rank(one.session, preferred))
        target[contrast] = first
        later = [one for one in others if one.session != first.session]
        if later and first.session is not None:
            retest[contrast] = later[0]
    return PersonMaps(target, retest)


def session_order(session: str) -> tuple[bool, tuple[str | int, ...]]:
    """Return what sessions are sorted by: `retest` after `test`, 2 before 10."""
    parts = re.split(r"(\d+)", session.lower())
    natural = tuple(int(part) if n % 2 else part for n, part in enumerate(parts))
    return bool(_LATER.search(session)), natural


def _rank(
    session: str | None, preferred: Sequence[str]
) -> tuple[int, tuple[bool, tuple[str | int, ...]]]:
    if session is None:
        return -1, session_order("")
    place = preferred.index(session) if session in preferred else len(preferred)
    return place, session_order(session)


def describe_sessions(people: Iterable[PersonMaps]) -> str:
    """Say in one sentence which sessions are targets and retests; nothing without sessions."""
    people = list(people)
    targets = _sessions_of(one.target for one in people)
    if not targets:
        return ""
    retests = _sessions_of(one.retest for one in people)
    return f"Maps to predict are of {targets}; " + (
        f"retests are of {retests}." if retests else "there are no retests."
    )


def _sessions_of(maps: Iterable[Mapping[str, StatMap]]) -> str:
    """Name the sessions, each with how many participants have maps of it."""
    count = Counter(
        session
        for one in maps
        for session in sorted({found.session for found in one.values() if found.session})
    )
    ordered = sorted(count, key=session_order)
    return ", ".join(
        f"ses-{session} ({counted(count[session], 'participant')})" for session in ordered
    )
