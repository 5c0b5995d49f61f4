"""Plans from file names alone who has rest and measured maps, and of which contrasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.inputs.space_choice import SURFACE
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    StatFile,
    Statistic,
    StatMap,
    choose_sessions,
    choose_statistic,
    describe_files,
    describe_sessions,
    group_maps,
    in_space,
    name_targets,
    nearest_contrast,
    plain_contrast,
    with_families,
)
from bids_dtg.notices import counted


@dataclass(frozen=True, eq=False)
class CohortPlan:
    """Everybody who seems to have both scans; no image has been read."""

    people: Mapping[str, PersonMaps]  # by label, sorted
    contrasts: tuple[Contrast, ...]  # rows of the maps
    statistic: Statistic  # of the maps
    left_out: Mapping[str, str]  # label -> missing scan, of people with the other scan
    sessions: str  # a sentence on targets and retests; empty without sessions
    notes: tuple[str, ...] = ()  # decisions on tasks, spaces and runs
    # By template, the transform that maps points of the model's space to those of such maps.
    ways: Mapping[str, Path] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """Sentences on the files of the targets."""
        return describe_files(tuple(self.people.values()), self.statistic)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people who can be worked on."""
        return tuple(self.people)

    @property
    def rows(self) -> dict[str, int]:
        """Row of each contrast, by its `plain_contrast`."""
        return {plain_contrast(contrast.label): contrast.index for contrast in self.contrasts}

    @property
    def contrast_labels(self) -> dict[str, str]:
        """Label of each contrast, by its `plain_contrast`, in the order of the rows."""
        return {plain_contrast(contrast.label): contrast.label for contrast in self.contrasts}

    def of(self, labels: Collection[str]) -> CohortPlan:
        """Return the plan of some people only."""
        kept = {label: maps for label, maps in self.people.items() if label in labels}
        return dataclasses.replace(self, people=kept, sessions=describe_sessions(kept.values()))

    def complete(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the people who have all contrasts."""
        return tuple(
            label for label in labels if len(self.people[label].target) == len(self.contrasts)
        )


def plan_cohort(
    request: Request,
    place: Path,
    contrasts: Sequence[Contrast] | None,
    *,
    ignore_asked: bool = False,
) -> CohortPlan:
    """Plan from file names who has both scans.

    Parameters
    ----------
    request
        Input dataset, participants, and the bundle that defines the space of the maps.
    place
        Folder of the measured maps, for `find_statmap_files`.
    contrasts
        Rows of the maps; None: those of `--contrast`, or all that the maps have.
    ignore_asked
        Whether `--contrast` leaves no row out.

    Raises
    ------
    DatasetError
        Nobody has both scans, or files differ in task, statistic or number of runs, or are
        several for one map.
    """
    everything = find_statmap_files(place)
    ways, lacks = _ways(request, everything.files)
    try:
        files, of_space = in_space(everything.files, request.bundle.space, ways)
    except DatasetError as err:
        remedy = next((lack.remedy for lack in lacks if lack.remedy), None)
        raise DatasetError(err.found, expected=err.expected, remedy=remedy) from err
    known = (*hcp_contrasts(), *request.bundle.contrasts)
    tasks = {plain_contrast(row.label): plain_contrast(row.task) for row in known}
    files, of_tasks = name_targets(files, tasks)
    asked = () if ignore_asked else request.settings.modelling.contrast
    rows = contrast_rows(
        [file.contrast for file in files], contrasts, request.bundle.contrasts, asked
    )
    wanted = {plain_contrast(row.label) for row in rows}
    files = tuple(file for file in files if plain_contrast(file.contrast) in wanted)
    with_maps = sorted({file.participant for file in files})
    people = _people(request, [file for file in files if file.participant in request.participants])
    if not people:
        raise DatasetError(
            f"nobody who is worked on in {request.dataset.root} has maps in {place}",
            expected=f"the same labels; maps are of {', '.join(with_maps[:5])}",
        )
    statistic, of_runs = choose_statistic(people)
    people = {
        label: dataclasses.replace(
            maps,
            retest={
                key: found for key, found in maps.retest.items() if found.combination(statistic)
            },
        )
        for label, maps in people.items()
    }
    left_out = {label: "no measured maps" for label in request.participants if label not in people}
    if not request.settings.inputs.participant_label:  # others were not asked for
        left_out |= {label: "no rest" for label in with_maps if label not in request.participants}
    ours = everything.predicted and (
        f"{counted(everything.predicted, 'file')} among the measured maps are predictions of "
        "bids_dtg and are not used"
    )
    notes = tuple(note for note in (of_tasks, of_space, of_runs, ours) if note)
    sessions = describe_sessions(people.values())
    return CohortPlan(people, rows, statistic, left_out, sessions, notes, ways)


def _ways(request: Request, files: Sequence[StatFile]) -> tuple[dict[str, Path], list[RunError]]:
    """Return transforms to other templates that maps are in, and what other templates lack."""
    ways: dict[str, Path] = {}
    lacks: list[RunError] = []
    model = request.bundle.space
    spaces = {file.space for file in files if file.space not in (None, model, SURFACE, PARCELS)}
    if model in (SURFACE, PARCELS):
        return ways, lacks
    for space in sorted(filter(None, spaces)):
        try:
            ways[space] = request.templateflow.transform(model, space)
        except RunError as err:
            lacks.append(err)
    return ways, lacks


def _people(request: Request, files: Sequence[StatFile]) -> dict[str, PersonMaps]:
    """Return the targets and retests of people, by their labels."""
    preferred = [plain_label(label, "ses") for label in request.settings.inputs.session_label]
    by_person: dict[str, list[StatMap]] = {}
    for statmap in group_maps(files):
        by_person.setdefault(statmap.participant, []).append(statmap)
    return {label: choose_sessions(maps, preferred) for label, maps in sorted(by_person.items())}


def _examples(contrasts: Iterable[Contrast]) -> list[str]:
    return [contrast.label for contrast in contrasts][:4]


def contrast_rows(
    found: Sequence[str],
    contrasts: Sequence[Contrast] | None,
    own: Sequence[Contrast],
    labels: Sequence[str],
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew.

    Parameters
    ----------
    found
        Labels of the measured maps.
    contrasts
        Contrasts to choose from; None: all.
    own
        The model's contrasts, whose descriptions are kept.
    labels
        Labels or tasks of ``--contrast``; empty: all.

    Raises
    ------
    DatasetError
        None of these is present.
    """
    present = {plain_contrast(label): label for label in found}
    known = {plain_contrast(contrast.label): contrast for contrast in hcp_contrasts()}
    known |= {plain_contrast(contrast.label): contrast for contrast in own}
    tasks = {name: known[key].task if key in known else "" for key, name in present.items()}
    labels = with_families(labels, tasks)
    asked = [plain_contrast(label) for label in labels]
    if unknown := [label for label in labels if plain_contrast(label) not in present]:
        near = [nearest_contrast(label, present.values()) for label in unknown]
        meant = " or ".join(label for label in near if label is not None)
        raise DatasetError(
            f"--contrast names {', '.join(unknown)}, which no map is of",
            expected=f"of {', '.join(sorted(present.values())[:60])}",
            remedy=f"did you mean {meant}?" if meant else None,
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
            expected=f"labels such as {', '.join(_examples(contrasts or known.values()))}; found "
            f"{', '.join(sorted(present.values())[:6])}",
        )
    made = []
    for number, key in enumerate(keys):
        label = "".join(letter for letter in present[key] if letter.isascii() and letter.isalnum())
        given = known.get(key) or Contrast(number, label, "", present[key], present[key])
        made.append(dataclasses.replace(given, index=number))
    return tuple(made)


def own_names(contrasts: Sequence[Contrast]) -> str:
    """Name the contrasts that are none of HCP's, in a sentence; empty where there are none.

    Examples
    --------
    >>> own_names(contrast_rows(["WM 0bk:faces", "SOCIAL:rnd"], None, (), ()))
    'no contrast of HCP, so kept under its own name: 1 of 2 contrasts (SOCIALrnd)'
    """
    known = {plain_contrast(contrast.label) for contrast in hcp_contrasts()}
    own = [row.label for row in contrasts if plain_contrast(row.label) not in known]
    if not own:
        return ""
    under = "its own name" if len(own) == 1 else "their own names"
    number = f"{len(own)} of {counted(len(contrasts), 'contrast')}"
    return f"no contrast of HCP, so kept under {under}: {number} ({', '.join(own)})"
