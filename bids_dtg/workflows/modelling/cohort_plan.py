"""Who has rest and measured maps, and of what: by the names of the files alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts
from bids_dtg.errors import DatasetError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    choose_sessions,
    describe_sessions,
    find_statmaps,
    plain_contrast,
)
from bids_dtg.workflows.participant.request import Request


@dataclass(frozen=True, eq=False)
class CohortPlan:
    """Everybody who seems to have both scans; nothing has been read yet."""

    people: Mapping[str, PersonMaps]  # by label, sorted
    contrasts: tuple[Contrast, ...]  # rows of the maps
    statistic: Statistic  # of the maps
    left_out: Mapping[str, str]  # label -> what somebody lacks who has the other scan
    sessions: str  # a sentence on targets and retests; empty without sessions

    @property
    def labels(self) -> tuple[str, ...]:
        """Whose data can be worked on."""
        return tuple(self.people)

    @property
    def rows(self) -> dict[str, int]:
        """Row of each contrast, by its `plain_contrast`."""
        return {plain_contrast(contrast.label): contrast.index for contrast in self.contrasts}

    def of(self, labels: Collection[str]) -> CohortPlan:
        """Return the plan of some people only."""
        kept = {label: maps for label, maps in self.people.items() if label in labels}
        return dataclasses.replace(self, people=kept, sessions=describe_sessions(kept.values()))

    def complete(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return those of some people who have all contrasts."""
        return tuple(
            label for label in labels if len(self.people[label].target) == len(self.contrasts)
        )


def plan_cohort(request: Request, place: Path, contrasts: Sequence[Contrast] | None) -> CohortPlan:
    """Find out who has both scans, without reading any.

    Parameters
    ----------
    request
        Input dataset, participants, and the bundle in whose space the maps are to be.
    place
        Of the measured maps, for `find_statmaps`.
    contrasts
        Rows of the maps; None: all that the maps have, or the option `--contrast`.

    Raises
    ------
    DatasetError
        Nobody has both scans, or maps hold different statistics.
    """
    space = request.bundle.grid.space
    found = [statmap for statmap in find_statmaps(place) if statmap.space in (None, space)]
    asked = request.settings.modelling.contrast
    rows = _rows(found, contrasts, request.bundle.contrasts, asked)
    wanted = {plain_contrast(row.label) for row in rows}
    found = [statmap for statmap in found if plain_contrast(statmap.contrast) in wanted]
    statistics = sorted({statmap.statistic for statmap in found})
    if len(statistics) != 1:
        raise DatasetError(
            f"{place} has maps of {' and '.join(statistics) or 'no known contrast'} in {space}",
            expected="one statistic for everybody",
        )
    preferred = [plain_label(label, "ses") for label in request.settings.inputs.session_label]
    by_person: dict[str, list[StatMap]] = {}
    for statmap in found:
        by_person.setdefault(statmap.participant, []).append(statmap)
    people = {
        label: choose_sessions(maps, preferred)
        for label, maps in sorted(by_person.items())
        if label in request.participants
    }
    if not people:
        raise DatasetError(
            f"nobody who is worked on in {request.dataset.root} has maps in {place}",
            expected=f"the same labels; maps are of {', '.join(sorted(by_person)[:5])}",
        )
    if request.settings.inputs.participant_label:
        # Others were not asked for.
        left_out = {
            label: "no measured maps" for label in request.participants if label not in people
        }
    else:
        left_out = {label: "no rest" for label in sorted(by_person) if label not in people}
    return CohortPlan(people, rows, statistics[0], left_out, describe_sessions(people.values()))


def _rows(
    found: Sequence[StatMap],
    contrasts: Sequence[Contrast] | None,
    own: Sequence[Contrast],
    labels: Sequence[str],
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew; `own` are the model's, `labels` asked for."""
    present = {plain_contrast(statmap.contrast): statmap.contrast for statmap in found}
    known = {plain_contrast(contrast.label): contrast for contrast in hcp_contrasts()}
    known |= {plain_contrast(contrast.label): contrast for contrast in own}
    asked = [plain_contrast(label) for label in labels]
    if unknown := [key for key in asked if key not in present]:
        raise DatasetError(
            f"--contrast names {', '.join(unknown)}, which no map is of",
            expected=f"of {', '.join(sorted(present.values())[:60])}",
        )
    if contrasts is not None:
        keys = [plain_contrast(contrast.label) for contrast in contrasts]
        keys = [key for key in keys if key in present and (not asked or key in asked)]
    else:
        order = [key for key in known if key in present]
        keys = [
            key for key in order + sorted(set(present) - set(order)) if not asked or key in asked
        ]
    if not keys:
        raise DatasetError(
            "no measured map is of a contrast of the model",
            expected=f"labels as {', '.join(list(known)[:4])}; found "
            f"{', '.join(sorted(present.values())[:6])}",
        )
    made = []
    for number, key in enumerate(keys):
        label = "".join(letter for letter in present[key] if letter.isalnum())
        given = known.get(key) or Contrast(number, label, "", present[key], present[key])
        made.append(dataclasses.replace(given, index=number))
    return tuple(made)
