"""What a call asks a workflow for, and the values of options that choose a row of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bids_dtg.cleaning.strategies import AUTO as AUTO_STRATEGY
from bids_dtg.cleaning.strategies import AUTO_MEANS, STRATEGIES, resolve
from bids_dtg.cli.exits import EXIT_FAILED
from bids_dtg.engine.capacity import excess, own_threads
from bids_dtg.engine.machine import available_cores, limit_threads
from bids_dtg.errors import SettingsError
from bids_dtg.files.temporary import check_temporary_folder
from bids_dtg.notices import say
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.settings.option import rest_option
from bids_dtg.workflows import (
    DEFAULT,
    WORKFLOWS,
    Run,
    Workflow,
    all_workflows,
    find_workflow,
)


def chosen(workflow: Workflow, settings: Settings) -> Run:
    """Return what the options ask a workflow for.

    Raises
    ------
    SettingsError
        The workflow has no such level, analysis or recipe, or the analysis lacks something.
    """
    name = settings.modelling.analysis
    _require(workflow, "analysis", name)
    if workflow.recipes:
        _require(workflow, "recipe", settings.modelling.recipe)
    if workflow.architectures:
        _require(workflow, "architecture", settings.modelling.architecture)
    run = _level(workflow, settings) if name is None else _analysis(workflow, name, settings)
    _check_arrays(workflow, settings)
    _check_statistics(workflow, settings)
    _check_own(workflow, settings)
    _check_rest(workflow, settings)
    return run


def _level(workflow: Workflow, settings: Settings) -> Run:
    """Return what is done at a level without an analysis."""
    if settings.inputs.analysis_level == "participant":
        return workflow.participants.chosen(settings.behaviour)
    if workflow.group is not None:
        return workflow.group
    raise SettingsError(
        f"--workflow {workflow.name} was given with group and no --analysis",
        expected=f"group --analysis {'|'.join(workflow.analyses)}",
    )


def _analysis(workflow: Workflow, name: str, settings: Settings) -> Run:
    row = workflow.analyses[name]
    instead = row.instead_of_model and settings.options[row.instead_of_model] is not None
    unnamed = settings.inputs.model == OPTIONS["model"].field.default
    if row.needs_model and unnamed and not instead:
        other = f", or --{row.instead_of_model}" if row.instead_of_model else ""
        raise SettingsError(
            f"--workflow {workflow.name} --analysis {name} was given without --model",
            expected=f"a model that --workflow {workflow.name} --analysis train has made{other}",
        )
    return row.run


def _require(workflow: Workflow, option: str, name: str | None) -> None:
    legal = workflow.legal(option)
    if name is None or name in legal:
        return
    others = [row.name for row in all_workflows() if name in row.legal(option)]
    raise SettingsError(
        f"--{option} {name} was given with --workflow {workflow.name}",
        expected=f"one of {', '.join(legal)}",
        remedy=f"--workflow {' or '.join(others)} has --{option} {name}" if others else "",
    )


def _check_arrays(workflow: Workflow, settings: Settings) -> None:
    """Refuse --input-arrays where they are not read."""
    name, arrays = settings.modelling.analysis, settings.modelling.input_arrays
    if not arrays or (name is not None and workflow.analyses[name].arrays):
        return
    able = [own for own, other in workflow.analyses.items() if other.arrays]
    if not able:
        others = " or ".join(row.name for row in all_workflows() if _reads_arrays(row))
        raise SettingsError(
            f"--input-arrays was given with --workflow {workflow.name}",
            expected=f"--workflow {others}, or no --input-arrays",
        )
    raise SettingsError(
        f"--input-arrays was given with {f'--analysis {name}' if name else 'no --analysis'}",
        expected=f"group --analysis {' or '.join(able)}",
    )


def _reads_arrays(workflow: Workflow) -> bool:
    return any(row.arrays for row in workflow.analyses.values())


def _check_statistics(workflow: Workflow, settings: Settings) -> None:
    """Refuse options of statistics that the analysis does not read."""
    name = settings.modelling.analysis
    read = () if name is None else workflow.analyses[name].statistics
    for option, value in settings.options.items():
        row = OPTIONS[option]
        if row.group != "statistics" or option in read or value == row.field.default:
            continue
        able = [own for own, other in workflow.analyses.items() if option in other.statistics]
        raise SettingsError(
            f"--{option.replace('_', '-')} was given with "
            f"{f'--analysis {name}' if name else 'no --analysis'}",
            expected=f"group --analysis {' or '.join(able)}",
        )


def _check_own(workflow: Workflow, settings: Settings) -> None:
    """Refuse options in the workflow's own group that the analysis, or the level, does not read."""
    name, level = settings.modelling.analysis, workflow.participants
    if name is None and settings.inputs.analysis_level != "participant":
        return
    reads = (level if name is None else workflow.analyses[name]).reads
    for option, value in settings.options.items():
        row = OPTIONS[option]
        if row.group != workflow.name or option in reads or value == row.field.default:
            continue
        able = [own for own, other in workflow.analyses.items() if option in other.reads]
        where = [*(["participant"] if option in level.reads else [])]
        where += [f"group --analysis {' or '.join(able)}"] if able else []
        raise SettingsError(
            f"--{option.replace('_', '-')} was given with "
            f"{f'--analysis {name}' if name else 'participant'}, which does not read it",
            expected=" or ".join(where),
        )


