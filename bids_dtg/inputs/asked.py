"""Whether any run has what was asked for by label: a misspelt one is refused before any work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain

from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.index import functional_files
from bids_dtg.inputs.runs import usable_series
from bids_dtg.inputs.selection import OPTIONS, PARCEL_SERIES, NamedFile, Selection, named_files
from bids_dtg.inputs.space_choice import SpaceRule, is_in_space, space_label
from bids_dtg.inputs.studies import person_folders


def refuse_absent(dataset: InputDataset, participants: Sequence[str], selection: Selection) -> None:
    """Refuse labels of sessions and tasks that no run of a dataset has.

    Names are read only, those of the participants asked for first, until every label was met;
    a participant who lacks one that others have fails alone, later.

    Parameters
    ----------
    dataset
        The input, of any type.
    participants
        Labels of those who were asked for.
    selection
        Sessions and tasks asked for.

    Raises
    ------
    SettingsError
        Something is no label, or no run has it: what the runs have.
    """
    asked = {"ses": selection.sessions, "task": selection.tasks}
    for entity, labels in asked.items():
        for label in labels:
            _refuse_label(dataset, participants, entity, plain_label(label, entity))


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
    if (space := rule.asked) is None:
        return
    if dataset.study is not None:
        if space.partition(":")[0] != rule.model:
            raise SettingsError(
                f"--space is {space}, and {dataset.study.title} is read in {rule.model}",
                remedy="leave --space out",
            )
        return

    def series(participant: str) -> list[NamedFile]:
        found, who = list_series(dataset, participant), f"sub-{participant}"
        with suppress(RunError):  # it is reported with the participant
            found = selection.of(found, who, any_task=any_task)
            return usable_series(found, who, dataset.input_type, rule.endings)
        return []

    _refuse(
        dataset,
        participants,
        ("--space", space),
        series,
        space_label,
        lambda file, _: is_in_space(file, space),
    )


def _refuse_label(
    dataset: InputDataset, participants: Sequence[str], entity: str, label: str
) -> None:
    def label_of(file: NamedFile) -> str | None:
        return file.name.get(entity)

    def is_met(_: NamedFile, own: str) -> bool:
        return same_label(entity, own, label)

    def series(participant: str) -> list[NamedFile]:
        return list_series(dataset, participant)

    _refuse(dataset, participants, (OPTIONS[entity], label), series, label_of, is_met)


def _refuse(
    dataset: InputDataset,
    participants: Sequence[str],
    asked: tuple[str, str],
    series: Callable[[str], list[NamedFile]],
    label_of: Callable[[NamedFile], str | None],
    is_met: Callable[[NamedFile, str], bool],
) -> None:
    """Refuse the label of an option that no participant's series has."""
    seen: set[str] = set()
    are_runs = False
    for participant in dict.fromkeys(chain(participants, _everybody(dataset))):
        for file in series(participant):
            are_runs = True
            if (own := label_of(file)) is None:
                continue
            if is_met(file, own):
                return
            seen.add(own)
    if not are_runs:  # there is more to say than this
        return
    option, label = asked
    # A space is asked for with its resolution or without.
    near = did_you_mean(label, [*sorted(seen), *(name.partition(":")[0] for name in sorted(seen))])
    there = sorted(seen, key=lambda name: (name not in (near or ""), name))
    more = ", ..." if len(there) > 8 else ""
    raise SettingsError(
        f"{option} is '{label}', which no run in {dataset.root} has",
        expected=f"{'one of ' * (len(there) > 1)}{', '.join(there[:8])}{more}" if there else None,
        remedy=near if there else f"leave {option} out",
    )


def _everybody(dataset: InputDataset) -> Sequence[str]:
    if dataset.study is None:
        return participants_in(dataset.root)
    return [folder.participant for folder in person_folders(dataset.study, dataset.root)]


def list_series(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's BOLD series by their names, in all versions."""
    if dataset.study is None:
        files = named_files(functional_files(dataset.root / f"sub-{participant}"))
        return [
            file
            for file in files
            if (file.name.suffix == "bold" and file.name.extension != ".json")
            or file.name.extension in PARCEL_SERIES
        ]
    found: list[NamedFile] = []
    for folder in person_folders(dataset.study, dataset.root, participant):
        with suppress(RunError):  # it is reported with the participant, if it is worked on
            found += [run.named for run in dataset.study.runs(folder)]
    return found
