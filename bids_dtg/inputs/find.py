"""Runs of any type of input, by one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.selection import EVERY_REST, Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.studies import STUDIES, find_folder_runs


def find_input_runs(
    dataset: InputDataset,
    participant: str,
    selection: Selection = EVERY_REST,
    *,
    rule: SpaceRule,
    bids_filter: Mapping[str, Any] | None = None,
    database_dir: Path | None = None,
) -> tuple[RestRun, ...]:
    """Find the runs of one participant of a dataset, sorted by name.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant
        Label without `sub-`.
    selection
        Sessions, tasks and runs asked for.
    rule
        How a version of each run is chosen.
    bids_filter
        Further pybids filters; for BIDS derivatives only.
    database_dir
        Folder for pybids' database, which filters need; none is kept where None.

    Raises
    ------
    RunError
        If there is no such run, or its files are not there.
    SettingsError
        If a filter was given for an input without BIDS names.
    """
    study = STUDIES.get(dataset.input_type)
    if study is None:
        return find_runs(
            dataset.root,
            participant,
            selection,
            rule=rule,
            input_type=dataset.input_type,
            bids_filter=bids_filter,
            database_dir=database_dir,
        )
    if bids_filter:
        raise SettingsError(
            f"--bids-filter-file was given for {study.title}",
            expected="BIDS derivatives, whose names it filters",
            remedy="choose with --task-id and --run",
        )
    return find_folder_runs(study, dataset.root, participant, selection, rule)
