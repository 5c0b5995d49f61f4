"""Whether any run has what was asked for by label: a misspelt one is refused before any work."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.index import functional_files
from bids_dtg.inputs.runs import usable_series
from bids_dtg.inputs.selection import OPTIONS, PARCEL_SERIES, NamedFile, Selection, named_files
from bids_dtg.inputs.space_choice import SpaceRule, is_in_space, space_label
from bids_dtg.inputs.studies import STUDIES, person_folders


@dataclass(frozen=True)
class _Asked:
    """A label of an option, and what runs have in its place."""

    entity: str  # ses, task, run or space
    label: str  # as it was asked for
    seen: set[str] = field(default_factory=set)  # labels of the runs that do not have it

    @property
    def option(self) -> str:
        return OPTIONS.get(self.entity, "--space")

    def is_met(self, files: Sequence[NamedFile]) -> bool:
        """Return whether one of a participant's series has it; keep what the others have."""
        for file in files:
            if self.entity == "space":
                if is_in_space(file, self.label):
                    return True
                self.seen.add(space_label(file))
            elif (label := file.name.get(self.entity)) is not None:
                if same_label(self.entity, label, self.label):
                    return True
                self.seen.add(label)
        return False


def refuse_absent(dataset: InputDataset, participants: Sequence[str], selection: Selection) -> None:
    """Refuse labels of sessions, tasks and runs that no run of a dataset has.

    Names are read only, those of the participants asked for first, until every label was met;
    a participant who lacks one that others have fails alone, later.

    Parameters
    ----------
    dataset
        The input, of any type.
    participants
        Labels of those who were asked for.
    selection
        Sessions, tasks and runs asked for.

    Raises
    ------
    SettingsError
        Something is no label, or no run has it: what the runs have.
    """
    labels = {"ses": selection.sessions, "task": selection.tasks, "run": selection.runs}
    left = [
        _Asked(entity, plain_label(label, entity))
        for entity, asked in labels.items()
        for label in asked
    ]
    _refuse(left, dataset, participants, partial(list_series, dataset))


def refuse_absent_space(
    dataset: InputDataset,
    participants: Sequence[str],
    selection: Selection,
    rule: SpaceRule,
    *,
    any_task: bool = False,
) -> None:
    """Refuse a value of ``--space`` in which no run can be read.

    Parameters
    ----------
    dataset, participants, selection
        As for `refuse_absent`.
    rule
        Where runs are wanted, and the space asked for.
    any_task
        Whether a filter decides on the task.

    Raises
    ------
    SettingsError
        No run that was asked for is in this space: in which they are.
    """
    study, space = STUDIES.get(dataset.input_type), rule.asked
    if space is None:
        return
    if study is not None:
        if space.partition(":")[0] != rule.model:
            raise SettingsError(
                f"--space is {space}, and {study.title} is read in {rule.model}",
                remedy="leave --space out",
            )
        return

    def series(participant: str) -> list[NamedFile]:
        found, who = list_series(dataset, participant), f"sub-{participant}"
        with suppress(RunError):  # it is reported with the participant
            found = selection.of(found, who, any_task=any_task)
            return usable_series(found, who, dataset.input_type, rule.endings)
        return []

    _refuse([_Asked("space", space)], dataset, participants, series)


def _refuse(
    left: list[_Asked],
    dataset: InputDataset,
    participants: Sequence[str],
    series: Callable[[str], list[NamedFile]],
) -> None:
    """Refuse the first label that no participant's series has."""
    looked_at: set[str] = set()
    are_runs = False
    for participant in chain(participants, _others(dataset)):
        if not left:
            return
        if participant not in looked_at:
            looked_at.add(participant)
            files = series(participant)
            are_runs |= bool(files)
            left = [asked for asked in left if not asked.is_met(files)]
    if left and are_runs:  # without any run, there is more to say than this
        raise _absent(left[0], dataset)


def _absent(asked: _Asked, dataset: InputDataset) -> SettingsError:
    found = f"{asked.option} is '{asked.label}', which no run in {dataset.root} has"
    if not asked.seen:
        return SettingsError(found, remedy=f"leave {asked.option} out")
    near = difflib.get_close_matches(asked.label, sorted(asked.seen), n=1, cutoff=0.7)
    there = [*near, *sorted(asked.seen - set(near))]
    more = ", ..." if len(there) > 8 else ""
    return SettingsError(
        found,
        expected=f"{'one of ' * (len(there) > 1)}{', '.join(there[:8])}{more}",
        # A space is asked for with its resolution or without.
        remedy=did_you_mean(asked.label, [*there, *(name.partition(":")[0] for name in there)]),
    )


def _others(dataset: InputDataset) -> Iterator[str]:
    study = STUDIES.get(dataset.input_type)
    if study is None:
        yield from participants_in(dataset.root)
    else:
        yield from (folder.participant for folder in person_folders(study, dataset.root))


def list_series(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's BOLD series by their names, in all versions."""
    study = STUDIES.get(dataset.input_type)
    if study is None:
        files = named_files(functional_files(dataset.root / f"sub-{participant}"))
        return [
            file
            for file in files
            if (file.name.suffix == "bold" and file.name.extension != ".json")
            or file.name.extension in PARCEL_SERIES
        ]
    found: list[NamedFile] = []
    for folder in person_folders(study, dataset.root, participant):
        for space in study.spaces:
            with suppress(RunError):  # it is reported with the participant, if it is worked on
                found += [series.file for series in study.series(folder, space)]
    return found