def _check_rest(workflow: Workflow, settings: Settings) -> None:
    """Refuse options of runs of rest where the group level reads none."""
    if workflow.group_reads_runs or settings.inputs.analysis_level == "participant":
        return
    for option, value in settings.options.items():
        row = OPTIONS[option].field
        of_runs = option == "combine" or row.metadata["workflows"] == rest_option.workflows
        if of_runs and value != row.default:
            flag = "--" + option.replace("_", "-")
            raise SettingsError(
                f"{flag} was given with group --workflow {workflow.name}, which reads what the "
                "participant level has written, or arrays",
                expected=f"the level participant, or no {flag}",
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
    return EXIT_FAILED if run(_with_model_of_output(settings)) else 0


def _with_model_of_output(settings: Settings) -> Settings:
    """Return settings whose model is a path where its name is that of a model in OUTPUT_DIR."""
    from bids_dtg.bundles.store import model_of_output

    found = model_of_output(settings.inputs.model, settings.inputs.output_dir)
    return settings if found is None else settings.replace(model=str(found))


@dataclass(frozen=True)
class Choices:
    """What an option may be that chooses a row of a table."""

    values: tuple[str, ...]  # legal values, in the order of ``--help``
    words: tuple[str, ...] = ()  # on single values, for ``--help``
    shown_default: str | None = None  # for ``--help`` where the default itself says little


def table_choices(workflow: Workflow | None = None) -> Mapping[str, Choices]:
    """Return the options that choose a row of a table, by name.

    Parameters
    ----------
    workflow
        Whose values are wanted; None: those of all workflows.
    """
    rows = tuple(all_workflows()) if workflow is None else (workflow,)
    features = {name: kind for row in rows for name, kind in row.features.items()}
    return {
        "workflow": Choices(tuple(WORKFLOWS), tuple(f"{row.name}: {row.help}" for row in rows)),
        "analysis": Choices(
            tuple(dict.fromkeys(name for row in rows for name in row.analyses)),
            tuple(words for row in rows for words in _analyses_in_words(row)),
        ),
        "denoise_strategy": Choices(
            (AUTO_STRATEGY, *STRATEGIES),
            tuple(f"{row.name}: {row.help}" for row in STRATEGIES.values()),
            AUTO_MEANS,
        ),
        "architecture": Choices(
            tuple(dict.fromkeys(name for row in rows for name in row.architectures)),
            tuple(_architectures_in_words(rows)),
        ),
        "recipe": Choices(tuple(dict.fromkeys(name for row in rows for name in row.recipes))),
        "write": Choices(
            tuple(name for row in rows for name in row.writes),
            tuple(f"{name}: {words}" for row in rows for name, words in row.writes.items()),
        ),
        "feature_sets": Choices(
            tuple(features), tuple(f"{kind.name}: {kind.help}" for kind in features.values())
        ),
    }


def _analyses_in_words(workflow: Workflow) -> Iterator[str]:
    """Yield what each analysis does; the first of another workflow than the default names it."""
    before = _before(workflow)
    for name, row in workflow.analyses.items():
        yield f"{before}{name}: {row.help}"
        before = ""


def _architectures_in_words(workflows: Sequence[Workflow]) -> Iterator[str]:
    """Yield what the architectures of each workflow are."""
    for row in workflows:
        before = _before(row)
        for name, words in row.architectures.items():
            if words:
                yield f"{before}{name}: {words}"
                before = ""


def _before(workflow: Workflow) -> str:
    """Return the option and value that select another workflow than the default."""
    return "" if workflow.name == DEFAULT else f"with --workflow {workflow.name} "


def legal_values() -> dict[str, tuple[str, ...]]:
    """Return the legal values of the options that choose a row of a table, by name."""
    return {name: choices.values for name, choices in table_choices().items()}
