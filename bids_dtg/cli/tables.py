"""What a call asks a workflow for, and the values of options that choose a row of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bids_dtg.cleaning.strategies import AUTO as AUTO_STRATEGY
from bids_dtg.cleaning.strategies import STRATEGIES, resolve
from bids_dtg.cli.exits import EXIT_FAILED
from bids_dtg.engine.machine import available_cores, excess, limit_threads, own_threads
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import check_temporary_folder
from bids_dtg.notices import say
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.workflows import (
    DEFAULT,
    WORKFLOWS,
    Run,
    Workflow,
    all_workflows,
    find_workflow,
)

_ROWS = ("analysis", "recipe", "architecture")  # options whose values are a workflow's own


def chosen(workflow: Workflow, settings: Settings) -> Run:
    """Return what the options ask a workflow for.

    Raises
    ------
    SettingsError
        The workflow has no such level, analysis or recipe, or the analysis lacks something.
    """
    name, level = settings.modelling.analysis, settings.inputs.analysis_level
    for option in _ROWS:
        _require(workflow, option, settings.options[option])
    if level == "group" and name is None and workflow.group is None:
        raise SettingsError(
            f"--workflow {workflow.name} was given with group and no --analysis",
            expected=f"group --analysis {'|'.join(workflow.analyses)}",
        )
    if name is not None:
        _require_model(workflow, name, settings)
        return workflow.analyses[name].run
    if level == "group":
        assert workflow.group is not None
        return workflow.group
    if settings.behaviour.reports_only:
        return workflow.participants.reports
    level_row = workflow.participants
    return level_row.verify if settings.behaviour.verify else level_row.results


def _require(workflow: Workflow, option: str, name: str | None) -> None:
    """Refuse a value that the workflow does not have; where it has none at all, none is read."""
    legal = workflow.legal(option)
    if name is None or name in legal or not legal:
        return
    others = [row.name for row in all_workflows() if name in row.legal(option)]
    raise SettingsError(
        f"--{option} {name} was given with --workflow {workflow.name}",
        expected=f"one of {', '.join(legal)}",
        remedy=f"--workflow {' or '.join(others)} has --{option} {name}" if others else "",
    )


def _require_model(workflow: Workflow, name: str, settings: Settings) -> None:
    row, unnamed = workflow.analyses[name], settings.inputs.model == OPTIONS["model"].default
    instead = row.instead_of_model and settings.options[row.instead_of_model] is not None
    if row.needs_model and unnamed and not instead:
        other = f", or --{row.instead_of_model}" if row.instead_of_model else ""
        raise SettingsError(
            f"--workflow {workflow.name} --analysis {name} was given without --model",
            expected=f"a model that --workflow {workflow.name} --analysis train has made{other}",
        )


def run_workflow(settings: Settings) -> int:
    """Do what the options ask for, as ``bids_dtg`` does.

    Parameters
    ----------
    settings
        All options of the call.

    Returns
    -------
    int
        Exit code: 0 where all is done, 1 where at least one participant failed.

    Raises
    ------
    DtgError
        Nothing was started: wrong options, dataset or model.

    Examples
    --------
    >>> from pathlib import Path
    >>> settings = Settings.of(
    ...     bids_dir=Path("nowhere"), output_dir=Path("out"), analysis_level="participant"
    ... )
    >>> from bids_dtg.errors import DatasetError
    >>> try:
    ...     run_workflow(settings)
    ... except DatasetError as err:
    ...     print(err.found.rpartition("/")[2])
    nowhere does not exist
    """
    from bids_dtg.bundles.store import model_of_output
    from bids_dtg.files.derivatives import refuse_other_workflow
    from bids_dtg.inputs.dataset import require_bids_dir

    workflow = find_workflow(settings.inputs.workflow)
    run = chosen(workflow, settings)
    resolve(settings.cleaning, settings.inputs.input_type)  # refuses what does not go together
    refuse_other_workflow(settings.inputs.output_dir, workflow.name, unnamed=DEFAULT)
    if run is workflow.participants.results:  # others may do without it
        require_bids_dir(settings.inputs.bids_dir)  # before what takes a second to import
    resources = settings.resources
    if resources.scheduler is None:  # its workers' machines may be larger
        for line in excess(resources):
            say(f"bids_dtg: note: {line}")
    limit_threads(own_threads(resources) or available_cores())
    check_temporary_folder()
    # A model that was trained in OUTPUT_DIR is named as an installed one is.
    own = model_of_output(settings.inputs.model, settings.inputs.output_dir)
    if own is not None:
        settings = settings.replace(model=str(own))
    return EXIT_FAILED if run(settings) else 0


def legal_values(workflow: Workflow | None = None) -> dict[str, tuple[str, ...]]:
    """Return the legal values of the options that choose a row of a table, by name.

    Parameters
    ----------
    workflow
        Whose values are wanted; None: those of all workflows.
    """
    rows = tuple(all_workflows()) if workflow is None else (workflow,)
    values = {name: _together(row.legal(name) for row in rows) for name in _ROWS}
    return {
        "workflow": tuple(WORKFLOWS),
        "denoise_strategy": (AUTO_STRATEGY, *STRATEGIES),
        "write": _together(row.writes for row in rows),
        **values,
    }


def explained(workflow: Workflow | None = None) -> dict[str, tuple[str, ...]]:
    """Return words on single values of these options, for ``--help``.

    Parameters
    ----------
    workflow
        As for `legal_values`. None: without what takes most room.
    """
    rows = tuple(all_workflows()) if workflow is None else (workflow,)
    words: dict[str, Mapping[str, str]] = {
        "workflow": {row.name: row.help.partition(";")[0] for row in rows},
        "write": {name: help_text for row in rows for name, help_text in row.writes.items()},
    }
    if workflow is not None:
        words["architecture"] = workflow.architectures
        words["denoise_strategy"] = {row.name: row.help for row in STRATEGIES.values()}
    return {
        name: tuple(f"{value}: {meaning}" for value, meaning in row.items() if meaning)
        for name, row in words.items()
    }


def _together(tables: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for table in tables for name in table))
