"""Runs and anatomy of any type of input, and labels that no run has, refused before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs, functional_files, usable_series
from bids_dtg.inputs.selection import (
    EVERY_REST,
    OPTIONS,
    PARCEL_SERIES,
    NamedFile,
    Selection,
    named_files,
)
from bids_dtg.inputs.space_choice import SpaceRule, is_in_space, space_label
from bids_dtg.inputs.studies import find_folder_runs, person_folders
from bids_dtg.inputs.templateflow import TemplateFlow


def find_input_runs(
    dataset: InputDataset,
    participant: str,
    selection: Selection = EVERY_REST,
    *,
    rule: SpaceRule,
    bids_filter: Mapping[str, Any] | None = None,
) -> tuple[RestRun, ...]:
    """Find the runs of one participant of a dataset, sorted by name.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant
        Participant's label, without `sub-`.
    selection
        Sessions, tasks and runs asked for.
    rule
        How a version of each run is chosen.
    bids_filter
        Further filters, from `selection.read_filter_file`; for BIDS derivatives only.

    Raises
    ------
    RunError
        If there is no such run, or its files are not there.
    SettingsError
        If a filter was given for an input without BIDS names.
    """
    study = dataset.study
    if study is None:
        return find_runs(
            dataset.root,
            participant,
            selection,
            rule=rule,
            input_type=dataset.input_type,
            bids_filter=bids_filter,
        )
    if bids_filter:
        raise SettingsError(
            f"--bids-filter-file was given for {study.title}",
            expected="BIDS derivatives, whose names it filters",
            remedy="choose with --task-id or --session-label",
        )
    return find_folder_runs(study, dataset.root, participant, selection, rule)


def find_anatomy(
    dataset: InputDataset, participant: str, session: str | None, *, templateflow: TemplateFlow
) -> Anatomy:
    """Return the anatomy of one participant, or of one of their sessions; no file is looked up.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant, session
        Labels without `sub-` and `ses-`; no session: what is of all of them.
    templateflow
        Where transforms between templates are.

    Raises
    ------
    RunError
        The input's folders have no files of the participant's own space as fMRIPrep writes them.
    """
    study = dataset.study
    if study is not None:
        raise RunError(
            f"{study.title} has no transforms to T1w space that can be read",
            expected="from-TEMPLATE_to-T1w_mode-image_xfm.h5 in fMRIPrep's anat folder",
            remedy="leave out what is to be in the participant's own space",
        )
    return Anatomy(dataset.root.absolute(), participant, session, templateflow)


def refuse_absent(dataset: InputDataset, participants: Sequence[str], selection: Selection) -> None:
    """Refuse labels of sessions and tasks that no run of a dataset has.

    Names are read only, those of the participants asked for first, until the label was met;
    a participant who lacks one that others have fails alone, later.

    Raises
    ------
    SettingsError
        Something is no label, or no run has it: what the runs have.
    """
    for entity, labels in (("ses", selection.sessions), ("task", selection.tasks)):
        for label in [plain_label(label, entity) for label in labels]:

            def labels_of(who: str, entity: str = entity, label: str = label) -> dict[str, bool]:
                found = (file.name.get(entity) for file in list_series(dataset, who))
                return {own: same_label(entity, own, label) for own in found if own is not None}

            _refuse(dataset, participants, OPTIONS[entity], label, labels_of)


def refuse_absent_space(
    dataset: InputDataset,
    participants: Sequence[str],
    selection: Selection,
    rule: SpaceRule,
    *,
    any_task: bool = False,
) -> None:
    """Refuse a value of ``--space`` in which no run that was asked for can be read.

    Raises
    ------
    SettingsError
        No run is in this space: in which they are.
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

    def spaces_of(participant: str) -> dict[str, bool]:
        found, who = list_series(dataset, participant), f"sub-{participant}"
        with suppress(RunError):  # it is reported with the participant
            found = selection.of(found, who, any_task=any_task)
            usable = usable_series(found, who, dataset.input_type, rule.endings)
            return {space_label(file): is_in_space(file, space) for file in usable}
        return {}

    _refuse(dataset, participants, "--space", space, spaces_of)


def _refuse(
    dataset: InputDataset,
    participants: Sequence[str],
    option: str,
    label: str,
    labels_of: Callable[[str], dict[str, bool]],
) -> None:
    """Refuse the label of an option that no participant's series has."""
    seen: set[str] = set()
    if dataset.study is None:
        everybody = participants_in(dataset.root)
    else:
        everybody = tuple(f.participant for f in person_folders(dataset.study, dataset.root))
    people = dict.fromkeys(chain(participants, everybody))
    for participant in people:
        found = labels_of(participant)
        if any(found.values()):
            return
        seen |= found.keys()
    if not seen and not any(list_series(dataset, participant) for participant in people):
        return  # there is more to say than this
    # A space is asked for with its resolution or without.
    near = did_you_mean(label, [*sorted(seen), *(name.partition(":")[0] for name in sorted(seen))])
    there = sorted(seen, key=lambda name: (name not in (near or ""), name))
    more = ", ..." if len(there) > 8 else ""
    raise SettingsError(
        f"{option} is '{label}', which no run in {dataset.root} has",
        expected=f"{'one of ' * (len(there) > 1)}{', '.join(there[:8])}{more}" if there else None,
        remedy=near if there else f"leave {option} out",
    )


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
