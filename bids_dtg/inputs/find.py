"""Runs and anatomy of any type of input, by one call each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.selection import EVERY_REST, Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.studies import find_folder_runs
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
        Further pybids filters; for BIDS derivatives only.

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
